"""Progress of a run: bars on a terminal, quiet lines elsewhere, or silence. The object is passed in."""

import abc
import sys
import time
from typing import Any, TextIO


class AbstractProgress(abc.ABC):
    """To write your own, give `start(total, taken)`, `update(taken, info)` and `stop()`."""

    @abc.abstractmethod
    def start(self, total: int, taken: int) -> None:
        """A run of `total` steps begins, with `taken` already done."""

    @abc.abstractmethod
    def update(self, taken: int, info: dict[str, Any]) -> None:
        """A block ended; `info` holds the latest values by name."""

    @abc.abstractmethod
    def stop(self) -> None:
        """The run ended, one way or another."""


class Silent(AbstractProgress):
    """Says nothing."""

    def start(self, total: int, taken: int) -> None:
        """Nothing."""

    def update(self, taken: int, info: dict[str, Any]) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""


def _values(info: dict[str, Any]) -> str:
    shown = [(k, v) for k, v in info.items() if k != "step" and "/" not in k]
    return "  ".join(f"{k} {float(v):.4g}" for k, v in shown[:4])


class Lines(AbstractProgress):
    """At most one plain line every `seconds`, to `stream` (by default the standard error stream)."""

    def __init__(self, seconds: float = 10.0, stream: TextIO | None = None, label: str = ""):
        self.seconds, self.stream, self.label = seconds, stream, label

    def start(self, total: int, taken: int) -> None:
        """Remember when."""
        self._total, self._last = total, time.monotonic()

    def update(self, taken: int, info: dict[str, Any]) -> None:
        """Write a line if it is time, and at the end."""
        now = time.monotonic()
        if now - self._last < self.seconds and taken < self._total:
            return
        self._last = now
        stream = sys.stderr if self.stream is None else self.stream
        stream.write(f"{self.label + ': ' if self.label else ''}step {taken}/{self._total}  {_values(info)}\n")
        stream.flush()

    def stop(self) -> None:
        """Nothing."""


class Bar(AbstractProgress):
    """A bar with values and time left, by rich, on the standard error stream."""

    def __init__(self, label: str = "training"):
        self.label = label

    def start(self, total: int, taken: int) -> None:
        """Open the display."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
        columns += [TimeRemainingColumn(), TextColumn("{task.fields[values]}")]
        self._display = Progress(*columns, console=Console(stderr=True), transient=True)
        self._display.start()
        self._task = self._display.add_task(self.label, total=total, completed=taken, values="")

    def update(self, taken: int, info: dict[str, Any]) -> None:
        """Move the bar."""
        self._display.update(self._task, completed=taken, values=_values(info))

    def stop(self) -> None:
        """Close the display."""
        self._display.stop()


def progress(label: str = "training", *, silent: bool = False) -> AbstractProgress:
    """A bar where the standard error stream is a terminal, quiet lines elsewhere, or silence."""
    if silent:
        return Silent()
    return Bar(label) if sys.stderr.isatty() else Lines(label=label)
