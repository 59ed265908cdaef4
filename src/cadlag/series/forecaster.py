"""`SeriesForecaster`: the next values of irregular series, with sample paths where the model has them."""

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
from cadlag.series._network import Learnt, SeriesNetwork, build_network
from cadlag.series._objective import OnFailure, add_penalty
from cadlag.series.stable_sde import LNSDE


class SeriesForecaster(SeriesEstimator):
    """Forecast all channels at future times, for series seen in `fit` or not.

    **Arguments:** as for `SeriesClassifier`, and

    - `history`, `horizon`: rows seen and rows predicted in training; windows of that length are cut from every
      series at each `stride`-th row. A forecast may use any history and, with more error, any horizon.

    Trained on the mean squared error of observed future values, all channels standardised; forecasts are in the
    data's own units. Times are counted from the start of the window, so that a forecast does not depend on when.
    """

    def __init__(
        self,
        model: Callable = LNSDE,
        *,
        history: int = 50,
        horizon: int = 10,
        stride: int = 1,
        epochs: int = 50,
        batch_size: int = 64,
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
        self.history, self.horizon, self.stride = history, horizon, stride

    def fit(self, X: Any, y: None = None) -> "SeriesForecaster":
        """Train on windows of the series.

        **Raises:** `ValueError` where no series is as long as history plus horizon.
        """
        self._check_settings()
        series = as_series(X)
        windows = cut_windows(series, self.history, self.horizon, self.stride)
        train, validation = hold_out(windows, self._training())
        prepared = self._remember(train)
        held = None if validation is None else self._pair(self.preparation_(validation, self.dtype_))
        network = build_network(self.model, prepared, len(self.channels_), key=jr.key(self.seed), dropout=self.dropout)
        data = self._pair(prepared)
        self.model_, self.history_ = train_network(network, data, forecast_error, self._training(), held)
        return self

    def forecast(self, history: Any, horizon: int | None = None, *, times: Any = None) -> np.ndarray:
        """Mean forecast, shape (series, horizon, channels), in the data's units.

        **Arguments:** `history`, series up to now; `horizon`, rows ahead at each series' median gap; or `times`, shape
        (series, horizon) or (horizon,), the future times themselves.
        """
        series, read = self._future(history, horizon, times)
        return self._units(average_paths(self.model_, series, read, self.n_paths, self._key()))

    def sample(
        self, history: Any, horizon: int | None = None, *, n: int = 100, times: Any = None, seed: int = 0
    ) -> np.ndarray:
        """`n` forecasts under different noise, shape (series, n, horizon, channels).

        **Raises:** `ValueError` for a model without noise.
        """
        self.check_is_fitted()
        if not self.model_.stochastic:
            raise ValueError("The fitted model has no noise, so it has one forecast; use forecast().")
        series, read = self._future(history, horizon, times)
        return self._units(sample_paths(self.model_, series, read, n, jr.fold_in(self._key(), seed)))

    def predict(self, X: Any) -> np.ndarray:
        """`forecast` with the fitted horizon."""
        return self.forecast(X)

    def score(self, X: Any, y: None = None) -> float:
        """Minus the mean squared error, in standardised units, of the last `horizon` rows from those before."""
        windows = cut_windows(as_series(X), self.history, self.horizon, self.stride)
        prepared, truth, mask = self._pair(self._prepare(windows))
        predicted = average_paths(self.model_, prepared, _ReadFuture(self.horizon), self.n_paths, self._key())
        return -float(np.sum(np.where(mask, (predicted - truth) ** 2, 0)) / np.maximum(np.sum(mask), 1))

    def _pair(self, windows: IrregularSeries) -> tuple[IrregularSeries, np.ndarray, np.ndarray]:
        """Series with their future hidden, and that future with its mask."""
        future = slice(self.history, None)
        truth, seen = np.asarray(windows.values)[:, future], np.asarray(windows.mask)[:, future]
        mask = np.asarray(windows.mask).copy()
        mask[:, future] = False
        values = np.where(mask, windows.values, 0).astype(windows.values.dtype)
        return eqx.tree_at(lambda s: (s.values, s.mask), windows, (values, mask)), truth, seen

    def _future(self, history: Any, horizon: int | None, times: Any) -> tuple[IrregularSeries, Callable]:
        self.check_is_fitted()
        ahead = np.shape(times)[-1] if times is not None else self.horizon if horizon is None else horizon
        return self._prepare(extend(as_series(history), ahead, times)), _ReadFuture(ahead)

    def _units(self, values: np.ndarray) -> np.ndarray:
        scaling = self.preparation_.standardise
        return np.asarray(values) if scaling is None else np.asarray(scaling.invert(values))


class _ReadFuture(eqx.Module):
    rows: int = eqx.field(static=True)

    def __call__(self, network: SeriesNetwork, series: IrregularSeries, key: PRNGKeyArray) -> Array:
        return _future_rows(network.rows(series, key=key), series, self.rows)


def forecast_error(network: SeriesNetwork, batch: tuple, key: PRNGKeyArray) -> tuple[Array, dict]:
    """Mean squared error of observed future values; batch is (series with hidden future, truth, mask)."""
    series, truth, mask = batch
    keys = jr.split(key, truth.shape[0])

    def one(s: IrregularSeries, k: PRNGKeyArray) -> Learnt:
        learnt = network.learn_rows(s, key=k)
        return eqx.tree_at(lambda x: x.values, learnt, _future_rows(learnt.values, s, truth.shape[1]))

    learnt = jax.vmap(one)(series, keys)
    return add_penalty((learnt.values - truth) ** 2, learnt, mask)


def _future_rows(outputs: Array, series: IrregularSeries, horizon: int) -> Array:
    """The last `horizon` valid rows."""
    start = jnp.asarray(series.lengths) - horizon
    return jax.lax.dynamic_slice_in_dim(outputs, start, horizon, axis=0)


def cut_windows(series: IrregularSeries, history: int, horizon: int, stride: int) -> IrregularSeries:
    """All windows of history + horizon rows, their clocks starting at zero."""
    size = history + horizon
    lengths = np.asarray(series.lengths)
    starts = [(i, s) for i, n in enumerate(lengths) for s in range(0, int(n) - size + 1, stride)]
    if not starts:
        raise ValueError(
            f"No series has history + horizon = {history} + {horizon} = {size} rows (the longest has {lengths.max()}). "
            "Give longer series, or a shorter history or horizon."
        )
    rows = np.array([s for _, s in starts])[:, None] + np.arange(size)
    owner = np.array([i for i, _ in starts])
    pick = lambda x: np.asarray(x)[owner[:, None], rows]  # noqa: E731
    times = pick(series.times)
    return IrregularSeries(
        times=times - times[:, :1],
        values=pick(series.values),
        mask=pick(series.mask),
        lengths=np.full(len(owner), size),
        static=None if series.static is None else np.asarray(series.static)[owner],
        channels=series.channels,
    )


def extend(series: IrregularSeries, horizon: int, times: Any = None) -> IrregularSeries:
    """Series with `horizon` unobserved rows after their own end, on clocks that start at zero."""
    clock, lengths = np.asarray(series.times), np.asarray(series.lengths)
    if times is not None:
        future = np.broadcast_to(np.asarray(times, clock.dtype), (len(series), np.shape(times)[-1]))
        horizon = future.shape[1]
        last = clock[np.arange(len(series)), lengths - 1]
        if np.any(future[:, :1] <= last[:, None]) or np.any(np.diff(future, axis=1) <= 0):
            raise ValueError("times must increase and lie after each series' last time.")
    else:
        future = future_times(series, horizon)
    n, _, channels = series.values.shape
    size = int(lengths.max()) + horizon
    out_times = np.zeros((n, size), clock.dtype)
    values = np.zeros((n, size, channels), series.values.dtype)
    mask = np.zeros((n, size, channels), bool)
    for i, length in enumerate(lengths):
        stop = length + horizon
        out_times[i, :length], out_times[i, length:stop] = clock[i, :length], future[i]
        out_times[i, stop:] = future[i, -1]
        out_times[i] -= clock[i, 0]
        values[i, :length], mask[i, :length] = series.values[i, :length], series.mask[i, :length]
    return IrregularSeries(out_times, values, mask, lengths + horizon, static=series.static, channels=series.channels)


def future_times(series: IrregularSeries, horizon: int) -> np.ndarray:
    """The next `horizon` times of each series, at its own median gap; shape (series, horizon)."""
    if horizon < 1:
        raise ValueError(f"horizon={horizon} must be at least 1.")
    clock, lengths = np.asarray(series.times), np.asarray(series.lengths)
    return np.stack([_continue(clock[i, :n], horizon) for i, n in enumerate(lengths)])


def _continue(times: np.ndarray, horizon: int) -> np.ndarray:
    if len(times) < 2:
        raise ValueError("A series with one time has no gap to continue with; give the future `times`.")
    return times[-1] + np.median(np.diff(times)) * np.arange(1, horizon + 1)
