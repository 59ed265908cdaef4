"""What the page of `mr-sampler` shows."""

from typing import Any

from cadlag.recipes._curve import mean_and_error
from cadlag.recipes._picture import Curves, Images, Line, Picture, Table
from cadlag.recipes._recipe import Figures

LABELS = {
    "euler": "Euler", "posterior": "posterior sampler", "sde-1": "SDE, order 1", "sde-2": "SDE, order 2",
    "ode-1": "flow, order 1", "ode-2": "flow, order 2", "ode-2-noise": "flow, order 2, reads noise",
    "ode-3": "flow, order 3", "once": "regression, one call", "clean": "clean digits (the floor)",
    "degraded": "degraded digits",
}  # fmt: skip
OURS = ("sde-1", "sde-2", "ode-1", "ode-2", "ode-2-noise")


def tables(figures: Figures) -> list[Table]:
    """Errors of the exact problem; distance and PSNR of each task."""
    made = []
    for seeds in [figures["exact"]] if figures.get("exact") else []:
        errors = next(iter(seeds.values()))["errors"]
        counts = list(next(iter(errors.values())))
        rows = [[LABELS[name], *(by[c] for c in counts)] for name, by in errors.items()]
        columns = ("sampler", *(f"{c} evaluations" for c in counts))
        made.append(Table("Scalar problem: largest error at the end", columns, rows, "Exact predictions, no network."))
    for task in _tasks(figures):
        for what, title in (("distance", "sliced W2 to clean digits"), ("psnr", "PSNR (dB)")):
            made.append(_table(figures, task, what, title))
    return made


def pictures(figures: Figures) -> list[Picture]:
    """Distance against evaluations, restored digits, training curves."""
    made: list[Picture] = []
    for task in _tasks(figures):
        seeds = figures["mr"]
        lines = [_line(seeds, task, name) for name in ("posterior", "sde-1", "sde-2", "ode-1", "ode-2")]
        made.append(
            Curves(
                f"distance-{task}",
                f"Distance of restored digits ({task}) to the law of clean ones, by evaluations; bands are one "
                "standard error over seeds.",
                lines,
                "evaluations",
                "sliced W2",
                log_x=True,
            )
        )
        shown = {LABELS.get(k.split(",")[0], k) + k[len(k.split(",")[0]) :]: v for k, v in _first(seeds, task).items()}
        if figures.get("regression"):
            shown[LABELS["once"]] = next(iter(figures["regression"].values()))["tasks"][task]["images"]
        made.append(Images(f"digits-{task}", f"Held-out digits ({task}) and what is made of them.", shown, 0, 1))
    return made


def _first(seeds: Any, task: str) -> dict[str, Any]:
    return next(iter(seeds.values()))["tasks"][task]["images"]


def _line(seeds: Any, task: str, name: str) -> Line:
    by = [f["tasks"][task][name] for f in seeds.values()]
    counts = list(by[0])
    values = [[b[c]["distance"] for b in by] for c in counts]
    role = "ours" if name in OURS else "baseline"
    return Line(LABELS[name], [int(c) for c in counts], *mean_and_error(values), role)


def _table(figures: Figures, task: str, what: str, title: str) -> Table:
    seeds = figures["mr"]
    counts = list(next(iter(seeds.values()))["tasks"][task]["sde-2"])
    rows = []
    for name in ("euler", "posterior", *OURS):
        rows.append([LABELS[name], *([f["tasks"][task][name][c][what] for f in seeds.values()] for c in counts)])
    blank = [None] * (len(counts) - 1)
    if figures.get("regression"):
        once = [f["tasks"][task]["once"]["1"][what] for f in figures["regression"].values()]
        rows.append([LABELS["once"], once, *blank])
    for name in ("clean", "degraded"):
        if what == "distance" or name == "degraded":
            rows.append([LABELS[name], [f["tasks"][task][name]["0"][what] for f in seeds.values()], *blank])
    columns = ("sampler", *(f"{c} evaluations" for c in counts))
    return Table(
        f"Restoration ({task}): {title}", columns, rows, "Rows without a number of evaluations fill one column."
    )


def _tasks(figures: Figures) -> list[str]:
    return list(next(iter(figures["mr"].values()))["tasks"]) if figures.get("mr") else []
