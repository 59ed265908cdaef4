"""What the page of `lssl` shows."""

import statistics
from collections.abc import Sequence
from typing import Any

from cadlag.recipes._curve import mean_and_error
from cadlag.recipes._picture import Bars, Curves, Line, Picture, Table
from cadlag.recipes._recipe import Arm, Figures

COLUMNS = {
    "accuracy": "accuracy", "half": "at half rate", "half_doubled": "at half rate, step doubled",
    "parameters": "parameters", "seconds": "seconds of training",
}  # fmt: skip


def tables(figures: Figures, arms: Sequence[Arm]) -> list[Table]:
    """One row a model; one a length."""
    rows = [
        [arm.description, *([f.get(key) for f in found] if key in found[0] else "" for key in COLUMNS)]
        for arm, found in _trained(figures, arms)
    ]
    note = "Held-out digits; all models take the same steps. Seconds include compiling, which the first seed pays for."
    made = [Table("Digits read pixel by pixel", ("model", *COLUMNS.values()), rows, note)] if rows else []
    found = [f["ms"] for f in figures.get("cost", {}).values()]
    if found:
        lengths = found[0]["lssl"]
        rows = [[int(n), *([f[arm][n] for f in found] for arm in ("lssl", "gru"))] for n in lengths]
        note = "Four sequences at once, least of five, ours and the GRU in turn."
        made.append(Table("Milliseconds of a gradient", ("rows", "state-space layers", "GRU"), rows, note))
    return made


def pictures(figures: Figures, arms: Sequence[Arm]) -> list[Picture]:
    """Accuracies at half rate, losses, times."""
    made: list[Picture] = []
    trained = _trained(figures, arms)
    if trained:
        best = [[max(f["half"], f.get("half_doubled", 0)) for f in found] for _, found in trained]
        means, errors = mean_and_error(best)
        labels, roles = [a.description for a, _ in trained], [_role(a) for a, _ in trained]
        caption = "Accuracy on every other pixel without retraining; a step is doubled where the model has one."
        made.append(Bars("half-rate", caption, labels, means, "accuracy", errors=errors, roles=roles))
        lines = []
        for arm, found in trained:
            y = [statistics.fmean(values) for values in zip(*(f["curve"] for f in found), strict=False)]
            x = [found[0]["steps"] * (i + 0.5) / len(y) for i in range(len(y))]
            lines.append(Line(arm.description, x, y, role=_role(arm)))
        made.append(Curves("loss", "Training loss, mean over seeds.", lines, "step", "loss", log_y=True))
    found = [f["ms"] for f in figures.get("cost", {}).values()]
    if found:
        lines = []
        for arm, label, role in (("lssl", "state-space layers", "ours"), ("gru", "GRU", "baseline")):
            mean, error = mean_and_error([[f[arm][n] for f in found] for n in found[0][arm]])
            lines.append(Line(label, [int(n) for n in found[0][arm]], mean, error, role))
        caption = "Time of a gradient for four sequences."
        made.append(Curves("cost", caption, lines, "rows", "ms", log_x=True, log_y=True))
    return made


def _trained(figures: Figures, arms: Sequence[Arm]) -> list[tuple[Arm, list[Any]]]:
    """Arms that learnt digits, with a figure a seed."""
    found = [(arm, list(figures.get(arm.name, {}).values())) for arm in arms]
    return [(arm, f) for arm, f in found if f and "accuracy" in f[0]]


def _role(arm: Arm) -> str:
    return "ours" if arm.kind == "ours" else "baseline"
