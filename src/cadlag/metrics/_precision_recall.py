"""Precision and recall of a generator (Kynkäänniemi et al., NeurIPS 2019).

The support of a law is estimated by balls around its samples that reach to the k-th nearest of the others. Precision is
the share of generated samples within the support of the real ones, recall the share of real within the generated.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from cadlag.linalg import map_blocks, squared_distances
from cadlag.metrics._checks import two_samples


class PrecisionRecall(NamedTuple):
    """Two shares between 0 and 1: quality of what is generated, and how much of the real it covers."""

    precision: float
    recall: float


def precision_recall(real: Any, generated: Any, *, neighbours: int = 3, block: int = 512) -> PrecisionRecall:
    """Share of `generated` (m, ...) near samples of `real` (n, ...), and the other way round.

    **Arguments:** floats, flattened behind the first axis (features of a network rather than pixels, for images);
    `neighbours`, the k above, less than n and m; `block`, rows of the matrix of distances held at a time.

    **Raises:** ValueError for too few samples, other shapes, values that are not finite; TypeError for integers and
    mixed precision.
    """
    x, y = two_samples(real, generated, ("real", "generated"))
    if not 1 <= neighbours < min(len(x), len(y)):
        raise ValueError(
            f"`neighbours` must be at least 1 and less than both numbers of samples, {len(x)} and {len(y)}, but got "
            f"{neighbours}."
        )
    precision, recall = (_within(*pair, k=neighbours, block=block) for pair in ((y, x), (x, y)))
    return PrecisionRecall(int(precision) / len(y), int(recall) / len(x))


@functools.partial(jax.jit, static_argnames=("k", "block"))
def _within(points: Array, support: Array, *, k: int, block: int) -> Array:
    def drop_nearest(_: Any, squares: Array) -> Array:
        return squares.at[jnp.arange(len(squares)), jnp.argmin(squares, axis=1)].set(jnp.inf)

    def kth(rows: Array) -> Array:
        # The nearest is the sample itself. Sorting the rows takes twenty times as long.
        return jnp.min(jax.lax.fori_loop(0, k, drop_nearest, squared_distances(rows, support)), axis=1)

    centred = support - jnp.mean(support, axis=0, keepdims=True)
    # What distances from products may be wrong by, so that a copy of a sample lies within its ball.
    rounding = 8 * jnp.finfo(support.dtype).eps * jnp.mean(jnp.sum(centred**2, axis=1))
    radius = map_blocks(kth, support, block=block) + rounding.astype(support.dtype)
    hits = map_blocks(
        lambda rows: jnp.any(squared_distances(rows, support) <= radius[None], axis=1), points, block=block
    )
    return jnp.sum(hits)
