"""What a reader of fields finds in a file, and the record made of it."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cadlag.data._field_checks import names_of
from cadlag.data._fields import FieldDataset
from cadlag.data._stored_fields import Piece, Stored, StoredValues


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """Pieces with the names of their axes, and what is known besides.

    `constants` are pieces without time beside others that have it: they are read, and repeated in time, only where they
    are asked for by name.
    """

    pieces: tuple[Piece, ...]
    space: tuple[str, ...]
    coordinates: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    ts: Any = None
    constants: tuple[Piece, ...] = ()
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    periodic: tuple[str, ...] = ()
    boundary: Mapping[str, str] = dataclasses.field(default_factory=dict)
    units: Mapping[str, str] = dataclasses.field(default_factory=dict)
    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def record(
    path: pathlib.Path,
    layout: Layout,
    *,
    channels: Sequence[str] | str | None = None,
    periodic: Sequence[str] | str | None = None,
    lazy: bool = False,
    dtype: Any = None,
) -> FieldDataset:
    """The record of what a layout describes."""
    pieces = layout.pieces + (layout.constants if channels is not None else ())
    known = tuple(name for piece in pieces for name in piece.names)
    wanted = known if channels is None else names_of(channels)
    there = known + tuple(name for piece in layout.constants for name in piece.names)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ValueError(
            f"{path}: `channels`: {unknown} are not there; the file has {', '.join(dict.fromkeys(there))}."
        )
    if len(set(known)) < len(known):
        raise ValueError(f"{path}: two channels have one name: {', '.join(known)}. Give `channels`, or other names.")
    values = _values(path, layout, pieces, dtype).select(channels=tuple(known.index(name) for name in wanted))
    n = values.shape[0]
    numbers = {name: np.broadcast_to(np.asarray(x, np.float64), (n,)) for name, x in layout.parameters.items()}
    constants = [name for piece in layout.constants for name in piece.names if name not in wanted]
    try:
        return FieldDataset.from_arrays(
            values if lazy else values.read(),
            channels=wanted,
            axes=layout.space,
            coordinates=[
                layout.coordinates.get(a, np.arange(k)) for a, k in zip(layout.space, values.shape[3:], strict=True)
            ],
            ts=layout.ts,
            periodic=layout.periodic if periodic is None else periodic,
            parameters=np.stack(list(numbers.values()), 1) if numbers else None,
            parameter_names=tuple(numbers) or None,
            boundary=layout.boundary,
            units={k: v for k, v in layout.units.items() if k in (*wanted, *layout.space, *numbers, "t")},
            attributes={**layout.attributes, **({"constants": ", ".join(constants)} if constants else {})},
        )
    except ValueError as error:
        raise ValueError(str(error) if str(path) in str(error) else f"{path}: {error}") from error


def _values(path: pathlib.Path, layout: Layout, pieces: tuple[Piece, ...], dtype: Any) -> StoredValues:
    sizes = {axis: _size(path, pieces, axis) for axis in ("n", "t", *layout.space)}
    each = {len(p.arrays) for p in pieces if len(p.arrays) > 1}
    if len(each) > 1 or (each and sizes["n"] not in (None, *each)):
        raise ValueError(f"{path}: the channels have different numbers of examples, {sorted(each)}.")
    n = sizes["n"] or max(each, default=1)
    if dtype is None:
        found = np.result_type(*(a.dtype for p in pieces for a in p.arrays[:1]))
        dtype = found if np.issubdtype(found, np.floating) else np.dtype(np.float64)
    return StoredValues(
        files=((path, pieces, n),),
        space=layout.space,
        examples=np.arange(n),
        times=range(sizes["t"] or 1),
        channels=tuple(range(sum(len(p.names) for p in pieces))),
        points=tuple(range(sizes[a] or 0) for a in layout.space),
        dtype=np.dtype(dtype),
    )


def _size(path: pathlib.Path, pieces: tuple[Piece, ...], axis: str) -> int | None:
    """The length all pieces agree on."""
    found = {"/".join(p.names): p.size(axis, k) for p in pieces for k in range(len(p.arrays)) if p.size(axis, k)}
    sizes = [p.size(axis, k) for p in pieces for k in range(len(p.arrays))]
    lengths = {size for size in sizes if size is not None}
    if len(lengths) > 1:
        noun = {"n": "examples", "t": "times"}.get(axis, f"points along {axis!r}")
        raise ValueError(
            f"{path}: its arrays have different numbers of {noun}, {sorted(lengths)} ({found}). One set has one "
            "resolution: read the parts one by one with `channels=` or from files of their own."
        )
    return lengths.pop() if lengths else None


def parse_axes(axes: str | Sequence[str], ndim: int, shape: tuple[int, ...], path: pathlib.Path) -> tuple[str, ...]:
    """The axis string "n t x y c" of an array: n examples, t time, c channels, 1 a single entry, the rest space."""
    names = tuple(axes.split()) if isinstance(axes, str) else tuple(axes)
    alias = {"example": "n", "time": "t", "channel": "c"}
    names = tuple(alias.get(name, name) for name in names)
    repeated = [name for name in names if name != "1" and names.count(name) > 1]
    if len(names) != ndim or repeated:
        raise ValueError(
            f"{path}: `axes` {' '.join(names)!r} has {len(names)} names for an array of shape {shape}; expected one "
            "different name for each axis: n (examples), t (time), c (channels), 1 (a single entry), the rest space."
        )
    wrong = [k for name, k in zip(names, shape, strict=True) if name == "1" and k != 1]
    if wrong:
        raise ValueError(f"{path}: `axes` {' '.join(names)!r} calls an axis 1 that has length {wrong[0]}.")
    if not space_of(names):
        raise ValueError(f"{path}: `axes` {' '.join(names)!r} names no axis of space.")
    return names


def space_of(axes: Sequence[str]) -> tuple[str, ...]:
    """The axes of space, in the order x, y, z where these are their names, else as they come."""
    space = [name for name in axes if name not in ("n", "t", "c", "d", "1")]
    return tuple(sorted(space)) if set(space) <= {"x", "y", "z"} else tuple(space)


def trim_times(ts: Any, frames: int) -> np.ndarray:
    """Times of a file that has one more than frames, as some of PDEBench do: the end of the last interval goes."""
    ts = np.asarray(ts, np.float64).reshape(-1)
    return ts[:frames] if len(ts) == frames + 1 else ts


def ambiguous(path: pathlib.Path, name: str, array: Stored | Any, readings: Sequence[str]) -> ValueError:
    """The refusal of an array that could be read in several ways."""
    shown = " or ".join(f"axes={reading!r}" for reading in readings)
    return ValueError(
        f"{path}: it is not clear what the axes of {name!r}, shape {tuple(array.shape)}, are. Say which: {shown} "
        "(n examples, t time, c channels, the rest space)."
    )


def likely(shape: tuple[int, ...]) -> tuple[str, ...]:
    """Readings that people use for an array of this rank."""
    return {
        1: ("x",),
        2: ("n x", "t x"),
        3: ("n t x", "n x y"),
        4: ("n t x y", "n x y c"),
        5: ("n t x y c", "n t c x y"),
        6: ("n t x y z c", "n t c x y z"),
    }.get(len(shape), ("n t c x y z",))
