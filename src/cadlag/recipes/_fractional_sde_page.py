"""What the page of `fractional-sde` shows."""

from typing import Any

from cadlag.recipes._curve import mean_and_error
from cadlag.recipes._picture import Curves, Line, Picture, Table
from cadlag.recipes._recipe import Figures

CONTROLS = {
    "exact-control": "best, closed form",
    "learnt-control": "learnt",
    "brownian-control": "best of a motion without memory",
}
ESTIMATES = {
    "bound": "the paper's bound",
    "tight": "bound, steps with less noise",
    "likelihood": "exact likelihood",
    "brownian": "bound, motion without memory",
}


def tables(figures: Figures) -> list[Table]:
    """Errors by terms, losses of the bridge, estimates of H."""
    made = []
    if figures.get("errors"):
        found = next(iter(figures["errors"].values()))["rows"]
        rows = [[r["kind"], r["hurst"], r["terms"], r["optimal"], r["riemann"]] for r in found if shown(r["hurst"])]
        columns = ("type", "H", "K", "optimal", "Riemann")
        caption = "Mean squared error over [0, 1], relative to no approximation; rates from 1/20 to 20."
        made.append(Table("Errors of the Markov approximation", columns, rows, caption))
    rows = [row for arm, label in CONTROLS.items() for row in _losses(figures, arm, label)]
    if rows:
        caption = "Losses on 200 steps unless said; errors of the posterior's deviation against the exact bridge."
        made.append(Table("A bridge at H = 0.7", ("control", "steps", "loss", "error of deviation"), rows, caption))
    rows = [
        [ESTIMATES[arm], f"0.{name[1:]}", *(_over(found, name, what) for what in ("hurst", "scale", "bound"))]
        for arm in ESTIMATES
        if (found := list(figures.get(arm, {}).values()))
        for name in found[0]
    ]
    if rows:
        columns = ("by", "H of the paths", "estimate", "scale (1)", "held-out bound, nats a path")
        made.append(Table("Hurst index from noisy paths", columns, rows, "H of a motion without memory is not used."))
    return made


def shown(hurst: float) -> bool:
    """Whether a row of the errors goes into the table."""
    return round(hurst, 2) in (0.1, 0.3, 0.5, 0.7, 0.9)


def _over(seeds: list[Any], name: str, what: str) -> list[float] | None:
    return [f[name][what] for f in seeds] if what in seeds[0][name] else None


def _losses(figures: Figures, arm: str, label: str) -> list[list[Any]]:
    seeds = list(figures.get(arm, {}).values())
    if not seeds:
        return []
    more = [[label, int(n), [f["by_steps"][n]["loss"] for f in seeds], None] for n in seeds[0].get("by_steps", {})]
    return [[label, 200, [f["loss"] for f in seeds], [f["curve_error"] for f in seeds]], *more]


def pictures(figures: Figures) -> list[Picture]:
    """Errors against H, deviations along the bridge, H along training."""
    made: list[Picture] = []
    if figures.get("errors"):
        made.append(_errors(next(iter(figures["errors"].values()))["rows"]))
    bridges = {arm: list(figures[arm].values()) for arm in CONTROLS if figures.get(arm)}
    if bridges:
        made.append(_curves(bridges))
    for name in ("h3", "h7"):
        lines = [
            Line(ESTIMATES[arm], list(range(len(along[0]))), *mean_and_error(list(zip(*along, strict=True))))
            for arm in ("bound", "tight")
            if (along := [f[name]["along"] for f in figures.get(arm, {}).values() if name in f])
        ]
        if lines:
            caption = f"H along training, paths of H = 0.{name[1:]}; fiftieths of the updates."
            made.append(Curves(f"hurst-{name}", caption, lines, "time", "H"))
    return made


def _errors(rows: list[dict[str, Any]]) -> Curves:
    lines = []
    for kind in ("type I", "type II"):
        for rule, role in (("optimal", "ours"), ("riemann", "baseline")):
            kept = [r for r in rows if r["kind"] == kind and r["terms"] == 5 and r[rule] is not None]
            lines.append(Line(f"{kind}, {rule}", [r["hurst"] for r in kept], [r[rule] for r in kept], role=role))
    caption = "Relative error of five terms against H."
    return Curves("errors", caption, lines, "H", "relative error", log_y=True)


def _curves(bridges: dict[str, list[Any]]) -> Curves:
    first = next(iter(bridges.values()))[0]
    times = [2 * i / (len(first["curve"]) - 1) for i in range(len(first["curve"]))]
    lines = [Line("exact fractional bridge", times, first["exact_curve"], role="baseline")]
    for arm, seeds in bridges.items():
        values = mean_and_error(list(zip(*(f["curve"] for f in seeds), strict=True)))
        lines.append(Line(CONTROLS[arm], times, *values))
    return Curves("bridge", "Posterior deviation along the bridge.", lines, "time", "deviation")
