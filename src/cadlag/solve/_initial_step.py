"""How wide a single step should be where nothing is known but the equation: the usual rule for starting a solver.

With norms over sc = atol + rtol |u|, d0 = |u|, d1 = |f| (for an SDE |f| + 3 |g|, entry by entry), a small Euler step
h0 = 0.01 d0 / d1 and d2 the change of f over it divided by h0: h = min(100 h0, (0.01 / max(d1, d2))^(1 / (p + 1))),
p being the order of the method (Hairer, Nørsett and Wanner, Solving Ordinary Differential Equations I, II.4).
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Float, PyTree

from cadlag.solve._one_step import Tolerance, scaled_error
from cadlag.solve._process import NoiseKind, elementwise
from cadlag.solve._runge_kutta import RungeKutta
from cadlag.solve._stepper import AbstractStepper, Field, add, minus, scale


class AbstractWidth(eqx.Module):
    """How wide a local step is. To write your own: give `width(field, t, y, stepper, tolerance, taken)`."""

    @abc.abstractmethod
    def width(
        self, field: Field, t: Array, y: PyTree[Array], stepper: AbstractStepper, tolerance: Tolerance, taken: Any
    ) -> Float[Array, ""]:
        """The width, positive, of a step from (t, y); `taken` is the solver's own there, or None where unknown."""


class InitialStep(AbstractWidth):
    """The rule above. At most two evaluations of the drift.

    **Arguments:** `order` of the local stepper; None knows it for Runge-Kutta methods of Diffrax, and takes 1 for
    others.
    """

    order: float | int | None = None

    def width(
        self, field: Field, t: Array, y: PyTree[Array], stepper: AbstractStepper, tolerance: Tolerance, taken: Any
    ) -> Float[Array, ""]:
        """Hairer, Nørsett and Wanner's."""
        order = self.order
        if order is None:
            order = _order(stepper)
        norm = lambda tree: _norm(tree, y, tolerance)  # noqa: E731
        slope, size = _speed(field, t, y)
        d0, d1 = norm(y), norm(size)
        small = (d0 < 1e-5) | (d1 < 1e-5)
        h0 = jnp.where(small, 1e-6, 0.01 * d0 / jnp.where(small, jnp.ones_like(d1), d1)).astype(t.dtype)
        ahead = add(y, scale(h0, slope))
        d2 = norm(minus(_speed(field, t + h0, ahead)[1], size)) / h0
        steepest = jnp.maximum(d1, d2)
        flat = steepest <= 1e-15
        rule = (0.01 / jnp.where(flat, jnp.ones_like(steepest), steepest)) ** (1 / (order + 1))
        h1 = jnp.where(flat, jnp.maximum(1e-6, 1e-3 * h0), rule)
        return jnp.minimum(100 * h0, h1.astype(t.dtype))


class OwnStep(AbstractWidth):
    """The solver's own step at that time, where the time is one of its own: goes with `Biased()`."""

    def width(
        self, field: Field, t: Array, y: PyTree[Array], stepper: AbstractStepper, tolerance: Tolerance, taken: Any
    ) -> Float[Array, ""]:
        """What the solver took."""
        if taken is None:
            raise ValueError("OwnStep() knows the solver's steps at their own starts only: use sampling=Biased().")
        return taken


class GivenStep(AbstractWidth):
    """Always the same width. **Arguments:** `h`, positive."""

    h: float

    def __check_init__(self):
        if not self.h > 0:
            raise ValueError(f"GivenStep(h={self.h}) must be positive.")

    def width(
        self, field: Field, t: Array, y: PyTree[Array], stepper: AbstractStepper, tolerance: Tolerance, taken: Any
    ) -> Float[Array, ""]:
        """h."""
        return jnp.asarray(self.h, t.dtype)


def _norm(tree: PyTree[Array] | None, y: PyTree[Array], tolerance: Tolerance) -> Array:
    found = scaled_error(tree, y, y, tolerance)
    return jnp.zeros((), jax.tree.leaves(y)[0].dtype) if found is None else jnp.abs(found)


def _speed(field: Field, t: Array, y: PyTree[Array]) -> tuple[PyTree[Array] | None, PyTree[Array]]:
    """f, and f again; with noise |f| + 3 |g| entry by entry, so that three deviations of it count."""
    f, kinds = field.f(t, y), field.process.noise
    if kinds is NoiseKind.none:
        return f, f
    g = field.g(t, y)
    parts = [jax.tree.map(jnp.abs, f)] if f is not None else []
    each = zip(kinds, g, strict=True) if isinstance(kinds, tuple) else [(kinds, g)]
    parts += [jax.tree.map(lambda x: 3 * jnp.abs(x), _spread(kind, gi, y)) for kind, gi in each]
    return f, add(*parts)


def _spread(kind: NoiseKind, g: Any, y: PyTree[Array]) -> PyTree[Array]:
    """The size of the noise in each entry of the state: root of the sum of squares over what drives it."""
    if isinstance(g, lx.DiagonalLinearOperator):
        return lx.diagonal(g)
    if isinstance(g, lx.AbstractLinearOperator):
        ones = jax.tree.map(lambda s: jnp.ones(s.shape, s.dtype), g.in_structure())
        return g.mv(ones)
    if kind is NoiseKind.scalar or elementwise(kind, g, y):
        return g
    axes = tuple(range(jnp.ndim(y), jnp.ndim(g)))
    total = jnp.sum(g * g, axis=axes)
    return jnp.where(total > 0, jnp.sqrt(jnp.where(total > 0, total, jnp.ones_like(total))), total)


def _order(stepper: AbstractStepper) -> float | int:
    if isinstance(stepper, RungeKutta):
        terms: Any = None
        return stepper.solver.order(terms) or 1
    return 1
