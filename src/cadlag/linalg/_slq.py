"""Stochastic Lanczos quadrature: the spectrum of a matrix that is known by its products alone.

From a probe z of unit length with independent signs, m Lanczos steps give nodes θ_k and weights S_1k² with
Σ_k S_1k² f(θ_k) ≈ zᵀ f(A) z, whose mean over probes is tr f(A) / P (Bai, Fahey and Golub, 1996; Ubaru et al., 2017).
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.linalg._divergence import rademacher_probes
from cadlag.linalg._lanczos import lanczos

Estimate = tuple[Float[Array, "..."], Float[Array, "..."]]


class SpectralDensity(eqx.Module):
    """Nodes and weights (probes, m) of the spectral measure, of total mass one, and the size P of the matrix.

    What it returns is a pair: the mean over probes, and its standard error (nan of one probe).
    """

    nodes: Float[Array, "probes m"]
    weights: Float[Array, "probes m"]
    size: int = eqx.field(static=True)

    def mean(self, f: Callable[[Array], Array]) -> Estimate:
        """tr f(A) / P for an elementwise f."""
        return _over_probes(jnp.sum(self.weights * f(self.nodes), axis=1))

    def moment(self, k: int) -> Estimate:
        """tr Aᵏ / P."""
        return self.mean(lambda x: x**k)

    def density(self, x: Float[Array, " n"], width: float | int) -> Estimate:
        """The density at x, every node spread to a Gaussian of standard deviation `width`.

        **Raises:** ValueError if the width is not positive.
        """
        if not width > 0:
            raise ValueError(f"width={width} of a spectral density: expected a positive number, in units of x.")
        distance = (x[None, :, None] - self.nodes[:, None, :]) / width
        bumps = jnp.exp(-(distance**2) / 2) / (width * (2 * jnp.pi) ** 0.5)
        return _over_probes(jnp.sum(bumps * self.weights[:, None, :], axis=2))

    def share_below(self, x: Float[Array, " n"]) -> Estimate:
        """The share of eigenvalues at or below x."""
        below = self.nodes[:, None, :] <= x[None, :, None]
        return _over_probes(jnp.sum(jnp.where(below, self.weights[:, None, :], 0), axis=2))


def spectral_density(
    product: Callable[[Any], Any], like: Any, *, steps: int = 30, probes: int = 4, key: PRNGKeyArray
) -> SpectralDensity:
    """The spectrum from `probes` runs of `steps` products, one after another.

    **Arguments:** `product`, a symmetric matrix; `like`, a PyTree as it takes one.

    **Raises:** ValueError for a number of steps or probes that does not fit.
    """
    starts, unravel = _probes(like, probes, key)

    def one(z: Array) -> tuple[Array, Array]:
        values, vectors = lanczos(product, unravel(z), steps).eigh()
        return values, vectors[0] ** 2

    nodes, weights = jax.lax.map(one, starts)
    return SpectralDensity(nodes, weights, starts.shape[1])


def trace_estimate(product: Callable[[Any], Any], like: Any, *, probes: int = 16, key: PRNGKeyArray) -> Estimate:
    """tr A by Hutchinson's estimate, the mean of zᵀ A z over random signs, and its standard error."""
    starts, unravel = _probes(like, probes, key)
    return _over_probes(jax.lax.map(lambda z: jnp.vdot(z, ravel_pytree(product(unravel(z)))[0]), starts))


def _probes(like: Any, probes: int, key: PRNGKeyArray) -> tuple[Float[Array, "n P"], Callable]:
    flat, unravel = ravel_pytree(eqx.filter(like, eqx.is_inexact_array))
    return rademacher_probes(flat, probes, key=key), unravel


def _over_probes(values: Float[Array, "probes ..."]) -> Estimate:
    n = len(values)
    error = jnp.std(values, axis=0, ddof=1) / n**0.5 if n > 1 else jnp.full_like(values[0], jnp.nan)
    return jnp.mean(values, axis=0), error
