"""Tables with their file name and row numbers, so that every complaint can say where."""

import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

TEXT_SUFFIXES = {".csv": ",", ".tsv": "\t", ".txt": ","}
PARQUET_SUFFIXES = (".parquet", ".pq")


class Table:
    """A data frame that knows its file; `row(i)` is the 1-based row in the file (a CSV's header is row 1)."""

    def __init__(self, path: pathlib.Path, frame: pd.DataFrame, first_row: int):
        self.path, self.frame, self.rows = path, frame, np.arange(len(frame)) + first_row

    def row(self, i: Any) -> int:
        """The row number in the file of the i-th entry."""
        return int(self.rows[i])

    def need(self, *names: str) -> None:
        """Refuse if one of the columns is not there, listing those that are."""
        for name in names:
            if name not in self.frame.columns:
                there = ", ".join(map(repr, self.frame.columns))
                raise ValueError(f"{self.path}: there is no column {name!r}; its columns are {there}.")

    def numbers(self, name: str) -> np.ndarray:
        """A column as float64, NaN where empty; text and infinite values are refused with row and column."""
        column = self.frame[name]
        if pd.api.types.is_datetime64_any_dtype(column):
            raise ValueError(
                f"{self.path}, column {name!r}: expected numbers, but got dates. "
                "Turn them into days or seconds since an origin first."
            )
        numbers = pd.Series(pd.to_numeric(column, errors="coerce")).astype("Float64")
        numbers = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
        bad = np.flatnonzero(np.isnan(numbers) & column.notna().to_numpy())
        if bad.size:
            raise ValueError(
                f"{self.path}, row {self.row(bad[0])}, column {name!r}: expected a number, but got "
                f"{column.iloc[bad[0]]!r}. "
                "Leave missing values empty; turn dates into numbers (days, seconds) first."
            )
        bad = np.flatnonzero(np.isinf(numbers))
        if bad.size:
            raise ValueError(
                f"{self.path}, row {self.row(bad[0])}, column {name!r}: the value is infinite. "
                "Leave the field empty if it is missing."
            )
        return numbers

    def complete(self, name: str) -> pd.Series:
        """A column in which nothing may be missing."""
        column = pd.Series(self.frame[name])
        bad = np.flatnonzero(column.isna().to_numpy())
        if bad.size:
            raise ValueError(f"{self.path}, row {self.row(bad[0])}, column {name!r}: the field is empty.")
        return column

    def keep(self, index: np.ndarray) -> "Table":
        """The table at an array of row positions; row numbers stay those of the file."""
        out = Table(self.path, self.frame.iloc[index].reset_index(drop=True), 0)
        out.rows = self.rows[index]
        return out


def read_table(path: str | pathlib.Path) -> Table:
    """Read CSV, TSV or Parquet; text stays text until a column is asked for as numbers."""
    path = pathlib.Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file.")
    suffix = path.suffix.lower()
    if suffix not in TEXT_SUFFIXES and suffix not in PARQUET_SUFFIXES:
        known = ", ".join([*TEXT_SUFFIXES, *PARQUET_SUFFIXES])
        raise ValueError(f"{path}: the suffix {suffix!r} is not one of {known}.")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty.")
    try:
        table = _read_text(path, TEXT_SUFFIXES[suffix]) if suffix in TEXT_SUFFIXES else _read_parquet(path)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{path}: this is not a readable {suffix} table: {error}") from error
    if len(table.frame) == 0:
        raise ValueError(f"{path}: the file has a header but no rows.")
    return table


def names_or_numbers(column: Iterable) -> list:
    """Entries as integers if all are, as text otherwise ("01" stays text)."""
    entries = [str(x) for x in column]
    if all(x.removeprefix("-").isdecimal() and str(int(x)) == x for x in entries):
        return [int(x) for x in entries]
    return entries


def _read_text(path: pathlib.Path, separator: str) -> Table:
    # Blank lines are kept while rows are counted and dropped afterwards.
    frame = pd.read_csv(path, sep=separator, dtype=str, skip_blank_lines=False, skipinitialspace=True)
    if not isinstance(frame.index, pd.RangeIndex):
        raise pd.errors.ParserError("its rows have more fields than its header")
    frame.columns = [str(name).strip() for name in frame.columns]
    return Table(path, frame, 2).keep(np.flatnonzero(frame.notna().any(axis=1).to_numpy()))


def _read_parquet(path: pathlib.Path) -> Table:
    import pyarrow

    try:
        return Table(path, pd.read_parquet(path), 1)
    except pyarrow.ArrowInvalid as error:
        raise OSError(error) from error
