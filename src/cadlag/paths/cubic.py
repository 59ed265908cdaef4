"""Piecewise cubic paths through data: Hermite with backward differences, and natural splines."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float

from cadlag.paths._fill import check_series, fill_linear, safe_divide
from cadlag.paths._path import AbstractPath, LookAhead, ScalarLike
from cadlag.paths._piecewise import locate, two_knots


class CubicPath(AbstractPath):
    """x(t) = a + b s + c s^2 + e s^3 with s = t - times[i] on interval i; made by `hermite`, `natural_cubic`.

    `coefficients` has shape (T-1, 4, C), in the order a, b, c, e. Before the first and after the last time
    the end value is held and the derivative is zero.
    """

    times: Float[Array, "T"]
    coefficients: Float[Array, "T-1 4 C"]
    look_ahead: LookAhead = eqx.field(static=True)

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
        i, s, _ = locate(self.times, t)
        a, b, c, e = self.coefficients[i]
        s = s.astype(a.dtype)
        return a + s * (b + s * (c + s * e))

    def derivative(self, t: ScalarLike) -> Float[Array, "C"]:
        """The derivative at t (from the left at the last time)."""
        i, s, inside = locate(self.times, t)
        _, b, c, e = self.coefficients[i]
        s = s.astype(b.dtype)
        slope = b + s * (2 * c + s * (3 * e))
        return jnp.where(inside, slope, jnp.zeros_like(slope))


def hermite(
    times: ArrayLike, values: ArrayLike, mask: ArrayLike | None = None, *, fill_leading: bool = True
) -> CubicPath:
    """Hermite cubic with backward differences of one example, after linear filling of gaps.

    The left slope of interval i is (x_i - x_{i-1}) / (t_i - t_{i-1}), that of the first interval its own
    forward difference; the right slope is (x_{i+1} - x_i) / (t_{i+1} - t_i). The path is C^1 inside and on
    [t_i, t_{i+1}] depends on filled values up to t_{i+1} only (Morrill et al. 2021; Oh et al. 2024).

    **Arguments:** as for `linear`. **Look-ahead:** the next observed value of each channel.
    """
    times, values, mask = check_series(times, values, mask)
    x = fill_linear(times, values, mask, fill_leading=fill_leading)
    times, x = two_knots(times, x)
    width = jnp.diff(times).astype(x.dtype)[:, None]
    slope = safe_divide(jnp.diff(x, axis=0), jnp.broadcast_to(width, x[1:].shape))
    left = jnp.concatenate([slope[:1], slope[:-1]])
    c = safe_divide(2 * (slope - left), jnp.broadcast_to(width, slope.shape))
    e = safe_divide(left - slope, jnp.broadcast_to(width**2, slope.shape))
    coefficients = jnp.stack([x[:-1], left, c, e], axis=1)
    return CubicPath(times=times, coefficients=coefficients, look_ahead=LookAhead.next)


def natural_cubic(
    times: ArrayLike, values: ArrayLike, mask: ArrayLike | None = None, *, fill_leading: bool = True
) -> CubicPath:
    """Natural cubic spline of one example, for each channel through its own observed values only.

    C^2 between the first and the last observed value of a channel, with zero second derivative at both.
    After the last observed value it is held. Before the first one the path has that value, or with
    `fill_leading=False` is 0 and jumps. A second value at the same time is ignored.

    **Arguments:** as for `linear`. **Look-ahead:** all. Cost: one tridiagonal solve per channel.
    """
    times, values, mask = check_series(times, values, mask)
    times, values, mask = two_knots(times, values, mask)
    repeated = jnp.concatenate([jnp.zeros(1, bool), jnp.diff(times) == 0])[:, None]
    mask = mask & ~(repeated & jnp.concatenate([jnp.zeros_like(mask[:1]), mask[:-1]]))
    build = jax.vmap(lambda x, m: _spline(times.astype(x.dtype), x, m, fill_leading), in_axes=1, out_axes=2)
    return CubicPath(times=times, coefficients=build(values, mask), look_ahead=LookAhead.all)


def _spline(times: Float[Array, "T"], x: Float[Array, "T"], mask: Bool[Array, "T"], fill_leading: bool) -> Array:
    """Coefficients (T-1, 4) of one channel: solve on its observed knots, moved to the front, then spread."""
    count = jnp.sum(mask)
    order = jnp.argsort(~mask, stable=True)
    knots = times[order]
    # Entries beyond the last observed knot repeat it: intervals of width zero, with zero slopes.
    x = jnp.where(mask, x, jnp.zeros_like(x))[order]
    beyond = jnp.arange(x.shape[0]) >= count
    final = jnp.maximum(count - 1, 0)
    knots, x = jnp.where(beyond, knots[final], knots), jnp.where(beyond, x[final], x)
    width = jnp.diff(knots)
    slope = safe_divide(jnp.diff(x), width)
    bend = _second_derivatives(width, slope, count)
    rise = jnp.diff(bend)
    b = slope - width * (2 * bend[:-1] + bend[1:]) / 6
    cubic = jnp.stack([x[:-1], b, bend[:-1] / 2, safe_divide(rise, 6 * width)], axis=1)

    interval = jnp.cumsum(mask)[:-1] - 1
    inner = (interval >= 0) & (interval < count - 1)
    k = jnp.clip(interval, 0, x.shape[0] - 2)
    moved = _shift(cubic[k], times[:-1] - knots[k])
    outside = jnp.where(interval >= 0, x[final], x[0] if fill_leading else jnp.zeros_like(x[0]))
    constant = jnp.zeros_like(moved).at[:, 0].set(outside)
    return jnp.where(inner[:, None], moved, constant)


def _second_derivatives(width: Array, slope: Array, count: Array) -> Array:
    """Solve h_{i-1} M_{i-1} + 2 (h_{i-1} + h_i) M_i + h_i M_{i+1} = 6 (d_i - d_{i-1}), M = 0 at both ends."""
    zero = jnp.zeros_like(width[:1])
    before, after = jnp.concatenate([zero, width]), jnp.concatenate([width, zero])
    steps = jnp.arange(width.shape[0] + 1)
    inner = (steps > 0) & (steps < count - 1)
    diagonal = jnp.where(inner, 2 * (before + after), jnp.ones_like(before))
    lower = jnp.where(inner, before, jnp.zeros_like(before))
    upper = jnp.where(inner, after, jnp.zeros_like(before))
    right = 6 * (jnp.concatenate([slope, zero]) - jnp.concatenate([zero, slope]))
    right = jnp.where(inner, right, jnp.zeros_like(before))
    return jax.lax.linalg.tridiagonal_solve(lower, diagonal, upper, right[:, None])[:, 0]


def _shift(cubic: Float[Array, "K 4"], by: Float[Array, "K"]) -> Float[Array, "K 4"]:
    """The coefficients of s -> p(s + by)."""
    a, b, c, e = cubic.T
    return jnp.stack([a + by * (b + by * (c + by * e)), b + by * (2 * c + 3 * by * e), c + 3 * by * e, e], axis=1)
