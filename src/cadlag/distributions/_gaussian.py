"""A Gaussian with any covariance, held by its principal axes, so that adding noise costs no new factorisation."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.distributions._checks import floats, known
from cadlag.distributions._distribution import AbstractDistribution


class Gaussian(AbstractDistribution):
    """A Gaussian in R^D with covariance U diag(variances) Uᵀ.

    **Arguments:** `mean` (D,), which decides the dtype; `covariance` (D, D), symmetric and positive semidefinite, or
    (D,), its diagonal, or one number, the variance of every entry. A singular law can be drawn from and diffused, but
    has no density.

    `axes` are the columns U, `variances` what lies along them. The derivative with respect to a full `covariance` is
    that of an eigendecomposition, undefined where eigenvalues coincide; that with respect to all else is fine.

    **Raises:** ValueError for other shapes, and for a matrix that is not symmetric or has a negative eigenvalue.
    """

    mean: Float[Array, "D"]
    axes: Float[Array, "D D"]
    variances: Float[Array, "D"]

    def __init__(self, mean: Any, covariance: Any):
        self.mean = floats("mean", mean)
        covariance = floats("covariance", covariance, self.mean.dtype)
        if self.mean.ndim != 1 or covariance.ndim > 2 or covariance.shape != covariance.ndim * self.mean.shape:
            raise ValueError(
                "`mean` must be (D,) and `covariance` (D, D), (D,) or one number, but got "
                f"{self.mean.shape} and {covariance.shape}."
            )
        check_covariance("covariance", covariance, full=covariance.ndim == 2)
        if covariance.ndim == 2:
            values, self.axes = jnp.linalg.eigh(covariance)
            self.variances = jnp.maximum(values, 0)
        else:
            self.axes = jnp.eye(self.mean.shape[0], dtype=self.mean.dtype)
            self.variances = jnp.broadcast_to(covariance, self.mean.shape)

    @classmethod
    def fit(cls, x: Float[Array, "n D"], *, ridge: float = 0.0) -> "Gaussian":
        """Sample mean and covariance (divided by n - 1) of n ≥ 2 points, plus `ridge` on the diagonal."""
        if x.ndim != 2 or len(x) < 2:
            raise ValueError(f"`x` must have shape (n, D) with n >= 2 points, but got {x.shape}.")
        mean = jnp.mean(x, axis=0)
        centred = x - mean[None]
        covariance = times(centred.T, centred) / (len(x) - 1) + ridge * jnp.eye(x.shape[1], dtype=x.dtype)
        return cls(mean, covariance)

    @property
    def covariance(self) -> Float[Array, "D D"]:
        """U diag(variances) Uᵀ."""
        return times(self.axes * self.variances[None], self.axes.T)

    def transform(self, z: Float[Array, "D"]) -> Float[Array, "D"]:
        """mean + U sqrt(variances) z: a draw, if z is standard normal."""
        return self.mean + times(self.axes, jnp.sqrt(self.variances) * z)

    def sample(self, key: PRNGKeyArray) -> Float[Array, "D"]:
        """One draw."""
        return self.transform(jr.normal(key, self.mean.shape, self.mean.dtype))

    def log_prob(self, x: Float[Array, "D"]) -> Float[Array, ""]:
        """Log-density of one point, in nats."""
        along = times(self.axes.T, x - self.mean)
        return -0.5 * jnp.sum(along**2 / self.variances + jnp.log(self.variances) + jnp.log(2 * jnp.pi).astype(x.dtype))

    def score(self, x: Float[Array, "D"]) -> Float[Array, "D"]:
        """Gradient of the log-density: -C⁻¹ (x - mean)."""
        return times(self.axes, times(self.axes.T, self.mean - x) / self.variances)

    def diffused(self, alpha: Any, sigma: Any, shift: Any = 0.0) -> "Gaussian":
        """The law of shift + alpha (x - shift) + sigma z with z standard normal; `shift` a number or (D,)."""
        alpha, sigma, shift = (jnp.asarray(a, self.mean.dtype) for a in (alpha, sigma, shift))
        parts = shift + alpha * (self.mean - shift), alpha**2 * self.variances + sigma**2
        return eqx.tree_at(lambda g: (g.mean, g.variances), self, parts)

    def posterior_mean(self, y: Float[Array, "D"], alpha: Any, sigma: Any, shift: Any = 0.0) -> Float[Array, "D"]:
        """E[x | shift + alpha (x - shift) + sigma z = y]: no division by alpha or sigma alone."""
        alpha, sigma = jnp.asarray(alpha, self.mean.dtype), jnp.asarray(sigma, self.mean.dtype)
        noisy = self.diffused(alpha, sigma, shift)
        gain = alpha * self.variances / noisy.variances
        return self.mean + times(self.axes, gain * times(self.axes.T, y - noisy.mean))


def times(a: Array, b: Array) -> Array:
    """The product in the arrays' own precision: accelerators cut float32 factors shorter by default."""
    return jnp.matmul(a, b, precision="highest")


def check_covariance(name: str, covariance: Array, *, full: bool) -> None:
    """Refuse matrices (..., D, D) that are not symmetric and positive semidefinite up to rounding, or variances < 0."""
    values = known(covariance)
    if values is None or values.size == 0:
        return
    slack = 100 * float(jnp.finfo(covariance.dtype).eps) * abs(values).max() if full else 0.0
    gap = abs(values - values.swapaxes(-1, -2)).max() if full else 0.0
    if gap > slack:
        raise ValueError(f"`{name}` must be symmetric, but entries across the diagonal differ by up to {gap:.3g}.")
    smallest = float((np.linalg.eigvalsh(values) if full else values).min())
    if smallest < -slack:
        what = "be positive semidefinite, but has the eigenvalue" if full else "not be negative, but the smallest is"
        raise ValueError(f"`{name}` must {what} {smallest:.3g}.")
