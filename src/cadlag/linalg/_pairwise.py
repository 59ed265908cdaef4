"""Sums over all pairs of points, block by block, so that no (n, m) matrix is held."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

# Up to this many features differences are formed one by one, which loses nothing to cancellation.
_DIRECT = 16


def squared_distances(x: Float[Array, "n d"], y: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """|x_i - y_j|² for all pairs, never negative.

    Up to 16 features by differences; beyond by a matrix product of the points centred at the mean of y, with an
    absolute error of about machine precision times the largest squared distance from that mean.
    """
    if x.shape[1] <= _DIRECT:
        return sum(
            ((x[:, None, k] - y[None, :, k]) ** 2 for k in range(x.shape[1])),
            jnp.zeros((x.shape[0], y.shape[0]), x.dtype),
        )
    centre = jnp.mean(y, axis=0, keepdims=True)
    x, y = x - centre, y - centre
    product = jnp.matmul(x, y.T, precision="highest")
    squares = jnp.sum(x * x, axis=1)[:, None] + jnp.sum(y * y, axis=1)[None, :]
    return jnp.maximum(squares - 2 * product, 0)


def map_blocks(
    function: Callable[[Array], Array], x: Float[Array, "n d"], *, block: int = 512
) -> Shaped[Array, "n ..."]:
    """`function` of `block` rows (b, d) at a time, giving (b, ...), put together again to (n, ...)."""
    if block < 1:
        raise ValueError(f"`block` must be at least 1 row, but got {block}.")
    n, d = x.shape
    block = min(block, n)
    count = -(-n // block)
    # The last block is filled up with copies of the last row, cut off afterwards.
    rows = jnp.pad(x, ((0, count * block - n), (0, 0)), mode="edge").reshape(count, block, d)
    out = jax.lax.map(function, rows)
    return out.reshape(count * block, *out.shape[2:])[:n]


def pairwise_matvec(
    function: Callable[[Array, Array], Array],
    x: Float[Array, "n d"],
    y: Float[Array, "m d"],
    v: Float[Array, "m c"],
    *,
    block: int = 512,
) -> Float[Array, "n c"]:
    """Σ_j function(x_i, y_j) v_j without the (n, m) matrix: `block` rows of it are held at a time.

    `function` takes (b, d) and (m, d) to (b, m), such as `squared_distances`.
    """
    return map_blocks(lambda rows: jnp.matmul(function(rows, y), v, precision="highest"), x, block=block)
