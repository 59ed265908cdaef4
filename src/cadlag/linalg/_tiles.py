"""Matrices over all pairs of points, computed tile by tile."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Float


def map_tiles(
    function: Callable[[Array, Array, Bool[Array, "b b"] | None], Any],
    x: Float[Array, "n ..."],
    z: Float[Array, "m ..."] | None,
    block: int,
    mesh: Mesh | None = None,
) -> Any:
    """`function` of `block` points of x and of z at a time, put together to arrays (n, m, ...).

    With z None the matrix is that of x with itself and symmetric: tiles below the diagonal are not computed but
    transposed, blocks (o, o) within them too. `function` takes two blocks and which pairs are one point (None where
    there is a z), and returns a PyTree of arrays (b, b) or (b, b, o, o).

    With a `mesh` each of its devices computes its share of the tiles, which are as many for each.
    """
    rows, columns = (cut(a, block) for a in (x, x if z is None else z))
    symmetric = z is None
    pairs = [(i, j) for i in range(len(rows)) for j in range(len(columns)) if i <= j or not symmetric]
    first, second = jnp.asarray(np.array(pairs, np.int32).T)

    def one(rows: Array, columns: Array, pair: tuple[Array, Array]) -> Any:
        i, j = pair
        same = jnp.eye(block, dtype=bool) & (i == j) if symmetric else None
        return function(rows[i], columns[j], same)

    def share(rows: Array, columns: Array, pairs: Any) -> Any:
        return jax.lax.map(lambda pair: one(rows, columns, pair), pairs)

    def placed(tiles: Array) -> Array:
        whole = jnp.zeros((len(rows), len(columns), *tiles.shape[1:]), tiles.dtype)
        if symmetric:
            whole = whole.at[second, first].set(_transposed(tiles))
        whole = jnp.swapaxes(whole.at[first, second].set(tiles), 1, 2)
        whole = whole.reshape(len(rows) * block, len(columns) * block, *tiles.shape[3:])
        return whole[: len(x), : len(x if z is None else z)]

    if mesh is None:
        tiles = share(rows, columns, (first, second))
    else:
        # Devices without a tile of their own repeat the last one.
        extra = -len(pairs) % mesh.size
        padded = tuple(jnp.pad(index, (0, extra), mode="edge") for index in (first, second))
        everywhere, split = PartitionSpec(), PartitionSpec(mesh.axis_names)
        over = jax.shard_map(share, mesh=mesh, in_specs=(everywhere, everywhere, split), out_specs=split)
        tiles = jax.tree.map(lambda a: a[: len(pairs)], over(rows, columns, padded))
    return jax.tree.map(placed, tiles)


def _transposed(tiles: Array) -> Array:
    turned = jnp.swapaxes(tiles, 1, 2)
    return turned if tiles.ndim == 3 else jnp.swapaxes(turned, 3, 4)


def cut(x: Float[Array, "n ..."], block: int) -> Float[Array, "count block ..."]:
    """Blocks of so many points, the last filled up with copies of the last point."""
    count = -(-len(x) // block)
    filled = jnp.pad(x, ((0, count * block - len(x)), *((0, 0),) * (x.ndim - 1)), mode="edge")
    return filled.reshape(count, block, *x.shape[1:])
