"""Nonlinear diffusion u_t = alpha div(u ∇u)."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.equations._condition import Condition, dirichlet
from cadlag.equations._evolution import AbstractLines
from cadlag.equations._shared import Interval, Number, parameter, space_time, starts
from cadlag.fields import AbstractField, Box, Grid, Nodes
from cadlag.solve import ODE, AbstractProcess


class NonlinearDiffusion(AbstractLines):
    """u_t = alpha (|∇u|² + u Δu) = alpha div(u ∇u) on [-1, 1]², u = 0 on the walls, from three bumps. No closed form.

    On a grid div(u ∇u) = Δ(u²) / 2 is the five-point formula for u², zero on the walls: conservative, order 2.
    `Grid(equation.space, n)` has points on the walls; `Nodes.interior` has none.

    **Arguments:**

    - `alpha`: 0.05 by default.
    - `time`: first and last time.
    - `u0`: another initial state as a function (x, y).
    """

    domain: Box
    alpha: Float[Array, ""]
    start: Callable | None
    exact: None = None
    components: int = eqx.field(static=True, default=1)

    def __init__(self, alpha: Number = 0.05, *, time: Interval = (0.0, 1.0), u0: Callable | None = None) -> None:
        self.domain = space_time(Box({"x": (-1.0, 1.0), "y": (-1.0, 1.0)}), time)
        self.alpha, self.start, self.components = parameter(alpha), u0, 1

    @property
    def u0(self) -> Callable:
        """The initial state."""
        return _bumps if self.start is None else self.start

    def rate(self, u: AbstractField) -> AbstractField:
        """alpha (|∇u|² + u Δu)."""
        slopes = u.d("x") ** 2 + u.d("y") ** 2
        return self.alpha * (slopes + u * u.laplacian(("x", "y")))

    def lines(self, grid: Grid) -> AbstractProcess:
        """Second differences of u² / 2 with zero on the walls."""
        for name, kind in zip(grid.domain.names, grid.nodes, strict=True):
            if kind is Nodes.centres:
                raise ValueError(f"NonlinearDiffusion: nodes of {name!r} are centres; take Nodes.ends or interior.")
        return ODE(_Differences(self, grid))

    def sample(self, u0: Callable, grid: Grid, dtype: Any) -> Array:
        """Values at the points, zero on the walls."""
        values = jnp.asarray(u0(*(jnp.asarray(x, dtype) for x in grid.mesh())))
        return values * jnp.asarray(_inside(grid), dtype)

    def conditions(self) -> tuple[Condition, ...]:
        """The initial state, and zero on the walls."""
        return (starts(self.domain, self.u0), *dirichlet(self.domain))


def _bumps(x: Array, y: Array) -> Array:
    first = 0.25 * jnp.exp(-((x - 0.3) ** 2 + (y - 0.2) ** 2) / 0.1)
    second = 0.4 * jnp.exp(-15 * ((x + 0.5) ** 2 + (y + 0.1) ** 2))
    return first + second + 0.3 * jnp.exp(-20 * (x**2 + (y + 0.5) ** 2))


class _Differences(eqx.Module):
    equation: NonlinearDiffusion
    grid: Grid

    def __call__(self, t: Any, y: Array, args: Any) -> Array:
        square, total = jnp.square(y) / 2, jnp.zeros_like(y)
        for axis, name in enumerate(self.grid.domain.names):
            width = [(1, 1) if i == axis else (0, 0) for i in range(y.ndim)]
            total = total + jnp.diff(jnp.pad(square, width), n=2, axis=axis) / self.grid.spacing(name) ** 2
        return self.equation.alpha.astype(y.dtype) * total * jnp.asarray(_inside(self.grid), y.dtype)


def _inside(grid: Grid) -> np.ndarray:
    """Zero at points on the walls."""
    mask = np.ones(grid.shape)
    for axis, kind in enumerate(grid.nodes):
        if kind is Nodes.ends:
            view = np.moveaxis(mask, axis, 0)
            view[[0, -1]] = 0
    return mask
