"""`SeriesRegressor`: real targets of irregular series by any model of the wing."""

from typing import Any

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from cadlag.data import IrregularSeries
from cadlag.metrics import r_squared
from cadlag.series._estimator import SeriesEstimator, as_series, average_paths, hold_out, train_network
from cadlag.series._network import SeriesNetwork, build_network
from cadlag.series._objective import add_penalty


class SeriesRegressor(SeriesEstimator):
    """Predict one or several real numbers from each irregular, partly missing series.

    Arguments as for `SeriesClassifier`; the loss is the mean squared error on standardised targets, and
    predictions are means over `n_paths` sample paths, in the targets' own units.
    """

    _estimator_type = "regressor"

    def fit(self, X: Any, y: Any = None) -> "SeriesRegressor":
        """Train on series with real targets, shape (series,) or (series, targets).

        **Raises:** `ValueError` for missing, class-valued or non-finite targets.
        """
        self._check_settings()
        series = as_series(X, None if y is None else np.asarray(y, float))
        targets = _targets(series)
        self.flat_ = targets.shape[1] == 1
        train, validation = hold_out(series, self._training())
        fitted_on = _targets(train)
        self.center_, self.scale_ = fitted_on.mean(0), fitted_on.std(0) + 1e-8
        train = self._with_targets(self._remember(train), train)
        held = None
        if validation is not None:
            held = self._with_targets(self.preparation_(validation, self.dtype_), validation)
        network = build_network(self.model, train, targets.shape[1], key=jr.key(self.seed), dropout=self.dropout)
        self.model_, self.history_ = train_network(network, train, squared_error, self._training(), held)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predicted targets in their own units, shape (series,) for one target, else (series, targets)."""
        series = self._prepare(X)
        scaled = average_paths(self.model_, series, _read_last, self.n_paths, self._key())
        predicted = np.asarray(scaled, float) * self.scale_ + self.center_
        return predicted[:, 0] if self.flat_ else predicted

    def score(self, X: Any, y: Any = None) -> float:
        """Coefficient of determination R² (mean over targets)."""
        truth = _targets(as_series(X, None if y is None else np.asarray(y, float)))
        return r_squared(truth, self.predict(X).reshape(truth.shape))

    def _with_targets(self, prepared: IrregularSeries, raw: IrregularSeries) -> IrregularSeries:
        scaled = ((_targets(raw) - self.center_) / self.scale_).astype(self.dtype_)
        return _replace_labels(prepared, scaled)


def squared_error(network: SeriesNetwork, batch: IrregularSeries, key: PRNGKeyArray) -> tuple[Array, dict]:
    """Mean squared error over a batch of series with targets (series, targets)."""
    keys = jr.split(key, batch.times.shape[0])
    learnt = jax.vmap(lambda s, k: network.learn_last(s, key=k))(batch, keys)
    assert batch.labels is not None
    return add_penalty((learnt.values - batch.labels) ** 2, learnt)


def _read_last(network: SeriesNetwork, series: IrregularSeries, key: PRNGKeyArray) -> Array:
    return network.last(series, key=key)


def _replace_labels(series: IrregularSeries, labels: np.ndarray) -> IrregularSeries:
    return eqx.tree_at(lambda s: s.labels, series, labels, is_leaf=lambda x: x is None)


def _targets(series: IrregularSeries) -> np.ndarray:
    if series.labels is None:
        raise ValueError("The series have no targets; give y, or read the data with a label column.")
    if series.classes is not None:
        raise ValueError("The labels are classes, not real targets; use SeriesClassifier, or give real numbers.")
    targets = np.asarray(series.labels, float)
    targets = targets[:, None] if targets.ndim == 1 else targets
    if not np.all(np.isfinite(targets)):
        raise ValueError("The targets hold NaN or infinite values; leave those series out.")
    return targets
