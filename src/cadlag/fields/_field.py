"""Fields: functions of space whose representation is hidden.

An equation writes its residual once, `u.d("t") - nu * u.d("x", 2) + u * u.d("x")`, and it works for values on a
grid, for a network and for a kernel expansion alike.
"""

import abc
import operator
from collections.abc import Callable, Iterable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.fields._box import Box

Coordinates = Callable[..., Any]


class AbstractField(eqx.Module):
    """A function on a box. Vector-valued fields have their components first: `u[0]`, `u[1]`.

    To write your own representation, give `domain` and four methods: `d` (a derivative, or `ValueError` with
    advice where the representation has none), `map` (a function of values, applied point by point), `function`
    (a function of the coordinates in this representation) and `__call__` (the value at one point).
    """

    domain: eqx.AbstractVar[Box]

    @abc.abstractmethod
    def d(self, axis: str, order: int = 1) -> "AbstractField":
        """The derivative along an axis, as a field."""

    @abc.abstractmethod
    def map(self, function: Callable, *others: "AbstractField") -> "AbstractField":
        """function(u, *others) point by point. It acts on the values of all components at once."""

    @abc.abstractmethod
    def function(self, f: Coordinates) -> "AbstractField":
        """The field f(x, y, …) of the coordinates, in the order of the domain's axes; f must work on arrays."""

    @abc.abstractmethod
    def __call__(self, point: Float[Array, " d"]) -> Float[Array, "..."]:
        """The value at one point; `jax.vmap` for many."""

    def coordinate(self, axis: str) -> "AbstractField":
        """One coordinate as a field."""
        place = self.domain.axis(axis)
        return self.function(lambda *coordinates: coordinates[place])

    def laplacian(self, axes: Iterable[str] | None = None) -> "AbstractField":
        """Sum of second derivatives over `axes`; by default over all axes but one called t."""
        return _total([self.d(name, 2) for name in space_axes(self.domain, axes)])

    def gradient(self, axes: Iterable[str] | None = None) -> tuple["AbstractField", ...]:
        """First derivatives along `axes`; by default along all axes but one called t."""
        return tuple(self.d(name) for name in space_axes(self.domain, axes))

    def __getitem__(self, component: int | slice) -> "AbstractField":
        return self.map(Linear(operator.itemgetter(component)))

    def __neg__(self) -> "AbstractField":
        return self.map(Linear(operator.neg))

    def __add__(self, other: Any) -> "AbstractField":
        return _sum(operator.add, self, other)

    def __radd__(self, other: Any) -> "AbstractField":
        return _sum(operator.add, self, other)

    def __sub__(self, other: Any) -> "AbstractField":
        return _sum(operator.sub, self, other)

    def __rsub__(self, other: Any) -> "AbstractField":
        return _sum(lambda u, v: v - u, self, other)

    def __mul__(self, other: Any) -> "AbstractField":
        return _product(operator.mul, self, other)

    def __rmul__(self, other: Any) -> "AbstractField":
        return _product(operator.mul, self, other)

    def __truediv__(self, other: Any) -> "AbstractField":
        return _product(operator.truediv, self, other)

    def __rtruediv__(self, other: Any) -> "AbstractField":
        return binary(lambda u, v: v / u, self, other)

    def __pow__(self, exponent: int) -> "AbstractField":
        return self.map(lambda u: u**exponent)


class Linear(eqx.Module):
    """A function of values that is linear in them all, so that `map` may apply it to coefficients as well."""

    function: Callable

    def __call__(self, *values: Any) -> Any:
        """The function itself."""
        return self.function(*values)


def _sum(function: Callable, u: AbstractField, other: Any) -> AbstractField:
    return binary(Linear(function) if isinstance(other, AbstractField) else function, u, other)


def _product(function: Callable, u: AbstractField, other: Any) -> AbstractField:
    """Linear in u where the other is a number."""
    return binary(function if isinstance(other, AbstractField) else Linear(function), u, other)


def binary(function: Callable, u: AbstractField, other: Any) -> AbstractField:
    """function(u, other), other being a field of the same representation, a number or a scalar array.

    A scalar array, such as an equation's parameter, takes the dtype of the values.
    """
    if isinstance(other, AbstractField):
        if other.domain.names != u.domain.names:
            raise ValueError(f"fields on the axes {u.domain.names} and {other.domain.names} do not combine.")
        return u.map(function, other)
    if jnp.ndim(other):
        raise TypeError(
            f"a field and an array of shape {jnp.shape(other)} do not combine; make the array a field of the same "
            "representation, or use field.map."
        )
    if isinstance(function, Linear):
        return u.map(Linear(lambda values: function(values, _cast(other, values))))
    return u.map(lambda values: function(values, _cast(other, values)))


def _cast(number: Any, values: Any) -> Any:
    typed = isinstance(number, jax.Array | np.ndarray | np.generic)
    return jnp.asarray(number).astype(values.dtype) if typed else number


def space_axes(domain: Box, axes: Iterable[str] | None) -> tuple[str, ...]:
    """The axes asked for, or all but one called t."""
    return tuple(name for name in domain.names if name != "t") if axes is None else tuple(axes)


def stack(fields: Iterable[AbstractField]) -> AbstractField:
    """One vector-valued field from scalar ones, components first."""
    first, *rest = fields
    return first.map(Linear(lambda *values: jnp.stack(values)), *rest)


def divergence(u: AbstractField, axes: Iterable[str] | None = None) -> AbstractField:
    """∂u_i/∂x_i of a vector field whose components go with `axes` (default: all but one called t)."""
    return _total([u[i].d(name) for i, name in enumerate(space_axes(u.domain, axes))])


def _total(fields: list[AbstractField]) -> AbstractField:
    total = fields[0]
    for field in fields[1:]:
        total = total + field
    return total
