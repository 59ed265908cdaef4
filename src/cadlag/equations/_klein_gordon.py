"""The Klein-Gordon equation u_tt - Δu + u² = f with a manufactured solution."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.equations._condition import Condition, dirichlet, initial
from cadlag.equations._equation import AbstractEquation
from cadlag.equations._shared import Interval, Number, parameter, space_time
from cadlag.fields import AbstractField, Box


class KleinGordon(AbstractEquation):
    """u_tt - u_xx - u_yy + u² = f on [-1, 1]², t in [0, 10], solved by (x + y) cos(k t) + x y sin(k t).

    f = u*² - k² u*. It is of second order in time, so it has two initial conditions; some published codes leave the
    one on u_t out, with which the solution is not unique.

    **Arguments:**

    - `k`: frequency; 2 by default.
    - `time`: first and last time.
    """

    domain: Box
    k: Float[Array, ""]
    components: int = eqx.field(static=True, default=1)

    def __init__(self, k: Number = 2.0, *, time: Interval = (0.0, 10.0)) -> None:
        self.domain = space_time(Box({"x": (-1.0, 1.0), "y": (-1.0, 1.0)}), time)
        self.k, self.components = parameter(k), 1

    @property
    def exact(self) -> Callable:
        """The solution."""
        return self._solution

    def residual(self, u: AbstractField) -> AbstractField:
        """u_tt - Δu + u² - f."""

        def source(*at: Array) -> Array:
            known = self._solution(*at)
            return known**2 - self.k.astype(known.dtype) ** 2 * known

        return u.d("t", 2) - u.laplacian() + u**2 - u.function(source)

    def conditions(self) -> tuple[Condition, ...]:
        """u and u_t at the start; u on the walls."""
        t0 = self.domain.bounds("t")[0]
        speed = Condition({"t": t0}, lambda u: u.d("t") - u.function(self._speed), kind="initial")
        return (initial(self._solution, t=t0), speed, *dirichlet(self.domain, self._solution))

    def _solution(self, t: Array, x: Array, y: Array) -> Array:
        phase = self.k.astype(t.dtype) * t
        return (x + y) * jnp.cos(phase) + x * y * jnp.sin(phase)

    def _speed(self, t: Array, x: Array, y: Array) -> Array:
        k = self.k.astype(t.dtype)
        return k * (x * y * jnp.cos(k * t) - (x + y) * jnp.sin(k * t))
