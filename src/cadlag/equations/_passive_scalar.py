"""A scalar carried by a given flow on a periodic box, and random flows to carry it."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.equations._condition import Condition
from cadlag.equations._evolution import AbstractSemilinear
from cadlag.equations._navier_stokes import TORUS
from cadlag.equations._shared import Interval, Number, check_periodic, first_wave, parameter, space_time, starts
from cadlag.fields import AbstractField, Box, Grid, GridField, SineSum


class PassiveScalar(AbstractSemilinear):
    """u_t + v · ∇u = nu Δu on a periodic box, v(x, y) given.

    By default a shear v = (sin k y, 0) and u0 = cos k x.

    **Arguments:**

    - `velocity`: (x, y) → (2, …), free of divergence, such as a `RandomStream`.
    - `nu`: diffusivity.
    - `space`, `time`: periodic axes x and y; first and last time.
    - `u0`: the initial state as a function (x, y).
    """

    domain: Box
    velocity: Callable | None
    nu: Float[Array, ""]
    start: Callable | None
    exact: None = None
    components: int = eqx.field(static=True, default=1)
    degree: int = eqx.field(static=True, default=2)

    def __init__(
        self,
        velocity: Callable | None = None,
        nu: Number = 1e-3,
        *,
        space: Box = TORUS,
        time: Interval = (0.0, 1.0),
        u0: Callable | None = None,
    ) -> None:
        check_periodic("PassiveScalar", space, ("x", "y"))
        self.domain = space_time(space, time)
        self.velocity, self.nu, self.start = velocity, parameter(nu), u0
        self.components, self.degree = 1, 2

    @property
    def u0(self) -> Callable:
        """The initial state."""
        return self._wave if self.start is None else self.start

    @property
    def flow(self) -> Callable:
        """The velocity (x, y) → (2, …)."""
        return self._shear if self.velocity is None else self.velocity

    def linear(self, u: AbstractField) -> AbstractField:
        """nu Δu."""
        return self.nu * u.laplacian(("x", "y"))

    def nonlinear(self, u: AbstractField) -> AbstractField:
        """-v · ∇u."""
        along, across = (u.function(lambda *p, k=k: self.flow(*p[-2:])[k]) for k in (0, 1))
        return -(along * u.d("x") + across * u.d("y"))

    def conditions(self) -> tuple[Condition, ...]:
        """The initial state."""
        return (starts(self.domain, self.u0),)

    def random_state(self, grid: Grid, *, key: PRNGKeyArray) -> GridField:
        """Ten sines of modes 1 to 3 on each axis."""
        return SineSum(grid, (1, 3)).sample(key)

    def _wave(self, x: Array, y: Array) -> Array:
        return jnp.cos(first_wave(self.space) * (x - self.space.lower[0]))

    def _shear(self, x: Array, y: Array) -> Array:
        wave = jnp.sin(first_wave(self.space, "y") * (y - self.space.lower[1]))
        return jnp.stack([wave, jnp.zeros_like(wave)])


class RandomStream(eqx.Module):
    """The flow (psi_y, -psi_x) of psi = Σ_j A_j sin(k_j · x + φ_j), free of divergence, periodic on a box.

    Make it with `draw`; called at (x, y) it gives (2, …).
    """

    size: Float[Array, "count"]
    wave: Float[Array, "count 2"]
    phase: Float[Array, "count"]

    @staticmethod
    def draw(
        space: Box, key: PRNGKeyArray, *, speed: float | int = 1.0, modes: int = 2, count: int = 8, dtype: Any = None
    ) -> "RandomStream":
        """`count` waves of numbers up to `modes` on both axes; `speed` is the root mean square of the velocity."""
        dtype = jnp.result_type(float) if dtype is None else dtype
        keys = jr.split(key, 3)
        first = np.asarray([2 * np.pi / length for length in space.lengths])
        numbers = jr.randint(keys[0], (count, 2), -modes, modes).astype(dtype)
        # From -modes … -1, 1 … modes: no wave is constant along an axis.
        wave = jnp.where(numbers < 0, numbers, numbers + 1) * jnp.asarray(first[None], dtype)
        size = jr.normal(keys[1], (count,), dtype)
        rms = jnp.sqrt(jnp.sum(jnp.square(size) * jnp.sum(jnp.square(wave), axis=1)) / 2)
        return RandomStream(size * (speed / rms), wave, jr.uniform(keys[2], (count,), dtype, 0, 2 * np.pi))

    def __call__(self, x: Float[Array, "..."], y: Float[Array, "..."]) -> Float[Array, "2 ..."]:
        """The velocity."""
        total_x, total_y = jnp.zeros_like(x), jnp.zeros_like(x)
        for a, k, phase in zip(self.size, self.wave, self.phase, strict=True):
            slope = a * jnp.cos(k[0] * x + k[1] * y + phase)
            total_x, total_y = total_x + slope * k[1], total_y - slope * k[0]
        return jnp.stack([total_x, total_y])
