"""What the pages of `solver-regularised` and `locally-regularised` show."""

from collections.abc import Sequence
from typing import Any

from cadlag.recipes._curve import mean_and_error
from cadlag.recipes._picture import Curves, Line, Picture, Table
from cadlag.recipes._recipe import Arm, Figures

COLUMNS = ("network", "accuracy", "evaluations", "untrained", "seconds of a training step", "seconds of a prediction")
KEYS = ("accuracy", "nfe", "nfe_untrained", "seconds_a_step", "seconds_of_prediction")


def tables(figures: Figures, digits: Sequence[Arm], others: Sequence[Arm]) -> list[Table]:
    """Networks on digits, and stochastic equations."""
    made = []
    rows = [
        [arm.description, *(_column(figures, arm.name, key) for key in KEYS)] for arm in digits if figures.get(arm.name)
    ]
    if rows:
        caption = "360 test images as one state, at the tolerance of training; evaluations of the vector field."
        made.append(Table("Digits", COLUMNS, rows, caption))
    rows = [
        [arm.description, _column(figures, arm.name, "loss_at_end"), _column(figures, arm.name, "nfe")]
        for arm in others
        if figures.get(arm.name)
    ]
    if rows:
        made.append(Table("Stochastic equations", ("equation", "loss", "evaluations a path"), rows))
    return made


def pictures(figures: Figures, digits: Sequence[Arm]) -> list[Picture]:
    """Evaluations for the test images against steps of training."""
    lines = [_line(arm, list(figures[arm.name].values())) for arm in digits if figures.get(arm.name)]
    if not lines:
        return []
    caption = "Evaluations for the test images through training; bands are one standard error over seeds."
    return [Curves("evaluations", caption, lines, "step", "evaluations")]


def _line(arm: Arm, seeds: list[Any]) -> Line:
    curves = [[float(n) for n in (f["nfe_untrained"], *f["nfe_curve"]["nfe"])] for f in seeds]
    steps = [0, *seeds[0]["nfe_curve"]["step"]]
    y, error = mean_and_error(list(zip(*curves, strict=True)))
    return Line(arm.description, steps, y, error, role="ours" if arm.kind == "ours" else "baseline")


def _column(figures: Figures, arm: str, key: str) -> list[Any]:
    return [f[key] for f in figures[arm].values() if f.get(key) is not None]
