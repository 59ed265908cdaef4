"""The Kuramoto-Sivashinsky equation u_t + a u u_x + b u_xx + c u_xxxx = 0."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.equations._condition import Condition
from cadlag.equations._evolution import AbstractSemilinear
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
from cadlag.fields import AbstractField, Box, Grid, GridField, SineSum, self_advection


class KuramotoSivashinsky(AbstractSemilinear):
    """u_t + a u u_x + b u_xx + c u_xxxx = 0 on a periodic line: chaotic on long ones. No closed form.

    **Arguments:**

    - `a`, `b`, `c`: coefficients; 1, 1, 1 by default. The viscosity of data sets is c.
    - `space`, `time`: a periodic axis x; first and last time.
    - `u0`: the initial state as a function of x; cos(k x) (1 + sin(k x)) with the line's period by default.
    """

    domain: Box
    a: Float[Array, ""]
    b: Float[Array, ""]
    c: Float[Array, ""]
    start: Callable | None
    exact: None = None
    components: int = eqx.field(static=True, default=1)
    degree: int = eqx.field(static=True, default=2)

    def __init__(
        self,
        a: Number = 1.0,
        b: Number = 1.0,
        c: Number = 1.0,
        *,
        space: Box = periodic_line(64.0),
        time: Interval = (0.0, 100.0),
        u0: Callable | None = None,
    ) -> None:
        check_periodic("KuramotoSivashinsky", space, ("x",))
        self.domain = space_time(space, time)
        self.a, self.b, self.c, self.start = parameter(a), parameter(b), parameter(c), u0
        self.components, self.degree = 1, 2

    @staticmethod
    def regular() -> "KuramotoSivashinsky":
        """(5, 0.5, 0.005) on [-1, 1], t in [0, 1], u0 = -sin(pi x) (Wang et al., arXiv 2203.07404)."""
        return KuramotoSivashinsky(
            5.0,
            0.5,
            0.005,
            space=periodic_line(2.0, start=-1.0),
            time=(0.0, 1.0),
            u0=_falling,
        )

    @staticmethod
    def chaotic() -> "KuramotoSivashinsky":
        """(100/16, 100/16², 100/16⁴) on [0, 2 pi], t in [0, 1], u0 = cos x (1 + sin x) (the same paper)."""
        a, b, c = (100 / 16**power for power in (1, 2, 4))
        return KuramotoSivashinsky(a, b, c, space=periodic_line(2 * np.pi), time=(0.0, 1.0))

    @property
    def u0(self) -> Callable:
        """The initial state."""
        return self._waves if self.start is None else self.start

    def linear(self, u: AbstractField) -> AbstractField:
        """-b u_xx - c u_xxxx."""
        return -(self.b * u.d("x", 2) + self.c * u.d("x", 4))

    def nonlinear(self, u: AbstractField) -> AbstractField:
        """-a u u_x."""
        return -(self.a * self_advection(u, "x"))

    def conditions(self) -> tuple[Condition, ...]:
        """The initial state."""
        return (starts(self.domain, self.u0),)

    def random_state(self, grid: Grid, *, key: PRNGKeyArray) -> GridField:
        """LPSDA's law: ten sines of modes 1 and 2 with amplitudes in (-0.5, 0.5)."""
        return SineSum(grid, (1, 2)).sample(key)

    def _waves(self, x: Array) -> Array:
        phase = first_wave(self.space) * (x - self.space.lower[0])
        return jnp.cos(phase) * (1 + jnp.sin(phase))


def _falling(x: Array) -> Array:
    return -jnp.sin(np.pi * x)
