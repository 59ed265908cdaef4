"""Viscous Burgers' equation u_t + u u_x = nu u_xx, and its exact solution by Cole and Hopf."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.equations._condition import Condition, dirichlet
from cadlag.equations._evolution import AbstractSemilinear
from cadlag.equations._shared import (
    Interval,
    Number,
    check_axes,
    first_wave,
    parameter,
    periodic_line,
    space_time,
    starts,
)
from cadlag.fields import AbstractField, Box, GaussianRandomField, Grid, GridField, self_advection


class Burgers(AbstractSemilinear):
    """u_t + u u_x = nu u_xx on a line; u = 0 at walls, periodic where the space is.

    `Burgers()` has u0 = sin x on [0, 2 pi], periodic; `Burgers.pinn()` u0 = -sin(pi x) on [-1, 1] between walls with
    nu = 0.01 / pi (Raissi et al. 2019). Both have an exact solution.

    **Arguments:**

    - `nu`: viscosity, > 0.
    - `space`, `time`: an axis x; first and last time.
    - `u0`: the initial state as a function of x; by default sin(k x) with the period of the line.
    - `potential`: an antiderivative of `u0` on all of the real line, from which the exact solution is found.
    """

    domain: Box
    nu: Float[Array, ""]
    start: Callable | None
    potential: Callable | None
    components: int = eqx.field(static=True, default=1)
    degree: int = eqx.field(static=True, default=2)

    def __init__(
        self,
        nu: Number = 0.1,
        *,
        space: Box = periodic_line(2 * np.pi),
        time: Interval = (0.0, 1.0),
        u0: Callable | None = None,
        potential: Callable | None = None,
    ) -> None:
        check_axes("Burgers", space, ("x",))
        self.domain = space_time(space, time)
        self.nu, self.start, self.potential = parameter(nu), u0, potential
        self.components, self.degree = 1, 2

    @staticmethod
    def pinn(nu: Number = 0.01 / np.pi) -> "Burgers":
        """[-1, 1] between walls, t in [0, 1], u0 = -sin(pi x): a front of width 4 nu at x = 0."""
        return Burgers(
            nu,
            space=Box({"x": (-1.0, 1.0)}),
            u0=_falling,
            potential=_falling_potential,
        )

    @property
    def u0(self) -> Callable:
        """The initial state."""
        return self._sine if self.start is None else self.start

    @property
    def exact(self) -> Callable | None:
        """The solution by Cole and Hopf where the potential of u0 is known (at points, not to be differentiated at
        the first time).
        """
        return None if self._antiderivative() is None else self._cole_hopf

    def linear(self, u: AbstractField) -> AbstractField:
        """nu u_xx."""
        return self.nu * u.d("x", 2)

    def nonlinear(self, u: AbstractField) -> AbstractField:
        """-u u_x."""
        return -self_advection(u, "x")

    def conditions(self) -> tuple[Condition, ...]:
        """The initial state, and zero on walls."""
        return (starts(self.domain, self.u0), *dirichlet(self.domain))

    def random_state(self, grid: Grid, *, key: PRNGKeyArray) -> GridField:
        """The law of FNO's data, N(0, 625 (-Δ + 25)^-2) in units of the line's length (Li et al. 2021, section 5.1)."""
        return GaussianRandomField(grid, alpha=2.0, tau=5.0, sigma=25.0).sample(key)

    def _sine(self, x: Array) -> Array:
        return jnp.sin(first_wave(self.space) * (x - self.space.lower[0]))

    def _antiderivative(self) -> Callable | None:
        if self.start is not None:
            return self.potential
        k, low = first_wave(self.space), self.space.lower[0]
        return lambda x: -jnp.cos(k * (x - low)) / k

    def _cole_hopf(self, t: Array, x: Array) -> Array:
        """∫ u0(y) K dy / ∫ K dy with K = exp(-(x - y)² / (4 nu t) - ∫^y u0 / (2 nu)), y = x + 2 sqrt(nu t) s.

        The trapezoidal rule converges faster than any power here, and all weights are positive: no cancellation,
        where the series in Bessel functions loses every digit for small nu.
        """
        potential = self._antiderivative()
        assert potential is not None
        nu = self.nu.astype(x.dtype)
        # exp(-s²) must beat the potential's range, which the trapezoid finds on one period.
        low, length = self.space.lower[0], self.space.lengths[0]
        seen = potential(low + length * jnp.linspace(0, 1, 65, dtype=x.dtype))
        reach = jnp.sqrt((jnp.max(seen) - jnp.min(seen)) / (2 * nu) + 40)
        s = reach * jnp.linspace(-1, 1, 1025, dtype=x.dtype)
        spread = 2 * jnp.sqrt(nu * (t - self.domain.bounds("t")[0]))
        y = x[..., None] + spread[..., None] * s.reshape((1,) * x.ndim + (-1,))
        weight = jax.nn.softmax(-jnp.square(s).reshape((1,) * x.ndim + (-1,)) - potential(y) / (2 * nu), axis=-1)
        return jnp.sum(weight * self.u0(y), axis=-1)


def _falling(x: Array) -> Array:
    return -jnp.sin(np.pi * x)


def _falling_potential(x: Array) -> Array:
    return jnp.cos(np.pi * x) / np.pi
