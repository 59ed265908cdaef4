"""Nonlinearities without closed forms: Gaussian moments by Gauss-Hermite quadrature, with an error bar."""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.kernels._gram_nonlinear import AbstractNonlinearity, Moments, correlation, safe_sqrt


class Elementwise(AbstractNonlinearity):
    """Any function of one number, such as tanh: E[f(u) f(v)] by a rule of degree² points.

    Smooth functions converge exponentially in the degree, those with a kink as 1 / degree; `error` says how far.

    **Arguments:**

    - `f`: a function of a scalar or of each entry of an array, differentiable.
    - `degree`: points along each axis, odd or even.
    """

    f: Callable[[Array], Array]
    degree: int = eqx.field(static=True, default=41)

    def __check_init__(self) -> None:
        if not callable(self.f):
            raise TypeError(f"f of Elementwise is a {type(self.f).__name__}; expected a function such as jnp.tanh.")
        if getattr(self.f, "__name__", "").endswith("softmax"):
            raise ValueError(
                "Elementwise: softmax couples all units of a layer, so it is no function of one; "
                "average over networks with `limits.sampled_kernels`."
            )
        if self.degree < 2:
            raise ValueError(f"degree={self.degree} of Elementwise: expected at least 2 points.")

    def moments(self, k11: Array, k12: Array, k22: Array) -> Moments:
        """Both expectations, v being made of u and an independent part."""
        return _tensor_rule(self._both, self.degree, k11, k12, k22)

    def diagonal(self, k: Array) -> Moments:
        """At u = v, by the rule in one dimension."""
        points, weights = _rule(self.degree, k.dtype)
        values, slopes = self._both(safe_sqrt(k)[..., None] * _last(points, k.ndim))
        w = _last(weights, k.ndim)
        return jnp.sum(w * values**2, axis=-1), jnp.sum(w * slopes**2, axis=-1)

    def function(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """f of each entry."""
        return self._both(x)[0]

    def error(self, k11: Array, k12: Array, k22: Array) -> Moments:
        """An error bar for `moments`: the difference to the rule with half the points, which overstates it."""
        fine = self.moments(k11, k12, k22)
        coarse = _tensor_rule(self._both, max(1, self.degree // 2), k11, k12, k22)
        value, slope = (jnp.abs(a - b) for a, b in zip(fine, coarse, strict=True))
        return value, slope

    def _both(self, x: Array) -> tuple[Array, Array]:
        """f and f' of each entry."""
        flat = x.reshape(-1)
        value, slope = jax.vmap(lambda u: jax.jvp(self.f, (u,), (jnp.ones_like(u),)))(flat)
        return value.reshape(x.shape), slope.reshape(x.shape)


def _rule(degree: int, dtype: jnp.dtype) -> tuple[Array, Array]:
    """Points and weights for a standard normal variable."""
    points, weights = np.polynomial.hermite_e.hermegauss(degree)
    return jnp.asarray(points, dtype), jnp.asarray(weights / math.sqrt(2 * math.pi), dtype)


def _last(a: Array, axes: int) -> Array:
    return a.reshape(*(1,) * axes, -1)


def _tensor_rule(both: Callable, degree: int, k11: Array, k12: Array, k22: Array) -> Moments:
    """Row by row of the grid of points, so that only `degree` values are held for each pair."""
    points, weights = _rule(degree, k12.dtype)
    _, c, root = correlation(k11, k12, k22)
    s1, s2 = safe_sqrt(k11), safe_sqrt(k22)

    def add(total: Moments, row: tuple[Array, Array]) -> tuple[Moments, None]:
        point, weight = row
        across = c[..., None] * point + root[..., None] * _last(points, c.ndim)
        ends = both(s2[..., None] * across)
        starts = both(s1 * point)
        inner = [jnp.sum(_last(weights, c.ndim) * e, axis=-1) for e in ends]
        value, slope = (t + weight * a * b for t, a, b in zip(total, starts, inner, strict=True))
        return (value, slope), None

    zero = jnp.zeros(jnp.broadcast_shapes(k11.shape, k12.shape, k22.shape), k12.dtype)
    return jax.lax.scan(add, (zero, zero), (points, weights))[0]
