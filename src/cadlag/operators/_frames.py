"""What an operator's estimator reads of data: frames by name of channel, conditions, the grid."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from cadlag.nn import Boundary


class Frames(NamedTuple):
    """Fields on a grid: values (example, time, channel, *space) and the names of things; `ts` None: a steady map."""

    values: np.ndarray
    ts: np.ndarray | None
    channels: tuple[str, ...]
    parameters: np.ndarray | None = None
    periodic: bool | None = None  # all axes, none of them, or not known

    @property
    def spatial_axes(self) -> int:
        """How many axes of space."""
        return self.values.ndim - 3

    def take(self, examples: np.ndarray) -> "Frames":
        """Some examples."""
        parameters = None if self.parameters is None else self.parameters[examples]
        return self._replace(values=self.values[examples], parameters=parameters)

    def pick(self, channels: Sequence[str]) -> np.ndarray:
        """The values of some channels, in the order of their names."""
        missing = [name for name in channels if name not in self.channels]
        if missing:
            raise ValueError(
                f"The data have no channel {', '.join(map(repr, missing))}; their channels are {list(self.channels)}."
            )
        places = [self.channels.index(name) for name in channels]
        return self.values if places == list(range(len(self.channels))) else self.values[:, :, places]


def as_frames(X: Any, y: Any = None, *, names: Sequence[tuple[str, ...]] = (), steady: bool = False) -> Frames:
    """From a `FieldDataset`, from an array (example, time, channel, *space), or from arrays of a steady map.

    For the latter X is (example, channel, *space), as is y where it is given. `names`: what the channels of an array
    may be; the first with as many counts, and where none is known they are u0, u1, ….
    """
    if isinstance(X, Frames):
        return X
    if hasattr(X, "values") and hasattr(X, "channels"):
        if y is not None:
            raise ValueError("y is for arrays; of a FieldDataset name the channels to predict, outputs=(…).")
        return check_finite(_of_dataset(X))
    values = np.asarray(X)
    steady = steady or y is not None
    if steady:
        values = values[:, None]
        if y is not None:
            values = np.concatenate([values, _like(np.asarray(y), values)], axis=2)
    if values.ndim < 4 or len(values) == 0:
        raise ValueError(
            f"X has shape {np.shape(X)}; expected a FieldDataset, an array (example, time, channel, *space), or for a "
            "steady map X (example, channel, *space) and y. A single channel is X[:, :, None]."
        )
    known = _names(values.shape[2], names)
    return check_finite(Frames(values, None if steady else np.arange(values.shape[1], dtype=float), known))


def check_finite(frames: Frames) -> Frames:
    """Refuse NaN and infinite values, saying where."""
    for place, example in enumerate(frames.values):
        if not np.all(np.isfinite(example)):
            time, channel = np.argwhere(~np.isfinite(example))[0][:2]
            raise ValueError(
                f"Channel {frames.channels[channel]!r} has NaN or infinite values, the first in example {place} at "
                f"frame {time}. Leave such examples out; an operator on a grid cannot learn from gaps."
            )
    return frames


def with_boundary(network: Callable, periodic: bool | None) -> Callable:
    """The constructor with the boundary that the data have, where it takes one and was not told."""
    told = isinstance(network, functools.partial) and "boundary" in network.keywords
    if periodic is None or told or "boundary" not in inspect.signature(network).parameters:
        return network
    return functools.partial(network, boundary=Boundary.circular if periodic else Boundary.zero)


def _names(count: int, names: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    known = next((n for n in names if len(n) == count), None)
    if known is None and names:
        raise ValueError(f"X has {count} channels, but the model was fitted on {list(names[0])}, in this order.")
    return known or tuple(f"u{i}" for i in range(count))


def _of_dataset(data: Any) -> Frames:
    data = data.load() if getattr(data, "lazy", False) else data
    every = {name in data.periodic for name in data.axes}
    parameters = None if data.parameters is None else np.asarray(data.parameters)
    ts = None if data.ts is None else np.asarray(data.ts, float)
    periodic = every.pop() if len(every) == 1 else None
    return Frames(np.asarray(data.values), ts, tuple(data.channels), parameters, periodic)


def _like(y: np.ndarray, values: np.ndarray) -> np.ndarray:
    if y.ndim != values.ndim - 1 or len(y) != len(values) or y.shape[2:] != values.shape[3:]:
        raise ValueError(
            f"X has shape {values[:, 0].shape} and y {y.shape}; expected (example, channel, *space) for both, the same "
            "examples on the same points."
        )
    return y[:, None].astype(values.dtype)
