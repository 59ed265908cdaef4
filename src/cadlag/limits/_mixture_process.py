"""Scale mixtures of Gaussian processes conditioned on values (Lee et al., ICLR 2022; Shah et al., AISTATS 2014).

f | v ~ GP(0, v k), y | f, v ~ N(f, v noise), v ~ p(v). With d = yᵀ (K + noise I)⁻¹ y over n values
    v | y ∝ p(v) v^(-n/2) exp(-d / (2 v)),     f | v, y ~ GP(posterior mean, v posterior covariance):
the mean is that of the Gaussian process whatever p(v) is, while the variance follows the data through d. For
v ~ InverseGamma(a, b), v | y ~ InverseGamma(a + n/2, b + d/2) and all predictions are Student's t.
"""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.distributions import AbstractDistribution, InverseGamma, ScalePosterior, scale_log_density, scale_posterior
from cadlag.kernels import AbstractKernel
from cadlag.limits._process import GaussianProcess, Number, condition


class ScaleMixtureProcess(eqx.Module):
    """A scale mixture of Gaussian processes given y; all outputs (columns of y) share one v.

    Made by `condition_scale_mixture`.

    **Arguments:**

    - `process`: the Gaussian process of unit scale given y.
    - `scale`: the law of v given y, an `InverseGamma` or a `ScalePosterior`.
    """

    process: GaussianProcess
    scale: InverseGamma | ScalePosterior

    def mean(self, z: Float[Array, "m ..."]) -> Float[Array, "m outputs"]:
        """The posterior mean of f at z, that of the Gaussian process."""
        return self.process.mean(z)

    def covariance(self, z: Float[Array, "m ..."]) -> Float[Array, "m m"]:
        """The posterior covariance of one output of f at z: E[v | y], perhaps infinite, times that of unit scale."""
        return self.scale.mean * self.process.covariance(z)

    def variance(self, z: Float[Array, "m ..."]) -> Float[Array, " m"]:
        """The diagonal of `covariance`."""
        return self.scale.mean * self.process.variance(z)

    def log_prob(self, z: Float[Array, "m ..."], y: Float[Array, "m outputs"]) -> Float[Array, "m outputs"]:
        """Log-densities of new values y, noise included, each on its own, in nats."""
        variance = (self.process.variance(z) + self.process.noise)[:, None]
        squares = (y - self.mean(z)) ** 2 / variance
        return scale_log_density(self.scale, squares, 1) - 0.5 * jnp.log(variance)

    def sample(self, z: Float[Array, "m ..."], *, key: PRNGKeyArray) -> Float[Array, "m outputs"]:
        """One draw of f at z, jointly: ONE v for all points and outputs."""
        scale, normal = jr.split(key)
        mean = self.mean(z)
        return mean + jnp.sqrt(self.scale.sample(scale)) * (self.process.sample(z, key=normal) - mean)


def condition_scale_mixture(
    kernel: AbstractKernel,
    prior: AbstractDistribution,
    x: Float[Array, "n ..."],
    y: Float[Array, "n outputs"],
    *,
    noise: Number = 0.0,
) -> ScaleMixtureProcess:
    """The scale mixture given y at x.

    **Arguments:**

    - `prior`: the law of v: `InverseGamma` in closed form, or any other whose log v has one peak, by quadrature.
    - `noise`: variance of independent noise in y at v = 1; it is multiplied by v, as the kernel is.

    **Raises:** ValueError for shapes that do not fit or a negative noise; TypeError if `prior` is no law.
    """
    _check_prior(prior)
    process = condition(kernel, x, y, noise=noise)
    return ScaleMixtureProcess(process, _posterior(prior, jnp.sum(y * process.coefficients), y.size))


def scale_mixture_log_likelihood(
    kernel: AbstractKernel,
    prior: AbstractDistribution,
    x: Float[Array, "n ..."],
    y: Float[Array, "n outputs"],
    *,
    noise: Number = 0.0,
) -> Float[Array, ""]:
    """log ∫ p(v) N(y; 0, v (K + noise I)) dv, in nats; differentiable in kernel, prior and noise."""
    _check_prior(prior)
    process = condition(kernel, x, y, noise=noise)
    density = scale_log_density(prior, jnp.sum(y * process.coefficients), y.size)
    return density - 0.5 * y.shape[1] * process.cholesky.logdet


def _posterior(prior: AbstractDistribution, quadratic: Array, count: int) -> InverseGamma | ScalePosterior:
    if isinstance(prior, InverseGamma):
        return InverseGamma(prior.a + count / 2, prior.b + quadratic / 2)
    return scale_posterior(prior, quadratic, count)


def _check_prior(prior: AbstractDistribution) -> None:
    if not isinstance(prior, AbstractDistribution):
        raise TypeError(
            f"prior is a {type(prior).__name__}; expected a law of the scale, such as InverseGamma(2.0, 2.0)."
        )
