"""Lanczos' method: A Q = Q T + β_m q_{m+1} e_mᵀ with orthonormal Q and tridiagonal T, from m products with symmetric A.

Eigenvalues of T (Ritz values) approach those of A, extreme ones first; with T = S diag(θ) Sᵀ, the spectral measure of A
seen from the first vector z is Σ_k S_1k² δ(θ_k), exact for polynomials of degree below 2m (Golub and Welsch, 1969).
Every new vector is made orthogonal to all before it, twice where once is not enough: without, rounding brings copies
of eigenvalues.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.linalg._curvature import HessianProduct

# Rows of the basis that are read at once.
ROWS = 4


class Tridiagonal(eqx.Module):
    """What m steps of Lanczos leave.

    **Arguments:** `diagonal` (m,); `off` (m,), β_k between rows k and k + 1, the last one of the rest; `basis` (m, P).
    """

    diagonal: Float[Array, " m"]
    off: Float[Array, " m"]
    basis: Float[Array, "m P"]

    def eigh(self) -> tuple[Float[Array, " m"], Float[Array, "m m"]]:
        """Ritz values, rising, and the eigenvectors of T in columns."""
        side = jnp.diag(self.off[:-1], 1)
        return jnp.linalg.eigh(jnp.diag(self.diagonal) + side + side.T)


class Eigenpairs(eqx.Module):
    """Approximate eigenpairs: `values` (k,), unit `vectors` like the start with k in front, `residuals` |A v - θ v|.

    A value is within its residual of an eigenvalue of A, up to rounding.
    """

    values: Float[Array, " k"]
    vectors: Any
    residuals: Float[Array, " k"]


@eqx.filter_jit
def lanczos(product: Callable[[Any], Any], start: Any, steps: int) -> Tridiagonal:
    """`steps` steps from `start`, a PyTree of arrays as `product` takes it; its length does not matter.

    Where the vectors reached span an invariant subspace the next one is random: Ritz values go on being eigenvalues,
    and multiple ones are found, while the measure seen from `start` stays as it is.

    **Raises:** ValueError if steps is below 1 or above the number of entries.
    """
    flat, unravel = ravel_pytree(eqx.filter(start, eqx.is_inexact_array))
    if isinstance(product, HessianProduct):
        product = product.linearised()
    if not 1 <= steps <= flat.size:
        raise ValueError(f"steps={steps} of Lanczos: expected 1 to {flat.size}, the size of the matrix.")
    tiny = 100 * jnp.finfo(flat.dtype).eps

    def clean(w: Array, basis: Array, k: Array) -> Array:
        """Without its parts along rows 0 to k; what lies behind is not read."""

        def part(i: Array, w: Array) -> Array:
            rows = jax.lax.dynamic_slice_in_dim(basis, i * ROWS, ROWS)
            return w - jnp.matmul(jnp.matmul(rows, w, precision="highest"), rows, precision="highest")

        return jax.lax.fori_loop(0, k // ROWS + 1, part, w)

    def step(carry: tuple[Array, Array, Array, Array, Array], k: Array) -> tuple[Any, tuple[Array, Array]]:
        q, last, beta, basis, scale = carry
        w = ravel_pytree(product(unravel(q)))[0]
        alpha = jnp.vdot(q, w, precision="highest")
        scale = jnp.maximum(scale, jnp.linalg.norm(w))
        basis = basis.at[k].set(q)
        # What theory says is there goes first, so that little is left for rounding; then once more where it was not.
        w = w - alpha * q - beta * last
        before = jnp.linalg.norm(w)
        w = clean(w, basis, k)
        w = jax.lax.cond(jnp.linalg.norm(w) < 0.7 * before, lambda: clean(w, basis, k), lambda: w)
        beta = jnp.linalg.norm(w)
        ended = beta <= tiny * scale

        def fresh() -> Array:
            new = clean(jr.normal(jr.fold_in(jr.key(0), k), q.shape, q.dtype), basis, k)
            return clean(new / jnp.linalg.norm(new), basis, k)

        # Drawn only where it is needed: a million random numbers cost as much as a product.
        w = jax.lax.cond(ended, fresh, lambda: w)
        beta = jnp.where(ended, jnp.zeros_like(beta), beta)
        return (w / jnp.linalg.norm(w), q, beta, basis, scale), (alpha, beta)

    zero = jnp.zeros((), flat.dtype)
    basis = jnp.zeros((-(-steps // ROWS) * ROWS, flat.size), flat.dtype)
    first = (flat / jnp.linalg.norm(flat), jnp.zeros_like(flat), zero, basis, zero)
    (*_, basis, _), (alphas, betas) = jax.lax.scan(step, first, jnp.arange(steps))
    basis = basis[:steps]
    return Tridiagonal(alphas, betas, basis)


def extreme_eigenpairs(
    product: Callable[[Any], Any],
    like: Any,
    *,
    steps: int = 30,
    largest: int = 1,
    smallest: int = 0,
    key: PRNGKeyArray,
) -> Eigenpairs:
    """The largest eigenvalues in falling order, then the smallest in rising order, with their vectors.

    **Arguments:**

    - `product`, `like`: the matrix, and a PyTree as it takes one.
    - `steps`: products; memory is as many vectors. See `residuals` for whether they were enough.
    - `largest`, `smallest`: how many of each, together at most `steps`.

    **Raises:** ValueError for counts that do not fit.
    """
    if min(largest, smallest) < 0 or not 1 <= largest + smallest <= steps:
        raise ValueError(f"largest={largest}, smallest={smallest}: expected together 1 to steps={steps}.")
    like = eqx.filter(like, eqx.is_inexact_array)
    flat, unravel = ravel_pytree(like)
    found = lanczos(product, unravel(jr.normal(key, flat.shape, flat.dtype)), steps)
    values, small = found.eigh()
    chosen = jnp.asarray([*range(steps - 1, steps - 1 - largest, -1), *range(smallest)], jnp.int32)
    vectors = jnp.matmul(small[:, chosen].T, found.basis, precision="highest")
    return Eigenpairs(values[chosen], jax.vmap(unravel)(vectors), jnp.abs(found.off[-1] * small[-1, chosen]))
