"""Fields that stay in their files: what is read, and when.

Every layout comes down to pieces: arrays in files whose axes have names. A piece is read by slices and brought to
(example, time, channel, *space); files are opened for each read, so nothing is held open between two.
"""

import contextlib
import dataclasses
import functools
import itertools
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Stored:
    """An array somewhere else: `open()` is a context manager that yields what can be sliced like an array."""

    shape: tuple[int, ...]
    dtype: np.dtype
    open: Callable[[], contextlib.AbstractContextManager[Any]]


def in_memory(array: np.ndarray) -> Stored:
    """A NumPy array, or a memory map of a file."""
    return Stored(array.shape, array.dtype, lambda: contextlib.nullcontext(array))


def in_hdf5(path: pathlib.Path, dataset: Any) -> Stored:
    """A data set of an HDF5 file, which is opened anew for each read."""
    return Stored(tuple(dataset.shape), dataset.dtype, functools.partial(_hdf5, path, dataset.name))


def in_xarray(path: pathlib.Path, name: str, variable: Any) -> Stored:
    """A variable of a NetCDF file or a Zarr store; straight from HDF5 where nothing in it is encoded."""
    encoded = {"scale_factor", "add_offset", "_FillValue", "missing_value", "dtype", "_Unsigned"} & {
        key for key, value in variable.encoding.items() if key != "dtype" or value != variable.dtype
    }
    if path.is_file() and not encoded and is_hdf5(path):
        return Stored(tuple(variable.shape), variable.dtype, functools.partial(_hdf5, path, name))
    return Stored(tuple(variable.shape), variable.dtype, functools.partial(_xarray, path, name))


@contextlib.contextmanager
def _hdf5(path: pathlib.Path, name: str) -> Iterator[Any]:
    import h5py

    with h5py.File(path, "r") as file:
        yield file[name]


@contextlib.contextmanager
def _xarray(path: pathlib.Path, name: str) -> Iterator[Any]:
    with open_xarray(path) as dataset:
        yield dataset.variables[name]


def is_hdf5(path: pathlib.Path) -> bool:
    """Whether a file is HDF5, whatever its name."""
    import h5py

    return bool(h5py.is_hdf5(path))


def open_xarray(path: pathlib.Path) -> Any:
    """An xarray Dataset that reads when it is sliced; time stays a number in the file's unit."""
    import xarray

    if path.suffix.lower() == ".zarr":
        return xarray.open_zarr(path, chunks=None, decode_times=False)
    return xarray.open_dataset(path, decode_times=False, cache=False)


class _Opened(contextlib.ExitStack):
    """What is open during one read: each array once."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[int, Any] = {}

    def __call__(self, array: Stored) -> Any:
        if id(array) not in self.known:
            self.known[id(array)] = self.enter_context(array.open())
        return self.known[id(array)]


@dataclasses.dataclass(frozen=True, eq=False)
class Piece:
    """Some channels of all examples of a file.

    **Arguments:**

    - `arrays`: one array, or one for each example.
    - `axes`: what the axes of an array are, in its order: "n" the examples, "t" time, "c" channels ("c", "d" where
      two axes hold the components of a tensor), "1" an axis of length 1 to be dropped, else the name of an axis of
      space.
    - `names`: the channels.
    """

    arrays: tuple[Stored, ...]
    axes: tuple[str, ...]
    names: tuple[str, ...]

    def size(self, axis: str, array: int = 0) -> int | None:
        """The length of an axis of an array, None where there is none."""
        return self.arrays[array].shape[self.axes.index(axis)] if axis in self.axes else None

    def read(
        self, example: int, count: int, times: range, space: Sequence[str], points: Sequence[range], opened: "_Opened"
    ) -> np.ndarray:
        """Examples `example` to `example + count - 1`, shape (count, times, channels, *space)."""
        if "n" in self.axes or len(self.arrays) == 1:
            # An array without the axis of examples holds a single one, or what is the same in all.
            block = self._read(opened(self.arrays[0]), slice(example, example + count), times, space, points)
            return np.broadcast_to(block, (count, *block.shape[1:]))
        arrays = [opened(a) for a in self.arrays[example : example + count]]
        return np.concatenate([self._read(a, slice(0, 1), times, space, points) for a in arrays])

    def _read(
        self, array: Any, examples: slice, times: range, space: Sequence[str], points: Sequence[range]
    ) -> np.ndarray:
        chosen: dict[str, Any] = {"n": examples, "t": _slice(times), "1": 0}
        chosen |= {name: _slice(r) for name, r in zip(space, points, strict=True)}
        block = np.asarray(array[tuple(chosen.get(name, slice(None)) for name in self.axes)])
        left = [name for name in self.axes if name != "1"]
        order = [name for name in ("n", "t", "c", "d", *space) if name in left]
        block = block.transpose([left.index(name) for name in order])
        if "d" in left:
            k = order.index("c")
            block = block.reshape(*block.shape[:k], -1, *block.shape[k + 2 :])
            order.remove("d")
        for k, name in enumerate(("n", "t", "c")):
            if name not in order:
                block = np.expand_dims(block, k)
        if "t" not in order and len(times) > 1:
            block = np.broadcast_to(block, (block.shape[0], len(times), *block.shape[2:]))
        return block


@dataclasses.dataclass(frozen=True, eq=False)
class StoredValues:
    """Values (example, time, channel, *space) of a `FieldDataset` that are read when they are needed.

    It has a `shape`, a `dtype` and a `ndim`; `np.asarray` reads everything. `read` takes examples, `windows` pieces of
    time. What is read is checked: a value that is NaN or infinite is an error that says where it is.
    """

    files: tuple[tuple[pathlib.Path, tuple[Piece, ...], int], ...]
    space: tuple[str, ...]
    examples: np.ndarray
    times: range
    channels: tuple[int, ...]
    points: tuple[range, ...]
    dtype: np.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """(example, time, channel, *space)."""
        return (len(self.examples), len(self.times), len(self.channels), *map(len, self.points))

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return 3 + len(self.points)

    @property
    def nbytes(self) -> int:
        """What it would take in memory."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def read(self, examples: Any = slice(None)) -> np.ndarray:
        """Whole examples, shape (len(examples), time, channel, *space)."""
        index = np.atleast_1d(np.arange(len(self.examples))[examples])
        out = np.empty((len(index), *self.shape[1:]), self.dtype)
        with _Opened() as opened:
            for first, stop in _runs(self.examples[index]):
                out[first:stop] = self._block(int(self.examples[index[first]]), stop - first, self.times, opened)
        return out

    def windows(self, examples: Any, starts: Any, length: int) -> np.ndarray:
        """`length` frames of each example from its own start, shape (len(examples), length, channel, *space)."""
        frames = [self.times[int(start) : int(start) + length] for start in starts]
        with _Opened() as opened:
            blocks = [self._block(int(self.examples[i]), 1, t, opened) for i, t in zip(examples, frames, strict=True)]
        return np.concatenate(blocks)

    def select(self, **changes: Any) -> "StoredValues":
        """The same with other examples, times, channels or points."""
        return dataclasses.replace(self, **changes)

    def __len__(self) -> int:
        return len(self.examples)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.read().astype(dtype or self.dtype, copy=False)

    def _block(self, example: int, count: int, times: range, opened: "_Opened") -> np.ndarray:
        """Neighbours in one file."""
        parts = []
        for path, pieces, n in self.files:
            if example < n:
                take = min(count, n - example)
                parts.append(self._read(path, pieces, example, take, times, opened))
                example, count = n, count - take
            if not count:
                break
            example -= n
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _read(
        self, path: pathlib.Path, pieces: tuple[Piece, ...], example: int, count: int, times: range, opened: "_Opened"
    ) -> np.ndarray:
        blocks, offset = [], 0
        try:
            for piece in pieces:
                mine = sorted(k - offset for k in self.channels if offset <= k < offset + len(piece.names))
                offset += len(piece.names)
                if mine:
                    blocks.append(piece.read(example, count, times, self.space, self.points, opened)[:, :, mine])
        except (OSError, KeyError, RuntimeError) as error:
            raise ValueError(f"{path}: cannot be read ({error}); the file is damaged or has changed.") from error
        block = np.concatenate(blocks, axis=2).astype(self.dtype, copy=False)
        # Pieces come in the order of the file, channels in the order asked for.
        block = block[:, :, np.argsort(np.argsort(self.channels))]
        check_fields(block, f"{path}: ", example)
        return block


def check_fields(values: np.ndarray, where: str = "", first: int = 0) -> None:
    """Refuse NaN and infinite values, naming the examples."""
    if np.isfinite(np.sum(values, dtype=values.dtype)):  # fast; the sum of finite values may still be infinite
        return
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        n, t, c, *x = (int(i) for i in bad[0])
        which = np.unique(bad[:, 0]) + first
        more = " …" if len(which) > 8 else ""
        raise ValueError(
            f"{where}`values` hold {len(bad)} NaN or infinite value(s), the first in example {n + first}, time {t}, "
            f"channel {c}, point {tuple(x)}; in the examples {', '.join(map(str, which[:8]))}{more}. Leave these "
            "examples out (`dataset.take`), or fill the gaps first."
        )


def _slice(r: range) -> slice:
    return slice(r.start, r.stop, r.step)


def _runs(index: np.ndarray) -> list[tuple[int, int]]:
    """Where runs of consecutive numbers begin and end."""
    breaks = np.flatnonzero(np.diff(index) != 1) + 1
    bounds = [0, *breaks.tolist(), len(index)]
    return [(a, b) for a, b in itertools.pairwise(bounds) if b > a]
