"""What a law is: something to draw from, with a log-density where there is one."""

import abc

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray, PyTree


class AbstractDistribution(eqx.Module):
    """A law of an array or a PyTree of arrays.

    To write your own: `sample(key)` returns ONE draw, `log_prob(x)` the log-density of one, in nats, a scalar. Both are
    pure and may be traced; `jax.vmap` makes the batch. A law without a density, or with an unknown one, raises
    TypeError in `log_prob` and says what to do instead.
    """

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray) -> PyTree[Array]:
        """One draw."""

    @abc.abstractmethod
    def log_prob(self, x: PyTree[Array]) -> Float[Array, ""]:
        """The log-density of one draw, in nats."""
