"""The shallow water equations on a plane that turns."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.equations._condition import Condition
from cadlag.equations._evolution import AbstractLines
from cadlag.equations._shared import Interval, Number, check_periodic, parameter, space_time, starts
from cadlag.fields import AbstractField, Box, Grid, stack
from cadlag.solve import ODE, AbstractProcess


class ShallowWater(AbstractLines):
    """Depth h and velocity (u, v), components in this order, on a periodic box:

        h_t + (h u)_x + (h v)_y = 0
        u_t - (f + zeta) v + B_x = nu Δu,   v_t + (f + zeta) u + B_y = nu Δv

    with zeta = v_x - u_y and B = g h + (u² + v²) / 2. On a grid it is staggered as Arakawa's C: h at the grid's points,
    u half a spacing to the right of them, v half a spacing above; second-order differences, mass kept exactly. Steps
    must be below about spacing / (sqrt(g h) + |u|).

    **Arguments:**

    - `gravity`, `coriolis`, `nu`: g, f, viscosity.
    - `space`, `time`: periodic axes x and y; first and last time.
    - `u0`: (x, y) → (3, …); by default water at rest, 1 deep, with a hump of a tenth in the middle.
    """

    domain: Box
    gravity: Float[Array, ""]
    coriolis: Float[Array, ""]
    nu: Float[Array, ""]
    start: Callable | None
    exact: None = None
    components: int = eqx.field(static=True, default=3)

    def __init__(
        self,
        gravity: Number = 1.0,
        coriolis: Number = 0.0,
        nu: Number = 0.0,
        *,
        space: Box = Box({"x": (0.0, 1.0), "y": (0.0, 1.0)}, periodic=("x", "y")),
        time: Interval = (0.0, 1.0),
        u0: Callable | None = None,
    ) -> None:
        check_periodic("ShallowWater", space, ("x", "y"))
        self.domain = space_time(space, time)
        self.gravity, self.coriolis, self.nu = parameter(gravity), parameter(coriolis), parameter(nu)
        self.start, self.components = u0, 3

    @property
    def u0(self) -> Callable:
        """The initial state."""
        return self._hump if self.start is None else self.start

    def rate(self, u: AbstractField) -> AbstractField:
        """(h_t, u_t, v_t)."""
        h, vx, vy = u[0], u[1], u[2]
        spin = self.coriolis + (vy.d("x") - vx.d("y"))
        head = self.gravity * h + (vx**2 + vy**2) / 2
        mass = -((h * vx).d("x") + (h * vy).d("y"))
        along = spin * vy - head.d("x") + self.nu * vx.laplacian(("x", "y"))
        across = -(spin * vx) - head.d("y") + self.nu * vy.laplacian(("x", "y"))
        return stack([mass, along, across])

    def conditions(self) -> tuple[Condition, ...]:
        """The initial state."""
        return (starts(self.domain, self.u0),)

    def lines(self, grid: Grid) -> AbstractProcess:
        """The C-grid."""
        return ODE(_Staggered(self, grid.spacing("x"), grid.spacing("y")))

    def sample(self, u0: Callable, grid: Grid, dtype: Any) -> Array:
        """Each component where it lives on the C-grid."""
        x, y = (jnp.asarray(a, dtype) for a in grid.mesh())
        right, above = x + grid.spacing("x") / 2, y + grid.spacing("y") / 2
        return jnp.stack([u0(x, y)[0], u0(right, y)[1], u0(x, above)[2]])

    def _hump(self, x: Array, y: Array) -> Array:
        (ax, ay), (lx, ly) = self.space.lower, self.space.lengths
        bump = jnp.exp(10 * (-jnp.cos(2 * jnp.pi * (x - ax) / lx) - jnp.cos(2 * jnp.pi * (y - ay) / ly) - 2))
        return jnp.stack([1 + 0.1 * bump, jnp.zeros_like(x), jnp.zeros_like(x)])


class _Staggered(eqx.Module):
    """Differences and means of neighbours; `forward` goes from points to faces, `back` from faces to points."""

    equation: ShallowWater
    dx: float = eqx.field(static=True)
    dy: float = eqx.field(static=True)

    def __call__(self, t: Any, y: Array, args: Any) -> Array:
        h, u, v = y
        g, f, nu = (p.astype(y.dtype) for p in (self.equation.gravity, self.equation.coriolis, self.equation.nu))
        flow_x, flow_y = _mean(h, 0) * u, _mean(h, 1) * v
        mass = -(_slope_back(flow_x, 0, self.dx) + _slope_back(flow_y, 1, self.dy))
        # At the corners, right of and above the points.
        spin = f + _slope(v, 0, self.dx) - _slope(u, 1, self.dy)
        head = g * h + (_mean_back(u**2, 0) + _mean_back(v**2, 1)) / 2
        along = _mean_back(spin * _mean(v, 0), 1) - _slope(head, 0, self.dx)
        across = -_mean_back(spin * _mean(u, 1), 0) - _slope(head, 1, self.dy)
        return jnp.stack([mass, along + nu * self._laplacian(u), across + nu * self._laplacian(v)])

    def _laplacian(self, a: Array) -> Array:
        return _slope_back(_slope(a, 0, self.dx), 0, self.dx) + _slope_back(_slope(a, 1, self.dy), 1, self.dy)


def _mean(a: Array, axis: int) -> Array:
    return (a + jnp.roll(a, -1, axis)) / 2


def _mean_back(a: Array, axis: int) -> Array:
    return (a + jnp.roll(a, 1, axis)) / 2


def _slope(a: Array, axis: int, h: float) -> Array:
    return (jnp.roll(a, -1, axis) - a) / h


def _slope_back(a: Array, axis: int, h: float) -> Array:
    return (a - jnp.roll(a, 1, axis)) / h
