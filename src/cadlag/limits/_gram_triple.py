"""Gram matrices of inducing points and of other points, and how layers act on them (Yang et al., ICML 2023).

Features of a layer are Gaussian with covariance G between p inducing points (`ii`), between n others and those (`ti`),
and variances of the others (`t`). G_ii is free; the others follow from it as conditionals of a Gaussian process:
    G_ti = W G_ii,   g_t = k_t + diag W (G_ii - K_ii) Wᵀ,   W = K_ti K_ii⁻¹.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.kernels import AbstractGramMap, Gram
from cadlag.limits._inducing import Triangle, whiten
from cadlag.linalg import safe_cholesky


class GramTriple(eqx.Module):
    """Covariances within the inducing points, across, and variances; or, with `t` (n, n), all covariances.

    `gaussian`: whether features are Gaussian, as all are but the inputs.
    """

    ii: Float[Array, "p p"]
    ti: Float[Array, "n p"]
    t: Float[Array, "n *n"]
    gaussian: bool = eqx.field(static=True, default=True)


class Conditional(NamedTuple):
    """L, L Lᵀ = K_ii, and L⁻¹ K_it: what a Gaussian process needs to go on from its inducing values."""

    factor: Float[Array, "p p"]
    half: Float[Array, "p n"]


def input_triple(z: Float[Array, "p d"], x: Float[Array, "n d"], *, joint: bool = False) -> GramTriple:
    """Mean products over the d columns of inducing inputs z and others x; `joint`: all covariances of x."""
    products = lambda a, b: jnp.matmul(a, b.T, precision="highest") / z.shape[1]  # noqa: E731
    within = products(x, x) if joint else jnp.sum(x**2, axis=1) / z.shape[1]
    return GramTriple(products(z, z), products(x, z), within, gaussian=False)


def through(kernel: AbstractGramMap, triple: GramTriple, jitter: float | int = 0.0) -> GramTriple:
    """The kernel of the triple, as a triple. The share `jitter` of each variance is added to it, for inducing and other
    points alike: white noise of the layer, without which conditional variances could come out negative.
    """
    variances = jnp.diagonal(triple.ii)
    t = triple.t if triple.t.ndim == 1 else jnp.diagonal(triple.t)
    ii = _entries(kernel, triple.ii, variances, variances, triple.gaussian)
    ti = _entries(kernel, triple.ti, t, variances, triple.gaussian)
    if triple.t.ndim == 2:
        return GramTriple(
            _jittered(ii, jitter), ti, _jittered(_entries(kernel, triple.t, t, t, triple.gaussian), jitter)
        )
    within = kernel(Gram(k12=t[:, None], k11=t, k22=t[:1], gaussian=triple.gaussian)).k11
    return GramTriple(_jittered(ii, jitter), ti, within * (1 + jitter))


def conditional(triple: GramTriple) -> Conditional:
    """The factor of K_ii and what follows from it."""
    factor = safe_cholesky(triple.ii).factor
    return Conditional(factor, whiten(factor, triple.ti.T))


def learnt(triple: GramTriple, root: Triangle) -> GramTriple:
    """The triple whose inducing Gram matrix is G_ii = L R Rᵀ Lᵀ, positive definite for any R; R = I changes nothing."""
    factor, half = conditional(triple)
    moved = jnp.matmul(root.matrix.T, half, precision="highest")
    across = jnp.matmul(factor, root.matrix, precision="highest")
    ii = jnp.matmul(across, across.T, precision="highest")
    return GramTriple(ii, jnp.matmul(moved.T, across.T, precision="highest"), update(triple.t, half, moved))


def update(prior: Float[Array, "n *n"], half: Float[Array, "p n"], moved: Float[Array, "q n"]) -> Float[Array, "n *n"]:
    """Variances (n,) or covariances (n, n) after the inducing values' have changed from `half` to `moved`."""
    if prior.ndim == 1:
        return jnp.maximum(prior - jnp.sum(half**2, axis=0), 0) + jnp.sum(moved**2, axis=0)
    squares = [jnp.matmul(a.T, a, precision="highest") for a in (half, moved)]
    return prior - squares[0] + squares[1]


def _entries(kernel: AbstractGramMap, k12: Array, k11: Array, k22: Array, gaussian: bool) -> Array:
    same = jnp.eye(len(k11), dtype=bool) if k11 is k22 else None
    return kernel(Gram(k12=k12, k11=k11, k22=k22, same=same, gaussian=gaussian)).k12


def _jittered(matrix: Array, jitter: float | int) -> Array:
    return matrix + jitter * jnp.diag(jnp.diagonal(matrix))
