"""Cholesky factors that say what they had to add."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.linalg._kronecker import check_square


class Cholesky(eqx.Module):
    """L with L Lᵀ = A + jitter I."""

    factor: Float[Array, "n n"]
    jitter: Float[Array, ""]

    def solve(self, b: Float[Array, "n *m"]) -> Float[Array, "n *m"]:
        """(A + jitter I)⁻¹ b."""
        return jax.scipy.linalg.cho_solve((self.factor, True), b)

    @property
    def logdet(self) -> Float[Array, ""]:
        """log det (A + jitter I)."""
        return 2 * jnp.sum(jnp.log(jnp.diagonal(self.factor)))


def safe_cholesky(matrix: Float[Array, "..."], *, tries: int = 6) -> Cholesky:
    """Cholesky of a symmetric positive semidefinite matrix, with as little added to its diagonal as it takes.

    First nothing is added, then n u times the mean of the diagonal (u: machine precision), then up to `tries` times
    ten times more; what was added is returned, not hidden. Where even that does not do, or the matrix is not finite,
    the factor is NaN. Reverse-mode differentiable, the jitter being a constant.

    **Raises:** ValueError if the matrix is not square.
    """
    n = check_square("safe_cholesky", matrix)
    start = n * jnp.finfo(matrix.dtype).eps
    steps = jnp.asarray([0.0, *(start * 10.0**k for k in range(tries + 1))], matrix.dtype)
    constant = jax.lax.stop_gradient(matrix)
    scale = jnp.mean(jnp.diagonal(constant))
    eye = jnp.eye(n, dtype=matrix.dtype)

    def failed(k: Array) -> Array:
        factor = jnp.linalg.cholesky(constant + scale * steps[k] * eye)
        return (k < tries + 1) & ~jnp.all(jnp.isfinite(factor))

    taken = jax.lax.while_loop(failed, lambda k: k + 1, jnp.zeros((), jnp.int32))
    jitter = jax.lax.stop_gradient(scale * steps[taken])
    return Cholesky(jnp.linalg.cholesky(matrix + jitter * eye), jitter)
