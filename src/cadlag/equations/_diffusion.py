"""Nonlinear diffusion u_t = alpha div(u ∇u)."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.equations._condition import Condition, dirichlet
from cadlag.equations._evolution import AbstractEvolution
from cadlag.equations._shared import Interval, Number, parameter, space_time, starts
from cadlag.fields import AbstractField, Box


class NonlinearDiffusion(AbstractEvolution):
    """u_t = alpha (|∇u|² + u Δu) = alpha div(u ∇u) on [-1, 1]², u = 0 on the walls, from three bumps. No closed form.

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

    def conditions(self) -> tuple[Condition, ...]:
        """The initial state, and zero on the walls."""
        return (starts(self.domain, self.u0), *dirichlet(self.domain))


def _bumps(x: Array, y: Array) -> Array:
    first = 0.25 * jnp.exp(-((x - 0.3) ** 2 + (y - 0.2) ** 2) / 0.1)
    second = 0.4 * jnp.exp(-15 * ((x + 0.5) ** 2 + (y + 0.1) ** 2))
    return first + second + 0.3 * jnp.exp(-20 * (x**2 + (y + 0.5) ** 2))
