"""The Korteweg-de Vries equation u_t + a u u_x + u_xxx = 0."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.equations._condition import Condition
from cadlag.equations._evolution import AbstractSemilinear
from cadlag.equations._shared import Interval, Number, check_periodic, parameter, periodic_line, space_time, starts
from cadlag.fields import AbstractField, Box, Grid, GridField, SineSum, self_advection


class KortewegDeVries(AbstractSemilinear):
    """u_t + a u u_x + u_xxx = 0 on a periodic line.

    By default one soliton, u = (3 c / a) sech²(sqrt(c) (x - c t - x0) / 2), from the middle of a line of length 40;
    it is exact up to its tails, of size exp(-sqrt(c) length / 2).

    **Arguments:**

    - `a`: 6 in the textbooks, 1 in the data of LPSDA (Brandstetter et al. 2022).
    - `speed`: c of the soliton.
    - `space`, `time`: a periodic axis x; first and last time.
    - `u0`: another initial state as a function of x.
    """

    domain: Box
    a: Float[Array, ""]
    speed: Float[Array, ""]
    start: Callable | None
    components: int = eqx.field(static=True, default=1)
    degree: int = eqx.field(static=True, default=2)

    def __init__(
        self,
        a: Number = 6.0,
        *,
        speed: Number = 2.0,
        space: Box = periodic_line(40.0),
        time: Interval = (0.0, 4.0),
        u0: Callable | None = None,
    ) -> None:
        check_periodic("KortewegDeVries", space, ("x",))
        self.domain = space_time(space, time)
        self.a, self.speed, self.start = parameter(a), parameter(speed), u0
        self.components, self.degree = 1, 2

    @property
    def u0(self) -> Callable:
        """The initial state."""
        if self.start is not None:
            return self.start
        return lambda x: self._soliton(jnp.full_like(x, self.domain.bounds("t")[0]), x)

    @property
    def exact(self) -> Callable | None:
        """The soliton, for the initial state by default."""
        return self._soliton if self.start is None else None

    def linear(self, u: AbstractField) -> AbstractField:
        """-u_xxx."""
        return -u.d("x", 3)

    def nonlinear(self, u: AbstractField) -> AbstractField:
        """-a u u_x."""
        return -(self.a * self_advection(u, "x"))

    def conditions(self) -> tuple[Condition, ...]:
        """The initial state."""
        return (starts(self.domain, self.u0),)

    def random_state(self, grid: Grid, *, key: PRNGKeyArray) -> GridField:
        """LPSDA's law: ten sines of modes 1 and 2 with amplitudes in (-0.5, 0.5)."""
        return SineSum(grid, (1, 2)).sample(key)

    def _soliton(self, t: Array, x: Array) -> Array:
        c, a = self.speed.astype(x.dtype), self.a.astype(x.dtype)
        length = self.space.lengths[0]
        moved = x - self.space.lower[0] - c * (t - self.domain.bounds("t")[0])
        # The nearest of the periodic copies of the middle of the line.
        from_peak = jnp.mod(moved, length) - length / 2
        return 3 * c / a / jnp.square(jnp.cosh(jnp.sqrt(c) / 2 * from_peak))
