"""Fields that are functions of a point: networks, closed forms."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.fields._box import Box
from cadlag.fields._field import AbstractField, Coordinates


class CallableField(AbstractField):
    """f(point) for a point of shape (axes,), differentiated in forward mode.

    Derivatives are directional derivatives of directional derivatives, each one forward pass more: what fields have
    in common is computed once when the whole residual is compiled.

    **Arguments:**

    - `domain`: the box; its axes name the coordinates.
    - `f`: a function of one point, returning a scalar or (components,).
    """

    domain: Box
    f: Callable[[Float[Array, " d"]], Any]

    def d(self, axis: str, order: int = 1) -> "CallableField":
        """The derivative along an axis."""
        place = self.domain.axis(axis)
        f = self.f
        for _ in range(check_order(order)):
            f = _along(f, place)
        return CallableField(domain=self.domain, f=f)

    def map(self, function: Callable, *others: AbstractField) -> "CallableField":
        """function(u, *others) at each point."""
        return CallableField(domain=self.domain, f=lambda p: function(self.f(p), *(other(p) for other in others)))

    def function(self, f: Coordinates) -> "CallableField":
        """f of the coordinates."""
        return CallableField(domain=self.domain, f=lambda p: f(*p))

    def __call__(self, point: Float[Array, " d"]) -> Float[Array, "..."]:
        """The value at one point."""
        return jnp.asarray(self.f(point))


def check_order(order: int) -> int:
    """A derivative's order, a Python integer that is not negative."""
    if not isinstance(order, int) or isinstance(order, bool) or order < 0:
        raise ValueError(f"order={order!r} of a derivative: expected an integer >= 0.")
    return order


def _along(f: Callable, place: int) -> Callable:
    def derivative(p: Float[Array, " d"]) -> Any:
        direction = jnp.zeros_like(p).at[place].set(1)
        return jax.jvp(f, (p,), (direction,))[1]

    return derivative
