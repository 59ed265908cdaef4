"""Sums over the examples of a data set in chunks, so that memory is that of one chunk.

A data set is a PyTree of arrays whose first axis counts examples. Chunk i of c takes the examples i, i + c, i + 2c:
where the first axis is sharded over devices, every chunk is spread over all of them.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def count_examples(data: Any) -> int:
    """The length of the first axis of every array in `data`.

    **Raises:** ValueError if there is no array, no example, or lengths differ.
    """
    shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(data)]
    if not shapes or any(shape == () for shape in shapes) or len({shape[0] for shape in shapes}) > 1:
        raise ValueError(f"data: arrays of shapes {shapes}; expected a PyTree of arrays with one first axis, examples.")
    if shapes[0][0] == 0:
        raise ValueError("data holds no example; expected one at least.")
    return shapes[0][0]


def sum_examples(function: Callable[[Any], Any], data: Any, batch_size: int | None = None) -> Any:
    """Σ over chunks of `function(chunk)`, a PyTree of arrays that is itself a sum over the chunk's examples.

    **Arguments:**

    - `function`: of a PyTree like `data` with fewer examples.
    - `batch_size`: examples at once; None for all.

    **Raises:** ValueError for data without one first axis, or a `batch_size` below 1.
    """
    n = count_examples(data)
    size = n if batch_size is None else min(check_batch_size(batch_size), n)
    chunks, rest = n // size, n % size
    if chunks == 1 and not rest:
        return function(data)

    def cut(a: Any) -> Any:
        return jnp.swapaxes(a[: chunks * size].reshape(size, chunks, *a.shape[1:]), 0, 1)

    tail = jax.tree.map(lambda a: a[chunks * size :], data)
    pieces = jax.tree.map(cut, data)
    shapes = jax.eval_shape(function, jax.tree.map(lambda a: a[0], pieces))
    zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    start = function(tail) if rest else zero
    return jax.lax.scan(lambda total, chunk: (jax.tree.map(jnp.add, total, function(chunk)), None), start, pieces)[0]


def check_batch_size(batch_size: int) -> int:
    """The same; ValueError if it is below 1."""
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}: expected 1 or more examples at once, or None for all.")
    return batch_size
