"""Transport: at constant speed on a line, and by a vortex (flow mixing)."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.equations._condition import Condition, dirichlet
from cadlag.equations._evolution import AbstractEvolution, AbstractSemilinear
from cadlag.equations._shared import (
    Interval,
    Number,
    check_periodic,
    first_wave,
    parameter,
    periodic_line,
    space_time,
    starts,
)
from cadlag.fields import AbstractField, Box, Grid, GridField, SineSum


class Advection(AbstractSemilinear):
    """u_t + speed u_x = 0 on a periodic line: u = u0(x - speed t).

    **Arguments:**

    - `speed`: 30 on [0, 2 pi] is the hard case for physics-informed networks.
    - `space`, `time`: a periodic axis x; first and last time.
    - `u0`: a function of x with the line's period; the first sine by default.
    """

    domain: Box
    speed: Float[Array, ""]
    start: Callable | None
    components: int = eqx.field(static=True, default=1)
    degree: int = eqx.field(static=True, default=1)

    def __init__(
        self,
        speed: Number = 1.0,
        *,
        space: Box = periodic_line(1.0),
        time: Interval = (0.0, 1.0),
        u0: Callable | None = None,
    ) -> None:
        check_periodic("Advection", space, ("x",))
        self.domain = space_time(space, time)
        self.speed, self.start = parameter(speed), u0
        self.components, self.degree = 1, 1

    @property
    def u0(self) -> Callable:
        """The initial state."""
        return self._wave if self.start is None else self.start

    @property
    def exact(self) -> Callable:
        """The initial state, carried along."""
        return lambda t, x: self.u0(x - self.speed.astype(t.dtype) * (t - self.domain.bounds("t")[0]))

    def linear(self, u: AbstractField) -> AbstractField:
        """-speed u_x."""
        return -(self.speed * u.d("x"))

    def nonlinear(self, u: AbstractField) -> None:
        """There is none."""
        return None

    def conditions(self) -> tuple[Condition, ...]:
        """The initial state."""
        return (starts(self.domain, self.u0),)

    def random_state(self, grid: Grid, *, key: PRNGKeyArray) -> GridField:
        """Two sines of modes 1 to 8, as in PDEBench."""
        return SineSum(grid, (1, 8), count=2).sample(key)

    def _wave(self, x: Array) -> Array:
        return jnp.sin(first_wave(self.space) * (x - self.space.lower[0]))


class FlowMixing(AbstractEvolution):
    """u_t + a u_x + b u_y = 0: a vortex winds up a front on [-4, 4]², t in [0, 4].

    With r = |x|, v = sech²(r) tanh(r) / v_max: a = -v y / r, b = v x / r, and the solution is
    -tanh(y/2 cos(w t) - x/2 sin(w t)) with w = v / r. Initial and boundary values are its own.

    **Arguments:**

    - `v_max`: the greatest speed, 0.385, which scales the flow.
    - `time`: first and last time; the solution's clock starts at 0.
    """

    domain: Box
    v_max: Float[Array, ""]
    components: int = eqx.field(static=True, default=1)

    def __init__(self, v_max: Number = 0.385, *, time: Interval = (0.0, 4.0)) -> None:
        self.domain = space_time(Box({"x": (-4.0, 4.0), "y": (-4.0, 4.0)}), time)
        self.v_max, self.components = parameter(v_max), 1

    @property
    def u0(self) -> Callable:
        """The front at the first time."""
        return lambda x, y: self._front(jnp.full_like(x, self.domain.bounds("t")[0]), x, y)

    @property
    def exact(self) -> Callable:
        """The front at t."""
        return self._front

    def rate(self, u: AbstractField) -> AbstractField:
        """w (y u_x - x u_y)."""
        x, y = u.coordinate("x"), u.coordinate("y")
        turn = x.map(self._turn, y)
        return turn * (y * u.d("x") - x * u.d("y"))

    def conditions(self) -> tuple[Condition, ...]:
        """The exact solution at the start and on the walls."""
        return (starts(self.domain, self.u0), *dirichlet(self.domain, self._front))

    def _turn(self, x: Array, y: Array) -> Array:
        """Angular speed w; tanh(r) / r has the limit 1 and no slope at r = 0."""
        square = x**2 + y**2
        far = square > 1e-6
        r = jnp.sqrt(jnp.where(far, square, 1))
        ratio = jnp.where(far, jnp.tanh(r) / r, 1 - square / 3)
        sech = jnp.where(far, 1 / jnp.cosh(r), 1 - square / 2)
        return sech**2 * ratio / self.v_max.astype(x.dtype)

    def _front(self, t: Array, x: Array, y: Array) -> Array:
        angle = self._turn(x, y) * t
        return -jnp.tanh(y / 2 * jnp.cos(angle) - x / 2 * jnp.sin(angle))
