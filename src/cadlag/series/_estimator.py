"""What all estimators of the wing share: preparing series, training a network, averaging over sample paths."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array, PRNGKeyArray

from cadlag.data import Batches, IrregularSeries, Standardise, split
from cadlag.series._network import SeriesNetwork
from cadlag.series._objective import OnFailure, Penalised, named
from cadlag.series._solving import check_penalty, solves
from cadlag.series.stable_sde import LNSDE
from cadlag.train import EarlyStopping, Estimator, NonFiniteLoss, fit, gradient

CHUNK = 256
# Validation looks at most once in so many steps: on small data an epoch is a step or two.
LOOK = 20


class Preparation(eqx.Module):
    """Affine maps fitted on the training series: channels to mean 0 and deviation 1, time to [0, 1]."""

    standardise: Standardise | None
    start: float
    span: float

    @classmethod
    def fitted(cls, series: IrregularSeries, standardise: bool, rescale_time: bool) -> "Preparation":
        """From the training part alone."""
        times = np.asarray(series.times)
        start, end = float(times.min()), float(times.max())
        if not rescale_time:
            start, end = 0.0, 1.0
        return cls(Standardise.fit(series) if standardise else None, start, end - start or 1.0)

    def __call__(self, series: IrregularSeries, dtype: Any) -> IrregularSeries:
        """The series as the network sees it."""
        series = series.without_ids()
        if self.standardise is not None:
            series = self.standardise.apply(series)
        series = eqx.tree_at(lambda s: s.times, series, self.clock(series.times))
        if series.static is not None:
            series = eqx.tree_at(lambda s: s.static, series, np.nan_to_num(np.asarray(series.static)))
        return series.astype(dtype)

    def clock(self, times: Any) -> np.ndarray:
        """Times as the network sees them."""
        return (np.asarray(times, np.float64) - self.start) / self.span


class Training(NamedTuple):
    """How a network is trained."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    patience: int | None
    validation_fraction: float
    seed: int
    run: Any
    progress: Any
    regularise: Any = None
    on_failure: OnFailure = OnFailure.stop


def as_series(data: Any, labels: Any = None) -> IrregularSeries:
    """A record from a record, or from an array (series, steps, channels) with NaN where missing."""
    if isinstance(data, IrregularSeries):
        if labels is None:
            return data
        made = IrregularSeries.from_arrays(
            data.times, data.values, mask=data.mask, lengths=data.lengths, static=data.static, labels=labels,
            channels=data.channels, ids=data.ids,
        )  # fmt: skip
        return made
    values = np.asarray(data)
    if values.ndim != 3:
        raise ValueError(
            f"X has shape {values.shape}; expected an IrregularSeries, or an array (series, steps, channels) with NaN "
            "where missing. A single channel is X[..., None]."
        )
    steps = values.shape[1]
    return IrregularSeries.from_arrays(np.linspace(0.0, 1.0, steps), values, labels=labels)


def network_dtype() -> Any:
    """Precision that new weights have: float64 where JAX is told so, float32 otherwise."""
    return jnp.zeros(()).dtype


@functools.lru_cache(maxsize=64)
def make_update(loss: Callable, learning_rate: float, weight_decay: float) -> Any:
    """Adam with gradients clipped at norm one; made once, since a new optimiser means compiling anew."""
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(learning_rate, weight_decay=weight_decay))
    return gradient(loss, optimiser, stateful=isinstance(loss, Penalised))


def train_network(
    network: SeriesNetwork, data: Any, loss: Callable, settings: Training, validation: Any = None
) -> tuple[SeriesNetwork, dict[str, np.ndarray]]:
    """Train on records (any PyTree with the example axis first); returns the network and the history.

    With validation data and patience, the state of the best validation loss is kept.
    """
    source = Batches(data, settings.batch_size)
    per_epoch = source.batches_per_epoch
    steps = settings.epochs * per_epoch
    every = max(per_epoch, LOOK)
    check_penalty(settings.regularise, network.model)
    network = dataclasses.replace(network, skip=settings.on_failure is OnFailure.skip)
    penalty = settings.regularise
    objective = loss if penalty is None else Penalised(loss, penalty)
    update = make_update(objective, settings.learning_rate, settings.weight_decay)
    hooks, validate = [], None
    if validation is not None:
        held_out = jax.tree.map(jnp.asarray, validation)
        validate = lambda state, key: {"validation": _evaluate(loss, state.unknowns, held_out, key)}  # noqa: E731
        looks = (settings.patience or settings.epochs) * per_epoch // every
        hooks = [EarlyStopping("validation", max(looks, 1))]
    try:
        result = fit(
            update, network, source, steps=steps, key=jr.key(settings.seed), hooks=hooks, validate=validate,
            validate_every=every, block=min(steps, max(every, 50)), run=settings.run, progress=settings.progress,
            model_state=None if penalty is None else jnp.zeros((), jnp.int32),
        )  # fmt: skip
    except NonFiniteLoss as error:
        raise named(error, loss) from error
    return result.state.unknowns, result.history


@eqx.filter_jit
def _evaluate(loss: Callable, network: SeriesNetwork, data: Any, key: PRNGKeyArray) -> Array:
    return loss(network, data, key)[0]


def hold_out(series: IrregularSeries, settings: Training) -> tuple[IrregularSeries, IrregularSeries | None]:
    """Training and validation part."""
    if settings.validation_fraction <= 0:
        return series, None
    stratify = series.classes is not None
    fraction = settings.validation_fraction
    train, validation = split(series, (1 - fraction, fraction), seed=settings.seed, stratify=stratify)
    return train, validation


def average_paths(
    network: SeriesNetwork, series: IrregularSeries, read: Callable, n_paths: int, key: PRNGKeyArray
) -> np.ndarray:
    """Mean of `read(network, one series, key)` over sample paths, for every series.

    All series see the same keys, so an answer does not depend on who else is in the batch.
    """
    return _in_chunks(network, series, read, n_paths if network.stochastic else 1, key, mean=True)


def sample_paths(
    network: SeriesNetwork, series: IrregularSeries, read: Callable, n: int, key: PRNGKeyArray
) -> np.ndarray:
    """As `average_paths`, but every path: leading axes (series, n)."""
    return _in_chunks(network, series, read, n, key, mean=False)


def _in_chunks(
    network: SeriesNetwork, series: IrregularSeries, read: Callable, n: int, key: PRNGKeyArray, mean: bool
) -> np.ndarray:
    keys = jr.split(key, n)
    size = min(CHUNK, len(series))
    parts = []
    for first in range(0, len(series), size):
        # The last chunk is filled up, so that all have one shape and compile once.
        index = np.minimum(np.arange(first, first + size), len(series) - 1)
        chunk = jax.tree.map(jnp.asarray, series.take(index).without_ids())
        out = _read_chunk(network, chunk, read, keys, mean)
        parts.append(np.asarray(out)[: len(series) - first])
    return np.concatenate(parts)


@eqx.filter_jit
def _read_chunk(network: SeriesNetwork, chunk: Any, read: Callable, keys: Array, mean: bool) -> Array:
    every = jax.vmap(lambda s: jax.vmap(lambda k: read(network, s, k))(keys))(chunk)
    return jnp.mean(every, axis=1) if mean else every


def _count(network: SeriesNetwork, series: IrregularSeries, key: PRNGKeyArray) -> Array:
    return network.evaluations(series, key=key).astype(series.values.dtype)


class SeriesEstimator(Estimator):
    """Base of the wing's estimators; not for use on its own. Its arguments are those of every one of them."""

    def __init__(
        self,
        model: Callable = LNSDE,
        *,
        epochs: int = 100,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-5,
        patience: int | None = None,
        validation_fraction: float = 0.0,
        standardise: bool = True,
        rescale_time: bool = True,
        n_paths: int = 10,
        dropout: float = 0.1,
        seed: int = 0,
        regularise: Any = None,
        on_failure: OnFailure = OnFailure.stop,
        run: Any = None,
        progress: Any = None,
    ):
        self.model, self.epochs, self.batch_size = model, epochs, batch_size
        self.learning_rate, self.weight_decay, self.patience = learning_rate, weight_decay, patience
        self.validation_fraction, self.standardise, self.rescale_time = validation_fraction, standardise, rescale_time
        self.n_paths, self.dropout, self.seed = n_paths, dropout, seed
        self.regularise, self.on_failure = regularise, on_failure
        self.run, self.progress = run, progress

    def evaluations(self, X: Any) -> np.ndarray:
        """Evaluations of the coefficients that one prediction of each series takes, shape (series,); means over paths.

        **Raises:** `ValueError` for a model that solves no equation.
        """
        self.check_is_fitted()
        network: SeriesNetwork = vars(self)["model_"]
        if not solves(network.model):
            name = type(network.model).__name__
            raise ValueError(f"{name} solves no equation, so it has no evaluations to count.")
        return average_paths(network, self._prepare(X), _count, self.n_paths, self._key())

    def _training(self) -> Training:
        return Training(*(getattr(self, name) for name in Training._fields))

    def _check_settings(self) -> None:
        positive = {"epochs": 1, "batch_size": 1, "n_paths": 1, "learning_rate": 0.0}
        for name, least in positive.items():
            value = getattr(self, name)
            if value < least or value == 0:
                raise ValueError(f"{name}={value} of {type(self).__name__} must be positive.")
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(f"validation_fraction={self.validation_fraction} must lie in [0, 1).")
        if not callable(self.model):
            raise TypeError(
                f"model={self.model!r} of {type(self).__name__}; expected a constructor such as LNSDE, NeuralCDE or "
                "functools.partial(LNSDE, hidden_size=64)."
            )

    def _prepare(self, data: Any) -> IrregularSeries:
        """New series as the fitted network sees them; refuses other channels."""
        self.check_is_fitted()
        series = as_series(data)
        if len(series.channels) != len(self.channels_):
            raise ValueError(
                f"The series have channels {series.channels}, but the model was fitted on {self.channels_}. Give the "
                "same channels in the same order."
            )
        if (series.static is None) != (self.static_size_ == 0) or (
            series.static is not None and series.static.shape[-1] != self.static_size_
        ):
            raise ValueError(f"The model was fitted with {self.static_size_} static features; give as many.")
        return self.preparation_(series, self.dtype_)

    def _remember(self, series: IrregularSeries) -> IrregularSeries:
        """Fit the preparation and note what later series must look like."""
        self.dtype_ = str(network_dtype())
        self.channels_ = tuple(series.channels)
        self.static_size_ = 0 if series.static is None else int(series.static.shape[-1])
        self.preparation_ = Preparation.fitted(series, self.standardise, self.rescale_time)
        return self.preparation_(series, self.dtype_)

    def _key(self) -> PRNGKeyArray:
        return jr.fold_in(jr.key(self.seed), 1)
