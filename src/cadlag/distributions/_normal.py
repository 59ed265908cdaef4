"""Independent normal entries."""

from typing import Any

import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.distributions._checks import floats, known
from cadlag.distributions._distribution import AbstractDistribution


class Normal(AbstractDistribution):
    """Independent normal entries: loc + scale z.

    **Arguments:** `loc`, of any shape, decides shape and dtype of the draws; `scale`, the standard deviation, positive:
    one number, or one an entry.

    **Raises:** ValueError for another shape of `scale` or one that is not positive; TypeError for an integer `loc`.
    """

    loc: Float[Array, "..."]
    scale: Float[Array, "..."]

    def __init__(self, loc: Any, scale: Any = 1.0):
        self.loc = floats("loc", loc)
        self.scale = floats("scale", scale, self.loc.dtype)
        if self.scale.shape not in ((), self.loc.shape):
            raise ValueError(
                f"`scale` must be one number or of the shape of `loc`, {self.loc.shape}, but got {self.scale.shape}."
            )
        values = known(self.scale)
        if values is not None and values.size and values.min() <= 0:
            raise ValueError(f"`scale` must be positive, but its smallest entry is {values.min():g}.")

    def sample(self, key: PRNGKeyArray) -> Float[Array, "..."]:
        """One draw, like `loc`."""
        return self.loc + self.scale * jr.normal(key, self.loc.shape, self.loc.dtype)

    def log_prob(self, x: Float[Array, "..."]) -> Float[Array, ""]:
        """Log-density of one draw, in nats."""
        z = (x - self.loc) / self.scale
        return jnp.sum(-0.5 * z * z - jnp.log(self.scale) - 0.5 * jnp.log(jnp.asarray(2 * jnp.pi, z.dtype)))

    def score(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """Gradient of the log-density, like x."""
        return (self.loc - x) / self.scale**2
