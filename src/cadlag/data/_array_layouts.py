"""Files that are bags of arrays: MATLAB's, NumPy's and plain HDF5, with axes by convention or said explicitly."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cadlag.data._archive import read_archive
from cadlag.data._field_layout import Layout, ambiguous, likely, parse_axes, space_of, trim_times
from cadlag.data._stored_fields import Piece, Stored, in_hdf5, in_memory

Bag = dict[str, Stored]
_TIMES = ("t", "time", "ts", "times", "t-coordinate")
MARK = "cadlag_fields"


def hdf5_bag(path: pathlib.Path, file: Any) -> Bag:
    """All arrays of numbers of an open HDF5 file by their full names; what MATLAB keeps for itself is left out."""
    import h5py

    found: Bag = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and np.issubdtype(item.dtype, np.number) and not name.startswith("#"):
            found[name] = in_hdf5(path, item)

    file.visititems(visit)
    return found


def numpy_bag(path: pathlib.Path) -> Bag:
    """The arrays of an NPZ, or of an NPY (mapped, not read) under the name "values"."""
    if path.suffix.lower() == ".npy":
        try:
            return {"values": in_memory(np.load(path, mmap_mode="r", allow_pickle=False))}
        except (ValueError, OSError, EOFError) as error:
            raise ValueError(f"{path}: this is not a readable NPY of plain arrays: {error}") from error
    return {name: in_memory(array) for name, array in read_archive(path).items()}


def matlab_bag(path: pathlib.Path) -> Bag:
    """The arrays of a MATLAB file before version 7.3."""
    import scipy.io

    try:
        content = scipy.io.loadmat(path)
    except Exception as error:
        raise ValueError(f"{path}: this is not a readable MATLAB file: {error}") from error
    arrays = {name: np.asarray(x) for name, x in content.items() if not name.startswith("__")}
    return {name: in_memory(x) for name, x in arrays.items() if np.issubdtype(x.dtype, np.number)}


def small(array: Stored) -> np.ndarray:
    """All of an array, read now."""
    with array.open() as opened:
        return np.asarray(opened[...])


def explicit_layout(
    path: pathlib.Path,
    bag: Bag,
    axes: str | Sequence[str],
    arrays: Sequence[str] | None,
    channels: Sequence[str] | None,
    *,
    reverse: bool,
) -> Layout:
    """The arrays whose axes a user says; `reverse`: their axes lie in the file in reverse order."""
    chosen = _chosen(path, bag, len(axes.split()) if isinstance(axes, str) else len(axes), arrays, channels)
    pieces, names = [], ()
    for name, array in chosen.items():
        shape = array.shape[::-1] if reverse else array.shape
        names = parse_axes(axes, len(shape), shape, path)
        count = shape[names.index("c")] if "c" in names else 1
        labels = (name,) if count == 1 else tuple(f"{name}{k}" for k in range(count))
        if "c" in names and len(chosen) == 1 and channels is not None and len(channels) == count:
            labels = tuple(channels)
        pieces.append(Piece((array,), names[::-1] if reverse else names, labels))
    space = space_of(names)
    frames = pieces[0].size("t")
    known = {a: bag[n] for a in space for n in (a, f"{a}-coordinate") if n in bag and _is_line(bag[n])}
    clock = next((bag[n] for n in _TIMES if n in bag and _is_line(bag[n])), None)
    ts = None if clock is None or frames is None else trim_times(small(clock), frames)
    return Layout(tuple(pieces), space, {a: small(x).reshape(-1) for a, x in known.items()}, ts)


def _chosen(
    path: pathlib.Path, bag: Bag, rank: int, arrays: Sequence[str] | None, channels: Sequence[str] | None
) -> Bag:
    shapes = {name: array.shape for name, array in bag.items()}
    if arrays is None and channels is not None and all(name in bag for name in channels):
        arrays = channels
    if arrays is None:
        arrays = [name for name, shape in shapes.items() if len(shape) == rank and not _is_line(bag[name])]
        if len(arrays) != 1:
            raise ValueError(
                f"{path}: {len(arrays)} arrays have the {rank} axes said; choose with `arrays=` from {shapes}."
            )
    missing = [name for name in arrays if name not in bag]
    if missing:
        raise ValueError(f"{path}: there is no array {missing[0]!r}; its arrays are {shapes}.")
    return {name: bag[name] for name in arrays}


def _is_line(array: Stored) -> bool:
    return sum(n > 1 for n in array.shape) <= 1


def fno_layout(path: pathlib.Path, bag: Bag, *, reverse: bool) -> Layout:
    """The files of the Fourier neural operator (Li et al. 2021).

    `coeff` and `sol` (n, x, y); `a` and `u` of one shape, (n, x) or (n, x, y): a steady map; `a` (n, x[, y]) and
    `u` (n, x[, y], t) with `t`: a flow, `a` being its initial state, which is not among the frames.
    """
    pair = ("coeff", "sol") if {"coeff", "sol"} <= bag.keys() else ("a", "u")
    shapes = {name: array.shape[::-1] if reverse else array.shape for name, array in bag.items()}
    if not set(pair) <= bag.keys():
        raise ValueError(
            f"{path}: it holds neither `a` and `u` nor `coeff` and `sol`, but {shapes}. Say what the axes are, "
            "`axes='n x y t'`, and which arrays, `arrays=('u',)`."
        )
    a, u = (shapes[name] for name in pair)

    def piece(name: str, axes: tuple[str, ...]) -> Piece:
        return Piece((bag[name],), axes[::-1] if reverse else axes, (name,))

    if a == u and len(a) in (2, 3):
        axes = ("n", "x", "y")[: len(a)]
        return Layout(tuple(piece(name, axes) for name in pair), axes[1:], attributes={"source": "FNO"})
    if a == u[:-1] and len(a) in (2, 3) and "t" in bag and int(np.prod(bag["t"].shape)) == u[-1]:
        axes = ("n", "x", "y")[: len(a)]
        flow, start = piece("u", (*axes, "t")), piece("a", axes)
        return Layout((flow,), axes[1:], {}, small(bag["t"]).reshape(-1), (start,), attributes={"source": "FNO"})
    shown = dataclasses.replace(bag[pair[1]], shape=u)
    raise ambiguous(path, pair[1], shown, ("n x y t", "n t x y") if len(u) == 4 else likely(u))


def numpy_layout(path: pathlib.Path, bag: Bag) -> Layout:
    """`u` with `t`, `x`, … whose lengths say which axis is which; what `write_fields` wrote is another matter."""
    lines = {name: array.shape[0] for name, array in bag.items() if array.shape and len(array.shape) == 1}
    fields = [name for name, array in bag.items() if len(array.shape) > 1]
    if len(fields) != 1:
        shapes = {name: array.shape for name, array in bag.items()}
        raise ValueError(f"{path}: it is not clear which of {shapes} is the field; say so with `arrays=` and `axes=`.")
    shape = bag[fields[0]].shape
    names = {n: [name for name, k in lines.items() if k == n] for n in shape}
    clear = all(shape.count(n) == 1 and len(found) == 1 for n, found in names.items() if found)
    unknown = [n for n, found in names.items() if not found]
    if not clear or len(unknown) > 1 or not lines or shape.index(unknown[0] if unknown else shape[0]):
        raise ambiguous(path, fields[0], bag[fields[0]], likely(shape))
    axes = tuple(names[n][0] if names[n] else "n" for n in shape)
    axes = tuple("t" if name in _TIMES else name for name in axes)
    return explicit_layout(path, bag, axes, fields, None, reverse=False)


def own_archive(path: pathlib.Path, bag: Bag) -> Layout:
    """What `write_fields` writes to an NPZ."""
    import json

    about: Mapping[str, Any] = json.loads(str(small(bag[MARK])))
    piece = Piece((bag["values"],), ("n", "t", "c", *about["axes"]), tuple(about["channels"]))
    numbers = small(bag["parameters"]).T if "parameters" in bag else ()
    return Layout(
        (piece,),
        tuple(about["axes"]),
        {a: small(bag[f"coordinates_{k}"]) for k, a in enumerate(about["axes"])},
        small(bag["ts"]) if "ts" in bag else None,
        parameters=dict(zip(about["parameter_names"], numbers, strict=True)),
        periodic=tuple(about["periodic"]),
        boundary=about["boundary"],
        units=about["units"],
        attributes=about["attributes"],
    )


def to_archive(dataset: Any) -> dict[str, np.ndarray]:
    """The arrays of an NPZ for `own_archive`."""
    import json

    about = {name: getattr(dataset, name) for name in ("axes", "channels", "periodic", "parameter_names")}
    about |= {name: dict(getattr(dataset, name)) for name in ("boundary", "units", "attributes")}
    arrays = {MARK: np.asarray(json.dumps(about)), "values": np.asarray(dataset.values)}
    arrays |= {f"coordinates_{k}": x for k, x in enumerate(dataset.coordinates)}
    arrays |= {name: getattr(dataset, name) for name in ("ts", "parameters") if getattr(dataset, name) is not None}
    return arrays
