"""What the page of `gp-hm` shows."""

from typing import Any

from cadlag.recipes._picture import Bars, Curves, Line, Picture, Table
from cadlag.recipes._recipe import Figures

ORDER = (
    "gp-hm", "gp-published", "gp-wide", "gp-matern-no-cosine", "gp-se-no-cosine", "pinn", "rff-pinn",
    "rff-least-squares", "chebyshev",
)  # fmt: skip


def tables(figures: Figures) -> list[Table]:
    """Errors, last against best, scales of Fourier features, time over points."""
    made = []
    measured = [arm for arm in ORDER if figures.get(arm)]
    cases = list(dict.fromkeys(case for arm in measured for f in figures[arm].values() for case in f["cases"]))
    for case in cases:
        rows = [
            [arm, _each(figures, arm, case, "error"), _each(figures, arm, case, "seconds")]
            for arm in measured
            if _each(figures, arm, case, "error")
        ]
        note = "Relative L2 error at the end; seconds with compiling. Of several starts or scales the best one."
        made.append(Table(f"Solutions: {case}", ("solver", "error", "seconds"), rows, note))
    first = cases[0] if cases else ""
    rows = [
        [arm, _each(figures, arm, first, "error"), _each(figures, arm, first, "best")]
        for arm in measured
        if _each(figures, arm, first, "best")
    ]
    if rows:
        note = (
            "The paper reports the least error of twenty evaluations on the test points; here, of the stages or twenty."
        )
        made.append(Table(f"Last error and best error: {first}", ("solver", "last", "best"), rows, note))
    scaled = [arm for arm in ("rff-pinn", "rff-least-squares") if figures.get(arm)]
    made += [_scales(figures, arm, first) for arm in scaled if _each(figures, arm, first, "scales")]
    if figures.get("scaling"):
        seeds = list(figures["scaling"].values())
        rows = [[points, [f["seconds"][points] for f in seeds]] for points in seeds[0]["seconds"]]
        made.append(Table("Seconds of one evaluation in the plane", ("points", "seconds"), rows))
    return made


def pictures(figures: Figures) -> list[Picture]:
    """Errors over steps, the spectrum of the first seed."""
    lines, made, case = [], [], ""
    for arm in ("gp-hm", "gp-published"):
        for seeds in [figures[arm]] if figures.get(arm) else []:
            case, found = next(iter(next(iter(seeds.values()))["cases"].items()))
            trace = found["trace"]
            lines.append(Line(arm, trace["step"], trace["error"], role="ours" if arm == "gp-hm" else "baseline"))
    if lines:
        caption = f"Error on {case} over steps, first seed: L-BFGS on the kernel, and Adam on everything."
        made.append(Curves("steps", caption, lines, "step", "relative error", log_x=True, log_y=True))
    for seeds in [figures["gp-hm"]] if figures.get("gp-hm") else []:
        case, found = next(iter(next(iter(seeds.values()))["cases"].items()))
        spectrum: Any = found["spectrum"]
        labels = [f"{f:.2f} cycles" for f in spectrum["frequency"]]
        caption = f"Share of the weight of the eight heaviest components on {case}, first seed."
        made.append(Bars("spectrum", caption, labels, spectrum["share"], "share of the weight"))
    return made


def _each(figures: Figures, arm: str, case: str, key: str) -> list[Any]:
    found = [f["cases"].get(case, {}).get(key) for f in figures[arm].values()]
    return [value for value in found if value is not None]


def _scales(figures: Figures, arm: str, case: str) -> Table:
    seeds = _each(figures, arm, case, "scales")
    rows = [[scale, [by[scale] for by in seeds]] for scale in seeds[0]]
    return Table(f"Scales of {arm}: {case}", ("scale, radians per unit", "error"), rows)
