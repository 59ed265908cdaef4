"""The HDF5 layout of The Well (Ohana et al. 2024, arXiv 2412.00568): fields by tensor order, flags for what varies."""

import itertools
import pathlib
from typing import Any

import numpy as np

from cadlag.data._field_layout import Layout
from cadlag.data._stored_fields import Piece, in_hdf5

_ORDERS = (("t0_fields", 0), ("t1_fields", 1), ("t2_fields", 2))


def well_layout(path: pathlib.Path, file: Any) -> Layout | None:
    """The layout of an open file of The Well, None where it is something else."""
    if "dimensions" not in file or "spatial_dims" not in file["dimensions"].attrs:
        return None
    dims = file["dimensions"]
    space = tuple(_text(name) for name in dims.attrs["spatial_dims"])
    kind = _text(file.attrs.get("grid_type", "cartesian"))
    pieces, constants = [], []
    for group, order in _ORDERS:
        for name, field in file.get(group, {}).items():
            flags = [bool(field.attrs.get(flag, True)) for flag in ("sample_varying", "time_varying")]
            piece = _piece(path, field, name, order, space, *flags)
            (pieces if flags[1] and piece is not None else constants).append(piece)
    varying = [a for a in (*space, "time") if dims[a].attrs.get("sample_varying", False) or np.ndim(dims[a]) > 1]
    if varying:
        raise ValueError(
            f"{path}: the coordinates {varying} vary from sample to sample; one set has one grid and clock."
        )
    return Layout(
        tuple(pieces),
        space,
        {a: np.asarray(dims[a]) for a in space},
        np.asarray(dims["time"]),
        tuple(piece for piece in constants if piece is not None),
        parameters=_scalars(file),
        boundary=_boundary(file, space),
        periodic=tuple(a for a, what in _boundary(file, space).items() if what == "periodic"),
        attributes={"source": "The Well", "dataset": _text(file.attrs.get("dataset_name", "")), "grid type": kind},
    )


def _piece(
    path: pathlib.Path, field: Any, name: str, order: int, space: tuple[str, ...], samples: bool, time: bool
) -> Piece | None:
    """A field with the axes that its flags leave; None for one that lacks an axis of space."""
    if not all(field.attrs.get("dim_varying", [True])):
        return None
    d = len(space)
    inner = ("c", "d") if order == 2 else ("c",) * order
    axes = (*(("n",) if samples else ()), *(("t",) if time else ()), *space, *inner)
    letters = [*space]
    if order == 2 and field.ndim == len(axes) - 1:
        axes = (*axes[:-2], "c")  # the D² entries in one axis
    parts = d**order
    if field.ndim != len(axes) or int(np.prod(field.shape[field.ndim - axes.count("c") - axes.count("d") :])) != parts:
        raise ValueError(
            f"{path}: the field {name!r} has shape {field.shape}; for {d} axes of space and tensor order {order} the "
            f"layout of The Well has axes {' '.join(axes)}, {parts} component(s)."
        )
    names = (name,) if order == 0 else tuple(f"{name}_{''.join(p)}" for p in itertools.product(letters, repeat=order))
    return Piece((in_hdf5(path, field),), axes, names)


def _scalars(file: Any) -> dict[str, np.ndarray]:
    """Parameters of the simulation, as far as they are single numbers."""
    group = file.get("scalars", {})
    numbers = {name: np.asarray(x) for name, x in group.items() if np.size(x) == 1 or _each(file, x)}
    named = [_text(name) for name in file.attrs.get("simulation_parameters", [])]
    numbers |= {name: np.asarray(file.attrs[name]) for name in named if name in file.attrs and name not in numbers}
    return {
        name: x.reshape(-1) if x.size > 1 else x.reshape(())
        for name, x in numbers.items()
        if np.issubdtype(x.dtype, np.number)
    }


def _each(file: Any, x: Any) -> bool:
    return bool(x.attrs.get("sample_varying", False)) and np.shape(x) == (int(file.attrs.get("n_trajectories", -1)),)


def _boundary(file: Any, space: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for condition in file.get("boundary_conditions", {}).values():
        for axis in condition.attrs.get("associated_dims", []):
            kind = _text(condition.attrs.get("bc_type", "unknown")).lower()
            found[_text(axis)] = kind if found.get(_text(axis), kind) == kind else "mixed"
    return {a: found[a] for a in space if a in found}


def _text(x: Any) -> str:
    return x.decode() if isinstance(x, bytes) else str(x)
