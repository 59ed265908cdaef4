"""Fields as xarray Datasets, which is also what NetCDF files and Zarr stores are."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from cadlag.data._field_layout import Layout, ambiguous, likely, parse_axes, record, space_of
from cadlag.data._fields import FieldDataset
from cadlag.data._stored_fields import Piece, in_memory, in_xarray

_ROLES = {
    "n": (
        "n",
        "example",
        "sample",
        "batch",
        "trajectory",
        "realization",
        "realisation",
        "member",
        "ensemble",
        "number",
    ),
    "t": ("t", "time"),
    "c": ("c", "channel", "component", "variable", "field"),
}
ORDER = "cadlag_order"
HERE = pathlib.Path("Dataset")


def to_xarray(dataset: FieldDataset) -> Any:
    """An `xarray.Dataset` with one variable for each channel, dims (example, time, *axes), and named coordinates.

    Parameters are coordinates of the examples; periodic axes and boundaries are attributes of their axis. Loads values.
    """
    import xarray

    steady = dataset.ts is None
    dims = ("example", *(() if steady else ("time",)), *dataset.axes)
    units, boundary = dict(dataset.units), dict(dataset.boundary)
    values = np.asarray(dataset.values)

    def about(name: str, **more: Any) -> dict[str, Any]:
        return {**({"units": units[name]} if name in units else {}), **more}

    data = {
        name: (dims, values[:, 0, k] if steady else values[:, :, k], about(name))
        for k, name in enumerate(dataset.channels)
    }
    coords: dict[str, Any] = {} if steady else {"time": (("time",), dataset.ts, about("t"))}
    for name, x in zip(dataset.axes, dataset.coordinates, strict=True):
        kind = {"boundary": boundary[name]} if name in boundary else {}
        coords[name] = ((name,), x, about(name, periodic=int(name in dataset.periodic), **kind))
    for k, name in enumerate(dataset.parameter_names):
        assert dataset.parameters is not None
        coords[name] = (("example",), np.asarray(dataset.parameters)[:, k], about(name))
    # Zarr sorts its variables by name.
    order = json.dumps({"channels": dataset.channels, "parameters": dataset.parameter_names})
    return xarray.Dataset(data, coords, {**dict(dataset.attributes), ORDER: order})


def from_xarray(
    dataset: Any,
    *,
    axes: str | Sequence[str] | None = None,
    channels: Sequence[str] | str | None = None,
    periodic: Sequence[str] | str | None = None,
    dtype: Any = None,
) -> FieldDataset:
    """A `FieldDataset` from an `xarray.Dataset` (or DataArray) whose dims have names.

    Dims called example, sample, batch, trajectory, member (or n) are the examples; time (or t) is time; channel,
    component, variable (or c) are channels; all others are space. `axes`, "n t lat lon", gives the roles of the dims
    of every variable in order instead. Variables of the same dims become channels.

    **Raises:** ValueError for variables that do not share their dims, unless `channels` chooses some that do.
    """
    dataset = dataset.to_dataset(name=dataset.name or "u") if hasattr(dataset, "to_dataset") else dataset
    layout = xarray_layout(dataset, HERE, axes, channels, stored=False)
    return record(HERE, layout, channels=channels, periodic=periodic, dtype=dtype)


def xarray_layout(
    dataset: Any,
    path: pathlib.Path,
    axes: str | Sequence[str] | None,
    channels: Sequence[str] | str | None,
    *,
    stored: bool,
) -> Layout:
    """The layout of a Dataset; `stored`: its variables are read from `path` when needed."""
    wanted = (channels,) if isinstance(channels, str) else channels
    variables = {str(k): v.variable for k, v in dataset.data_vars.items() if np.issubdtype(v.dtype, np.number)}
    if wanted is not None and all(name in variables for name in wanted):
        variables = {name: variables[name] for name in wanted}
    if not variables:
        raise ValueError(f"{path}: there is no variable of numbers; its variables are {list(map(str, dataset))}.")
    roles = {name: _roles(path, name, v, axes) for name, v in variables.items()}
    fields = {name for name, r in roles.items() if space_of(r)}
    space = space_of(max((roles[name] for name in fields), key=lambda r: (len(r), r), default=()))
    odd = {name: variables[name].dims for name in fields if set(space_of(roles[name])) != set(space)}
    if odd or not space:
        raise ValueError(
            f"{path}: the variables {odd or list(variables)} do not have the axes of space {space} of the others. "
            "Read those that belong together with `channels=`."
        )
    known = json.loads(dataset.attrs.get(ORDER, '{"channels": []}'))["channels"]
    variables = {**{name: variables[name] for name in known if name in variables}, **variables}
    made = {
        name: _piece(path, dataset, name, variables[name], roles[name], stored) for name in variables if name in fields
    }
    timed = any("t" in roles[name] for name in fields)
    pieces = tuple(p for name, p in made.items() if "t" in roles[name] or not timed)
    constants = tuple(p for name, p in made.items() if "t" not in roles[name] and timed)
    return _about(dataset, variables, roles, Layout(pieces, space, constants=constants))


def _roles(path: pathlib.Path, name: str, variable: Any, axes: str | Sequence[str] | None) -> tuple[str, ...]:
    if axes is not None:
        return parse_axes(axes, variable.ndim, variable.shape, path)
    roles = tuple(_role(str(dim)) for dim in variable.dims)
    if any(roles.count(r) > 1 for r in roles):
        raise ambiguous(path, name, variable, likely(variable.shape))
    if any(r.startswith(("dim_", "phony_dim")) for r in roles):
        raise ambiguous(path, name, variable, likely(variable.shape))
    return roles


def _role(dim: str) -> str:
    return next((role for role, names in _ROLES.items() if dim.lower() in names), dim)


def _piece(path: pathlib.Path, dataset: Any, name: str, variable: Any, roles: tuple[str, ...], stored: bool) -> Piece:
    names = (name,)
    if "c" in roles:
        dim = variable.dims[roles.index("c")]
        labels = dataset.coords[dim].values if dim in dataset.coords else range(variable.shape[roles.index("c")])
        textual = [str(label) for label in labels]
        names = tuple(label if not label.isdecimal() else f"{name}{label}" for label in textual)
    source = in_xarray(path, name, variable) if stored else in_memory(np.asarray(variable))
    return Piece((source,), roles, names)


def _about(dataset: Any, variables: dict[str, Any], roles: dict[str, tuple[str, ...]], layout: Layout) -> Layout:
    """Coordinates, times, parameters, units and attributes."""
    dims = {r: str(d) for name, v in variables.items() for r, d in zip(roles[name], v.dims, strict=True)}
    coords = {str(k): v.variable for k, v in dataset.coords.items()}
    at = {a: coords[dims[a]] for a in layout.space if dims[a] in coords}
    ts = coords.get(dims.get("t", ""))
    example = dims.get("n")
    every = {str(k): v for k, v in dataset.variables.items()}
    first = json.loads(dataset.attrs.get(ORDER, '{"parameters": []}'))["parameters"]
    every = {**{name: every[name] for name in first if name in every}, **every}
    numbers = {
        name: np.asarray(v)
        for name, v in every.items()
        if v.dims == (example,) and name != example and np.issubdtype(v.dtype, np.number)
    }
    units = {name: str(v.attrs["units"]) for name, v in every.items() if "units" in v.attrs}
    units |= {"t": units[dims["t"]]} if dims.get("t") in units else {}
    return dataclasses.replace(
        layout,
        coordinates={a: np.asarray(v) for a, v in at.items()},
        ts=None if ts is None else np.asarray(ts),
        parameters=numbers,
        periodic=tuple(a for a, v in at.items() if v.attrs.get("periodic", 0)),
        boundary={a: str(v.attrs["boundary"]) for a, v in at.items() if "boundary" in v.attrs},
        units=units,
        attributes={
            str(k): v.item() if isinstance(v, np.generic) else v for k, v in dataset.attrs.items() if k != ORDER
        },
    )
