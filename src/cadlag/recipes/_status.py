"""Verdicts that were recorded (`results/*.json`, copies of `claims.json`), and the table made from them."""

import collections
import dataclasses
import pathlib
from collections.abc import Iterable, Sequence

from ._claim import Verdict
from ._recipe import Preset
from ._store import read_json
from ._table import TABLE, System

_RANK = {Verdict.HOLDS: 0, Verdict.UNDECIDED: 1, Verdict.NOT_MEASURED: 1, Verdict.FAILS: 2}


@dataclasses.dataclass(frozen=True)
class Recorded:
    """The verdicts of one recorded run, by claim."""

    recipe: str
    preset: Preset
    seeds: int
    verdicts: dict[str, Verdict]


def read_recorded(folder: pathlib.Path) -> list[Recorded]:
    """All recorded runs in `folder`. Files that are not a `claims.json` are left out."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder with recorded results.")
    found = []
    for path in sorted(folder.glob("*.json")):
        content = read_json(path)
        if isinstance(content, dict) and {"recipe", "preset", "claims"} <= content.keys():
            verdicts = {claim["id"]: Verdict(claim["verdict"]) for claim in content["claims"]}
            seeds = len(content.get("seeds", ()))
            found.append(Recorded(content["recipe"], Preset(content["preset"]), seeds, verdicts))
    return found


def worse(now: Verdict, recorded: Verdict | None, *, strict: bool = False) -> bool:
    """Whether `now` is worse than what was `recorded` (`None`: nothing was).

    Only a fall to "fails" counts; with `strict`, one to "undecided" counts too. Without a record the claim is
    expected to hold.
    """
    if now is Verdict.NOT_MEASURED:
        return False
    before = Verdict.HOLDS if recorded is None else recorded
    counts = now is Verdict.FAILS or strict
    return counts and _RANK[now] > _RANK[before]


def best(recorded: Iterable[Recorded], name: str) -> Recorded | None:
    """The recorded run of `name` with the largest preset."""
    runs = [run for run in recorded if run.recipe == name]
    order = list(Preset)
    return max(runs, key=lambda run: (order.index(run.preset), run.seeds), default=None)


def markdown_table(recorded: Sequence[Recorded] = ()) -> str:
    """The table of the forty-three in Markdown, with the state of each as `recorded`."""
    lines = ["| | recipe | wing | paper | state |", "| --- | --- | --- | --- | --- |"]
    lines += [_row(system, best(recorded, system.name)) for system in TABLE]
    return "\n".join(lines) + "\n"


def state(system: System, run: Recorded | None) -> str:
    """One phrase on how far `system` is: planned, built, or the recorded verdicts."""
    if run is None:
        return "planned" if system.module is None else "built, no run recorded"
    counts = collections.Counter(run.verdicts.values())
    parts = [f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict]]
    seeds = f"{run.seeds} seed{'s' if run.seeds != 1 else ''}"
    return f"{', '.join(parts)} ({run.preset}, {seeds})"


def _row(system: System, run: Recorded | None) -> str:
    name = f"`{system.name}`" if system.module is None else f"**`{system.name}`**"
    cells = (
        f"{system.number:02d}",
        name,
        system.wing,
        f"{system.title} ({system.venue})",
        state(system, run),
    )
    return f"| {' | '.join(cells)} |"
