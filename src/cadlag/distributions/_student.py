"""Gaussians of one random variance: scale mixtures, and Student's t among them.

x = loc + sqrt(v) L z with ONE v for all entries: they are uncorrelated where the covariance says so and yet dependent,
E[x_1² x_2²] = E[v²] k_11 k_22. Entries with variances of their own would have other marginals and another joint law.
"""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.distributions._checks import floats
from cadlag.distributions._distribution import AbstractDistribution
from cadlag.distributions._gaussian import times
from cadlag.distributions._positive import InverseGamma, positive_log
from cadlag.distributions._scale import scale_log_density


class MultivariateT(AbstractDistribution):
    """Student's t in R^D: loc + L z / sqrt(g), g one chi-squared variable with `df` degrees, divided by them.

    **Arguments:** `loc` (D,), which decides the dtype; `root` (D, D), the lower triangle L of the scale matrix L Lᵀ,
    with a positive diagonal (the covariance is df / (df - 2) L Lᵀ for df > 2); `df`, positive.

    **Raises:** ValueError for shapes that do not fit or df that is not positive.
    """

    loc: Float[Array, "D"]
    root: Float[Array, "D D"]
    log_df: Float[Array, ""]

    def __init__(self, loc: Any, root: Any, df: Any):
        self.loc, self.root = _loc_and_root(loc, root)
        self.log_df = positive_log("df", df).astype(self.loc.dtype)

    @property
    def df(self) -> Float[Array, ""]:
        """The degrees of freedom."""
        return jnp.exp(self.log_df)

    def sample(self, key: PRNGKeyArray) -> Float[Array, "D"]:
        """One draw."""
        chi, normal = jr.split(key)
        log_g = jr.loggamma(chi, self.df / 2, dtype=self.loc.dtype) - jnp.log(self.df / 2)
        z = jr.normal(normal, self.loc.shape, self.loc.dtype)
        return self.loc + jnp.exp(-log_g / 2) * times(self.root, z)

    def log_prob(self, x: Float[Array, "D"]) -> Float[Array, ""]:
        """The log-density, in nats."""
        whitened = jax.scipy.linalg.solve_triangular(self.root, x - self.loc, lower=True)
        density = scale_log_density(InverseGamma.of_degrees(self.df), jnp.sum(whitened**2), self.loc.shape[0])
        return density - jnp.sum(jnp.log(jnp.diagonal(self.root)))


class ScaleMixture(AbstractDistribution):
    """A Gaussian in R^D whose covariance v L Lᵀ has a random factor v.

    Its density is found by quadrature over log v, for an `InverseGamma`, which makes a `MultivariateT`, in closed form.

    **Arguments:** `loc` (D,), which decides the dtype; `root` (D, D), the lower triangle L, with a positive diagonal;
    `scale`, the law of v, whose log v has a log-concave density.

    **Raises:** ValueError for shapes that do not fit; TypeError if `scale` is no law.
    """

    loc: Float[Array, "D"]
    root: Float[Array, "D D"]
    scale: AbstractDistribution

    def __init__(self, loc: Any, root: Any, scale: AbstractDistribution):
        self.loc, self.root = _loc_and_root(loc, root)
        if not isinstance(scale, AbstractDistribution):
            raise TypeError(f"`scale` is a {type(scale).__name__}; expected a law of a positive number.")
        self.scale = scale

    def sample(self, key: PRNGKeyArray) -> Float[Array, "D"]:
        """One draw: one v, then a Gaussian."""
        scale, normal = jr.split(key)
        v = self.scale.sample(scale).astype(self.loc.dtype)
        return self.loc + jnp.sqrt(v) * times(self.root, jr.normal(normal, self.loc.shape, self.loc.dtype))

    def log_prob(self, x: Float[Array, "D"]) -> Float[Array, ""]:
        """The log-density, in nats."""
        whitened = jax.scipy.linalg.solve_triangular(self.root, x - self.loc, lower=True)
        density = scale_log_density(self.scale, jnp.sum(whitened**2), self.loc.shape[0])
        return density - jnp.sum(jnp.log(jnp.diagonal(self.root)))


def _loc_and_root(loc: Any, root: Any) -> tuple[Array, Array]:
    loc = floats("loc", loc)
    root = floats("root", root, loc.dtype)
    if loc.ndim != 1 or root.shape != 2 * loc.shape:
        raise ValueError(f"`loc` must be (D,) and `root` (D, D), but got {loc.shape} and {root.shape}.")
    return loc, root
