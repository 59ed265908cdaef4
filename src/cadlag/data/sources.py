"""Where batches come from: pure functions of a state, so that training loops can be compiled whole."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from cadlag.data._series import IrregularSeries


class Source(eqx.Module):
    """Batches of fixed shapes, one a step.

    To write your own: `init(key)` gives the first source state, `draw(state, train_state, key)` the next
    state and a batch. Both are pure and may be traced; all shapes stay the same from draw to draw.
    `train_state` is the state of the update (with `.unknowns`), for sources that follow the training; most
    ignore it.
    """

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray) -> PyTree:
        """The first state of the source."""

    @abc.abstractmethod
    def draw(self, state: PyTree, train_state: PyTree, key: PRNGKeyArray) -> tuple[PyTree, PyTree]:
        """The next state, and a batch."""


class BatchesState(eqx.Module):
    """Where `Batches` is: the permutation of this epoch, the next batch in it, and epochs finished."""

    order: Int[Array, "n"]
    next: Int[Array, ""]
    epoch: Int[Array, ""]


class Batches(Source):
    """Shuffled mini-batches without replacement; the data stay on the device.

    **Arguments:** `data`, any PyTree of arrays with the example axis first (an `IrregularSeries`, say);
    `batch_size`, clipped to the number n of examples (then every batch is all of them, in random order).

    Every epoch is a fresh permutation cut into n // batch_size batches; the remainder sits this epoch out,
    so that all batches have one shape.
    """

    data: PyTree
    batch_size: int = eqx.field(static=True)
    n: int = eqx.field(static=True)

    def __init__(self, data: PyTree, batch_size: int):
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1, but got {batch_size}.")
        self.data = _on_device(data)
        self.n = _count(self.data)
        self.batch_size = min(batch_size, self.n)

    @property
    def batches_per_epoch(self) -> int:
        """How many draws make an epoch."""
        return self.n // self.batch_size

    def init(self, key: PRNGKeyArray) -> BatchesState:
        """A first permutation."""
        zero = jnp.zeros((), jnp.int32)
        return BatchesState(_permutation(key, self.n), zero, zero)

    def draw(self, state: BatchesState, train_state: PyTree, key: PRNGKeyArray) -> tuple[BatchesState, PyTree]:
        """The next batch; after the last of an epoch the next draw reshuffles with its key."""
        over = state.next >= self.batches_per_epoch
        order = jax.lax.cond(over, lambda: _permutation(key, self.n), lambda: state.order)
        now = jnp.where(over, 0, state.next)
        index = jax.lax.dynamic_slice(order, (now * self.batch_size,), (self.batch_size,))
        return BatchesState(order, now + 1, state.epoch + over.astype(jnp.int32)), _take(self.data, index)


class FullBatch(Source):
    """All the data at every step. **Arguments:** `data`, any PyTree of arrays."""

    data: PyTree

    def __init__(self, data: PyTree):
        self.data = _on_device(data)

    def init(self, key: PRNGKeyArray) -> None:
        """Nothing to remember."""
        return None

    def draw(self, state: None, train_state: PyTree, key: PRNGKeyArray) -> tuple[None, PyTree]:
        """The data."""
        return None, self.data


class FromFunction(Source):
    """Fresh examples at every step: `fn(key)` returns a batch, a simulation for instance."""

    fn: Callable[[PRNGKeyArray], PyTree]

    def init(self, key: PRNGKeyArray) -> None:
        """Nothing to remember."""
        return None

    def draw(self, state: None, train_state: PyTree, key: PRNGKeyArray) -> tuple[None, PyTree]:
        """The batch fn(key)."""
        return None, self.fn(key)


def _permutation(key: PRNGKeyArray, n: int) -> Int[Array, "n"]:
    return jax.random.permutation(key, jnp.arange(n, dtype=jnp.int32))


def _take(data: PyTree, index: Int[Array, "batch"]) -> PyTree:
    # Not `x[index]`: clipping is not needed, the indices are a permutation.
    return jax.tree.map(lambda x: jnp.take(x, index, axis=0, unique_indices=True, mode="clip"), data)


def _on_device(data: PyTree) -> PyTree:
    def is_series(x: Any) -> bool:
        return isinstance(x, IrregularSeries)

    # The ids of all the series would be wrong for a batch.
    data = jax.tree.map(lambda x: x.without_ids() if is_series(x) else x, data, is_leaf=is_series)
    return jax.tree.map(jnp.asarray, data)


def _count(data: PyTree) -> int:
    shapes = [x.shape for x in jax.tree.leaves(data)]
    if not shapes or any(len(s) == 0 or s[0] != shapes[0][0] or s[0] == 0 for s in shapes):
        raise ValueError(f"`data` must be arrays with one example axis of equal length >= 1 first, got {shapes}.")
    return shapes[0][0]
