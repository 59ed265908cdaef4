"""What `cadlag data` does."""

import contextlib
import pathlib
import sys

import jax
import numpy as np

from cadlag.data import write_fields
from cadlag.equations._dataset_table import dataset_generator
from cadlag.equations._datasets import make_dataset


def data_file(
    name: str,
    *,
    n: int,
    resolution: int,
    frames: int | None = None,
    every: float | None = None,
    nu: float | None = None,
    seed: int = 0,
    out: pathlib.Path | None = None,
    double: bool = False,
) -> str:
    """Make a named data set, write it, and say what is in the file."""
    path = pathlib.Path(f"{name}.nc") if out is None else out
    # Refused before the work, not after it.
    if path.suffix.lower() not in (".nc", ".h5", ".hdf5", ".zarr", ".npz"):
        raise ValueError(f"{path}: the suffix {path.suffix!r} is not one of .nc, .h5, .hdf5, .zarr, .npz.")
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent}.")
    with jax.enable_x64(True) if double else contextlib.nullcontext():
        made = dataset_generator(name, frames=frames, every=every, nu=nu)
        dataset = make_dataset(
            made,
            n,
            resolution=resolution,
            key=jax.random.key(seed),
            dtype=np.float64 if double else np.float32,
            progress=_progress,
        )
    write_fields(path, dataset)
    shape, dropped = dataset.values.shape, dataset.metadata["dropped"]
    more = f"; {dropped} runs failed and were replaced" if dropped else ""
    size = path.stat().st_size / 2**20 if path.is_file() else dataset.values.nbytes / 2**20
    channels = ", ".join(dataset.channels)
    return f"{path}: {shape[0]} examples, {shape[1]} frames of {channels} on {dataset.shape}, {size:.1f} MiB{more}"


def _progress(made: int, n: int) -> None:
    end = "\n" if made >= n or not sys.stderr.isatty() else "\r"
    print(f"{made}/{n}", end=end, file=sys.stderr, flush=True)
