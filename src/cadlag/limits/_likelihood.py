"""What is observed of latent functions: expected log-likelihoods and predictive densities."""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray


class AbstractLikelihood(eqx.Module):
    """p(y | f) of one example, f with independent Gaussian entries of given means and variances.

    To write your own: `expected`, E[log p(y | f)], and `log_prob`, log E[p(y | f)], both scalars, in nats. What is
    learnt is a floating-point leaf, positive numbers as logarithms. The key is for estimates by draws.
    """

    @abc.abstractmethod
    def expected(
        self, mean: Float[Array, " outputs"], variance: Float[Array, ""], y: Array, *, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        """E[log p(y | f)]."""

    @abc.abstractmethod
    def log_prob(
        self, mean: Float[Array, " outputs"], variance: Float[Array, ""], y: Array, *, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        """log E[p(y | f)]."""


class GaussianLikelihood(AbstractLikelihood):
    """y = f + noise, in closed form; y (outputs,).

    **Arguments:** `log_noise`, the logarithm of the variance of the noise, the same for all outputs.
    """

    log_noise: Float[Array, ""]

    def expected(
        self, mean: Float[Array, " outputs"], variance: Float[Array, ""], y: Array, *, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        """log N(y; mean, noise) less what the variance of f costs."""
        squares = (y - mean) ** 2 + variance
        return jnp.sum(-0.5 * (squares * jnp.exp(-self.log_noise) + self.log_noise + math.log(2 * math.pi)))

    def log_prob(
        self, mean: Float[Array, " outputs"], variance: Float[Array, ""], y: Array, *, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        """log N(y; mean, variance + noise)."""
        total = variance + jnp.exp(self.log_noise)
        return jnp.sum(-0.5 * ((y - mean) ** 2 / total + jnp.log(total) + math.log(2 * math.pi)))


class CategoricalLikelihood(AbstractLikelihood):
    """The class y, an integer, has the probability softmax(f)_y; by so many draws.

    **Arguments:** `draws`.
    """

    draws: int = eqx.field(static=True, default=32)

    def expected(
        self, mean: Float[Array, " outputs"], variance: Float[Array, ""], y: Array, *, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        """The mean of log softmax."""
        return jnp.mean(self._logs(mean, variance, key)[:, y])

    def log_prob(
        self, mean: Float[Array, " outputs"], variance: Float[Array, ""], y: Array, *, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        """The log of the mean of softmax."""
        return jax.nn.logsumexp(self._logs(mean, variance, key)[:, y]) - math.log(self.draws)

    def _logs(self, mean: Array, variance: Array, key: PRNGKeyArray) -> Float[Array, "draws outputs"]:
        z = jr.normal(key, (self.draws, *mean.shape), mean.dtype)
        return jax.nn.log_softmax(mean[None] + jnp.sqrt(variance) * z)
