"""Gaussian processes conditioned on noisy values (Rasmussen and Williams, 2006, chapter 2)."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.kernels import AbstractKernel
from cadlag.linalg import Cholesky, safe_cholesky

Number = float | int | Float[Array, ""]


class GaussianProcess(eqx.Module):
    """A centred process with a kernel, given y = f(x) + noise; outputs (columns of y) are independent and alike.

    Made by `condition`.

    **Arguments:**

    - `kernel`, `x` (n, ...), and `noise`, the variance of the noise.
    - `cholesky`: of k(x, x) + noise I, with what had to be added to the diagonal.
    - `coefficients`: (k(x, x) + noise I)⁻¹ y, (n, outputs).
    """

    kernel: AbstractKernel
    x: Float[Array, "n ..."]
    noise: Float[Array, ""]
    cholesky: Cholesky
    coefficients: Float[Array, "n outputs"]

    def mean(self, z: Float[Array, "m ..."]) -> Float[Array, "m outputs"]:
        """The posterior mean of f at z."""
        return jnp.matmul(self.kernel.gram(z, self.x), self.coefficients, precision="highest")

    def covariance(self, z: Float[Array, "m ..."]) -> Float[Array, "m m"]:
        """The posterior covariance of one output of f at z, without noise."""
        half = self._half(z)
        return self.kernel.gram(z) - jnp.matmul(half.T, half, precision="highest")

    def variance(self, z: Float[Array, "m ..."]) -> Float[Array, " m"]:
        """The diagonal of `covariance`, not negative."""
        prior = jax.lax.map(lambda a: self.kernel.gram(a[None])[0, 0], z, batch_size=256)
        return jnp.maximum(prior - jnp.sum(self._half(z) ** 2, axis=0), 0)

    def log_prob(self, z: Float[Array, "m ..."], y: Float[Array, "m outputs"]) -> Float[Array, "m outputs"]:
        """Log-densities of new values y, noise included, each on its own, in nats."""
        variance = (self.variance(z) + self.noise)[:, None]
        return jax.scipy.stats.norm.logpdf(y, self.mean(z), jnp.sqrt(variance))

    def sample(self, z: Float[Array, "m ..."], *, key: PRNGKeyArray) -> Float[Array, "m outputs"]:
        """One draw of f at z, jointly."""
        mean = self.mean(z)
        root = safe_cholesky(self.covariance(z)).factor
        return mean + jnp.matmul(root, jr.normal(key, mean.shape, mean.dtype), precision="highest")

    def _half(self, z: Array) -> Float[Array, "n m"]:
        return jax.scipy.linalg.solve_triangular(self.cholesky.factor, self.kernel.gram(self.x, z), lower=True)


def condition(
    kernel: AbstractKernel, x: Float[Array, "n ..."], y: Float[Array, "k outputs"], *, noise: Number = 0.0
) -> GaussianProcess:
    """The process given y at x.

    **Arguments:**

    - `noise`: variance of independent Gaussian noise in y; with 0 it interpolates, up to the jitter that rounding
      makes necessary, which `cholesky.jitter` of the result reports.

    **Raises:** ValueError for shapes that do not fit or a negative noise.
    """
    check_pairs("condition", x, y)
    noise = as_noise(noise, y)
    cholesky = _factor(kernel, x, noise)
    return GaussianProcess(kernel, x, noise, cholesky, cholesky.solve(y))


def log_marginal_likelihood(
    kernel: AbstractKernel, x: Float[Array, "n ..."], y: Float[Array, "k outputs"], *, noise: Number = 0.0
) -> Float[Array, ""]:
    """log N(y; 0, k(x, x) + noise I), summed over outputs, in nats; differentiable in kernel and noise."""
    check_pairs("log_marginal_likelihood", x, y)
    cholesky = _factor(kernel, x, as_noise(noise, y))
    fit = jnp.sum(y * cholesky.solve(y))
    return -0.5 * (fit + y.shape[1] * (cholesky.logdet + y.shape[0] * math.log(2 * math.pi)))


def check_pairs(what: str, x: Any, y: Any) -> None:
    """Refuse targets that are not one row for each input."""
    if y.ndim != 2 or len(x) != len(y) or 0 in y.shape:
        raise ValueError(
            f"{what}: x of shape {x.shape} and y of shape {y.shape}; expected (n, ...) and (n, outputs). One output is "
            "y[:, None]."
        )


def as_noise(noise: Any, like: Array) -> Float[Array, ""]:
    """The variance in the dtype of the data."""
    if isinstance(noise, float | int) and not 0 <= noise < math.inf:
        raise ValueError(f"noise={noise}: expected a variance, finite and not negative.")
    return jnp.asarray(noise).astype(like.dtype)


def _factor(kernel: AbstractKernel, x: Array, noise: Array) -> Cholesky:
    return safe_cholesky(kernel.gram(x) + noise * jnp.eye(len(x), dtype=noise.dtype))
