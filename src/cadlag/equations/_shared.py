"""What the definitions of equations share: parameters, boxes, checks."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.equations._condition import Condition, initial
from cadlag.fields import Box

Number = Float[Array, ""] | float | int
Interval = tuple[float | int, float | int]


def parameter(value: Number) -> Float[Array, ""]:
    """A coefficient as a floating-point array: a leaf, which can be learnt."""
    array = jnp.asarray(value)
    return array if jnp.issubdtype(array.dtype, jnp.inexact) else array.astype(jnp.result_type(float))


def starts(domain: Box, u0: Callable) -> Condition:
    """u = u0(x, …) at the start of the domain's time."""
    return initial(lambda t, *x: u0(*x), t=domain.bounds("t")[0])


def space_time(space: Box, time: Interval) -> Box:
    """The box of space-time."""
    return space.with_axis("t", float(time[0]), float(time[1]))


def periodic_line(length: float, *, start: float = 0.0) -> Box:
    """x in [start, start + length], periodic."""
    return Box({"x": (start, start + length)}, periodic="x")


def first_wave(space: Box, axis: str = "x") -> float:
    """2 pi / length of a periodic axis."""
    low, high = space.bounds(axis)
    return 2 * float(np.pi) / (high - low)


def check_axes(name: str, space: Box, axes: tuple[str, ...]) -> None:
    """Raise `ValueError` where a space does not have the axes an equation is written in."""
    if space.names != axes:
        raise ValueError(f"{name}: space has the axes {space.names}; expected {axes}.")


def check_periodic(name: str, space: Box, axes: tuple[str, ...]) -> None:
    """The same, and all of them periodic."""
    check_axes(name, space, axes)
    if space.periodic != axes:
        raise ValueError(f"{name}: only {space.periodic} of the axes {axes} are periodic; all must be.")
