"""`RunDir`: the folder a run leaves behind, `config.json`, `metrics.jsonl` and `checkpoints/`."""

import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FORMAT = 1


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a killed process, finds either the old content or the new."""
    partial = path.with_name(f".{path.name}.partial")
    with open(partial, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers."""
    found = {"python": platform.python_version()}
    for name in ("cadlag", "jax", "jaxlib", "equinox", "diffrax", "optax", "numpy"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def to_json(value: Any) -> Any:
    """A scalar for JSON; NaN and infinity, which JSON lacks, become the strings `nan`, `inf`, `-inf`."""
    value = value.item() if hasattr(value, "item") else value
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def from_json(value: Any) -> Any:
    """Undo `to_json`."""
    return float(value) if value in ("nan", "inf", "-inf") else value


class RunDir:
    """A run's folder. Opening an existing one checks it; a new one gets its `config.json` at once.

    Raises `ValueError` when the folder belongs to something else, is damaged, or is of another format
    version.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"run: {self.path} is a file, expected a folder or a path that does not exist.")
        if self.config_path.exists():
            self.config = self._read_config()
        elif self.metrics_path.exists() or self.checkpoints.exists():
            raise ValueError(
                f"run: {self.path} holds a run without its config.json; the folder is damaged. "
                "Restore the file or choose another folder."
            )
        else:
            self.config = {"format": FORMAT, "versions": versions(), "settings": {}, "choices": {}}
            self.path.mkdir(parents=True, exist_ok=True)
            self._write_config()
        # After config.json, so that a process killed in between leaves a folder that can be opened.
        self.checkpoints.mkdir(exist_ok=True)

    @property
    def config_path(self) -> Path:
        """Settings, versions, and choices made by measuring."""
        return self.path / "config.json"

    @property
    def metrics_path(self) -> Path:
        """One JSON object a line, with the number of steps taken under `step`."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def records_path(self) -> Path:
        """What the recorder saw."""
        return self.path / "records.npz"

    def record(self, section: str, **entries: Any) -> None:
        """Add entries to a section of `config.json`, for instance `record("choices", block=50)`."""
        self.config.setdefault(section, {}).update(entries)
        self._write_config()

    def append(self, rows: Iterable[dict[str, Any]]) -> None:
        """Append rows to `metrics.jsonl`."""
        lines = "".join(json.dumps({k: to_json(v) for k, v in row.items()}) + "\n" for row in rows)
        with open(self.metrics_path, "a", encoding="utf-8") as file:
            file.write(lines)

    def rows(self, up_to: int | None = None) -> list[dict[str, Any]]:
        """Read `metrics.jsonl`, up to a number of steps; a last line cut short by a kill is left out."""
        if not self.metrics_path.exists():
            return []
        lines = self.metrics_path.read_text(encoding="utf-8").split("\n")[:-1]
        return [row for row in map(self._row, range(1, len(lines) + 1), lines) if _within(row, up_to)]

    def truncate(self, up_to: int) -> list[dict[str, Any]]:
        """Drop the rows after `up_to` steps, and return the others."""
        rows = self.rows(up_to)
        text = "".join(json.dumps({k: to_json(v) for k, v in row.items()}) + "\n" for row in rows)
        write_atomic(self.metrics_path, text.encode())
        return rows

    def _row(self, number: int, line: str) -> dict[str, Any]:
        try:
            return {k: from_json(v) for k, v in json.loads(line).items()}
        except (ValueError, AttributeError):
            raise ValueError(f"run: {self.metrics_path} line {number} is not a JSON object: damaged.") from None

    def _read_config(self) -> dict[str, Any]:
        try:
            config = json.loads(self.config_path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"run: {self.config_path} is not readable JSON ({error}): damaged.") from None
        found = config.get("format") if isinstance(config, dict) else None
        if found != FORMAT:
            raise ValueError(
                f"run: {self.path} has format version {found!r}, this version of cadlag reads {FORMAT}. "
                "Use the version under 'versions' in its config.json, or choose another folder."
            )
        return config

    def _write_config(self) -> None:
        write_atomic(self.config_path, json.dumps(self.config, indent=2, default=str).encode())


def _within(row: dict[str, Any], up_to: int | None) -> bool:
    return up_to is None or row["step"] <= up_to
