"""The heat equation u_t = nu Δu."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.equations._condition import Condition, dirichlet
from cadlag.equations._evolution import AbstractSemilinear
from cadlag.equations._shared import Interval, Number, parameter, space_time, starts
from cadlag.fields import AbstractField, Box, Grid, GridField, SineSum


class Heat(AbstractSemilinear):
    """u_t = nu Δu in any number of dimensions; u = 0 on walls, periodic where the space is.

    **Arguments:**

    - `nu`: diffusivity, > 0.
    - `space`: the box.
    - `time`: first and last time.
    - `u0`: the initial state as a function of the coordinates of space. By default the product of the slowest sines
      that vanish on the walls, or of the first sines of periodic axes, which decays as exp(-nu |k|² t).
    """

    domain: Box
    nu: Float[Array, ""]
    start: Callable | None
    components: int = eqx.field(static=True, default=1)
    degree: int = eqx.field(static=True, default=1)

    def __init__(
        self,
        nu: Number = 0.1,
        *,
        space: Box = Box({"x": (0.0, 1.0)}),
        time: Interval = (0.0, 1.0),
        u0: Callable | None = None,
    ) -> None:
        self.domain = space_time(space, time)
        self.nu, self.start = parameter(nu), u0
        self.components, self.degree = 1, 1

    @property
    def u0(self) -> Callable:
        """The initial state."""
        return self._mode if self.start is None else self.start

    @property
    def exact(self) -> Callable | None:
        """exp(-nu |k|² (t - t0)) u0, for the initial state by default."""
        return self._decay if self.start is None else None

    def linear(self, u: AbstractField) -> AbstractField:
        """nu Δu."""
        return self.nu * u.laplacian()

    def nonlinear(self, u: AbstractField) -> None:
        """There is none."""
        return None

    def conditions(self) -> tuple[Condition, ...]:
        """The initial state, and zero on walls."""
        return (starts(self.domain, self.u0), *dirichlet(self.domain))

    def random_state(self, grid: Grid, *, key: PRNGKeyArray) -> GridField:
        """Ten sines of modes 1 to 8 on each axis."""
        return SineSum(grid, (1, 8)).sample(key)

    def _waves(self) -> tuple[float, ...]:
        space = self.space
        halves = [2 if name in space.periodic else 1 for name in space.names]
        return tuple(h * float(np.pi) / length for h, length in zip(halves, space.lengths, strict=True))

    def _mode(self, *x: Array) -> Array:
        value = jnp.ones_like(x[0])
        for k, low, xi in zip(self._waves(), self.space.lower, x, strict=True):
            value = value * jnp.sin(k * (xi - low))
        return value

    def _decay(self, t: Array, *x: Array) -> Array:
        rate = self.nu.astype(t.dtype) * sum(k**2 for k in self._waves())
        return jnp.exp(-rate * (t - self.domain.bounds("t")[0])) * self._mode(*x)
