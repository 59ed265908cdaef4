"""Equations: one definition for solvers without data, simulators, losses and tests."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from cadlag.equations._condition import Condition
from cadlag.fields import AbstractField, Box, CallableField

Residual = AbstractField | tuple[AbstractField, ...]


class AbstractEquation(eqx.Module):
    """residual(u) = 0 in a box, with conditions on its faces. The equation's parameters are its leaves.

    To write your own, declare `domain`, `components` of the unknown (1: a scalar, without an axis of its own) and
    `exact` (a function of the coordinates, or None), and give `residual` and `conditions`. Periodic axes of the
    domain need no condition. Or use `Equation`, which takes functions.
    """

    domain: eqx.AbstractVar[Box]
    components: eqx.AbstractVar[int]
    exact: eqx.AbstractVar[Callable | None]

    @abc.abstractmethod
    def residual(self, u: AbstractField) -> Residual:
        """What vanishes where u solves the equation: a field, or one for each equation of a system."""

    @abc.abstractmethod
    def conditions(self) -> tuple[Condition, ...]:
        """Initial and boundary conditions."""


class Equation(AbstractEquation):
    """An equation from functions.

    **Arguments:**

    - `domain`: the box.
    - `residual_of`: `(u, parameters) → field` (or a tuple of fields), for any representation of u.
    - `given`: the conditions.
    - `parameters`: any PyTree, handed to `residual_of`; unknown coefficients are estimated from its leaves.
    - `components`: of the unknown.
    - `exact`: the solution as a function of the coordinates, where it is known.
    """

    domain: Box
    residual_of: Callable
    given: tuple[Condition, ...] = ()
    parameters: object = None
    components: int = eqx.field(static=True, default=1)
    exact: Callable | None = None

    def __check_init__(self) -> None:
        for condition in self.given:
            condition.check(self.domain)

    def residual(self, u: AbstractField) -> Residual:
        """`residual_of(u, parameters)`."""
        return self.residual_of(u, self.parameters)

    def conditions(self) -> tuple[Condition, ...]:
        """As given."""
        return self.given


def manufactured(equation: AbstractEquation, solution: Callable) -> Equation:
    """The equation with the right-hand side that makes `solution` its solution, for testing solvers.

    `solution` takes the coordinates and returns a scalar, or (components,). Its residual is found by automatic
    differentiation; initial and boundary conditions take their values from it.
    """

    def known(inner: AbstractEquation) -> CallableField:
        return CallableField(domain=inner.domain, f=lambda p: solution(*p))

    def residual(u: AbstractField, inner: AbstractEquation) -> Residual:
        ours, theirs = inner.residual(u), inner.residual(known(inner))
        if isinstance(ours, tuple) and isinstance(theirs, tuple):
            return tuple(a - _onto(a, b) for a, b in zip(ours, theirs, strict=True))
        assert isinstance(ours, AbstractField)
        assert isinstance(theirs, AbstractField)
        return ours - _onto(ours, theirs)

    def onto(condition: Condition) -> Condition:
        def difference(u: AbstractField) -> AbstractField:
            ours = condition.residual(u)
            return ours - _onto(ours, condition.residual(known(equation)))

        return Condition(dict(condition.at), difference, kind=condition.kind)

    given = tuple(onto(c) for c in equation.conditions())
    return Equation(
        domain=equation.domain,
        residual_of=residual,
        given=given,
        parameters=equation,
        components=equation.components,
        exact=solution,
    )


def _onto(u: AbstractField, known: AbstractField) -> AbstractField:
    """A function of points in the representation of u."""

    def values(*coordinates: Array) -> Array:
        shape = jnp.broadcast_shapes(*(jnp.shape(c) for c in coordinates))
        points = jnp.stack([jnp.broadcast_to(c, shape).reshape(-1) for c in coordinates], axis=-1)
        out = jax.vmap(known)(points)
        return jnp.moveaxis(out, 0, -1).reshape(*out.shape[1:], *shape)

    return u.function(values)
