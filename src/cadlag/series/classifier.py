"""`SeriesClassifier`: classes of irregular series by any model of the wing."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array, PRNGKeyArray

from cadlag.data import IrregularSeries
from cadlag.series._estimator import SeriesEstimator, as_series, average_paths, hold_out, train_network
from cadlag.series._network import SeriesNetwork, build_network
from cadlag.series._objective import add_penalty


class SeriesClassifier(SeriesEstimator):
    """Classify irregular, partly missing series.

    **Arguments:**

    - `model`: constructor `(channels, *, static_size, key)` of a series model; `functools.partial` sets its options.
    - `epochs`, `batch_size`, `learning_rate`, `weight_decay`: Adam on the cross-entropy.
    - `patience`, `validation_fraction`: keep the state of the best validation loss, stop after so many epochs without
      a better one; by default everything is trained on and nothing is held out.
    - `standardise`, `rescale_time`: fitted on the training part, undone nowhere: labels have no unit.
    - `n_paths`: sample paths whose class probabilities are averaged, for stochastic models.
    - `dropout`: in the readout. `seed`: of weights, batches and sample paths.
    - `regularise`: a penalty on the solve, or a tuple of them: `LocalPenalty(...)` for any model that solves an
      equation, `ErrorPenalty(...)` and `StiffnessPenalty(...)` for those with adaptive steps (`partial(NeuralODE,
      steps=AdaptiveSteps())`). In training only; `evaluations(X)` counts what predictions cost.
    - `on_failure`: when a solve reaches its cap on steps in training, `OnFailure.stop` with `SolveFailed`, or
      `OnFailure.skip`: leave the series out of that step and log their share as `failed`.
    - `run`: folder for checkpoints and metrics; fitting again with the same settings resumes. `progress`: a display.

    The series may be an `IrregularSeries` with labels, or an array (series, steps, channels) with `y`.
    """

    _estimator_type = "classifier"

    def fit(self, X: Any, y: Any = None) -> "SeriesClassifier":
        """Train on labelled series; sets `model_`, `classes_`, `history_`.

        **Raises:** `ValueError` for missing labels, real-valued ones, or a single class.
        """
        self._check_settings()
        series = as_series(X, y)
        self.classes_ = np.asarray(check_labels(series))
        train, validation = hold_out(series, self._training())
        train = self._remember(train)
        held = None if validation is None else self.preparation_(validation, self.dtype_)
        network = build_network(self.model, train, len(self.classes_), key=jr.key(self.seed), dropout=self.dropout)
        self.model_, self.history_ = train_network(network, train, cross_entropy, self._training(), held)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Class probabilities, shape (series, classes), in the order of `classes_`; the same call, the same answer."""
        series = self._prepare(X)
        return average_paths(self.model_, series, probabilities, self.n_paths, self._key())

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class of each series."""
        shares = self.predict_proba(X)
        return self.classes_[np.argmax(shares, axis=1)]

    def score(self, X: Any, y: Any = None) -> float:
        """Accuracy. Labels unseen in training are an error that names them."""
        self.check_is_fitted()
        truth = class_names(as_series(X, y))
        unseen = sorted(set(truth.tolist()) - set(self.classes_.tolist()), key=str)
        if unseen:
            raise ValueError(
                f"The labels {unseen} did not occur in training (classes {self.classes_.tolist()}); no model could "
                "predict them. Leave those series out, or fit on a part that has them."
            )
        return float(np.mean(self.predict(X) == truth))


def class_names(series: IrregularSeries) -> np.ndarray:
    """The labels by name, shape (series,)."""
    return np.asarray(_classes(series))[np.asarray(series.labels)]


def cross_entropy(network: SeriesNetwork, batch: IrregularSeries, key: PRNGKeyArray) -> tuple[Array, dict]:
    """Mean cross-entropy over a batch of labelled series."""
    keys = jr.split(key, batch.times.shape[0])
    learnt = jax.vmap(lambda s, k: network.learn_last(s, key=k))(batch, keys)
    logits = learnt.values
    assert batch.labels is not None
    labels = jnp.asarray(batch.labels)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    accuracy = jnp.mean(jnp.argmax(logits, axis=1).astype(labels.dtype) == labels)
    value, said = add_penalty(losses, learnt)
    return value, {"accuracy": accuracy, **said}


def probabilities(network: SeriesNetwork, series: IrregularSeries, key: PRNGKeyArray) -> Array:
    """Class probabilities of one series under one sample path."""
    return jax.nn.softmax(network.last(series, key=key))


def check_labels(series: IrregularSeries) -> tuple:
    """The classes, of which at least two must occur."""
    classes = _classes(series)
    present = np.unique(np.asarray(series.labels))
    if len(present) < 2:
        name = classes[int(present[0])] if len(present) else "none"
        raise ValueError(
            f"All {len(series)} series have one class ({name}); a classifier needs at least two. "
            "Check the label column."
        )
    return classes


def _classes(series: IrregularSeries) -> tuple:
    if series.labels is None:
        raise ValueError("The series have no labels; give y, or read the data with a label column.")
    if series.classes is None:
        raise ValueError(
            "The labels are real numbers, not classes; use SeriesRegressor, or give integer or text labels."
        )
    return series.classes
