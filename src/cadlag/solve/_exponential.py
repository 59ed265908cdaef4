"""Exponential steppers of order four for y' = L y + N(t, y) with a diagonal L.

ETDRK4: Cox and Matthews 2002, with the coefficients of Kassam and Trefethen (SIAM J. Sci. Comput. 26, 2005), means
over a circle around h L. IFRK4: the classical Runge-Kutta method for exp(-L t) y.
"""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from cadlag.solve._semilinear import AbstractExponential, plus, times
from cadlag.solve._stepper import Step, scale
from cadlag.solve._steps import concrete


class ETDRK4(AbstractExponential):
    """Exponential time differencing, order 4 (less at large steps where stiff modes are driven hard).

    **Arguments:**

    - `points`: of the circle of radius 1 around h L; a complex L takes all of it, a real one the upper half.
    """

    points: int = eqx.field(static=True, default=32)

    def __check_init__(self) -> None:
        if self.points < 8:
            raise ValueError(f"ETDRK4: points={self.points}; expected 8 at least, 32 give double precision.")

    @property
    def nodes(self) -> tuple[float, ...]:
        """Both ends and the middle."""
        return (0.0, 0.5, 1.0)

    @property
    def evaluations(self) -> int:
        """Four."""
        return 4

    def coefficients(self, linear: Any, h: Any) -> tuple:
        """exp(h L), exp(h L / 2), Q, f1, 2 f2, f3."""
        if concrete(linear) and concrete(h):
            z = _real_if_it_is(np.asarray(linear)) * float(h)
            total = np.zeros((4, *z.shape), complex)
            for r in _circle(self.points, half=not np.iscomplexobj(z)):
                total += _functions(z + r, np)
            means = total / self.points
            means = means if np.iscomplexobj(z) else means.real
            return (np.exp(z), np.exp(z / 2), *(float(h) * means))
        h, z = _traced(h, linear)
        wide = jnp.complex128 if jnp.finfo(z.dtype).bits == 64 else jnp.complex64
        circle = jnp.asarray(_circle(self.points, half=False), wide)
        means = jnp.mean(jax.vmap(lambda r: _functions(z.astype(wide) + r, jnp))(circle), axis=0)
        means = means if jnp.iscomplexobj(z) else means.real
        return (jnp.exp(z), jnp.exp(z / 2), *(h.astype(means.dtype) * means))

    def advance(self, coefficients: tuple, n: Callable, y: PyTree[Array], step: Step) -> PyTree[Array]:
        """Equations (26) to (29) of Cox and Matthews."""
        e, e2, q, f1, f2, f3 = coefficients
        middle = step.t0 + 0.5 * step.h
        n0 = n(step.t0, y)
        half = times(e2, y)
        a = plus(half, times(q, n0))
        na = n(middle, a)
        nb = n(middle, plus(half, times(q, na)))
        last = None if n0 is None else plus(scale(2.0, nb), scale(-1.0, n0))
        nc = n(step.t1, plus(times(e2, a), times(q, last)))
        return plus(times(e, y), times(f1, n0), times(f2, plus(na, nb)), times(f3, nc))


class IFRK4(AbstractExponential):
    """Integrating factor and classical Runge-Kutta, order 4: cheaper coefficients, enough where L damps.

    Its fixed points are not the equation's, so prefer `ETDRK4` for steady states and stiff linear terms.
    """

    @property
    def nodes(self) -> tuple[float, ...]:
        """Both ends and the middle."""
        return (0.0, 0.5, 1.0)

    @property
    def evaluations(self) -> int:
        """Four."""
        return 4

    def coefficients(self, linear: Any, h: Any) -> tuple:
        """exp(h L) and exp(h L / 2)."""
        if concrete(linear) and concrete(h):
            z = _real_if_it_is(np.asarray(linear)) * float(h)
            return np.exp(z), np.exp(z / 2)
        z = _traced(h, linear)[1]
        return jnp.exp(z), jnp.exp(z / 2)

    def advance(self, coefficients: tuple, n: Callable, y: PyTree[Array], step: Step) -> PyTree[Array]:
        """The four stages of exp(-L t) y."""
        e, e2 = coefficients
        h, middle = step.h, step.t0 + 0.5 * step.h
        half, whole = times(e2, y), times(e, y)
        a = n(step.t0, y)
        b = n(middle, plus(half, scale(0.5 * h, times(e2, a))))
        c = n(middle, plus(half, scale(0.5 * h, b)))
        d = n(step.t1, plus(whole, scale(h, times(e2, c))))
        bc = None if b is None else scale(2.0, times(e2, plus(b, c)))
        return plus(whole, scale(h / 6, plus(times(e, a), bc, d)))


def _circle(points: int, *, half: bool) -> np.ndarray:
    turn = math.pi if half else 2 * math.pi
    return np.exp(1j * turn * (np.arange(points) + 0.5) / points)


def _functions(z: Any, xp: Any) -> Any:
    """Q, f1, 2 f2 and f3, divided by h, at z = h L."""
    e, e2 = xp.exp(z), xp.exp(z / 2)
    cube = z**3
    return xp.stack(
        [
            (e2 - 1) / z,
            (-4 - z + e * (4 - 3 * z + z**2)) / cube,
            2 * (2 + z + e * (z - 2)) / cube,
            (-4 - 3 * z - z**2 + e * (4 - z)) / cube,
        ]
    )


def _traced(h: Any, linear: Any) -> tuple[Array, Array]:
    """h and h L in the precision of L."""
    linear = jnp.asarray(linear)
    h = jnp.asarray(h).astype(linear.dtype)
    return h, h * linear


def _real_if_it_is(linear: np.ndarray) -> np.ndarray:
    """In double precision, without an imaginary part that vanishes everywhere."""
    if np.iscomplexobj(linear):
        return linear.astype(np.complex128) if np.any(linear.imag) else linear.real.astype(np.float64)
    return linear.astype(np.float64)
