"""What the terminal shows: progress, verdicts, the list of systems."""

import contextlib
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from cadlag.recipes import TABLE, Recorded, RunReport, Verdict, best, state

Progress = Callable[[dict[str, Any]], None]
_COLOURS = {
    Verdict.HOLDS: "green",
    Verdict.FAILS: "red",
    Verdict.UNDECIDED: "yellow",
    Verdict.NOT_MEASURED: "bright_black",
}


@contextlib.contextmanager
def make_progress(name: str, *, quiet: bool) -> Iterator[Progress]:
    """A bar on a terminal, one line a unit elsewhere, nothing if `quiet`. Both go to standard error."""
    if quiet:
        yield lambda event: None
    elif sys.stderr.isatty():
        with _bar(name) as progress:
            yield progress
    else:
        yield _line(name)


def _line(name: str) -> Progress:
    count = {"done": 0, "units": 0}

    def show(event: dict[str, Any]) -> None:
        if event["event"] == "start":
            count.update(done=event["done"], units=event["units"])
            text = f"{event['units']} units" + (f", {event['done']} done before" if event["done"] else "")
        elif event["event"] == "unit":
            count["done"] += 1
            text = f"{count['done']}/{count['units']} {_unit(event)}"
        else:
            return
        print(f"{name} {event['wall_seconds']:7.1f} s  {text}", file=sys.stderr, flush=True)

    return show


def _unit(event: dict[str, Any]) -> str:
    text = f"{event['arm']} seed {event['seed']}"
    if event["status"] == "failed":
        return f"{text} FAILED: {event['error']}"
    return f"{text} ({event['unit_seconds']:.1f} s)"


@contextlib.contextmanager
def _bar(name: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[last]}"), console=console) as bars:
        task = bars.add_task(name, total=None, last="")

        def show(event: dict[str, Any]) -> None:
            if event["event"] == "start":
                bars.update(task, total=event["units"], completed=event["done"])
            elif event["event"] == "unit":
                bars.update(task, advance=1, last=f"{event['arm']} seed {event['seed']}")
                if event["status"] == "failed":
                    console.print(_unit(event), style="red", markup=False, highlight=False)

        yield show


def show_verdicts(report: RunReport, page: pathlib.Path | None) -> None:
    """A compact table of the claims, and where the page lies."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    table.add_column("verdict", no_wrap=True)
    table.add_column("claim", overflow="fold")
    table.add_column("difference", no_wrap=True, justify="right")
    for claim in report.claims:
        sentence = Text(claim.statement)
        if claim.outcome.reason:
            sentence.append(f"  {claim.outcome.reason}", style="dim")
        table.add_row(Text(str(claim.verdict), style=_COLOURS[claim.verdict]), sentence, _difference(claim.outcome))
    console = Console()
    console.print(table)
    for unit, error in report.failed.items():
        console.print(f"{unit.arm}, seed {unit.seed} crashed: {error}", style="red", markup=False, highlight=False)
    if page is not None:
        print(_near(page))


def _difference(outcome: Any) -> str:
    if outcome.difference is None:
        return ""
    error = "" if outcome.standard_error is None else f" ± {outcome.standard_error:.2g}"
    return f"{outcome.difference:.4g}{error}"


def _near(path: pathlib.Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(pathlib.Path.cwd()))
    return str(path)


def show_systems(recorded: list[Recorded]) -> None:
    """The list of the forty-three, by wing."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    table.add_column("", style="dim", no_wrap=True)
    for column in ("recipe", "wing", "state"):
        table.add_column(column, no_wrap=True)
    table.add_column("what it is", overflow="fold")
    for system in TABLE:
        how = state(system, best(recorded, system.name))
        style = "bold" if system.module else None
        table.add_row(f"{system.number:02d}", system.name, system.wing, how, system.summary, style=style)
    Console(width=None if sys.stdout.isatty() else 140).print(table)
