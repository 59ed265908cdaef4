"""The Allen-Cahn equation u_t = d u_xx + r (u - u³)."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.equations._condition import Condition
from cadlag.equations._evolution import AbstractSemilinear
from cadlag.equations._shared import Interval, Number, check_periodic, parameter, periodic_line, space_time, starts
from cadlag.fields import AbstractField, Box, Grid, GridField, SineSum


class AllenCahn(AbstractSemilinear):
    """u_t = diffusivity u_xx + rate (u - u³) on a periodic line.

    The defaults are the test case of physics-informed networks (Wang et al., arXiv 2203.07404): u_t - 1e-4 u_xx +
    5 u³ - 5 u = 0 on [-1, 1], t in [0, 1], u0 = x² cos(pi x). No closed form; `simulate` it.

    **Arguments:**

    - `diffusivity`, `reaction`: coefficients.
    - `space`, `time`: a periodic axis x; first and last time.
    - `u0`: the initial state as a function of x.
    """

    domain: Box
    diffusivity: Float[Array, ""]
    reaction: Float[Array, ""]
    start: Callable | None
    exact: None = None
    components: int = eqx.field(static=True, default=1)
    degree: int = eqx.field(static=True, default=3)

    def __init__(
        self,
        diffusivity: Number = 1e-4,
        reaction: Number = 5.0,
        *,
        space: Box = periodic_line(2.0, start=-1.0),
        time: Interval = (0.0, 1.0),
        u0: Callable | None = None,
    ) -> None:
        check_periodic("AllenCahn", space, ("x",))
        self.domain = space_time(space, time)
        self.diffusivity, self.reaction, self.start = parameter(diffusivity), parameter(reaction), u0
        self.components, self.degree = 1, 3

    @property
    def u0(self) -> Callable:
        """The initial state."""
        return (lambda x: x**2 * jnp.cos(np.pi * x)) if self.start is None else self.start

    def linear(self, u: AbstractField) -> AbstractField:
        """diffusivity u_xx + reaction u."""
        return self.diffusivity * u.d("x", 2) + self.reaction * u

    def nonlinear(self, u: AbstractField) -> AbstractField:
        """-reaction u³."""
        return -(self.reaction * u**3)

    def conditions(self) -> tuple[Condition, ...]:
        """The initial state."""
        return (starts(self.domain, self.u0),)

    def energy(self, u: AbstractField) -> AbstractField:
        """The density diffusivity u_x² / 2 + reaction (u² - 1)² / 4, whose integral never increases."""
        return self.diffusivity * u.d("x") ** 2 / 2 + self.reaction * (u**2 - 1) ** 2 / 4

    def random_state(self, grid: Grid, *, key: PRNGKeyArray) -> GridField:
        """Five sines of modes 1 to 4."""
        return SineSum(grid, (1, 4), count=5).sample(key)
