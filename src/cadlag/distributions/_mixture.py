"""Mixtures of Gaussians: the law whose scores and posterior means are known at every noise level.

With x ~ Σ w_k N(m_k, C_k) and y = αx + σz, y ~ Σ w_k N(α m_k, α² C_k + σ² I), and E[x | y] is the mean over the
components' own posterior means with weights r_k(y) ∝ w_k N(y; α m_k, α² C_k + σ² I).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import jax.scipy as jsp
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.distributions._checks import floats, known
from cadlag.distributions._distribution import AbstractDistribution
from cadlag.distributions._gaussian import Gaussian, check_covariance, times


class GaussianMixture(AbstractDistribution):
    """Σ_k weights_k N(means_k, covariances_k) in R^D, with exact score, diffusions and posterior means.

    **Arguments:** `means` (K, D) decide the dtype; `weights` (K,), not negative, of sum one; `covariances` (K, D, D),
    symmetric positive semidefinite, or (K, D), their diagonals, or (K,), one variance a component.

    `components` is a `Gaussian` with a leading axis K. Nothing is factorised anew when the law is diffused, so that it
    can be asked for its score at a new noise level in every step of a solver.

    **Raises:** ValueError for shapes that do not fit, weights that are no probabilities, matrices that are no
    covariances; TypeError for integer means.
    """

    weights: Float[Array, "K"]
    components: Gaussian

    def __init__(self, weights: Any, means: Any, covariances: Any):
        means, self.weights = _means_and_weights(means, weights)
        covariances = floats("covariances", covariances, means.dtype)
        allowed = [means.shape[:1], means.shape, (*means.shape, means.shape[1])]
        if covariances.shape not in allowed:
            raise ValueError(
                f"`covariances` must have shape {allowed[2]}, {allowed[1]} or {allowed[0]} to go with `means` "
                f"{means.shape}, but got {covariances.shape}."
            )
        check_covariance("covariances", covariances, full=covariances.ndim == 3)
        self.components = jax.vmap(Gaussian)(means, covariances)

    @classmethod
    def isotropic(cls, weights: Any, means: Any, stds: Any) -> "GaussianMixture":
        """Components N(means_k, stds_k² I), `stds` (K,) or one number, not negative; 0 makes point masses."""
        means, weights = _means_and_weights(means, weights)
        stds = floats("stds", stds, means.dtype)
        if stds.shape not in ((), weights.shape):
            raise ValueError(f"`stds` must be one number or {weights.shape}, one a component, but got {stds.shape}.")
        values = known(stds)
        if values is not None and values.min() < 0:
            raise ValueError(f"`stds` must not be negative, but the smallest is {values.min():g}.")
        return cls(weights, means, jnp.broadcast_to(stds**2, weights.shape))

    @property
    def means(self) -> Float[Array, "K D"]:
        """The components' means."""
        return self.components.mean

    @property
    def covariances(self) -> Float[Array, "K D D"]:
        """The components' covariances."""
        return jax.vmap(lambda g: g.covariance)(self.components)

    @property
    def mean(self) -> Float[Array, "D"]:
        """The mean of the mixture."""
        return times(self.weights, self.means)

    @property
    def covariance(self) -> Float[Array, "D D"]:
        """The covariance of the mixture: within plus between components."""
        between = self.means - self.mean[None]
        within = jnp.sum(self.weights[:, None, None] * self.covariances, axis=0)
        return within + times(between.T * self.weights[None], between)

    def sample(self, key: PRNGKeyArray) -> Float[Array, "D"]:
        """One draw."""
        which, noise = jr.split(key)
        k = jr.categorical(which, jnp.log(self.weights))
        z = jr.normal(noise, self.mean.shape, self.weights.dtype)
        # Every component transforms z, one is kept: in a batch this is one matrix product, a gather of axes is not.
        return jax.vmap(lambda g: g.transform(z))(self.components)[k]

    def log_prob(self, x: Float[Array, "D"]) -> Float[Array, ""]:
        """Log-density of one point, in nats."""
        return jsp.special.logsumexp(self._joint(x))

    def score(self, x: Float[Array, "D"]) -> Float[Array, "D"]:
        """Gradient of the log-density, in closed form."""
        return times(self.responsibilities(x), jax.vmap(lambda g: g.score(x))(self.components))

    def responsibilities(self, x: Float[Array, "D"]) -> Float[Array, "K"]:
        """The probabilities that x came from each component."""
        return jax.nn.softmax(self._joint(x))

    def diffused(self, alpha: Any, sigma: Any, shift: Any = 0.0) -> "GaussianMixture":
        """The law of shift + alpha (x - shift) + sigma z with z standard normal; `shift` a number or (D,)."""
        noisy = jax.vmap(lambda g: g.diffused(alpha, sigma, shift))(self.components)
        return eqx.tree_at(lambda m: m.components, self, noisy)

    def posterior_mean(self, y: Float[Array, "D"], alpha: Any, sigma: Any, shift: Any = 0.0) -> Float[Array, "D"]:
        """E[x | shift + alpha (x - shift) + sigma z = y], the best denoiser.

        Nothing is divided by alpha or sigma alone: for sigma → 0 it tends to the x that y stands for, for alpha → 0 to
        the mean of the mixture. With point masses sigma must stay positive.
        """
        each = jax.vmap(lambda g: g.posterior_mean(y, alpha, sigma, shift))(self.components)
        return times(self.diffused(alpha, sigma, shift).responsibilities(y), each)

    def _joint(self, x: Array) -> Array:
        return jnp.log(self.weights) + jax.vmap(lambda g: g.log_prob(x))(self.components)


def ring_of_gaussians(n: int = 8, radius: Any = 4.0, std: Any = 0.3) -> GaussianMixture:
    """n equal isotropic Gaussians evenly on a circle in the plane, the first at (radius, 0); dtype of `radius`."""
    if n < 1:
        raise ValueError(f"`n` must be at least 1 Gaussian, but got {n}.")
    radius = floats("radius", radius)
    angle = jnp.arange(n, dtype=radius.dtype) * (2 * jnp.pi / n)
    means = radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
    return GaussianMixture.isotropic(jnp.full(n, 1 / n, radius.dtype), means, std)


def _means_and_weights(means: Any, weights: Any) -> tuple[Array, Array]:
    means = floats("means", means)
    weights = floats("weights", weights, means.dtype)
    if means.ndim != 2 or weights.shape != means.shape[:1] or 0 in means.shape:
        raise ValueError(f"`means` must be (K, D) and `weights` (K,), but got {means.shape} and {weights.shape}.")
    values = known(weights)
    if values is not None and (values.min() < 0 or abs(values.sum() - 1) > 1e-4):
        raise ValueError(
            f"`weights` must be probabilities of sum 1, but their sum is {values.sum():g} and the smallest "
            f"{values.min():g}. Divide them by their sum."
        )
    return means, weights
