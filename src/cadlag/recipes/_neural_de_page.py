"""What the page of `neural-de` shows."""

from collections.abc import Sequence
from typing import Any

from cadlag.recipes._picture import Curves, Line, Paths, Picture, Table
from cadlag.recipes._recipe import Arm, Figures

TABLES = {
    "Spirals with half of their points gone": {"accuracy": "accuracy", "seconds": "seconds of training"},
    "Decaying oscillators, the second half from the first": {"error": "root mean square error",
                                                            "seconds": "seconds of training"},
    "An Ornstein-Uhlenbeck process": {"noise_ratio": "noise over the data's", "marginal": "error of deviations",
                                      "mean": "error of means", "seconds": "seconds of training"},
    "Two moons": {"gain": "nats above a Gaussian", "seconds": "seconds"},
    "The field as a formula": {"error": "largest error", "formulas": "formulas", "seconds": "seconds"},
    "Digits by an equilibrium": {"accuracy": "accuracy", "evaluations": "evaluations of the layer",
                                 "seconds": "seconds"},
}  # fmt: skip
OF = {
    "cde": 0, "gru-classifier": 0, "latent-ode": 1, "gru-forecaster": 1, "signature": 2, "gan": 2, "latent-sde": 2,
    "untrained": 2, "flow": 3, "symbolic": 4, "equilibrium": 5,
}  # fmt: skip


def tables(figures: Figures, arms: Sequence[Arm]) -> list[Table]:
    """One a part, a row a model; one of adjoints."""
    made = []
    for i, (title, columns) in enumerate(TABLES.items()):
        rows = []
        for arm in arms:
            found = list(figures.get(arm.name, {}).values())
            if found and OF.get(arm.name) == i:
                rows.append([arm.description, *([f.get(key, "") for f in found] for key in columns)])
        if rows:
            made.append(Table(title, ("model", *columns.values()), rows))
    found = _first(figures, "adjoints").get("rows", {})
    if found:
        rows = [[name, r["error"], r["bytes"], r["growth"], r["ms"]] for name, r in found.items()]
        columns = ("adjoint", "relative error", "temporary bytes", "growth at ten times the steps", "ms")
        made.append(Table("Gradients of one solve", columns, rows, "Compiled programs' own account of their memory."))
    return made


def pictures(figures: Figures, arms: Sequence[Arm]) -> list[Picture]:
    """Paths drawn by each law beside the data's, and deviations over time."""
    laws = [arm for arm in arms if "paths" in _first(figures, arm.name)]
    if not laws:
        return []
    first = _first(figures, laws[0].name)
    times = list(range(len(first["deviations"]["data"])))
    panels = {"data": first["paths"]["data"]} | {a.description: _first(figures, a.name)["paths"]["drawn"] for a in laws}
    lines = [Line("data", times, first["deviations"]["data"], role="reference")]
    for arm in laws:
        role = "ours" if arm.kind == "ours" else "baseline"
        lines.append(Line(arm.description, times, _first(figures, arm.name)["deviations"]["drawn"], role=role))
    return [
        Paths("paths", "Twenty paths of the data and of each law, first seed.", times, panels, "row", "value"),
        Curves("deviations", "Standard deviation at each row, first seed.", lines, "row", "deviation"),
    ]


def _first(figures: Figures, arm: str) -> Any:
    return next(iter(figures.get(arm, {}).values()), {})
