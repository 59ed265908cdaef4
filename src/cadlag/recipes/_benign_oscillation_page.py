"""What the page of `benign-oscillation` shows."""

from collections.abc import Sequence
from typing import Any

from cadlag.recipes._picture import Bars, Curves, Line, Picture, Table
from cadlag.recipes._recipe import Arm, Figures

KEYS = {
    "weak": "weak feature alone", "strong": "strong feature", "loss": "training loss", "u": "largest <w, u>/|u|",
    "v": "largest <w, v>/|v|", "residual": "mean residual", "amplitude": "its amplitude",
}  # fmt: skip


def tables(figures: Figures, arms: Sequence[Arm]) -> list[Table]:
    """One row a training; one a kappa."""
    rows = []
    for arm in arms:
        found = list(figures.get(arm.name, {}).values())
        if found and "weak" in found[0]:
            counts = [sum(f[name] for f in found) for name in ("oscillating", "diverged")]
            rows.append([arm.description, *([f[k] for f in found] for k in KEYS), *counts])
    columns = ("training", *KEYS.values(), "runs that oscillate", "that diverged")
    note = "Means over the runs of a seed; residual and amplitude early in training. A diverged run counts as wrong."
    made = [Table("Accuracy where only the weak feature is left", columns, rows, note)] if rows else []
    ends = _first(figures, "theory").get("rows", {})
    if ends:
        rows = [[float(k), r["end"], r["predicted"], r["residual"]] for k, r in ends.items()]
        columns = ("kappa", "weak share at the end", "edge of stability", "mean residual without it")
        made.append(Table("One example, one neuron", columns, rows))
    return made


def pictures(figures: Figures, arms: Sequence[Arm]) -> list[Picture]:
    """Bars of accuracies, residuals along training, the map's weak share."""
    made: list[Picture] = []
    shown = [arm for arm in arms if "weak" in _first(figures, arm.name)]
    if shown:
        means = [[f["weak"] for f in figures[arm.name].values()] for arm in shown]
        values = [sum(v) / len(v) for v in means]
        roles = ["ours" if arm.kind == "ours" else "baseline" for arm in shown]
        caption = "Accuracy on examples that carry the weak feature alone; 0.5 is chance."
        labels = [arm.description for arm in shown]
        made.append(Bars("accuracy", caption, labels, values, "accuracy", roles=roles))
    lines = []
    for name, role in (("large", "ours"), ("small", "baseline")):
        y = _first(figures, name).get("path", [])
        if y:
            label = next(arm.description for arm in arms if arm.name == name)
            lines.append(Line(label, [i / len(y) for i in range(len(y))], y, role=role))
    if lines:
        caption = "Size of the residual 1 - y f of the example seen, first run of the first seed."
        made.append(Curves("residual", caption, lines, "share of training", "|1 - y f|"))
    rows = _first(figures, "theory").get("rows", {})
    if rows:
        lines = [Line(f"kappa = {k}", list(range(len(r["path"]))), r["path"]) for k, r in rows.items()]
        caption = "The weak feature's share along the map of one example; the last values lie at the edge of stability."
        made.append(Curves("map", caption, lines, "hundreds of steps", "share"))
    return made


def _first(figures: Figures, arm: str) -> Any:
    return next(iter(figures.get(arm, {}).values()), {})
