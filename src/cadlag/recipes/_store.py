"""The run folder: atomic files, one per unit, so that a run killed at any moment can go on."""

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ._recipe import Unit


def write_json(path: pathlib.Path, content: Any) -> None:
    """Write `content` to `path` such that a reader sees the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    with partial.open("w", encoding="utf8") as file:
        json.dump(content, file, indent=1, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def read_json(path: pathlib.Path) -> Any:
    """Read `path`; a damaged file is a `ValueError` that names it."""
    try:
        return json.loads(path.read_text(encoding="utf8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it, or start in another folder.") from error


def plain(value: Any, where: str = "figures") -> Any:
    """`value` with NumPy and JAX arrays turned into numbers and lists; what JSON cannot hold is refused."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(k): plain(v, f"{where}.{k}") for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v, f"{where}[{i}]") for i, v in enumerate(value)]
    if hasattr(value, "tolist"):
        return plain(value.tolist(), where)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{where} is a {type(value).__name__}; figures must be numbers, text, lists and dictionaries.")


def finite(value: Any) -> Any:
    """`value` with NaN and infinities as `None`, which strict JSON asks for."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return value


def digest(content: Any) -> str:
    """A short hash of JSON-able `content`, independent of the order of keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def unit_file(out: pathlib.Path, unit: Unit) -> pathlib.Path:
    """Where the result of `unit` lies."""
    return out / "units" / unit.arm / f"{unit.seed}.json"


def unit_folder(out: pathlib.Path, unit: Unit) -> pathlib.Path:
    """The folder `measure` may write into."""
    return out / "units" / unit.arm / str(unit.seed)


def write_unit(out: pathlib.Path, unit: Unit, **content: Any) -> None:
    """Record the result of `unit`: `status` "done" with `figures`, or "failed" with `error`."""
    write_json(unit_file(out, unit), {**dataclasses.asdict(unit), **content})


def read_unit(out: pathlib.Path, unit: Unit) -> dict[str, Any] | None:
    """The result of `unit`, or `None` if there is none that can be used."""
    path = unit_file(out, unit)
    if not path.exists():
        return None
    with contextlib.suppress(ValueError):
        record = read_json(path)
        if isinstance(record, dict) and record.get("status") in ("done", "failed"):
            return record
    return None


def read_figures(out: pathlib.Path, units: Sequence[Unit]) -> dict[str, dict[int, dict[str, Any]]]:
    """The figures of all `units` that are done: arm, then seed."""
    figures: dict[str, dict[int, dict[str, Any]]] = {}
    for unit in units:
        record = read_unit(out, unit)
        if record and record["status"] == "done":
            figures.setdefault(unit.arm, {})[unit.seed] = record["figures"]
    return figures


class Journal:
    """Appends events to `metrics.jsonl`, each with the seconds since this attempt at the run began."""

    def __init__(self, path: pathlib.Path):
        past = list(read_events(path))
        self.attempt = 1 + max((e.get("attempt", 0) for e in past), default=0)
        self.earlier = _wall_seconds(past)
        self._start = time.monotonic()
        torn = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
        self._file = path.open("a", encoding="utf8")
        if torn:
            self._file.write("\n")

    @property
    def wall_seconds(self) -> float:
        """Seconds this attempt has taken."""
        return time.monotonic() - self._start

    def write(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Append `event` and return it as written."""
        line = {"attempt": self.attempt, "wall_seconds": round(self.wall_seconds, 3), **event}
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()
        return line

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_events(path: pathlib.Path) -> Iterator[dict[str, Any]]:
    """The events in `path`, leaving out a line that a kill tore apart."""
    if path.exists():
        for line in path.read_text(encoding="utf8", errors="replace").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                event = json.loads(line)
                if isinstance(event, dict):
                    yield event


def _wall_seconds(events: Sequence[Mapping[str, Any]]) -> float:
    last: dict[int, float] = {}
    for event in events:
        last[event.get("attempt", 0)] = float(event.get("wall_seconds", 0.0))
    return sum(last.values(), 0.0)


@contextlib.contextmanager
def locked(out: pathlib.Path) -> Iterator[None]:
    """Hold `out` for one run at a time (where the system has file locks)."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with (out / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ValueError(f"Another run is writing to {out}; wait for it, or give another --out.") from error
        yield
