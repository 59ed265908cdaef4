"""How well an expression fits, and its constants made to fit by Levenberg-Marquardt steps."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from cadlag.equations._expression import CONSTANT, Vocabulary, evaluate_tokens
from cadlag.equations._variation import Tree, normal


class Data(eqx.Module):
    """What is to be fitted: x (variables, points), y (points,), weights of mean one divided by the variance of y."""

    x: Float[Array, "variables points"]
    y: Float[Array, " points"]
    weights: Float[Array, " points"]


def loss_of(tree: Tree, data: Data, vocabulary: Vocabulary) -> Float[Array, ""]:
    """Weighted mean square error of one expression; infinite where a value is not finite."""
    residual = evaluate_tokens(tree.tokens, tree.constants, data.x, vocabulary) - data.y
    return _finite(jnp.mean(data.weights * residual**2))


def _finite(loss: Array) -> Array:
    return jnp.where(jnp.isfinite(loss), loss, jnp.full_like(loss, jnp.inf))


def tune(
    tree: Tree,
    places: Int[Array, " places"],
    data: Data,
    vocabulary: Vocabulary,
    steps: int,
    draws: Float[Array, "starts places"] | None = None,
) -> tuple[Tree, Array]:
    """Constants at some places moved by Levenberg-Marquardt steps, of which only those that help are kept.

    **Arguments:** `draws`: uniform numbers for values to start from; the first row stands for the tree's own with the
    other sign, each further one for values drawn anew. None: the tree's own only.

    **Returns:** the tree and its loss. Cost: steps and starts, and one, times as many evaluations as there are places
    and one more.
    """
    root = jnp.sqrt(data.weights / data.y.size)
    own = tree.constants[places]
    starts = own[None]
    if draws is not None:
        starts = jnp.concatenate([starts, -own[None], 2 * normal(draws[1:])])

    def residual(values: Array) -> Array:
        constants = tree.constants.at[places].set(values)
        return root * (evaluate_tokens(tree.tokens, constants, data.x, vocabulary) - data.y)

    def one(carry: tuple, start: Array) -> tuple[tuple, None]:
        values, gram, slope, loss, damping = carry
        ridge = damping * jnp.diagonal(gram) + jnp.finfo(gram.dtype).tiny ** 0.5
        proposed = values - jnp.linalg.solve(gram + jnp.diag(ridge), slope)
        proposed = jnp.where(jnp.isnan(start), proposed, start)
        # Forward mode: see `evaluate_tokens`. Columns of places without a constant are zero.
        r, product = jax.linearize(residual, proposed)
        rows = jax.vmap(product)(jnp.eye(places.size, dtype=own.dtype))
        new = _finite(jnp.sum(r**2))
        better = new < loss
        kept = (proposed, rows @ rows.T, rows @ r, new, damping / 8)
        lost = (values, gram, slope, loss, damping * 8)
        # A start that is no better says nothing about the size of steps from another.
        lost = (*lost[:4], jnp.where(jnp.isnan(start[0]), lost[4], damping))
        return jax.tree.map(lambda a, b: jnp.where(better, a, b), kept, lost), None

    zero = jnp.zeros((places.size, places.size), own.dtype)
    far, damping = jnp.full((), jnp.inf, own.dtype), jnp.full((), 1e-2, own.dtype)
    rows = jnp.concatenate([starts, jnp.full((steps, places.size), jnp.nan, own.dtype)])
    (values, _, _, loss, _), _ = jax.lax.scan(one, (own, zero, jnp.zeros_like(own), far, damping), rows)
    return Tree(tree.tokens, tree.constants.at[places].set(values)), loss


def some_places(tree: Tree, draws: Float[Array, " length"], count: int) -> Int[Array, " count"]:
    """Positions of so many constants at random; where there are fewer, of other tokens too."""
    return jax.lax.top_k(draws + (tree.tokens == CONSTANT).astype(draws.dtype), count)[1]
