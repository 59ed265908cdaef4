"""Piecewise linear paths through data: straight lines in time, and the rectilinear path that is causal."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from cadlag.paths._fill import check_series, fill_forward, fill_linear, safe_divide
from cadlag.paths._path import AbstractPath, LookAhead, ScalarLike
from cadlag.paths._piecewise import locate, two_knots


class LinearPath(AbstractPath):
    """Straight lines between (times[i], values[i]); made by `linear`.

    Before the first and after the last time the end value is held and the derivative is zero. An interval of
    width zero is a jump, and the path takes the value after it.
    """

    times: Float[Array, "T"]
    values: Float[Array, "T C"]
    look_ahead: ClassVar[LookAhead] = LookAhead.next

    @property
    def t0(self) -> Array:
        """The first time."""
        return self.times[0]

    @property
    def t1(self) -> Array:
        """The last time."""
        return self.times[-1]

    def evaluate(self, t: ScalarLike) -> Float[Array, "C"]:
        """The value at t."""
        return _evaluate(self.times, self.values, t)

    def derivative(self, t: ScalarLike) -> Float[Array, "C"]:
        """The slope of the interval t falls in."""
        return _derivative(self.times, self.values, t)


class RectilinearPath(AbstractPath):
    """The path (t0,x0) -> (t1,x0) -> (t1,x1) -> ..., parametrised by index; made by `rectilinear`.

    `knots` are 0, 1, ..., 2n-2 with the last one repeated over padding, `values` (2T-1, C) what is there.
    """

    knots: Float[Array, "K"]
    values: Float[Array, "K C"]
    look_ahead: LookAhead = eqx.field(static=True, default=LookAhead.none)

    @property
    def t0(self) -> Array:
        """The first index, 0."""
        return self.knots[0]

    @property
    def t1(self) -> Array:
        """The last index, 2n-2 for n observations that are not padding."""
        return self.knots[-1]

    def evaluate(self, t: ScalarLike) -> Float[Array, "C"]:
        """The value at index t (real)."""
        return _evaluate(self.knots, self.values, t)

    def derivative(self, t: ScalarLike) -> Float[Array, "C"]:
        """The slope per unit of index."""
        return _derivative(self.knots, self.values, t)


def linear(
    times: ArrayLike, values: ArrayLike, mask: ArrayLike | None = None, *, fill_leading: bool = True
) -> LinearPath:
    """Linear interpolation of one example with missing values, linear per channel across gaps.

    **Arguments:** `times` (T,), non-decreasing, padding repeats the last; `values` (T, C), NaN or mask False
    where missing; `fill_leading=False` puts 0 instead of the first observed value before it (no leak of the
    future).

    **Look-ahead:** the next observed value of each channel. Cost: O(T C) to build, one search to evaluate.
    """
    times, values, mask = check_series(times, values, mask)
    times, values = two_knots(times, fill_linear(times, values, mask, fill_leading=fill_leading))
    return LinearPath(times=times, values=values)


def rectilinear(
    times: ArrayLike,
    values: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    time_channel: int | None = None,
    fill_leading: bool = False,
) -> RectilinearPath:
    """The causal rectilinear path of one example: time moves first, then the values (Kidger 2022, section
    3.2).

    Observation i sits at index 2i. On [2i, 2i+1] only the channel `time_channel` moves (the one that holds
    time, if the caller stacked it into `values`), on [2i+1, 2i+2] all others. Missing values hold the last
    observed one.

    **Look-ahead:** none, unless `fill_leading=True`, which reads the first observed value of a channel early.
    """
    times, values, mask = check_series(times, values, mask)
    channels = values.shape[1]
    if time_channel is not None and not -channels <= time_channel < channels:
        raise ValueError(f"`time_channel` is {time_channel}, but `values` has {channels} channels.")
    values = fill_forward(values, mask, fill_leading=fill_leading)
    between = values[:-1]
    if time_channel is not None:
        between = between.at[:, time_channel].set(values[1:, time_channel])
    steps = times.shape[0]
    out = jnp.zeros((2 * steps - 1, channels), values.dtype).at[::2].set(values).at[1::2].set(between)
    last = 2 * jnp.searchsorted(times, times[-1], side="left")
    knots = jnp.minimum(jnp.arange(2 * steps - 1, dtype=times.dtype), last.astype(times.dtype))
    ahead = LookAhead.next if fill_leading else LookAhead.none
    knots, out = two_knots(knots, out)
    return RectilinearPath(knots=knots, values=out, look_ahead=ahead)


def _evaluate(knots: Array, values: Array, t: ScalarLike) -> Array:
    i, offset, _ = locate(knots, t)
    weight = safe_divide(offset, knots[i + 1] - knots[i]).astype(values.dtype)
    # Both products, so that weights 0 and 1 give the data to the last bit.
    return values[i] * (1 - weight) + values[i + 1] * weight


def _derivative(knots: Array, values: Array, t: ScalarLike) -> Array:
    i, _, inside = locate(knots, t)
    width = (knots[i + 1] - knots[i]).astype(values.dtype)
    slope = safe_divide(values[i + 1] - values[i], jnp.broadcast_to(width, values[i].shape))
    return jnp.where(inside, slope, jnp.zeros_like(slope))
