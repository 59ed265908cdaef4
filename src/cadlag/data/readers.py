"""Reading irregular series from files; every refusal names the file, the row and the column.

Rows are counted as in the file: the header of a CSV is row 1 (a Parquet file has no header, its first row is
1).
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from cadlag.data._archive import read_archive
from cadlag.data._optional import aeon_datasets
from cadlag.data._series import IrregularSeries
from cadlag.data._table import PARQUET_SUFFIXES, TEXT_SUFFIXES, Table, names_or_numbers, read_table

Path = str | pathlib.Path


def read_series(path: Path, **options: Any) -> IrregularSeries:
    """Read series from a file by its suffix: `.csv`, `.tsv`, `.parquet`, `.ts`, `.npz`.

    A table is in long form (one row an observation; pass `id=` and `time=`, see `read_long`) or else in wide
    form (one row a series, see `read_wide`). All options go to the reader.
    """
    suffix = pathlib.Path(path).suffix.lower()
    if suffix == ".ts":
        return read_ts(path, **options)
    if suffix == ".npz":
        return read_npz(path, **options)
    if suffix not in TEXT_SUFFIXES and suffix not in PARQUET_SUFFIXES:
        known = ", ".join([*TEXT_SUFFIXES, *PARQUET_SUFFIXES, ".ts", ".npz"])
        raise ValueError(f"{path}: the suffix {suffix!r} is not one of {known}.")
    return read_long(path, **options) if "time" in options else read_wide(path, **options)


def read_long(
    path: Path,
    *,
    id: str,
    time: str,
    columns: Sequence[str] | None = None,
    label: str | None = None,
    target: str | Sequence[str] | None = None,
    static: Sequence[str] | None = None,
    sort: bool = False,
    duplicates: str = "refuse",
) -> IrregularSeries:
    """Read a table with one row an observation: which series, when, and the value of each channel.

    **Arguments:** `id` and `time` name columns; `columns` the channels (default: all others); `label` a
    column of classes, `target` one or more of real numbers, `static` of features: these must not change
    within a series. Empty fields are missing. `sort=True` orders each series by time; `duplicates` says what
    to do with several rows of one series at one time: refuse, or take per channel the first, last or mean
    observed value.

    **Raises:** ValueError with file, row and column for whatever is wrong.
    """
    if duplicates not in ("refuse", "first", "last", "mean"):
        raise ValueError(f"`duplicates` must be 'refuse', 'first', 'last' or 'mean', but got {duplicates!r}.")
    targets, static = _targets(label, target), list(static or ())
    table = read_table(path)
    special = [id, time, *([label] if label else []), *targets, *static]
    table.need(*special, *(columns or ()))
    columns = _channels(table, columns, special)
    group_of = table.complete(id).factorize()[0]
    table = table.keep(np.argsort(group_of, kind="stable"))
    group = np.sort(group_of)
    times = _times(table, time)
    if sort:
        order = np.lexsort((times, group))  # stable: rows at one time stay in the file's order
        table, times = table.keep(order), times[order]
    values = np.stack([table.numbers(name) for name in columns], axis=1)
    _check_order(table, id, time, group, times, duplicates)
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    names = {"label": _constant(table, id, label, group, starts)} if label else {}
    for name in targets:
        table.complete(name)
    fixed = [_constant_numbers(table, id, name, group, starts) for name in [*targets, *static]]
    ids = names_or_numbers(table.frame[id].iloc[starts])
    group, times, values = _merge(group, times, values, duplicates)
    cuts = np.flatnonzero(np.diff(group)) + 1
    pairs = list(zip(np.split(times, cuts), np.split(values, cuts), strict=True))
    return IrregularSeries.from_ragged(
        pairs,
        channels=columns,
        ids=ids,
        labels=_labels(names.get("label"), fixed[: len(targets)]),
        static=np.stack(fixed[len(targets) :], axis=1) if static else None,
    )


def read_wide(
    path: Path,
    *,
    columns: Sequence[str] | None = None,
    times: Sequence[float | int] | np.ndarray | None = None,
    id: str | None = None,
    label: str | None = None,
    target: str | Sequence[str] | None = None,
    static: Sequence[str] | None = None,
    channel: str = "value",
) -> IrregularSeries:
    """Read a table with one row a series of one channel, and one column a time.

    **Arguments:** `columns`, those of the values in the order of time (default: all others); `times`, their
    times (default 0, 1, 2, ...); `id`, `label`, `target`, `static` as for `read_long`. Empty fields are
    missing.
    """
    targets, static = _targets(label, target), list(static or ())
    table = read_table(path)
    special = [*([id] if id else []), *([label] if label else []), *targets, *static]
    table.need(*special, *(columns or ()))
    columns = _channels(table, columns, special)
    values = np.stack([table.numbers(name) for name in columns], axis=1)
    if times is not None and len(times) != len(columns):
        raise ValueError(f"`times` has {len(times)} entries for {len(columns)} columns of values.")
    return IrregularSeries.from_arrays(
        np.arange(len(columns), dtype=float) if times is None else np.asarray(times, float),
        values[:, :, None],
        channels=(channel,),
        ids=names_or_numbers(table.complete(id)) if id else None,
        labels=_labels(table.complete(label) if label else None, [_full(table, name) for name in targets]),
        static=np.stack([table.numbers(name) for name in static], axis=1) if static else None,
    )


def read_ts(path: Path) -> IrregularSeries:
    """Read a `.ts` file of the UCR/UEA archives through aeon; times are 0, 1, 2, ...; `?` is missing.

    **Raises:** ImportError with advice if aeon is missing; ValueError if aeon cannot read the file.
    """
    if not pathlib.Path(path).exists():
        raise FileNotFoundError(f"{path}: there is no such file.")
    datasets = aeon_datasets()
    try:
        cases, labels = datasets.load_from_ts_file(str(path))
    except Exception as error:
        raise ValueError(f"{path}: aeon cannot read this .ts file: {error}") from error
    if len(cases) == 0:
        raise ValueError(f"{path}: aeon cannot read this .ts file: it found no series in it.")
    return from_cases(cases, labels)


def read_npz(path: Path) -> IrregularSeries:
    """Read an NPZ with `times` and `values` and, where present, the other fields of `IrregularSeries`.

    Nothing in the file is executed: arrays of Python objects are refused.
    """
    path = pathlib.Path(path)
    arrays = read_archive(path)
    options = ("mask", "lengths", "static", "labels", "channels", "classes", "ids")
    missing = [name for name in ("times", "values") if name not in arrays]
    if missing:
        raise ValueError(f"{path}: there is no array {missing[0]!r}; its arrays are {', '.join(arrays)}.")
    try:
        return IrregularSeries.from_arrays(**{k: arrays[k] for k in ("times", "values", *options) if k in arrays})
    except (ValueError, TypeError) as error:
        raise type(error)(f"{path}: {error}") from error


def from_cases(cases: Any, labels: Any, *, unit_interval: bool = False) -> IrregularSeries:
    """Series from aeon's form, (channels, T_i) each; times 0, 1, ..., or the longest over [0, 1]."""
    values = [np.asarray(case, np.float64).T for case in cases]
    longest = max(len(v) for v in values)
    grid = np.linspace(0.0, 1.0, longest) if unit_interval else np.arange(longest, dtype=float)
    return IrregularSeries.from_ragged([(grid[: len(v)], v) for v in values], labels=_as_classes(labels))


def _as_classes(labels: Any) -> Any:
    labels = np.asarray(labels)
    return labels if np.issubdtype(labels.dtype, np.number) else np.array(names_or_numbers(labels))


def _channels(table: Table, columns: Sequence[str] | None, special: Sequence[str]) -> list[str]:
    names = [c for c in table.frame.columns if c not in special] if columns is None else list(columns)
    if not names:
        raise ValueError(f"{table.path}: no columns are left for values besides {', '.join(special)}.")
    return names


def _times(table: Table, time: str) -> np.ndarray:
    table.complete(time)
    return table.numbers(time)


def _check_order(table: Table, id: str, time: str, group: Any, times: np.ndarray, duplicates: str) -> None:
    step, same = np.diff(times), np.diff(group) == 0
    back = np.flatnonzero(same & (step < 0))
    if back.size:
        i = back[0] + 1
        raise ValueError(
            f"{table.path}, row {table.row(i)}, column {time!r}: the time of {id} {table.frame[id].iloc[i]} "
            f"goes back from {times[i - 1]:g} to {times[i]:g}. Pass `sort=True` to order each series by time."
        )
    twice = np.flatnonzero(same & (step == 0))
    if twice.size and duplicates == "refuse":
        i = twice[0] + 1
        raise ValueError(
            f"{table.path}, row {table.row(i)}, column {time!r}: {id} {table.frame[id].iloc[i]} already "
            f"has a row at time {times[i]:g} (row {table.row(i - 1)}). "
            "Pass `duplicates='first'`, 'last' or 'mean' to merge them."
        )


def _constant(table: Table, id: str, name: str, group: Any, starts: np.ndarray) -> Any:
    column = table.complete(name).astype(str).to_numpy(dtype=object)
    bad = np.flatnonzero(column != column[starts][group])
    if bad.size:
        i = bad[0]
        raise ValueError(
            f"{table.path}, row {table.row(i)}, column {name!r}: {column[i]!r} differs from "
            f"{column[starts][group][i]!r} in row {table.row(starts[group[i]])} of the same {id} "
            f"{table.frame[id].iloc[i]}; it must not change within a series."
        )
    return column[starts]


def _constant_numbers(table: Table, id: str, name: str, group: Any, starts: np.ndarray) -> np.ndarray:
    numbers = table.numbers(name)
    if not np.all(np.isnan(numbers)):
        filled = table.keep(np.arange(len(group)))
        filled.frame[name] = table.frame[name].astype(object).where(table.frame[name].notna(), "nan")
        _constant(filled, id, name, group, starts)
    return numbers[starts]


def _full(table: Table, name: str) -> np.ndarray:
    table.complete(name)
    return table.numbers(name)


def _targets(label: str | None, target: str | Sequence[str] | None) -> list[str]:
    targets = [target] if isinstance(target, str) else list(target or ())
    if label is not None and targets:
        raise ValueError("Give either `label` (classes) or `target` (real numbers), not both.")
    return targets


def _labels(label: Any, targets: list[np.ndarray]) -> Any:
    if label is not None:
        return np.array(names_or_numbers(label))
    return np.stack(targets, axis=1) if targets else None


def _merge(group: np.ndarray, times: np.ndarray, values: np.ndarray, how: str) -> tuple[np.ndarray, ...]:
    """Rows of one series at one time become one, per channel the first, last or mean observed value."""
    import pandas as pd

    if how == "refuse":
        return group, times, values
    frame = pd.DataFrame(values).groupby([group, times], sort=False)
    merged = getattr(frame, how)()
    return (
        merged.index.get_level_values(0).to_numpy(),
        merged.index.get_level_values(1).to_numpy(),
        merged.to_numpy(),
    )
