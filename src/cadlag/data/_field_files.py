"""Fields from files and to files. What a layout does not say is asked for, never guessed in silence."""

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from cadlag.data._array_layouts import (
    MARK,
    explicit_layout,
    fno_layout,
    hdf5_bag,
    matlab_bag,
    numpy_bag,
    numpy_layout,
    own_archive,
    to_archive,
)
from cadlag.data._field_checks import names_of
from cadlag.data._field_layout import Layout, record
from cadlag.data._field_xarray import to_xarray, xarray_layout
from cadlag.data._fields import FieldDataset, join
from cadlag.data._hdf5_layouts import hdf5_layout
from cadlag.data._stored_fields import is_hdf5, open_xarray
from cadlag.data._well_layout import well_layout
from cadlag.data.writers import appear

Path = str | pathlib.Path
_NETCDF, _HDF5 = (".nc", ".nc4", ".cdf", ".netcdf", ".zarr"), (".h5", ".hdf5", ".hdf")
_ALL = (*_NETCDF, *_HDF5, ".mat", ".npz", ".npy")


def read_fields(
    path: Path | Sequence[Path],
    *,
    axes: str | Sequence[str] | None = None,
    arrays: Sequence[str] | str | None = None,
    channels: Sequence[str] | str | None = None,
    ts: Any = None,
    coordinates: Mapping[str, Any] | None = None,
    periodic: Sequence[str] | str | None = None,
    split: str | None = None,
    lazy: bool = False,
    dtype: Any = None,
) -> FieldDataset:
    """Read fields from a file, from several files as one set, or from all files of a folder.

    Known layouts: NetCDF and Zarr with named dims (`from_xarray`), PDEBench's three, PDEArena's two, The Well, FNO's
    `.mat` and `.npz`, and what `write_fields` writes. Any other HDF5, `.mat`, `.npz` or `.npy` takes `axes`.

    **Arguments:**

    - `axes`: the axes of the arrays in order, such as "n t x y c": n the examples, t time, c channels, 1 an axis of
      length 1, all others space. For `.mat` in MATLAB's order. Overrides what is recognised.
    - `arrays`: which arrays of such a file (by full name, "group/u").
    - `channels`: those to keep; or names for the entries of the axis c. Fields without time, such as a coefficient
      beside a flow, are read only where they are named here, and are then the same in all frames.
    - `ts`, `coordinates` (axis → vector), `periodic`: instead of what the file says, or where it says nothing.
    - `split`: train, valid or test, for files of PDEArena that hold several.
    - `lazy`: leave the values in the file, for sets larger than memory.
    - `dtype`: of the values; by default that of the file (float64 for integers).

    **Raises:** ValueError, naming the file, for what cannot be read, is cut short, is not one set, or could be read in
    two ways (with its shape and the likely readings); FileNotFoundError; ImportError where zarr is missing.
    """
    files = _files(path)
    wanted = None if channels is None else names_of(channels)
    chosen = None if arrays is None else names_of(arrays)
    sets = []
    for file in files:
        layout = _replaced(_layout(file, axes, chosen, wanted, split), ts, coordinates)
        sets.append(record(file, layout, channels=wanted, periodic=periodic, lazy=lazy, dtype=dtype))
    return sets[0] if len(sets) == 1 else join(sets)


def write_fields(path: Path, dataset: FieldDataset, *, shard: int = 32) -> pathlib.Path:
    """Write fields so that `read_fields` finds them again: `.nc` (also `.h5`, `.hdf5`: the same), `.zarr` or `.npz`.

    NetCDF is written `shard` examples at a time, so a set in files need not fit in memory. A file appears whole or not
    at all.
    """
    path = pathlib.Path(path)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return appear(path, lambda draft: np.savez(draft, **to_archive(dataset)))  # pyright: ignore[reportArgumentType]
    if suffix == ".zarr":
        _need_zarr(path)
        to_xarray(dataset).to_zarr(path, mode="w")
        return path
    if suffix in (".nc", ".nc4", *_HDF5):
        return appear(path, lambda draft: _write_netcdf(draft, dataset, shard))
    raise ValueError(f"{path}: the suffix {path.suffix!r} is not one of .nc, .zarr, .npz, .h5, .hdf5.")


def _files(path: Path | Sequence[Path]) -> list[pathlib.Path]:
    paths = [pathlib.Path(p) for p in ([path] if isinstance(path, str | pathlib.Path) else path)]
    found = []
    for p in paths:
        if not p.exists():
            raise FileNotFoundError(f"{p}: there is no such file.")
        folder = p.is_dir() and p.suffix.lower() != ".zarr"
        inside = sorted(f for f in p.iterdir() if f.suffix.lower() in _ALL) if folder else [p]
        if not inside:
            raise ValueError(f"{p}: no file of fields lies in this folder; known are {', '.join(_ALL)}.")
        found += inside
    if not found:
        raise ValueError("`path`: no file is given.")
    return found


def _layout(
    path: pathlib.Path,
    axes: str | Sequence[str] | None,
    arrays: tuple[str, ...] | None,
    channels: tuple[str, ...] | None,
    split: str | None,
) -> Layout:
    suffix = path.suffix.lower()
    if suffix in _NETCDF:
        return _named(path, axes, arrays or channels)
    if suffix in _HDF5 or (suffix == ".mat" and is_hdf5(path)):
        return _hdf5(path, axes, arrays, channels, split)
    if suffix not in (".mat", ".npz", ".npy"):
        raise ValueError(f"{path}: the suffix {suffix!r} is not one of {', '.join(_ALL)}.")
    bag = matlab_bag(path) if suffix == ".mat" else numpy_bag(path)
    if axes is not None:
        return explicit_layout(path, bag, axes, arrays, channels, reverse=False)
    if MARK in bag:
        return own_archive(path, bag)
    if suffix == ".mat" or {"a", "u"} <= bag.keys() or {"coeff", "sol"} <= bag.keys():
        return fno_layout(path, bag, reverse=False)
    return numpy_layout(path, bag)


def _named(path: pathlib.Path, axes: str | Sequence[str] | None, wanted: tuple[str, ...] | None) -> Layout:
    if path.suffix.lower() == ".zarr":
        _need_zarr(path)
    try:
        dataset = open_xarray(path)
    except Exception as error:
        raise ValueError(f"{path}: cannot be opened ({error}); damaged, cut short, or another format.") from error
    with dataset:
        return xarray_layout(dataset, path, axes, wanted, stored=True)


def _hdf5(
    path: pathlib.Path,
    axes: str | Sequence[str] | None,
    arrays: tuple[str, ...] | None,
    channels: tuple[str, ...] | None,
    split: str | None,
) -> Layout:
    matlab = path.suffix.lower() == ".mat"
    with open_hdf5(path) as file:
        if "_NCProperties" in file.attrs:
            return _named(path, axes, arrays or channels)
        if axes is not None:
            return explicit_layout(path, hdf5_bag(path, file), axes, arrays, channels, reverse=matlab)
        if matlab:
            return fno_layout(path, hdf5_bag(path, file), reverse=True)
        layout = well_layout(path, file) or hdf5_layout(path, file, split)
        if layout is None:
            shapes = {name: array.shape for name, array in hdf5_bag(path, file).items()}
            raise ValueError(
                f"{path}: none of the known layouts (PDEBench, PDEArena, The Well, NetCDF); it holds {shapes}. Say "
                "what the axes are, `axes='n t x y'`, and which arrays, `arrays=('u',)`."
            )
        return layout


@contextmanager
def open_hdf5(path: pathlib.Path) -> Iterator[Any]:
    """An open HDF5 file; ValueError where it is damaged."""
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path}: this is not a readable HDF5 file; damaged or cut short? ({error})") from error
    with file:
        yield file


def _need_zarr(path: pathlib.Path) -> None:
    import importlib.util

    if importlib.util.find_spec("zarr") is None:
        raise ImportError(f"{path}: Zarr stores need the package zarr: `pip install zarr`. Or use NetCDF, `.nc`.")


def _replaced(layout: Layout, ts: Any, coordinates: Mapping[str, Any] | None) -> Layout:
    import dataclasses

    unknown = [a for a in coordinates or {} if a not in layout.space]
    if unknown:
        raise ValueError(f"`coordinates`: {unknown} are no axes of space; these are {layout.space}.")
    known = {**layout.coordinates, **(coordinates or {})}
    return dataclasses.replace(layout, ts=layout.ts if ts is None else ts, coordinates=known)


def _write_netcdf(path: pathlib.Path, dataset: FieldDataset, shard: int) -> None:
    """By h5netcdf, example after example, each frame a contiguous piece."""
    import h5netcdf

    template, n = to_xarray(dataset[:1]), len(dataset)
    with h5netcdf.File(path, "w") as file:
        file.attrs.update(template.attrs)
        file.dimensions = {str(d): n if d == "example" else k for d, k in template.sizes.items()}
        for name, variable in template.variables.items():
            made = file.create_variable(str(name), tuple(map(str, variable.dims)), variable.dtype)
            made.attrs.update(variable.attrs)
            if "example" not in variable.dims:
                made[...] = np.asarray(variable)
        for first in range(0, n, shard):
            part = to_xarray(dataset[first : first + shard])
            for name, variable in part.variables.items():
                if "example" in variable.dims:
                    file.variables[str(name)][first : first + shard] = np.asarray(variable)
