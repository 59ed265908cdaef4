"""The interpolant between two Gaussian mixtures in closed form: no network, no error.

Given that x_0 came from N(m_0, C_0) and x_1 from N(m_1, C_1), x_t is Gaussian with m = αm_0 + βm_1 and
C = α²C_0 + β²C_1 + γ²I, and with u = C⁻¹(x - m)

    s = -u,   b = α'm_0 + β'm_1 + (αα'C_0 + ββ'C_1 + γγ'I)u,   E[x_0 | x] = m_0 + αC_0 u,   E[x_1 | x] = m_1 + βC_1 u;

a mixture is the mean of these over the pairs, weighted by p_i q_j N(x; m_ij, C_ij).
"""

from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy as jsp
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.diffusion._field_pairs import InterpolantReading
from cadlag.diffusion._interpolant import AbstractInterpolant
from cadlag.diffusion._interpolant_model import AbstractInterpolantModel
from cadlag.distributions import GaussianMixture


class ExactInterpolant(AbstractInterpolantModel):
    """Exact b and s between two independent Gaussian mixtures of vectors (D,). For tests, docs and benchmarks.

    **Arguments:** `interpolant`; `law0`, `law1`, mixtures of one dimension and dtype.
    """

    interpolant: AbstractInterpolant
    law0: GaussianMixture
    law1: GaussianMixture

    def __check_init__(self):
        d0, d1 = self.law0.means.shape[1], self.law1.means.shape[1]
        if d0 != d1:
            raise ValueError(f"ExactInterpolant: law0 lives in {d0} dimensions and law1 in {d1}; expected one number.")

    def read(self, t: Array, x: Array, *, cond: Any = None, key: PRNGKeyArray | None = None) -> InterpolantReading:
        """Means over the pairs of components."""
        path, share, u = self.interpolant, *self._posterior(t, x)
        a, b, a1, b1 = path.alpha(t), path.beta(t), path.alpha_rate(t), path.beta_rate(t)
        (m0, c0), (m1, c1) = self._pairs()
        spread = a * a1 * _times(c0, u) + b * b1 * _times(c1, u) + path.gamma_product(t) * u
        return InterpolantReading(share @ (a1 * m0 + b1 * m1 + spread), -(share @ u))

    def posterior_ends(self, t: Array, x: Float[Array, " D"]) -> tuple[Float[Array, " D"], Float[Array, " D"]]:
        """E[x_0 | x_t = x] and E[x_1 | x_t = x], from the posteriors themselves; for any α and β."""
        path, share, u = self.interpolant, *self._posterior(t, x)
        (m0, c0), (m1, c1) = self._pairs()
        return share @ (m0 + path.alpha(t) * _times(c0, u)), share @ (m1 + path.beta(t) * _times(c1, u))

    def posterior_noise(self, t: Array, x: Float[Array, " D"]) -> Float[Array, " D"]:
        """E[z | x_t = x], from the posterior itself."""
        share, u = self._posterior(t, x)
        return self.interpolant.gamma(t) * (share @ u)

    def log_prob(self, t: Array, x: Float[Array, " D"]) -> Float[Array, ""]:
        """log ρ_t(x), in nats."""
        return jsp.special.logsumexp(self._joint(t, x)[0])

    def _pairs(self) -> Any:
        """Means (pairs, D) and covariances (pairs, D, D) of both ends, over all pairs."""
        n0, n1 = self.law0.weights.shape[0], self.law1.weights.shape[0]
        first = jax.tree.map(lambda v: jnp.repeat(v, n1, axis=0), (self.law0.means, self.law0.covariances))
        second = jax.tree.map(
            lambda v: jnp.tile(v, (n0, *(1 for _ in v.shape[1:]))), (self.law1.means, self.law1.covariances)
        )
        return first, second

    def _joint(self, t: Array, x: Array) -> tuple[Array, Array]:
        """log p_i q_j N(x; m_ij, C_ij) and C_ij⁻¹(x - m_ij)."""
        path = self.interpolant
        a, b = path.alpha(t), path.beta(t)
        (m0, c0), (m1, c1) = self._pairs()
        covariance = a * a * c0 + b * b * c1 + path.gamma_squared(t) * jnp.eye(x.shape[0], dtype=x.dtype)[None]
        offset = x[None] - a * m0 - b * m1
        u, half_log_det = _solve(covariance, offset)
        density = -0.5 * jnp.sum(offset * u, axis=-1) - half_log_det - 0.5 * x.shape[0] * jnp.log(2 * jnp.pi)
        weights = (jnp.log(self.law0.weights)[:, None] + jnp.log(self.law1.weights)[None, :]).reshape(-1)
        return weights + density, u

    def _posterior(self, t: Array, x: Array) -> tuple[Array, Array]:
        joint, u = self._joint(t, x)
        return jax.nn.softmax(joint), u


def _solve(covariances: Array, offsets: Array) -> tuple[Array, Array]:
    """C⁻¹v and ½ log det C for each of (pairs, D, D) and (pairs, D)."""
    if offsets.shape[-1] == 1:  # thousands of points on a line: no factorisation each
        return offsets / covariances[..., 0], 0.5 * jnp.log(covariances[..., 0, 0])
    roots = jnp.linalg.cholesky(covariances)
    solutions = jax.vmap(lambda root, v: jsp.linalg.cho_solve((root, True), v))(roots, offsets)
    return solutions, jnp.sum(jnp.log(jnp.diagonal(roots, axis1=-2, axis2=-1)), axis=-1)


def _times(matrices: Array, vectors: Array) -> Array:
    return jnp.einsum("pij,pj->pi", matrices, vectors)
