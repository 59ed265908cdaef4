"""Boxes with named axes: where a field lives."""

from collections.abc import Iterable, Mapping

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float


class Box(eqx.Module):
    """A box in space, or in space and time, whose axes have names: `Box({"t": (0, 1), "x": (-1, 1)}, periodic="x")`.

    **Arguments:**

    - `bounds`: name → (lower, upper), in the order of the coordinates of a point.
    - `periodic`: the names of the axes whose ends are one point; an iterable of names, or one name.

    Raises `ValueError` for an empty or unbounded axis and for a periodic axis that is not there.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    lower: tuple[float, ...] = eqx.field(static=True)
    upper: tuple[float, ...] = eqx.field(static=True)
    periodic: tuple[str, ...] = eqx.field(static=True)

    def __init__(
        self, bounds: Mapping[str, tuple[float | int, float | int]], *, periodic: str | Iterable[str] = ()
    ) -> None:
        if not bounds:
            raise ValueError("Box: no axis; give name → (lower, upper), such as {'x': (0.0, 1.0)}.")
        self.names = tuple(bounds)
        self.lower = tuple(float(low) for low, _ in bounds.values())
        self.upper = tuple(float(high) for _, high in bounds.values())
        for name, low, high in zip(self.names, self.lower, self.upper, strict=True):
            if not -float("inf") < low < high < float("inf"):
                raise ValueError(f"Box: axis {name!r} goes from {low} to {high}; expected finite, lower < upper.")
        wanted = (periodic,) if isinstance(periodic, str) else tuple(periodic)
        unknown = [name for name in wanted if name not in bounds]
        if unknown:
            raise ValueError(f"Box: periodic={unknown} are no axes of it; its axes are {list(bounds)}.")
        self.periodic = tuple(name for name in self.names if name in wanted)

    @property
    def dimension(self) -> int:
        """Number of axes."""
        return len(self.names)

    @property
    def lengths(self) -> tuple[float, ...]:
        """Upper less lower bound of each axis."""
        return tuple(high - low for low, high in zip(self.lower, self.upper, strict=True))

    @property
    def volume(self) -> float:
        """Product of the lengths."""
        product = 1.0
        for length in self.lengths:
            product *= length
        return product

    def axis(self, name: str) -> int:
        """The place of an axis; raises `ValueError` naming the axes there are."""
        if name not in self.names:
            raise ValueError(f"axis {name!r}: this box has the axes {list(self.names)}.")
        return self.names.index(name)

    def bounds(self, name: str) -> tuple[float, float]:
        """Lower and upper bound of an axis."""
        i = self.axis(name)
        return self.lower[i], self.upper[i]

    def without(self, *names: str) -> "Box":
        """The box without some of its axes, such as space without time."""
        for name in names:
            self.axis(name)
        kept = {name: self.bounds(name) for name in self.names if name not in names}
        return Box(kept, periodic=[name for name in self.periodic if name not in names])

    def with_axis(self, name: str, lower: float, upper: float) -> "Box":
        """The box with one axis more, put first: space made space-time."""
        if name in self.names:
            raise ValueError(f"axis {name!r} is in the box already; its axes are {list(self.names)}.")
        here = {n: self.bounds(n) for n in self.names}
        return Box({name: (lower, upper)} | here, periodic=self.periodic)

    def to_unit(self, points: Float[Array, "... d"]) -> Float[Array, "... d"]:
        """Coordinates with the box mapped onto [-1, 1] in every axis."""
        low, length = (jnp.asarray(v, points.dtype) for v in (self.lower, self.lengths))
        return 2 * (points - low) / length - 1

    def from_unit(self, points: Float[Array, "... d"]) -> Float[Array, "... d"]:
        """The inverse of `to_unit`."""
        low, length = (jnp.asarray(v, points.dtype) for v in (self.lower, self.lengths))
        return low + (points + 1) / 2 * length
