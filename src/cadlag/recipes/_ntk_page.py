"""What the page of `ntk` shows."""

from collections.abc import Callable
from typing import Any

from cadlag.recipes._curve import mean_and_error
from cadlag.recipes._picture import Curves, Line, Picture, Table
from cadlag.recipes._recipe import Figures

NAMES = {"ntk": "NTK", "nngp": "NNGP", "ridge": "linear ridge, tuned", "rbf": "squared exponential, tuned"}


def tables(figures: Figures) -> list[Table]:
    """Deviations by width, accuracies on digits."""
    made = []
    if figures.get("training"):
        seeds = list(figures["training"].values())
        rows = [
            [int(w), *([f["widths"][w][what] for f in seeds] for what in ("rms", "largest", "drift"))]
            for w in seeds[0]["widths"]
        ]
        columns = ("width", "root mean square", "largest", "change of the kernel")
        caption = "At test points, over the targets' deviation; means over networks."
        made.append(Table("Trained networks less their closed form", columns, rows, caption))
    if figures.get("initialisation"):
        seeds = list(figures["initialisation"].values())
        rows = [[int(w), [f["errors"][w] for f in seeds]] for w in seeds[0]["errors"]]
        made.append(Table("Empirical kernel at initialisation", ("width", "relative error"), rows))
    rows = [row for arm in NAMES for row in _accuracies(figures, arm)]
    if rows:
        made.append(Table("Digits, 797 held out", ("kernel", "hidden layers", "accuracy"), rows))
    return made


def _accuracies(figures: Figures, arm: str) -> list[list[Any]]:
    seeds = list(figures.get(arm, {}).values())
    if not seeds:
        return []
    if "by_depth" not in seeds[0]:
        return [[NAMES[arm], None, [f["accuracy"] for f in seeds]]]
    return [[NAMES[arm], int(d), [f["by_depth"][d] for f in seeds]] for d in seeds[0]["by_depth"]]


def pictures(figures: Figures) -> list[Picture]:
    """Deviations against width; test error against time."""
    made: list[Picture] = []
    lines = []
    if figures.get("training"):
        seeds = list(figures["training"].values())
        widths = list(seeds[0]["widths"])
        for what, label in (("rms", "trained network less closed form"), ("drift", "change of the kernel in training")):
            lines.append(_line(label, widths, seeds, lambda f, w, what=what: f["widths"][w][what]))
    if figures.get("initialisation"):
        seeds = list(figures["initialisation"].values())
        label = "kernel at initialisation less its limit"
        lines.append(_line(label, list(seeds[0]["errors"]), seeds, lambda f, w: f["errors"][w]))
    if lines:
        caption = "Relative deviations against width; bands are one standard error over seeds."
        made.append(Curves("widths", caption, lines, "width", "relative deviation", log_x=True, log_y=True))
    for figure in list(figures.get("early", {}).values())[:1]:
        made.append(_early(figure))
    return made


def _early(figure: Any) -> Curves:
    closed = figure["closed"] + figure["after"][:-1]
    times = [t + 1 for t in (*figure["times"], *figure["late"])]
    lines = [
        Line("closed form from the network's start", times, closed),
        Line("trained network", times[: len(figure["network"])], figure["network"], role="baseline"),
    ]
    caption = "A fifth of the labels wrong: error at test points against time, first seed."
    return Curves("early", caption, lines, "steps + 1", "mean squared error", log_x=True)


def _line(label: str, widths: list[str], seeds: list[Any], pick: Callable[[Any, str], float]) -> Line:
    values = [[pick(f, w) for f in seeds] for w in widths]
    return Line(label, [int(w) for w in widths], *mean_and_error(values))
