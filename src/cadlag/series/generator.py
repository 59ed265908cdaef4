"""`SeriesGenerator`: the law of irregular series, learnt; draw from it, fill gaps, forecast with uncertainty."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from cadlag.data import Batches, IrregularSeries
from cadlag.series._estimator import CHUNK, Preparation, as_series, network_dtype
from cadlag.series._law import AbstractLatentLaw, AbstractSeriesLaw
from cadlag.series._objectives import AbstractObjective, Adversarial, Variational
from cadlag.series.forecaster import extend
from cadlag.series.latent_sde import LatentSDE
from cadlag.train import Estimator, fit


class SeriesGenerator(Estimator):
    """Learn the law of series; draw new ones, fill in gaps, forecast.

    **Arguments:**

    - `model`: constructor `(channels, *, key)` of a law: `LatentSDE` (default), `LatentODE`, `SDEGenerator`, or
      `functools.partial` of one.
    - `objective`: `Variational()` for latent laws, `Adversarial()` for others, or `SignatureScore()` for any.
    - `steps`, `batch_size`, `learning_rate`: of training.
    - `standardise`: channels to mean 0 and deviation 1; `rescale_time`: training times to [0, 1].
    - `n_paths`: draws that `impute` and `forecast` average.
    - `seed`; `run`: folder for checkpoints and metrics, fitting again with the same settings resumes; `progress`.

    **Example:** `SeriesGenerator(LatentODE, steps=500).fit(series).forecast(history, 10)`
    """

    def __init__(
        self,
        model: Callable = LatentSDE,
        *,
        objective: AbstractObjective | None = None,
        steps: int = 1000,
        batch_size: int = 64,
        learning_rate: float = 3e-3,
        standardise: bool = True,
        rescale_time: bool = True,
        n_paths: int = 20,
        seed: int = 0,
        run: Any = None,
        progress: Any = None,
    ):
        self.model, self.objective = model, objective
        self.steps, self.batch_size, self.learning_rate = steps, batch_size, learning_rate
        self.standardise, self.rescale_time, self.n_paths = standardise, rescale_time, n_paths
        self.seed, self.run, self.progress = seed, run, progress

    def fit(self, X: Any, y: None = None) -> "SeriesGenerator":
        """Train; sets `model_`, `times_` (where `sample` draws by default), `preparation_` and `history_`.

        **Raises:** `ValueError` for fewer than two series, a single time, or a law that does not fit the objective.
        """
        self._check_settings()
        series = as_series(X)
        self._check_series(series)
        self.dtype_, self.channels_ = str(network_dtype()), tuple(series.channels)
        self.preparation_ = Preparation.fitted(series, self.standardise, self.rescale_time)
        self.times_ = default_times(series)
        law = self.model(len(self.channels_), key=jr.fold_in(jr.key(self.seed), 2))
        objective = self._objective(law)
        prepared = self.preparation_(_unlabelled(series), self.dtype_)
        size = min(self.batch_size, len(series))
        result = fit(
            objective.update(self.learning_rate, self.steps), objective.unknowns(law, key=jr.key(self.seed)),
            Batches(prepared, size), steps=self.steps, key=jr.key(self.seed), block=min(self.steps, 100),
            run=self.run, progress=self.progress,
        )  # fmt: skip
        self.model_, self.history_ = objective.law(result.state), result.history
        return self

    def sample(self, n: int = 1, *, times: Any = None, seed: int = 0) -> np.ndarray:
        """`n` new series at `times` (default `times_`), shape (n, time, channels), in the data's units."""
        self.check_is_fitted()
        if n < 1:
            raise ValueError(f"SeriesGenerator.sample: n={n} must be at least 1.")
        grid = np.asarray(self.times_ if times is None else times, np.float64)
        if grid.ndim != 1 or len(grid) < 2 or np.any(np.diff(grid) < 0) or not np.all(np.isfinite(grid)):
            raise ValueError(f"times of shape {grid.shape}: expected at least two finite ones that do not decrease.")
        inside = jnp.asarray(self.preparation_.clock(grid), self.dtype_)
        keys = jr.split(jr.fold_in(jr.key(self.seed), seed), n)
        parts = [np.asarray(_draw(self.model_, inside, keys[i : i + CHUNK])) for i in range(0, n, CHUNK)]
        return self._units(np.concatenate(parts))

    def impute(self, X: Any, *, n: int | None = None, seed: int = 0) -> np.ndarray:
        """Values at every row, shape (series, time, channels); observed ones as they are, NaN on padding.

        With `n`, so many completions: shape (series, n, time, channels).
        """
        series = as_series(X)
        values = self._posterior(series, n, seed)
        rows = np.arange(series.times.shape[1])[None] < np.asarray(series.lengths)[:, None]
        mask, known, rows = np.asarray(series.mask), np.asarray(series.values), rows[:, :, None]
        if n is not None:
            mask, known, rows = mask[:, None], known[:, None], rows[:, None]
        return np.where(rows, np.where(mask, known, values), np.nan)

    def forecast(
        self, history: Any, horizon: int | None = None, *, times: Any = None, n: int | None = None, seed: int = 0
    ) -> np.ndarray:
        """The mean of the next rows, shape (series, horizon, channels); with `n`, so many paths of them.

        **Arguments:** `horizon`, rows ahead at each series' median gap; or `times`, (series, horizon) or (horizon,).
        """
        if (horizon is None) == (times is None):
            raise ValueError("forecast: give the horizon, a number of rows, or the future times.")
        series = as_series(history)
        ahead = int(np.shape(times)[-1]) if horizon is None else horizon
        origin = np.asarray(series.times)[:, :1]
        longer = extend(series, ahead, times)
        # `extend` starts clocks at zero; this law's time is the data's own.
        longer = eqx.tree_at(lambda s: s.times, longer, np.asarray(longer.times) + origin)
        values = self._posterior(longer, n, seed)
        rows = (np.asarray(longer.lengths) - ahead)[:, None] + np.arange(ahead)
        if n is None:
            return np.take_along_axis(values, rows[:, :, None], axis=1)
        return np.take_along_axis(values, rows[:, None, :, None], axis=2)

    def score(self, X: Any, y: None = None, *, seed: int = 0) -> float:
        """The bound on the log-evidence, in nats an observed value, of standardised series; latent laws only."""
        law, prepared = self._latent("score"), self._prepared(as_series(X))
        keys = jr.split(jr.fold_in(jr.key(self.seed), seed), self.n_paths)
        total = sum(float(np.sum(_evidence(law, part, keys)[:kept])) for part, kept in _chunks(prepared))
        return total / max(int(np.sum(prepared.mask)), 1)

    def _posterior(self, series: IrregularSeries, n: int | None, seed: int) -> np.ndarray:
        law = self._latent("impute and forecast")
        prepared = self._prepared(series)
        keys = jr.split(jr.fold_in(jr.key(self.seed), seed), self.n_paths if n is None else n)
        found = [np.asarray(_infer(law, part, keys, n is None))[:kept] for part, kept in _chunks(prepared)]
        return self._units(np.concatenate(found))

    def _latent(self, what: str) -> AbstractLatentLaw:
        self.check_is_fitted()
        if not isinstance(self.model_, AbstractLatentLaw):
            raise ValueError(
                f"A {type(self.model_).__name__} has no posterior, which {what} need; fit a latent law, LatentSDE or "
                "LatentODE."
            )
        return self.model_

    def _prepared(self, series: IrregularSeries) -> IrregularSeries:
        self.check_is_fitted()
        if len(series.channels) != len(self.channels_):
            raise ValueError(f"The series have channels {series.channels}; the law was fitted on {self.channels_}.")
        return self.preparation_(_unlabelled(series), self.dtype_)

    def _units(self, values: np.ndarray) -> np.ndarray:
        scaling = self.preparation_.standardise
        return values if scaling is None else np.asarray(scaling.invert(values))

    def _objective(self, law: Any) -> AbstractObjective:
        if not isinstance(law, AbstractSeriesLaw):
            raise TypeError(
                f"model built a {type(law).__name__}; expected a law of series: LatentSDE, LatentODE or SDEGenerator. "
                "Models that classify or forecast go with SeriesClassifier and SeriesForecaster."
            )
        latent = isinstance(law, AbstractLatentLaw)
        objective = self.objective or (Variational() if latent else Adversarial())
        if objective.latent and not latent:
            raise ValueError(
                f"{type(objective).__name__} needs a law with a posterior, and {type(law).__name__} has none; use "
                "Adversarial() or SignatureScore(), or a LatentSDE."
            )
        return objective

    def _check_settings(self) -> None:
        for name in ("steps", "batch_size", "learning_rate", "n_paths"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} of SeriesGenerator must be positive.")
        if not callable(self.model):
            raise TypeError(f"model={self.model!r} of SeriesGenerator; expected a constructor such as LatentSDE.")

    def _check_series(self, series: IrregularSeries) -> None:
        if len(series) < 2:
            raise ValueError(f"SeriesGenerator.fit: {len(series)} series have no law to learn; give at least two.")
        if series.times.shape[1] < 2:
            raise ValueError("SeriesGenerator.fit: series of a single row have no dynamics; give at least two rows.")
        if series.static is not None:
            raise ValueError("SeriesGenerator.fit: laws of series take no static features yet; leave them out.")
        if not np.any(series.mask):
            raise ValueError("SeriesGenerator.fit: no value is observed.")


def default_times(series: IrregularSeries) -> np.ndarray:
    """The training times where all series share them, else an even grid over them, as long as the median series."""
    times, lengths = np.asarray(series.times, np.float64), np.asarray(series.lengths)
    if np.all(times == times[:1]) and np.all(lengths == times.shape[1]):
        return times[0]
    return np.linspace(times.min(), times.max(), max(int(np.median(lengths)), 2))


def _unlabelled(series: IrregularSeries) -> IrregularSeries:
    return dataclasses.replace(series, labels=None)


def _chunks(series: IrregularSeries) -> list[tuple[Any, int]]:
    """Parts of one size, the last filled up, with how many of each count."""
    size = min(CHUNK, len(series))
    made = []
    for first in range(0, len(series), size):
        index = np.minimum(np.arange(first, first + size), len(series) - 1)
        made.append((jax.tree.map(jnp.asarray, series.take(index).without_ids()), min(size, len(series) - first)))
    return made


@eqx.filter_jit
def _draw(law: AbstractSeriesLaw, times: Array, keys: Array) -> Array:
    return jax.vmap(lambda k: law.sample(times, key=k))(keys)


@eqx.filter_jit
def _infer(law: AbstractLatentLaw, series: Any, keys: Array, mean: bool) -> Array:
    found = jax.vmap(lambda s: jax.vmap(lambda k: law.posterior(s, key=k))(keys))(series)
    return jnp.mean(found, axis=1) if mean else found


@eqx.filter_jit
def _evidence(law: AbstractLatentLaw, series: Any, keys: Array) -> Array:
    def one(s: Any) -> Array:
        found = jax.vmap(lambda k: law.evidence(s, key=k))(keys)
        return jnp.mean(found.log_likelihood - found.divergence)

    return jax.vmap(one)(series)
