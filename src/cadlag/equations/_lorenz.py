"""The Lorenz system, an ordinary equation on the axis t."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.equations._condition import Condition, initial
from cadlag.equations._evolution import AbstractEvolution
from cadlag.equations._shared import Interval, Number, parameter
from cadlag.fields import AbstractField, Box


class Lorenz(AbstractEvolution):
    """x' = sigma (y - x), y' = x (rho - z) - y, z' = x y - beta z: three components on t in [0, 20]. Chaotic.

    **Arguments:**

    - `sigma`, `rho`, `beta`: 10, 28, 8/3.
    - `start`: the state at the first time, shape (3,).
    - `time`: first and last time.
    """

    domain: Box
    sigma: Float[Array, ""]
    rho: Float[Array, ""]
    beta: Float[Array, ""]
    start: Float[Array, "3"]
    exact: None = None
    components: int = eqx.field(static=True, default=3)

    def __init__(
        self,
        sigma: Number = 10.0,
        rho: Number = 28.0,
        beta: Number = 8 / 3,
        *,
        start: Float[Array, "3"] | tuple[float, float, float] = (1.0, 1.0, 1.0),
        time: Interval = (0.0, 20.0),
    ) -> None:
        self.domain = Box({"t": (float(time[0]), float(time[1]))})
        self.sigma, self.rho, self.beta = parameter(sigma), parameter(rho), parameter(beta)
        self.start, self.components = jnp.asarray(start), 3
        if self.start.shape != (3,):
            raise ValueError(f"Lorenz: start has shape {self.start.shape}; expected (3,).")

    @property
    def u0(self) -> Callable:
        """The first state, a function of no coordinates."""
        return lambda: self.start

    def rate(self, u: AbstractField) -> AbstractField:
        """The vector field."""
        return u.map(self.vector_field)

    def vector_field(self, y: Float[Array, "3 ..."]) -> Float[Array, "3 ..."]:
        """The right-hand side at a state, or at an array of states with the components first."""
        sigma, rho, beta = (p.astype(y.dtype) for p in (self.sigma, self.rho, self.beta))
        a, b, c = y
        return jnp.stack([sigma * (b - a), a * (rho - c) - b, a * b - beta * c])

    def conditions(self) -> tuple[Condition, ...]:
        """The first state."""

        def value(t: Array) -> Array:
            return jnp.stack([jnp.full_like(t, 1) * c.astype(t.dtype) for c in self.start])

        return (initial(value, t=self.domain.bounds("t")[0]),)
