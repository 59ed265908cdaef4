"""Gaussian processes through their values u at p inducing points, whitened: u = L w, L Lᵀ = K(Z, Z).

q(w_c) = N(mean_c, R_c R_cᵀ) for each output c, so that training starts at the prior, mean 0 and R = I, and stays there
whatever happens to the kernel: Titsias, AISTATS 2009; Hensman et al., AISTATS 2015.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


class Triangle(eqx.Module):
    """A lower triangular matrix with a positive diagonal (..., p, p), any `raw` of which is one; `raw` = 0: I.

    **Arguments:** `raw`: below the diagonal the entries, on it their logarithms, above it nothing.
    """

    raw: Float[Array, "*of p p"]

    @property
    def matrix(self) -> Float[Array, "*of p p"]:
        """The matrix R."""
        return jnp.tril(self.raw, -1) + jnp.exp(self._diagonal())[..., None] * self._eye()

    @property
    def logdet(self) -> Float[Array, "*of"]:
        """log det R Rᵀ."""
        return 2 * jnp.sum(self._diagonal(), axis=-1)

    def kl(self) -> Float[Array, "*of"]:
        """KL(N(0, R Rᵀ) ‖ N(0, I)) in nats."""
        trace = jnp.sum(self.matrix**2, axis=(-2, -1))
        return 0.5 * (trace - self.logdet - self.raw.shape[-1])

    def _diagonal(self) -> Float[Array, "*of p"]:
        return jnp.diagonal(self.raw, axis1=-2, axis2=-1)

    def _eye(self) -> Float[Array, "..."]:
        p = self.raw.shape[-1]
        return jnp.eye(p, dtype=self.raw.dtype).reshape(*(1,) * (self.raw.ndim - 2), p, p)


class Inducing(eqx.Module):
    """q(w), w the whitened values of `outputs` processes at p points.

    **Arguments:** `mean` (outputs, p); `root`, one `Triangle` for all outputs or one for each.
    """

    mean: Float[Array, "outputs p"]
    root: Triangle

    def conditional(
        self, half: Float[Array, "p n"], prior: Float[Array, " n"]
    ) -> tuple[Float[Array, "n outputs"], Float[Array, "n *outputs"], Float[Array, " n"]]:
        """Means (n, outputs), variances due to u and the rest of the variances (n,), at n points.

        **Arguments:** `half` is L⁻¹ K(Z, X), `prior` the variances k(x, x). The second is (n,) where outputs share R.
        """
        moved = jnp.einsum("...pq,pn->n...q", self.root.matrix, half, precision="highest")
        rest = jnp.maximum(prior - jnp.sum(half**2, axis=0), 0)
        return jnp.matmul(half.T, self.mean.T, precision="highest"), jnp.sum(moved**2, axis=-1), rest


def whiten(cholesky: Float[Array, "p p"], across: Float[Array, "p n"]) -> Float[Array, "p n"]:
    """L⁻¹ K(Z, X)."""
    return jax.scipy.linalg.solve_triangular(cholesky, across, lower=True)


def representatives(codes: Any, classes: int, count: int, seed: int) -> np.ndarray:
    """Rows to induce with, `count` or all: of every class its share, at random."""
    rng = np.random.default_rng(seed)
    codes = np.asarray(codes)
    if count >= len(codes):
        return np.arange(len(codes))
    order = rng.permutation(len(codes))
    # The k-th of n_c examples of a class stands at (k + 1/2) / n_c: any first part of this order is proportional.
    places = np.empty(len(codes))
    for c in range(classes):
        rows = order[codes[order] == c]
        places[rows] = (np.arange(len(rows)) + 0.5) / max(len(rows), 1)
    return np.sort(np.argsort(places, kind="stable")[:count])
