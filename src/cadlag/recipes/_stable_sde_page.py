"""What the page of `stable-sde` shows: tables and pictures made from figures."""

import statistics
from typing import Any

from cadlag.recipes._curve import mean_and_error
from cadlag.recipes._picture import Bars, Curves, Line, Paths, Picture, Table
from cadlag.recipes._recipe import Figures

LABELS = {
    "lsde": "LSDE",
    "lnsde": "LNSDE",
    "gsde": "GSDE",
    "lnsde-no-noise": "LNSDE, σ = 0",
    "cde": "neural CDE",
    "gru": "GRU",
    "gru-d": "GRU-D",
    "minirocket": "MiniRocket",
    "naive-sde": "naive SDE",
    "ode": "neural ODE",
}
ROLES = {"lsde": "ours", "lnsde": "ours", "gsde": "ours", "naive-sde": "blind", "ode": "blind"}


def tables(figures: Figures) -> list[Table]:
    """Accuracy by set and rate, and the errors of the other two studies."""
    made = [_accuracy(figures, name) for name in _sets(figures)]
    ou = [
        [LABELS[a], _over(f, "ou", "mse"), _first(f, "ou", "parameters")] for a, f in figures.items() if _has(f, "ou")
    ]
    if ou:
        made.append(
            Table(
                "OU path reproduced from its control",
                ("model", "mean squared error", "parameters"),
                ou,
                "A model that cannot see the path has an error of at least 0.0195 in expectation.",
            )
        )
    hopper = {a: f for a, f in figures.items() if _has(f, "hopper")}
    if hopper:
        rates = list(next(iter(next(iter(hopper.values())).values()))["hopper"])
        rows = [[LABELS[a], *(_over(f, "hopper", r) for r in rates)] for a, f in hopper.items()]
        made.append(
            Table("Hopper forecasts", ("model", *(f"{r} % removed" for r in rates)), rows, "Mean squared error.")
        )
    return made


def pictures(figures: Figures) -> list[Picture]:
    """Accuracy against missing rate, OU paths, training curves, time of a step."""
    drawn: list[Picture] = []
    rates = _rates(figures)
    if rates:
        drawn.append(
            Curves(
                "accuracy",
                "Accuracy against the share of values removed, mean over the sets; bands are one standard error over "
                "seeds. Solid: ours. Dashed: baselines. Dotted: models that see the first value only.",
                [_accuracy_line(a, f, rates) for a, f in figures.items()],
                "share of values removed",
                "accuracy",
            )
        )
    drawn += _ou_paths(figures)
    drawn += _curves(figures)
    times = {a: _step_times(f) for a, f in figures.items() if _step_times(f)}
    if times:
        drawn.append(
            Bars(
                "time",
                "Mean time of a training step on the real series, compilation and validation included.",
                [LABELS[a] for a in times],
                [statistics.fmean(t) for t in times.values()],
                "milliseconds",
                roles=[ROLES.get(a, "baseline") for a in times],
            )
        )
    return drawn


def _accuracy(figures: Figures, name: str) -> Table:
    rates = list(_any(figures)["real"]["cases"][name])
    rows = []
    for arm, seeds in figures.items():
        cells = [[statistics.fmean(f["real"]["cases"][name][r]) for f in seeds.values()] for r in rates]
        rows.append([LABELS[arm], *cells, _first(seeds, "real", "parameters")])
    count = len(_any(figures)["real"]["cases"][name][rates[0]])
    columns = ("model", *(f"{float(r):.0%} removed" for r in rates), "parameters")
    return Table(f"Accuracy on {name}", columns, rows, f"{count} test series; mean ± standard error over seeds.")


def _accuracy_line(arm: str, seeds: Any, rates: list[str]) -> Line:
    keys = [str(round(100 * float(r))) for r in rates]
    values = [[f["real"]["mean"][k] for f in seeds.values()] for k in keys]
    return Line(LABELS[arm], [float(r) for r in rates], *mean_and_error(values), ROLES.get(arm, "baseline"))


def _ou_paths(figures: Figures) -> list[Picture]:
    shown = {a: next(iter(f.values()))["ou"]["sample"] for a, f in figures.items() if _has(f, "ou")}
    if not shown:
        return []
    panels = {LABELS[a]: s["model"] for a, s in shown.items()}
    truth = next(iter(shown.values()))["truth"]
    steps = len(truth)
    times = [i / (steps - 1) for i in range(steps)]
    caption = "One OU path (dashed) and what each model makes of it under five noises; without noise they coincide."
    return [Paths("ou-paths", caption, times, panels, "time", "value", truth)]


def _curves(figures: Figures) -> list[Picture]:
    shown = {a: next(iter(f.values()))["ou"]["curve"] for a, f in figures.items() if _has(f, "ou")}
    if not shown:
        return []
    lines = [
        Line(LABELS[a], [(i + 0.5) / len(c) for i in range(len(c))], c, None, ROLES.get(a, "baseline"))
        for a, c in shown.items()
    ]
    caption = "Training loss of the OU study, first seed."
    return [Curves("training", caption, lines, "share of training", "mean squared error", log_y=True)]


def _sets(figures: Figures) -> list[str]:
    return list(_any(figures)["real"]["cases"]) if figures else []


def _rates(figures: Figures) -> list[str]:
    return list(next(iter(_any(figures)["real"]["cases"].values()))) if figures else []


def _any(figures: Figures) -> Any:
    return next(iter(next(iter(figures.values())).values()))


def _has(seeds: Any, part: str) -> bool:
    return any(part in f for f in seeds.values())


def _over(seeds: Any, part: str, key: str) -> list[float]:
    return [f[part][key] for f in seeds.values() if part in f]


def _first(seeds: Any, part: str, key: str) -> Any:
    return next(iter(seeds.values()))[part].get(key)


def _step_times(seeds: Any) -> list[float]:
    return [statistics.fmean(f["real"]["ms_per_step"].values()) for f in seeds.values() if f["real"]["ms_per_step"]]
