"""The angle of a point of the upper half plane, in plain arithmetic.

Compilers for CPUs call the library's arctangent entry by entry, which takes eight times as long as a polynomial that is
vectorised, and kernels of rectifiers are made of little else.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Beyond this ratio the arctangent is taken of (t - 1) / (t + 1), which lies within the same bounds, plus pi / 4.
_BOUND = math.tan(math.pi / 8)


@functools.cache
def _coefficients(degree: int) -> list[float]:
    """arctan(t) / t as a polynomial in t² on [0, bound²], interpolated at Chebyshev points."""
    chebyshev = np.polynomial.chebyshev.Chebyshev

    def ratio(square: np.ndarray) -> np.ndarray:
        return np.arctan(np.sqrt(square)) / np.sqrt(square)

    fitted = chebyshev.interpolate(ratio, degree, domain=[0, _BOUND**2])
    return fitted.convert(kind=np.polynomial.Polynomial).coef.tolist()


@jax.custom_jvp
def angle(y: Float[Array, "..."], x: Float[Array, "..."]) -> Float[Array, "..."]:
    """arctan2(y, x) for y >= 0 and (x, y) not 0, from 0 to pi, to a few roundings."""
    side = jnp.abs(x)
    t = jnp.minimum(side, y) / jnp.maximum(side, y)
    far = t > _BOUND
    u = jnp.where(far, (t - 1) / (t + 1), t)
    square = u * u
    *others, last = _coefficients(5 if jnp.finfo(t.dtype).bits <= 32 else 11)
    total = jnp.full_like(square, last)
    for coefficient in others[::-1]:
        total = total * square + coefficient
    flat = u * total + jnp.where(far, jnp.asarray(math.pi / 4, t.dtype), 0)
    flat = jnp.where(y > side, math.pi / 2 - flat, flat)
    return jnp.where(x < 0, math.pi - flat, flat)


@angle.defjvp
def _angle_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (y, x), (dy, dx) = primals, tangents
    return angle(y, x), (x * dy - y * dx) / (x * x + y * y)
