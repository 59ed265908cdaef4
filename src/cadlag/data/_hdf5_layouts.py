"""The layouts of PDEBench and PDEArena, and HDF5 files that say themselves what their axes are.

A layout is recognised by its names and then checked by its lengths: what does not fit is refused.
"""

import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from cadlag.data._field_layout import Layout, ambiguous, likely, trim_times
from cadlag.data._stored_fields import Piece, in_hdf5

_CFD = ("density", "pressure", "Vx", "Vy", "Vz")
_SPACE = ("x", "y", "z")


def hdf5_layout(path: pathlib.Path, file: Any, split: str | None) -> Layout | None:
    """The layout of an open HDF5 file, None where it is not one of those known."""
    for find in (_pdebench_samples, _pdebench_tensor, _pdebench_cfd, _pdebench_incompressible, _pdearena):
        layout = find(path, file, split)
        if layout is not None:
            return layout
    return None


def _pdebench_tensor(path: pathlib.Path, file: Any, split: str | None) -> Layout | None:
    """PDEBench, first kind: `tensor` (n, t, x), or (n, 1, x, y) with `nu` (n, x, y): Darcy's equation."""
    if "tensor" not in file:
        return None
    tensor, about = file["tensor"], {"source": "PDEBench"}
    if tensor.ndim == 4 and "nu" in file and file["nu"].shape == (tensor.shape[0], *tensor.shape[2:]):
        coordinates = _coordinates(path, file, ("x", "y"), tensor.shape[2:], tensor)
        nu = Piece((in_hdf5(path, file["nu"]),), ("n", "x", "y"), ("nu",))
        return Layout(
            (nu, Piece((in_hdf5(path, tensor),), ("n", "1", "x", "y"), ("u",))),
            ("x", "y"),
            coordinates,
            attributes=about,
        )
    if tensor.ndim != 3:
        readings = ("1 n t x", "n 1 x y") if tensor.ndim == 4 else likely(tensor.shape)
        raise ambiguous(path, "tensor", tensor, readings)
    coordinates = _coordinates(path, file, ("x",), tensor.shape[2:], tensor)
    ts = _times(path, file, "t-coordinate", tensor.shape[1])
    return Layout(
        (Piece((in_hdf5(path, tensor),), ("n", "t", "x"), ("u",)),), ("x",), coordinates, ts, attributes=about
    )


def _pdebench_cfd(path: pathlib.Path, file: Any, split: str | None) -> Layout | None:
    """PDEBench, second kind: `density`, `pressure`, `Vx`, … (n, t, x[, y[, z]])."""
    names = [name for name in _CFD if name in file]
    if len(names) < 3 or "x-coordinate" not in file:
        return None
    first = file[names[0]]
    space = _SPACE[: first.ndim - 2]
    if len(space) != len([a for a in _SPACE if f"{a}-coordinate" in file]):
        raise ambiguous(path, names[0], first, likely(first.shape))
    coordinates = _coordinates(path, file, space, first.shape[2:], first)
    pieces = tuple(Piece((in_hdf5(path, file[name]),), ("n", "t", *space), (name,)) for name in names)
    return Layout(
        pieces,
        space,
        coordinates,
        _times(path, file, "t-coordinate", first.shape[1]),
        attributes={"source": "PDEBench"},
    )


def _pdebench_incompressible(path: pathlib.Path, file: Any, split: str | None) -> Layout | None:
    """PDEBench's incompressible flow: `velocity` (n, t, x, y, 2), `particles` (n, t, x, y, 1), `force` (n, x, y, 2)."""
    if "velocity" not in file or "t" not in file or not ({"particles", "force"} & set(file)):
        return None
    velocity = file["velocity"]
    if velocity.ndim != 5 or velocity.shape[-1] != 2:
        raise ambiguous(path, "velocity", velocity, likely(velocity.shape))
    ts = np.asarray(file["t"])
    if ts.ndim == 2:
        ts = _same(path, "t", ts)
    pieces = [Piece((in_hdf5(path, velocity),), ("n", "t", "x", "y", "c"), ("Vx", "Vy"))]
    if "particles" in file:
        axes = ("n", "t", "x", "y", "c")[: file["particles"].ndim]
        pieces.append(Piece((in_hdf5(path, file["particles"]),), axes, ("particles",)))
    constants = ()
    if "force" in file:
        constants = (Piece((in_hdf5(path, file["force"]),), ("n", "x", "y", "c"), ("Fx", "Fy")),)
    return Layout(
        tuple(pieces), ("x", "y"), {}, trim_times(ts, velocity.shape[1]), constants, attributes={"source": "PDEBench"}
    )


def _pdebench_samples(path: pathlib.Path, file: Any, split: str | None) -> Layout | None:
    """PDEBench, third kind: a group for each sample, "0000", …, with `data` (t, x[, y], c) and `grid/x`, `grid/t`."""
    keys = sorted(key for key in file if re.fullmatch(r"\d+", key))
    if not keys or "data" not in file[keys[0]] or "grid" not in file[keys[0]]:
        return None
    first = file[keys[0]]
    space = tuple(a for a in _SPACE if a in first["grid"])
    missing = [key for key in keys if "data" not in file[key]]
    if missing:
        raise ValueError(f"{path}: the samples {', '.join(missing[:5])} have no `data`; the file is incomplete.")
    shapes = {file[key]["data"].shape for key in keys}
    shape = shapes.pop()
    if shapes:
        raise ValueError(
            f"{path}: the samples have different shapes, {shape} and {shapes.pop()}, so they are no one set."
        )
    if len(shape) != len(space) + 2:
        raise ambiguous(path, f"{keys[0]}/data", first["data"], likely(shape))
    arrays = tuple(in_hdf5(path, file[key]["data"]) for key in keys)
    names = ("u",) if shape[-1] == 1 else tuple(f"u{k}" for k in range(shape[-1]))
    coordinates = {a: _fits(path, f"grid/{a}", first["grid"][a], n) for a, n in zip(space, shape[1:-1], strict=True)}
    ts = trim_times(first["grid"]["t"], shape[0])
    return Layout(
        (Piece(arrays, ("t", *space, "c"), names),), space, coordinates, ts, attributes={"source": "PDEBench"}
    )


def _pdearena(path: pathlib.Path, file: Any, split: str | None) -> Layout | None:
    """PDEArena: groups train, valid, test with `u`, `vx`, `vy` (n, t, x, y), or with one `pde_…` (n, t, x)."""
    groups = [name for name in ("train", "valid", "test") if name in file and hasattr(file[name], "keys")]
    if not groups:
        return None
    if split is None and len(groups) > 1:
        raise ValueError(f"{path}: it holds the parts {', '.join(groups)}; say which with `split=`.")
    split = split or groups[0]
    if split not in groups:
        raise ValueError(f"{path}: there is no part {split!r}; it holds {', '.join(groups)}.")
    group = file[split]
    lines = [name for name in group if name.startswith("pde_")]
    if len(lines) == 1 and group[lines[0]].ndim == 3:
        return _line(path, group, group[lines[0]])
    if "u" in group and group["u"].ndim == 4:
        return _plane(path, group)
    shapes = {name: getattr(x, "shape", "a group") for name, x in group.items()}
    raise ValueError(
        f"{path}: the part {split!r} has neither `u` (n, t, x, y) nor one `pde_…` (n, t, x), but {shapes}."
    )


def _plane(path: pathlib.Path, group: Any) -> Layout:
    shape, names = group["u"].shape, [name for name in ("u", "vx", "vy") if name in group]
    pieces = tuple(Piece((in_hdf5(path, group[name]),), ("n", "t", "x", "y"), (name,)) for name in names)
    coordinates = {
        a: _fits(path, a, _same(path, a, np.asarray(group[a])), n)
        for a, n in zip(("x", "y"), shape[2:], strict=True)
        if a in group
    }
    ts = _same(path, "t", np.asarray(group["t"])) if "t" in group else np.arange(shape[1])
    numbers = {name: np.asarray(group[name]).reshape(-1) for name in ("buo_y",) if name in group}
    return Layout(
        pieces, ("x", "y"), coordinates, ts, parameters=numbers, attributes={"source": "PDEArena", **_no_times(group)}
    )


def _line(path: pathlib.Path, group: Any, field: Any) -> Layout:
    """One axis of space; where lengths and times vary from example to example, coordinates are counts of points."""
    numbers = {name: np.asarray(group[name]).reshape(-1) for name in ("dt", "dx", "v") if name in group}
    about: dict[str, Any] = {"source": "PDEArena", "dataset": field.name.split("/")[-1], **_no_times(group)}
    found = {}
    for axis, n in (("t", field.shape[1]), ("x", field.shape[2])):
        x = np.asarray(group[axis], np.float64) if axis in group else np.arange(n, dtype=float)
        if x.ndim == 2 and not np.allclose(x, x[:1], rtol=1e-5):
            if f"d{axis}" not in numbers:
                numbers[f"d{axis}"] = x[:, 1] - x[:, 0]
            about[f"coordinates of {axis}"] = f"counts; their distance is the parameter d{axis} of each example"
            x = np.arange(n, dtype=float)
        found[axis] = _fits(path, axis, x[0] if x.ndim == 2 else x, n)
    piece = Piece((in_hdf5(path, field),), ("n", "t", "x"), ("u",))
    return Layout((piece,), ("x",), {"x": found["x"]}, found["t"], parameters=numbers, attributes=about)


def _no_times(group: Any) -> dict[str, str]:
    return {} if "t" in group else {"times": "counts; the file has none"}


def _coordinates(
    path: pathlib.Path, file: Any, space: Sequence[str], shape: Sequence[int], array: Any
) -> dict[str, np.ndarray]:
    names = {a: f"{a}-coordinate" for a in space}
    return {a: _fits(path, names[a], file[names[a]], n) for a, n in zip(space, shape, strict=True) if names[a] in file}


def _fits(path: pathlib.Path, name: str, x: Any, n: int) -> np.ndarray:
    x = np.asarray(x, np.float64).reshape(-1)
    if len(x) != n:
        raise ValueError(
            f"{path}: `{name}` has {len(x)} entries for an axis of {n} points, so the axes are not those this layout "
            "has. Say what they are with `axes=`."
        )
    return x


def _times(path: pathlib.Path, file: Any, name: str, frames: int) -> np.ndarray:
    if name not in file:
        raise ValueError(
            f"{path}: the times `{name}` of the {frames} frames are missing; read it with `axes=` and `ts=`."
        )
    return _fits(path, name, trim_times(file[name], frames), frames)


def _same(path: pathlib.Path, name: str, x: np.ndarray) -> np.ndarray:
    """One vector for all examples."""
    if x.ndim == 2:
        if not np.allclose(x, x[:1], rtol=1e-5):
            raise ValueError(f"{path}: `{name}` varies from example to example; one set has one grid and one clock.")
        return x[0]
    return x
