"""`SeriesInterpolator`: missing values of irregular series, learnt by hiding some that are known."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from cadlag.data import IrregularSeries
from cadlag.series._estimator import (
    SeriesEstimator,
    as_series,
    average_paths,
    hold_out,
    sample_paths,
    train_network,
)
from cadlag.series._network import SeriesNetwork, build_network, read_rows
from cadlag.series._objective import OnFailure, add_penalty
from cadlag.series.stable_sde import LNSDE


class SeriesInterpolator(SeriesEstimator):
    """Fill in missing values from both sides.

    Two copies of the model read each series forwards and backwards; in training a random `hide` fraction of the
    observed rows is hidden from them and predicted (mean squared error, all channels standardised).

    **Arguments:** as for `SeriesClassifier`, and `hide` in (0, 1).
    """

    def __init__(
        self,
        model: Callable = LNSDE,
        *,
        hide: float = 0.3,
        epochs: int = 100,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-5,
        patience: int | None = None,
        validation_fraction: float = 0.0,
        standardise: bool = True,
        rescale_time: bool = True,
        n_paths: int = 10,
        dropout: float = 0.0,
        seed: int = 0,
        regularise: Any = None,
        on_failure: OnFailure = OnFailure.stop,
        run: Any = None,
        progress: Any = None,
    ):
        super().__init__(
            model,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            patience=patience,
            validation_fraction=validation_fraction,
            standardise=standardise,
            rescale_time=rescale_time,
            n_paths=n_paths,
            dropout=dropout,
            seed=seed,
            regularise=regularise,
            on_failure=on_failure,
            run=run,
            progress=progress,
        )
        self.hide = hide

    def fit(self, X: Any, y: None = None) -> "SeriesInterpolator":
        """Train on series, which may have missing values of their own."""
        self._check_settings()
        if not 0 < self.hide < 1:
            raise ValueError(f"hide={self.hide} must lie between 0 and 1: the fraction of rows hidden in training.")
        train, validation = hold_out(as_series(X), self._training())
        prepared = self._remember(train)
        held = None if validation is None else (self.preparation_(validation, self.dtype_), self._hide(validation))
        network = build_network(
            self.model, prepared, len(self.channels_), key=jr.key(self.seed), dropout=self.dropout, both_ways=True
        )
        data = (prepared, self._hide(train))
        self.model_, self.history_ = train_network(network, data, hidden_error, self._training(), held)
        return self

    def _hide(self, series: IrregularSeries) -> np.ndarray:
        return np.full(len(series), self.hide, self.dtype_)

    def predict(self, X: Any) -> np.ndarray:
        """Values at every row and channel, shape (series, time, channels), in the data's units; NaN on padding.

        Observed values are returned as they are.
        """
        series = as_series(X)
        prepared = self._prepare(series)
        values = self._units(average_paths(self.model_, prepared, read_rows, self.n_paths, self._key()))
        return _keep_observed(series, values)

    def sample(self, X: Any, *, n: int = 100, seed: int = 0) -> np.ndarray:
        """`n` completions under different noise, shape (series, n, time, channels), observed values kept."""
        self.check_is_fitted()
        if not self.model_.stochastic:
            raise ValueError("The fitted model has no noise, so it has one completion; use predict().")
        series, key = as_series(X), jr.fold_in(self._key(), seed)
        values = self._units(sample_paths(self.model_, self._prepare(series), read_rows, n, key))
        return np.stack([_keep_observed(series, values[:, i]) for i in range(n)], axis=1)

    def score(self, X: Any, y: Any) -> float:
        """Minus the mean squared error, in standardised units, at values that `y` has and `X` lacks."""
        series, truth = as_series(X), as_series(y)
        hidden = np.asarray(truth.mask) & ~np.asarray(series.mask)
        if not hidden.any():
            raise ValueError("y has no observed value where X has none; give y with values that are missing in X.")
        scaling = self.preparation_.standardise
        std = 1.0 if scaling is None else np.asarray(scaling.std)
        error = (self.predict(series) - np.asarray(truth.values)) / std
        return -float(np.mean(error[hidden] ** 2))

    def _units(self, values: np.ndarray) -> np.ndarray:
        scaling = self.preparation_.standardise
        return np.asarray(values) if scaling is None else np.asarray(scaling.invert(values))


def hidden_error(network: SeriesNetwork, batch: tuple, key: PRNGKeyArray) -> tuple[Array, dict]:
    """Mean squared error at observed values that were hidden; batch is (series, fraction to hide)."""
    series, hide = batch
    k1, k2 = jr.split(key)
    rows = jr.uniform(k1, series.times.shape, series.values.dtype) < hide[:, None]
    hidden = rows[:, :, None] & series.mask
    seen = series.mask & ~hidden
    inputs = eqx.tree_at(
        lambda s: (s.values, s.mask), series, (jnp.where(seen, series.values, jnp.zeros_like(series.values)), seen)
    )
    keys = jr.split(k2, series.times.shape[0])
    learnt = jax.vmap(lambda s, k: network.learn_rows(s, key=k))(inputs, keys)
    return add_penalty((learnt.values - series.values) ** 2, learnt, hidden)


def _keep_observed(series: IrregularSeries, values: np.ndarray) -> np.ndarray:
    rows = np.arange(series.times.shape[1])[None] < np.asarray(series.lengths)[:, None]
    kept = np.where(series.mask, series.values, values)
    return np.where(rows[:, :, None], kept, np.nan)
