"""Evolution equations with a linear part of constant coefficients, and what their definitions share."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.equations._condition import Condition, initial
from cadlag.equations._equation import AbstractEvolution
from cadlag.fields import AbstractField, Box, Grid, GridField

Number = Float[Array, ""] | float | int
Interval = tuple[float | int, float | int]


class AbstractSemilinear(AbstractEvolution):
    """u_t = linear(u) + nonlinear(u), the linear part with constant coefficients.

    On a periodic grid such an equation is y' = L y + N(y) in Fourier space with a diagonal L, which exponential
    steppers solve. To write your own, declare what `AbstractEvolution` asks for and `degree` (of the polynomial
    `nonlinear`, which decides how many modes are free of aliasing; 1 where there is none), and give `linear`,
    `nonlinear`, `conditions` and `random_state`.
    """

    degree: eqx.AbstractVar[int]

    @abc.abstractmethod
    def linear(self, u: AbstractField) -> AbstractField:
        """The part with constant coefficients, from derivatives of u, sums and multiples only."""

    @abc.abstractmethod
    def nonlinear(self, u: AbstractField) -> AbstractField | None:
        """The rest, forcing included; None where there is none."""

    @abc.abstractmethod
    def random_state(self, grid: Grid, *, key: PRNGKeyArray) -> GridField:
        """A random initial state for making data."""

    def rate(self, u: AbstractField) -> AbstractField:
        """linear(u) + nonlinear(u)."""
        linear, rest = self.linear(u), self.nonlinear(u)
        return linear if rest is None else linear + rest


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
