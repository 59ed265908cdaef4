"""Weighted sums of squared residuals chunk by chunk, each with its gradient: memory and time of small batches.

On a CPU the arrays of a few hundred points stay in the cache, where those of thousands do not; gradients are
accumulated, so that nothing is kept for a backward pass.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.physics._collocation import Collocation, Unknowns, sum_squares

CPU_CHUNK = 256
"""Points at a time on a CPU by default: `benchmarks/derivatives.py`, the last table."""


def usual_chunk() -> int | None:
    """All points at once on an accelerator."""
    return CPU_CHUNK if jax.default_backend() == "cpu" else None


def squares(problem: Collocation, unknowns: Unknowns, points: Float[Array, "n d"]) -> Float[Array, "parts n"]:
    """Squared residuals of each equation at points."""
    return jnp.stack([sum_squares(r) for r in problem.residual(unknowns, points)])


def squares_in_chunks(
    problem: Collocation, unknowns: Unknowns, points: Float[Array, "n d"], size: int
) -> Float[Array, "parts n"]:
    """The same, `size` points at a time; not to be differentiated."""
    parts, _ = _cut(points, jnp.zeros(len(points), points.dtype), size)
    found = jax.lax.map(lambda x: squares(problem, unknowns, x), parts)
    return jnp.moveaxis(found, 1, 0).reshape(found.shape[1], -1)[:, : len(points)]


def weighted_sum(
    problem: Collocation,
    unknowns: Unknowns,
    points: Float[Array, "n d"],
    of_points: Float[Array, " n"],
    of_parts: Float[Array, " parts"],
    size: int,
) -> tuple[Float[Array, ""], Float[Array, " parts"]]:
    """Σ_p λ_p Σ_i w_i r_pi² and the inner sums, `size` points at a time.

    Differentiable in reverse mode with respect to the unknowns alone, and only the first output.
    """
    params, rest = eqx.partition(unknowns, eqx.is_inexact_array)
    arrays, static = eqx.partition((rest, problem), eqx.is_array)

    def chunk(params: Any, arrays: Any, x: Array, w: Array, scale: Array) -> tuple[Array, Array]:
        rest, problem = eqx.combine(arrays, static)
        sums = squares(problem, eqx.combine(params, rest), x) @ w
        return jnp.sum(scale * sums), sums

    @jax.custom_vjp
    def total(params: Any, *constants: Any) -> tuple[Array, Array]:
        return _scanned(lambda x, w: chunk(params, constants[0], x, w, constants[3]), *constants[1:3], size)

    def forward(params: Any, *constants: Any) -> tuple[tuple[Array, Array], Any]:
        def with_gradient(x: Array, w: Array) -> Any:
            return jax.value_and_grad(chunk, has_aux=True)(params, constants[0], x, w, constants[3])

        return _scanned(with_gradient, *constants[1:3], size)

    def backward(gradient: Any, cotangents: tuple[Array, Array]) -> tuple[Any, ...]:
        return jax.tree.map(lambda g: cotangents[0] * g, gradient), None, None, None, None

    total.defvjp(forward, backward)
    return total(params, arrays, points, of_points, of_parts)


def _scanned(f: Any, points: Array, weights: Array, size: int) -> Any:
    """The sum of f(chunk of points, chunk of weights) over chunks."""
    parts = _cut(points, weights, size)
    zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(f, parts[0][0], parts[1][0]))
    return jax.lax.scan(lambda total, part: (jax.tree.map(jnp.add, total, f(*part)), None), zero, parts)[0]


def _cut(points: Array, weights: Array, size: int) -> tuple[Array, Array]:
    """Chunks of nearly `size` points, the last filled up with the first point at weight zero."""
    count = -(-len(points) // size)
    each = -(-len(points) // count)
    missing = count * each - len(points)
    points = jnp.concatenate([points, jnp.broadcast_to(points[:1], (missing, points.shape[1]))])
    weights = jnp.concatenate([weights, jnp.zeros(missing, weights.dtype)])
    return points.reshape(count, each, -1), weights.reshape(count, each)
