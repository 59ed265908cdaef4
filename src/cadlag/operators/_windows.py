"""Windows of frames, drawn from data in memory or in files."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from cadlag.data import Batches, FieldDataset, FieldNormaliser, Source, StoredWindows
from cadlag.operators.objectives import Window


class WindowSource(Source):
    """Random windows of `past` and `future` frames, every one of all examples once an epoch.

    **Arguments:**

    - `inputs`: (example, time, channels, *space), the channels that are predicted first.
    - `outputs`: (example, 1, out_channels, *space) of a steady map; None for data in time.
    - `parameters`: (example, conditions) or None.
    - `history`, `frames`: before and after; `stride`: stored frames to one of the model's.
    - `out_channels`: how many of the channels are predicted.
    - `batch_size`: windows a draw.
    """

    inputs: Array
    outputs: Array | None
    parameters: Array | None
    order: Batches
    history: int = eqx.field(static=True)
    frames: int = eqx.field(static=True)
    stride: int = eqx.field(static=True)
    out_channels: int = eqx.field(static=True)

    def __init__(
        self,
        inputs: Any,
        outputs: Any,
        parameters: Any,
        *,
        history: int,
        frames: int,
        stride: int,
        out_channels: int,
        batch_size: int,
    ) -> None:
        steady = outputs is not None
        starts = 1 if steady else count_starts(inputs.shape[1], history, frames, stride)
        index = np.indices((inputs.shape[0], starts)).reshape(2, -1).T
        self.inputs = jnp.asarray(inputs)
        self.outputs, self.parameters = (None if x is None else jnp.asarray(x) for x in (outputs, parameters))
        self.order = Batches(jnp.asarray(index, jnp.int32), batch_size)
        self.history, self.frames, self.stride = history, frames, stride
        self.out_channels = out_channels

    def init(self, key: PRNGKeyArray) -> Any:
        """A first order."""
        return self.order.init(key)

    def draw(self, state: Any, train_state: Any, key: PRNGKeyArray) -> tuple[Any, Window]:
        """The next windows, each leaf with an axis of windows in front."""
        state, index = self.order.draw(state, train_state, key)
        return state, self.at(index)

    def at(self, index: Int[Array, "batch 2"]) -> Window:
        """The windows of these examples and first frames."""
        example, start = index[:, 0], index[:, 1]
        cond = None if self.parameters is None else self.parameters[example]
        if self.outputs is not None:
            return Window(self.inputs[example], self.outputs[example], None, cond)
        along = self.stride * np.arange(self.history + self.frames, dtype=np.int32)
        frames = self.inputs[example[:, None], start[:, None] + along[None]]
        past, future = frames[:, : self.history], frames[:, self.history :]
        extra = future[:, :, self.out_channels :] if self.out_channels < frames.shape[2] else None
        return Window(past, future[:, :, : self.out_channels], extra, cond)

    def spread(self, most: int) -> Window:
        """At most so many windows, evenly spread over all, always the same ones."""
        index = self.order.data
        return self.at(index[np.linspace(0, len(index) - 1, min(most, len(index))).astype(int)])


class StoredSource(Source):
    """`StoredWindows` as scaled windows; in time its outputs are all the channels that go in."""

    windows: StoredWindows
    inputs: FieldNormaliser
    outputs: FieldNormaliser
    parameters: FieldNormaliser | None
    dtype: str = eqx.field(static=True)

    def init(self, key: PRNGKeyArray) -> Any:
        """A first order."""
        return self.windows.init(key)

    def draw(self, state: Any, train_state: Any, key: PRNGKeyArray) -> tuple[Any, Window]:
        """The next windows, each leaf with an axis of windows in front."""
        state, batch = self.windows.draw(state, train_state, key)
        future, extra, out = batch.targets.astype(self.dtype), None, self.outputs.mean.shape[0]
        if future.shape[2] > out:
            extra = self.inputs.normalise(future)[:, :, out:]
        cond = None
        if self.parameters is not None and batch.parameters is not None:
            cond = self.parameters.normalise(batch.parameters.astype(self.dtype))
        past = self.inputs.normalise(batch.inputs.astype(self.dtype))
        return state, Window(past, self.outputs.normalise(future[:, :, :out]), extra, cond)


def sample(fields: FieldDataset, most: int = 32) -> FieldDataset:
    """Fields in memory as they are; of those in files so many examples, evenly spread."""
    if not fields.lazy:
        return fields
    return fields.take(np.linspace(0, len(fields) - 1, min(most, len(fields))).astype(int)).load()


def count_starts(times: int, history: int, frames: int, stride: int) -> int:
    """How many windows fit into so many frames; refuses none."""
    needed = (history + frames - 1) * stride + 1
    if times < needed:
        raise ValueError(
            f"The data have {times} frames, but a window takes {needed}: history={history} and {frames} to predict, "
            f"every {stride}. Give longer trajectories, or a smaller history, horizon, stride or objective."
        )
    return times - needed + 1
