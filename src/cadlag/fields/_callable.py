"""Fields that are functions of a point: networks, closed forms."""

import operator
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.fields._box import Box
from cadlag.fields._field import AbstractField, Coordinates
from cadlag.linalg import derivative_along, forward_laplacian

FEW = 2
"""Second derivatives along so many axes are taken one by one: `benchmarks/derivatives.py` finds no gain in summing."""


class AbstractSmooth(eqx.Module):
    """A function of a point that has its derivatives in closed form.

    To write your own, give `__call__(point)`, `along(point, place, order)`, the derivative of `order` >= 1 along the
    axis number `place`, and `laplacian(point, places)`, the sum of second derivatives along these axes.
    """

    @abstractmethod
    def __call__(self, point: Float[Array, " d"]) -> Float[Array, "..."]:
        """The value at one point, a scalar or (components,)."""

    @abstractmethod
    def along(self, point: Float[Array, " d"], place: int, order: int) -> Float[Array, "..."]:
        """A derivative at one point, of the value's shape."""

    @abstractmethod
    def laplacian(self, point: Float[Array, " d"], places: tuple[int, ...]) -> Float[Array, "..."]:
        """The sum of second derivatives at one point, of the value's shape."""


class CallableField(AbstractField):
    """f(point) for a point of shape (axes,), differentiated by Taylor coefficients.

    Sums of second derivatives of one function along three axes or more, as in `laplacian`, are found in one pass.
    `cadlag.linalg.share` finds what the derivatives of one field have in common; use it around a whole residual that
    is differentiated once more with respect to parameters.

    **Arguments:**

    - `domain`: the box; its axes name the coordinates.
    - `f`: a function of one point, returning a scalar or (components,); an `AbstractSmooth` brings its own
      derivatives.
    """

    domain: Box
    f: Callable[[Float[Array, " d"]], Any]

    def d(self, axis: str, order: int = 1) -> "CallableField":
        """The derivative along an axis."""
        place = self.domain.axis(axis)
        return self if check_order(order) == 0 else CallableField(domain=self.domain, f=_along(self.f, place, order))

    def map(self, function: Callable, *others: AbstractField) -> "CallableField":
        """function(u, *others) at each point."""
        if (
            getattr(function, "function", None) is operator.add
            and len(others) == 1
            and isinstance(others[0], CallableField)
        ):
            total = _summed(self.f, others[0].f)
            if total is not None:
                return CallableField(domain=self.domain, f=total)
        return CallableField(domain=self.domain, f=lambda p: function(self.f(p), *(other(p) for other in others)))

    def function(self, f: Coordinates) -> "CallableField":
        """f of the coordinates."""
        return CallableField(domain=self.domain, f=lambda p: f(*p))

    def __call__(self, point: Float[Array, " d"]) -> Float[Array, "..."]:
        """The value at one point."""
        return jnp.asarray(self.f(point))


class _Along(eqx.Module):
    """One derivative of f."""

    f: Callable
    place: int = eqx.field(static=True)
    order: int = eqx.field(static=True)

    def __call__(self, point: Float[Array, " d"]) -> Any:
        return _derivative(self.f, point, self.place, self.order)


class _Seconds(eqx.Module):
    """A sum of second derivatives of f."""

    f: Callable
    places: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, point: Float[Array, " d"]) -> Any:
        if isinstance(self.f, AbstractSmooth):
            return self.f.laplacian(point, self.places)
        if len(self.places) > FEW:
            directions = np.eye(point.shape[0])[list(self.places)]
            return forward_laplacian(self.f, point, jnp.asarray(directions, point.dtype))
        first, *rest = (_derivative(self.f, point, place, 2) for place in self.places)
        return sum(rest, first)


def _along(f: Callable, place: int, order: int) -> Callable:
    if isinstance(f, _Along) and f.place == place:
        return _Along(f.f, place, f.order + order)
    return _Along(f, place, order)


def _summed(f: Callable, g: Callable) -> Callable | None:
    """f + g where both are second derivatives of one function."""
    a, b = _as_seconds(f), _as_seconds(g)
    return None if a is None or b is None or a.f is not b.f else _Seconds(a.f, a.places + b.places)


def _as_seconds(f: Callable) -> _Seconds | None:
    if isinstance(f, _Along) and f.order == 2:
        return _Seconds(f.f, (f.place,))
    return f if isinstance(f, _Seconds) else None


def _derivative(f: Callable, point: Float[Array, " d"], place: int, order: int) -> Any:
    if isinstance(f, AbstractSmooth):
        return f.along(point, place, order)
    direction = jnp.asarray(np.eye(point.shape[0])[place], point.dtype)
    return derivative_along(f, point, direction, order)


def check_order(order: int) -> int:
    """A derivative's order, a Python integer that is not negative."""
    if not isinstance(order, int) or isinstance(order, bool) or order < 0:
        raise ValueError(f"order={order!r} of a derivative: expected an integer >= 0.")
    return order
