"""Samples from files and to files; every refusal names the file, and the row and column of a table.

Rows are counted as in the file: the header of a CSV is row 1 (a Parquet file has no header, its first row is 1).
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from cadlag.data._archive import read_archive
from cadlag.data._samples import Samples, name_of
from cadlag.data._table import PARQUET_SUFFIXES, TEXT_SUFFIXES, names_or_numbers, read_table
from cadlag.data.writers import appear

Path = str | pathlib.Path


def read_samples(
    path: Path,
    *,
    label: str | None = None,
    columns: Sequence[str] | None = None,
    conditions: Sequence[str] | None = None,
) -> Samples:
    """Read samples by suffix: `.csv`, `.tsv`, `.txt`, `.parquet`, `.pq`, `.npz`, `.npy`.

    A table has one row a sample and one column an entry, all numbers. An NPZ has the array `values`, or only one array,
    and where present the other fields of `Samples`; an NPY is the values.

    **Arguments:** `columns`, those of a table that make the values, in order (default: all others); `label`, the column
    of classes, or the array of labels in an NPZ (default `labels`); `conditions`, columns of numbers.

    **Raises:** ValueError with file, row and column for whatever is wrong: a field that is empty, infinite or text, a
    column that is not there; FileNotFoundError.
    """
    path = pathlib.Path(path)
    suffix = path.suffix.lower()
    if suffix in TEXT_SUFFIXES or suffix in PARQUET_SUFFIXES:
        return _read_rows(path, label, columns, conditions)
    if suffix not in (".npz", ".npy"):
        known = ", ".join([*TEXT_SUFFIXES, *PARQUET_SUFFIXES, ".npz", ".npy"])
        raise ValueError(f"{path}: the suffix {suffix!r} is not one of {known}.")
    if columns is not None or conditions is not None or (label is not None and suffix == ".npy"):
        raise ValueError(f"{path}: `columns`, `conditions` and `label` choose columns of a table; here are arrays.")
    return _read_arrays(path, label)


def write_samples(path: Path, samples: Any, *, label: str = "label") -> pathlib.Path:
    """Write samples so that `read_samples` finds them again: by suffix `.npz`, `.npy`, `.csv`, `.tsv` or `.parquet`.

    **Arguments:** `samples`, a `Samples` or an array (n, ...). An NPZ keeps everything, an NPY the values alone. A
    table has one column an entry (x_0_2 for entry (0, 2) of what are not vectors), then `condition_0`, ..., then the
    classes in the column `label`, or targets in `label_0`, .... The file appears whole or not at all.

    **Raises:** ValueError for another suffix, labels or conditions that an NPY would lose, a column used twice.
    """
    path = pathlib.Path(path)
    samples = samples if isinstance(samples, Samples) else Samples.from_arrays(samples)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return appear(path, lambda draft: np.savez(draft, **_fields(samples)))
    if suffix == ".npy":
        if samples.labels is not None or samples.conditions is not None:
            raise ValueError(f"{path}: an .npy holds the values alone and would lose labels or conditions; use .npz.")
        return appear(path, lambda draft: np.save(draft, np.asarray(samples.values)))
    if suffix not in (".csv", ".tsv", ".parquet"):
        raise ValueError(f"{path}: the suffix {suffix!r} is not one of .npz, .npy, .csv, .tsv, .parquet.")
    frame = _frame(path, samples, label)
    if suffix == ".parquet":
        return appear(path, lambda draft: frame.to_parquet(draft, index=False))
    return appear(path, lambda draft: frame.to_csv(draft, index=False, sep=TEXT_SUFFIXES[suffix]))


def _read_rows(
    path: pathlib.Path, label: str | None, columns: Sequence[str] | None, conditions: Sequence[str] | None
) -> Samples:
    table = read_table(path)
    special = [*([label] if label else []), *(conditions or ())]
    table.need(*special, *(columns or ()))
    names = [c for c in table.frame.columns if c not in special] if columns is None else list(columns)
    if not names:
        raise ValueError(f"{path}: no columns are left for values besides {', '.join(special)}.")

    def block(chosen: Sequence[str]) -> np.ndarray:
        for name in chosen:
            table.complete(name)
        return np.stack([table.numbers(name) for name in chosen], axis=1)

    labels = np.array(names_or_numbers(table.complete(label))) if label else None
    return Samples.from_arrays(
        block(names), labels=labels, conditions=block(conditions) if conditions else None, columns=names
    )


def _read_arrays(path: pathlib.Path, label: str | None) -> Samples:
    arrays = read_archive(path)
    label = label or "labels"
    others = [name for name in arrays if name not in (label, "conditions", "columns", "classes")]
    values = "values" if "values" in arrays or len(others) != 1 else others[0]
    for name in (*([label] if label != "labels" else []), values):
        if name not in arrays:
            raise ValueError(f"{path}: there is no array {name!r}; its arrays are {', '.join(arrays)}.")
    options = {name: arrays[name] for name in ("conditions", "columns", "classes") if name in arrays}
    try:
        return Samples.from_arrays(arrays[values], labels=arrays.get(label), **options)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{path}: {error}") from error


def _fields(samples: Samples) -> dict[str, Any]:
    fields = {"values": samples.values, "labels": samples.labels, "conditions": samples.conditions}
    fields |= {"columns": samples.columns or None, "classes": samples.classes}
    return {name: np.asarray(x) for name, x in fields.items() if x is not None}


def _frame(path: pathlib.Path, samples: Samples, label: str) -> pd.DataFrame:
    table: list[tuple[str, Any]] = []
    for prefix, array in (("x_", samples.values), ("condition_", samples.conditions)):
        if array is not None:
            array, columns = np.asarray(array), samples.columns if prefix == "x_" else ()
            for index in np.ndindex(array.shape[1:]):
                name = name_of(columns, index) if columns else prefix + "_".join(map(str, index or (0,)))
                table.append((name, array[(slice(None), *index)]))
    labels = None if samples.labels is None else np.asarray(samples.labels)
    if labels is not None and labels.ndim == 2:
        table += [(f"{label}_{k}", labels[:, k]) for k in range(labels.shape[1])]
    elif labels is not None:
        table.append((label, labels if samples.classes is None else [samples.classes[k] for k in labels]))
    names = [name for name, _ in table]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"{path}: two columns would be called {min(twice)!r}; choose another with `label=`.")
    return pd.DataFrame(dict(table))
