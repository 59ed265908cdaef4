"""Writing predictions to files, with the identities of the series; files that appear whole."""

import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd


def write_predictions(
    path: str | pathlib.Path,
    predictions: Mapping[str, Any],
    *,
    ids: Sequence | np.ndarray | None = None,
    id: str = "id",
) -> pathlib.Path:
    """Write named predictions, one row (or entry) a series, to `.csv`, `.parquet` or `.npz`.

    **Arguments:** `predictions`, name -> array (N, ...). In a table an array (N, K) gives the columns
    name_0, ..., name_{K-1}, and (N, H, C) gives name_0_0, ...; an NPZ keeps the shapes. `ids` (default
    0..N-1) go to the column `id`. The file appears whole or not at all.

    **Raises:** ValueError for no predictions, unequal lengths, a name used twice, or another suffix.
    """
    path = pathlib.Path(path)
    arrays = {name: np.asarray(array) for name, array in predictions.items()}
    sizes = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if not arrays or len(set(sizes.values())) > 1 or 0 in sizes.values():
        raise ValueError(f"`predictions` must be arrays with one entry a series, but have lengths {sizes}.")
    n = next(iter(sizes.values()))
    ids = list(range(n)) if ids is None else list(ids)
    if len(ids) != n:
        raise ValueError(f"`ids` has {len(ids)} entries for {n} predictions.")
    if id in arrays:
        raise ValueError(f"The name {id!r} is that of the column of ids; choose another with `id=`.")
    write = {".csv": _write_csv, ".parquet": _write_parquet, ".npz": _write_npz}.get(path.suffix.lower())
    if write is None:
        raise ValueError(f"{path}: the suffix {path.suffix!r} is not one of .csv, .parquet, .npz.")
    return appear(path, lambda draft: write(draft, id, ids, arrays))


def appear(path: pathlib.Path, write: Callable[[pathlib.Path], Any]) -> pathlib.Path:
    """Let `write` fill a draft beside `path` and put it there when it is whole."""
    draft = path.with_name(f".{path.name}.{os.getpid()}{path.suffix}")
    try:
        write(draft)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def _write_csv(path: pathlib.Path, id: str, ids: list, arrays: dict[str, np.ndarray]) -> None:
    _frame(id, ids, arrays).to_csv(path, index=False)


def _write_parquet(path: pathlib.Path, id: str, ids: list, arrays: dict[str, np.ndarray]) -> None:
    _frame(id, ids, arrays).to_parquet(path, index=False)


def _write_npz(path: pathlib.Path, id: str, ids: list, arrays: dict[str, np.ndarray]) -> None:
    everything: dict[str, Any] = {id: np.asarray(ids), **arrays}
    np.savez(path, **everything)


def _frame(id: str, ids: list, arrays: dict[str, np.ndarray]) -> pd.DataFrame:
    columns: dict[str, Any] = {id: ids}
    for name, array in arrays.items():
        for index in np.ndindex(array.shape[1:]):
            columns["_".join([name, *map(str, index)])] = array[(slice(None), *index)]
    return pd.DataFrame(columns)
