"""Deep kernel machines on all points, with Gaussian outputs: the objective itself, and its optimum.

    L(G_1, …, G_L) = Σ_outputs log N(y; 0, K(G_L) + noise I) - Σ_l nu_l KL(N(0, G_l) ‖ N(0, K(G_{l-1})))
(Yang et al., ICML 2023, eq. 15), for P points of which all Gram matrices (P, P) are kept.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.kernels import AbstractGramMap
from cadlag.limits._gram_triple import GramTriple, through
from cadlag.limits._hosted import maximise
from cadlag.limits._inducing import Triangle, whiten
from cadlag.linalg import safe_cholesky

Matrix = Float[Array, "P P"]


class LearntGrams(NamedTuple):
    """Gram matrices G_1, …, G_L of the optimum, the kernel of the outputs, and the objective in nats."""

    grams: tuple[Array, ...]
    output: Array
    objective: Array


def gram_kl(g: Matrix, k: Matrix) -> Float[Array, ""]:
    """KL(N(0, G) ‖ N(0, K)) = (tr K⁻¹ G - log det K⁻¹ G - P) / 2 in nats; both positive definite."""
    root, other = (safe_cholesky(a).factor for a in (g, k))
    logs = [jnp.sum(jnp.log(jnp.diagonal(a))) for a in (root, other)]
    return 0.5 * (jnp.sum(whiten(other, root) ** 2) - len(g)) - logs[0] + logs[1]


def deep_kernel_objective(
    grams: Sequence[Matrix],
    g0: Matrix,
    y: Float[Array, "P outputs"],
    kernels: Sequence[AbstractGramMap],
    *,
    nu: float | int,
    noise: float | int | Float[Array, ""],
) -> Float[Array, ""]:
    """The objective at given Gram matrices, in nats.

    **Arguments:** `g0`, the products of inputs divided by their number of columns; `kernels`, one more than `grams`;
    `noise`, the variance of the noise.
    """
    check_kernels(kernels, len(grams))
    before = (g0, *grams)
    terms = [gram_kl(g, _kernel(k, b, i > 0)) for i, (g, k, b) in enumerate(zip(grams, kernels, before, strict=False))]
    output = _kernel(kernels[-1], before[-1], len(grams) > 0)
    return _evidence(output, y, noise) - nu * sum(terms, jnp.zeros((), y.dtype))


def learn_grams(
    g0: Matrix,
    y: Float[Array, "P outputs"],
    kernels: Sequence[AbstractGramMap],
    *,
    nu: float | int,
    noise: float | int | Float[Array, ""],
    start: Sequence[Float[Array, "P P"]] | None = None,
    steps: int = 2000,
) -> LearntGrams:
    """A maximum of the objective over the Gram matrices, kernels and noise being held, by L-BFGS.

    **Arguments:** as of `deep_kernel_objective`; `start`: raw values of the triangles R, see `Triangle`, where
    G_l = L R Rᵀ Lᵀ and L Lᵀ = K(G_{l-1}); by default zeros, which is the NNGP.

    **Raises:** ValueError for shapes that do not fit.
    """
    layers = len(kernels) - 1
    check_kernels(kernels, layers)
    if g0.shape != (len(y), len(y)) or y.ndim != 2:
        raise ValueError(f"learn_grams: g0 {g0.shape} and y {y.shape}; expected (P, P) and (P, outputs).")
    raws = [jnp.zeros_like(g0) for _ in range(layers)] if start is None else start
    roots = tuple(Triangle(raw) for raw in raws)

    objective = _Objective(tuple(kernels))
    data = (g0, y, jnp.asarray(nu, y.dtype), jnp.asarray(noise, y.dtype))
    best = maximise(objective, roots, steps, *data) if roots else roots
    return LearntGrams(*_at(objective, best, data))


class _Objective(eqx.Module):
    """The objective for each value of y, of the triangles R."""

    kernels: tuple[AbstractGramMap, ...]

    def __call__(self, roots: tuple[Triangle, ...], g0: Array, y: Array, nu: Array, noise: Array) -> Array:
        _, output = _unrolled(roots, g0, self.kernels)
        divergence = sum((root.kl() for root in roots), jnp.zeros((), y.dtype))
        return (_evidence(output, y, noise) - nu * divergence) / y.size


@eqx.filter_jit
def _at(objective: _Objective, roots: tuple[Triangle, ...], data: tuple[Array, ...]) -> tuple[Any, Array, Array]:
    g0, y = data[:2]
    return *_unrolled(roots, g0, objective.kernels), objective(roots, *data) * y.size


def linear_deep_kernel(g0: Matrix, gy: Matrix, layers: int) -> tuple[Matrix, ...]:
    """G_l = (G_Y G_0⁻¹)^(l / (L + 1)) G_0, l = 1, …, L: the optimum for linear kernels and outputs without noise, if
    nu is their number and G_Y = Y Yᵀ / nu. A geodesic from G_0 to G_Y, both positive definite.
    """
    root = safe_cholesky(g0).factor
    middle = whiten(root, whiten(root, gy).T)
    values, vectors = jnp.linalg.eigh((middle + middle.T) / 2)
    turned = jnp.matmul(root, vectors, precision="highest")
    powers = [values ** ((i + 1) / (layers + 1)) for i in range(layers)]
    return tuple(jnp.matmul(turned * power[None], turned.T, precision="highest") for power in powers)


def alignment(g: Matrix, k: Matrix) -> Float[Array, ""]:
    """<G, K> / (|G| |K|), the cosine of the angle between two matrices (Cristianini et al., NeurIPS 2001)."""
    return jnp.sum(g * k) / jnp.sqrt(jnp.sum(g**2) * jnp.sum(k**2))


def check_kernels(kernels: Sequence[AbstractGramMap], layers: int) -> None:
    """Refuse another number of kernels than one for each Gram layer and one for the outputs."""
    if not kernels or len(kernels) != layers + 1 or not all(isinstance(k, AbstractGramMap) for k in kernels):
        raise ValueError(
            f"kernels: {len(kernels)} for {max(layers, 0)} Gram matrices; expected GramMaps, one for each and one "
            "for the outputs."
        )


def _kernel(kernel: AbstractGramMap, g: Array, gaussian: bool) -> Array:
    return through(kernel, GramTriple(g, g[:1], jnp.diagonal(g)[:1], gaussian=gaussian)).ii


def _unrolled(
    roots: tuple[Triangle, ...], g0: Array, kernels: Sequence[AbstractGramMap]
) -> tuple[tuple[Array, ...], Array]:
    kernel, grams = _kernel(kernels[0], g0, False), []
    for root, following in zip(roots, kernels[1:], strict=True):
        across = jnp.matmul(safe_cholesky(kernel).factor, root.matrix, precision="highest")
        grams.append(jnp.matmul(across, across.T, precision="highest"))
        kernel = _kernel(following, grams[-1], True)
    return tuple(grams), kernel


def _evidence(output: Array, y: Array, noise: float | int | Array) -> Array:
    """Log-density of all outputs."""
    cholesky = safe_cholesky(output + noise * jnp.eye(len(y), dtype=y.dtype))
    constant = len(y) * math.log(2 * math.pi)
    return -0.5 * (jnp.sum(whiten(cholesky.factor, y) ** 2) + y.shape[1] * (cholesky.logdet + constant))
