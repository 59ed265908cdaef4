"""What a model of a time series is: one series in, a hidden state at every one of its times out."""

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from cadlag.data import IrregularSeries
from cadlag.paths import AbstractPath, fill_linear, hermite
from cadlag.series._solving import check_steps as check_steps
from cadlag.series._solving import integrate as integrate


class AbstractSeriesModel(eqx.Module):
    """Hidden states along ONE irregular series; `jax.vmap` makes batches.

    To write your own: declare `hidden_size`, `stochastic` (whether the key matters) and `blind` (whether the
    states ignore every observation after the first), and give `__call__(series, *, key, final)`: states of shape
    (time, hidden) at the series' own times, or with `final` the state at its last valid time, shape (hidden,).
    Padded rows repeat the last time and must leave the state as it is. Constructors take
    `(channels, *, static_size, key)` first. A model that solves an equation keeps `steps` (an integer, or
    `AdaptiveSteps`) as a field and returns what `integrate(..., self.steps, ...)` does: then estimators can regularise
    it and count its evaluations.
    """

    hidden_size: eqx.AbstractVar[int]
    stochastic: eqx.AbstractVar[bool]
    blind: eqx.AbstractVar[bool]

    @abc.abstractmethod
    def __call__(self, series: IrregularSeries, *, key: PRNGKeyArray | None = None, final: bool = False) -> Any:
        """States at all times, shape (time, hidden), or at the last, shape (hidden,)."""


class InitialState(eqx.Module):
    """z(t0): an affine map of the control's first value, or of it and the static features."""

    layer: eqx.nn.Linear

    def __init__(self, channels: int, hidden_size: int, *, static_size: int = 0, key: PRNGKeyArray):
        self.layer = eqx.nn.Linear(channels + 1 + static_size, hidden_size, key=key)

    def __call__(self, first: Float[Array, " channels_and_time"], static: Any) -> Float[Array, " hidden"]:
        """The initial state from X(t0) (time first) and the static features, if there are any."""
        if static is not None:
            first = jnp.concatenate([first, static.astype(first.dtype)])
        return self.layer(first)


def control_path(series: IrregularSeries) -> AbstractPath:
    """The control X(t) = (t, x(t)): Hermite cubics with backward differences through the observations."""
    return hermite(*control_points(series))


def control_at_knots(series: IrregularSeries) -> Float[Array, "time channels_and_time"]:
    """The control's values at the series' own times, where a Hermite cubic is its filled data."""
    times, values, mask = control_points(series)
    return fill_linear(times, values, mask)


def control_points(
    series: IrregularSeries,
) -> tuple[Float[Array, " time"], Float[Array, "time channels"], Bool[Array, "time channels"]]:
    """Times, values with time as the first channel (0 where missing), and their mask (time is always observed)."""
    times, seen = jnp.asarray(series.times), jnp.asarray(series.mask)
    values = jnp.asarray(series.values)
    values = jnp.where(seen, values, jnp.zeros_like(values))
    mask = jnp.concatenate([valid_rows(series)[:, None], seen], axis=1)
    return times, jnp.concatenate([times[:, None], values], axis=1), mask


def valid_rows(series: IrregularSeries) -> Bool[Array, " time"]:
    """Which rows belong to the series rather than to its padding."""
    return row_numbers(series) < series.lengths


def row_numbers(series: IrregularSeries) -> Int[Array, " time"]:
    """0, 1, 2, ... in the integer type of the lengths."""
    return jnp.arange(series.times.shape[0], dtype=jnp.asarray(series.lengths).dtype)


def time_features(t: Float[Array, ""]) -> Float[Array, "2"]:
    """[sin t, cos t]: meant for times of order one; longer clocks alias."""
    return jnp.stack([jnp.sin(t), jnp.cos(t)])
