"""Batches of windows of fields: some frames, and those that follow; from memory or from files."""

import dataclasses
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from cadlag.data._fields import FieldDataset
from cadlag.data.sources import Batches, BatchesState, Source

Names = Sequence[str] | str | None


class FieldWindow(eqx.Module):
    """A batch: `inputs` (batch, history, channels, *space), `targets` (batch, horizon, out_channels, *space) and, where
    the set has them, the `parameters` (batch, p) of the examples.
    """

    inputs: Float[Array, "batch history channels ..."]
    targets: Float[Array, "batch horizon out_channels ..."]
    parameters: Float[Array, "batch p"] | None = None


@dataclasses.dataclass(frozen=True)
class _Cut:
    """Which windows there are: `starts` in each example, counted example after example."""

    history: int
    horizon: int
    length: int
    starts: int
    stride: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def places(self, index: Any) -> tuple[Any, Any]:
        """Example and first frame of windows."""
        return index // self.starts, index % self.starts * self.stride

    def parts(self, frames: Any) -> tuple[Any, Any]:
        """Inputs and targets of (batch, length, channels, *space)."""
        past, future = frames[:, : self.history], frames[:, self.length - self.horizon :]
        return past[:, :, np.asarray(self.inputs)], future[:, :, np.asarray(self.outputs)]


class FieldWindows(Source):
    """All windows of all examples, shuffled without replacement; the data stay on the device.

    A window is `history` frames and the `horizon` frames after them, and an epoch takes each window once, from every
    first frame (of `stride` apart). In a set without time inputs and targets are channels of the same field.

    **Arguments:**

    - `dataset`: a `FieldDataset`, loaded here if it is not; see `StoredWindows` for sets larger than memory.
    - `history`, `horizon`: frames; 1 and 1 in a set without time.
    - `batch_size`: windows in a batch, at most as many as there are.
    - `inputs`, `outputs`: names of channels; all by default.
    - `stride`: frames from one window's start to the next.

    **Raises:** ValueError for fewer frames than a window needs, for unknown channels, and for steady sets whose inputs
    and outputs are not named.
    """

    values: Float[Array, "example time channel ..."]
    parameters: Float[Array, "example p"] | None
    order: Batches
    cut: _Cut = eqx.field(static=True)

    def __init__(
        self,
        dataset: FieldDataset,
        *,
        history: int = 1,
        horizon: int = 1,
        batch_size: int,
        inputs: Names = None,
        outputs: Names = None,
        stride: int = 1,
    ) -> None:
        self.cut = _cut(dataset, history, horizon, inputs, outputs, stride)
        self.values = jnp.asarray(dataset.load().values)
        self.parameters = _numbers(dataset, self.values.dtype)
        self.order = _order(dataset, self.cut, batch_size)

    @property
    def batches_per_epoch(self) -> int:
        """How many draws make an epoch."""
        return self.order.batches_per_epoch

    def init(self, key: PRNGKeyArray) -> BatchesState:
        """A first order of the windows."""
        return self.order.init(key)

    def draw(self, state: BatchesState, train_state: PyTree, key: PRNGKeyArray) -> tuple[BatchesState, FieldWindow]:
        """The next batch of windows."""
        state, index = self.order.draw(state, train_state, key)
        examples, starts = self.cut.places(index)
        frames = jax.vmap(self._frames)(examples, starts)
        numbers = None if self.parameters is None else self.parameters[examples]
        return state, FieldWindow(*self.cut.parts(frames), numbers)

    def _frames(self, example: Int[Array, ""], start: Int[Array, ""]) -> Array:
        size = (1, self.cut.length, *self.values.shape[2:])
        zero = jnp.zeros_like(start)
        return jax.lax.dynamic_slice(self.values, (example, start, *[zero] * (len(size) - 2)), size)[0]


class StoredWindows(Source):
    """The same windows in the same order, read from files batch by batch: for sets larger than memory.

    Draws are compiled like any other, with a call to the host for the frames; while the device works on a batch, a
    thread reads the next one. A run that is resumed draws the same batches. Under `vmap` batches are read one by one.

    **Arguments:** as for `FieldWindows`, `dataset` being lazy (`read_fields(..., lazy=True)`).
    """

    parameters: Float[Array, "example p"] | None
    order: Batches
    cut: _Cut = eqx.field(static=True)
    reader: "_Reader" = eqx.field(static=True)

    def __init__(
        self,
        dataset: FieldDataset,
        *,
        history: int = 1,
        horizon: int = 1,
        batch_size: int,
        inputs: Names = None,
        outputs: Names = None,
        stride: int = 1,
    ) -> None:
        if not dataset.lazy:
            raise ValueError("`StoredWindows`: the values are in memory; use `FieldWindows`, or read with lazy=True.")
        self.cut = _cut(dataset, history, horizon, inputs, outputs, stride)
        self.reader = _Reader(dataset, self.cut)
        self.parameters = _numbers(dataset, self.reader.dtype)
        self.order = _order(dataset, self.cut, batch_size)

    @property
    def batches_per_epoch(self) -> int:
        """How many draws make an epoch."""
        return self.order.batches_per_epoch

    def init(self, key: PRNGKeyArray) -> BatchesState:
        """A first order of the windows."""
        return self.order.init(key)

    def draw(self, state: BatchesState, train_state: PyTree, key: PRNGKeyArray) -> tuple[BatchesState, FieldWindow]:
        """The next batch of windows."""
        state, index = self.order.draw(state, train_state, key)
        size = self.order.batch_size
        # At an epoch's end nobody knows what follows: the same batch again, which costs nothing to announce.
        last = self.order.batches_per_epoch - 1
        following = jax.lax.dynamic_slice(state.order, (jnp.minimum(state.next, last) * size,), (size,))
        shapes = tuple(jax.ShapeDtypeStruct(s, self.reader.dtype) for s in self.reader.shapes(size))
        past, future = jax.pure_callback(self.reader, shapes, index, following, vmap_method="sequential")
        numbers = None if self.parameters is None else self.parameters[self.cut.places(index)[0]]
        return state, FieldWindow(past, future, numbers)


def window_source(
    dataset: FieldDataset,
    *,
    history: int = 1,
    horizon: int = 1,
    batch_size: int,
    inputs: Names = None,
    outputs: Names = None,
    stride: int = 1,
) -> FieldWindows | StoredWindows:
    """`StoredWindows` of a set in files, `FieldWindows` of one in memory; the arguments are theirs."""
    kind = StoredWindows if dataset.lazy else FieldWindows
    return kind(
        dataset,
        history=history,
        horizon=horizon,
        batch_size=batch_size,
        inputs=inputs,
        outputs=outputs,
        stride=stride,
    )


class _Reader:
    """Reads batches of windows, the next one ahead. A pure function of its arguments."""

    def __init__(self, dataset: FieldDataset, cut: _Cut) -> None:
        used = sorted({*cut.inputs, *cut.outputs})
        self.values = dataset.select([dataset.channels[k] for k in used]).values
        where = {k: i for i, k in enumerate(used)}
        inputs, outputs = (tuple(where[k] for k in part) for part in (cut.inputs, cut.outputs))
        self.cut = dataclasses.replace(cut, inputs=inputs, outputs=outputs)
        self.dtype = jax.dtypes.canonicalize_dtype(self.values.dtype)
        self._lock, self._pool = threading.Lock(), None
        self._ahead: tuple[bytes, Future] | None = None

    def shapes(self, size: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of inputs and targets."""
        cut, space = self.cut, self.values.shape[3:]
        return (size, cut.history, len(cut.inputs), *space), (size, cut.horizon, len(cut.outputs), *space)

    def __call__(self, index: Any, following: Any) -> tuple[np.ndarray, np.ndarray]:
        index, following = np.asarray(index), np.asarray(following)
        with self._lock:
            known = self._ahead if self._ahead is not None and self._ahead[0] == index.tobytes() else None
            batch = self._read(index) if known is None else known[1].result()
            if following.tobytes() != index.tobytes():
                self._pool = self._pool or ThreadPoolExecutor(1, thread_name_prefix="cadlag-fields")
                self._ahead = following.tobytes(), self._pool.submit(self._read, following)
        return batch

    def _read(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        frames = self.values.windows(*self.cut.places(index), self.cut.length)
        past, future = self.cut.parts(frames.astype(self.dtype, copy=False))
        return np.ascontiguousarray(past), np.ascontiguousarray(future)


def _cut(dataset: FieldDataset, history: int, horizon: int, inputs: Names, outputs: Names, stride: int) -> _Cut:
    if min(history, horizon, stride) < 1:
        raise ValueError(f"`history`, `horizon`, `stride` must be at least 1, got {history}, {horizon}, {stride}.")
    steady = dataset.ts is None
    if steady and (history, horizon) != (1, 1):
        raise ValueError(f"A set without time has windows of 1 and 1 frame, but got {history} and {horizon}.")
    if steady and (inputs is None or outputs is None):
        raise ValueError(
            f"A set without time maps channels to channels: name `inputs` and `outputs` among {dataset.channels}."
        )
    length = 1 if steady else history + horizon
    if dataset.frames < length:
        raise ValueError(f"history {history} + horizon {horizon} is longer than the {dataset.frames} frames there are.")
    places = [_places(dataset, names) for names in (inputs, outputs)]
    return _Cut(history, horizon, length, (dataset.frames - length) // stride + 1, stride, *places)


def _places(dataset: FieldDataset, names: Names) -> tuple[int, ...]:
    chosen = dataset.channels if names is None else dataset.select(names).channels
    return tuple(dataset.channels.index(name) for name in chosen)


def _numbers(dataset: FieldDataset, dtype: Any) -> Array | None:
    return None if dataset.parameters is None else jnp.asarray(dataset.parameters, dtype)


def _order(dataset: FieldDataset, cut: _Cut, batch_size: int) -> Batches:
    return Batches(jnp.arange(len(dataset) * cut.starts, dtype=jnp.int32), batch_size)
