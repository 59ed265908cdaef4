"""What the page of `interpolants` shows: tables and pictures made from figures."""

from typing import Any

from cadlag.recipes._curve import mean_and_error
from cadlag.recipes._picture import Curves, Line, Picture, Points, Table
from cadlag.recipes._recipe import Figures

LABELS = {
    "exact": "exact fields",
    "brownian": "linear, γ² = t(1 - t)",
    "quadratic": "linear, γ = t(1 - t)",
    "sine": "linear, γ = sin²(πt)",
    "trig": "trigonometric, γ² = t(1 - t)",
    "no-gamma": "linear, no γ",
    "one-sided": "one-sided",
    "two-sided": "two-sided, γ² = t(1 - t)",
    "flow-matching": "flow matching",
    "bridge": "entropic coupling",
    "bridge-independent": "independent coupling",
}


def tables(figures: Figures) -> list[Table]:
    """One a study."""
    return [table for table in (_exact(figures), _line(figures), _board(figures), _bridge(figures)) if table.rows]


def pictures(figures: Figures) -> list[Picture]:
    """KL against ε, densities, distances with exact fields, the checkerboard, training curves."""
    return [*_kl(figures), *_densities(figures), *_distances(figures), *_clouds(figures), *_training(figures)]


def _exact(figures: Figures) -> Table:
    distance = _first(figures, "exact").get("distance", {})
    epsilons = list(next(iter(distance.values()), {}))
    rows = [[n, *([f["distance"][n][e] for f in figures["exact"].values()] for e in epsilons)] for n in distance]
    caption = "sup |F_n - F| at t = 1 from a stratified start; Heun for the ODE, the paper's stochastic Heun otherwise."
    return Table("A. Exact fields", ("steps", *(f"ε = {e}" for e in epsilons)), rows, caption)


def _line(figures: Figures) -> Table:
    keys = ("b_error", "kl_ode", "kl_star", "epsilon_star", "epsilon_best", "ratio")
    columns = (
        "path",
        "relative error of b",
        "KL, ODE",
        "KL, SDE at ε*",
        "ε*",
        "best ε of the sweep",
        "KL/bound, worst",
    )
    rows = [
        [LABELS[arm], *([f[k] for f in seeds.values()] if k in _first(figures, arm) else None for k in keys)]
        for arm, seeds in figures.items()
        if "b_error" in _first(figures, arm)
    ]
    caption = "KL(ρ_1 ‖ ρ̂_1) in nats; the SDE's from its Fokker-Planck equation, the ODE's from its divergence."
    return Table("B. Learned fields between two mixtures", columns, rows, caption)


def _board(figures: Figures) -> Table:
    rows = []
    for arm in ("one-sided", "two-sided", "flow-matching"):
        for sampler in _first(figures, arm).get("inside", {}):
            seeds = figures[arm].values()
            nll = [f.get("nll_gap") for f in seeds] if sampler == "ode" else None
            cells = [[f[k][sampler] for f in seeds] for k in ("inside", "sliced")]
            rows.append([LABELS[arm], _sampler(sampler), *cells, None if nll is None or None in nll else nll])
    columns = ("model", "sampler", "share inside the squares", "sliced W2 without its floor", "NLL - log 32")
    return Table("C. From a normal law to the checkerboard", columns, rows, "NLL in nats, of the ODE.")


def _sampler(name: str) -> str:
    return "ODE" if name == "ode" else f"SDE, ε = {int(name.split('-')[1]) / 100:g} (1 - t)"


def _bridge(figures: Figures) -> Table:
    arms = [arm for arm in ("bridge", "bridge-independent") if figures.get(arm)]
    keys = ("covariance", "exact", "covariance_error", "variance_error")
    rows = [[LABELS[arm], *([f[k] for f in figures[arm].values()] for k in keys)] for arm in arms]
    columns = ("coupling", "covariance of the SDE's ends", "of the bridge", "relative error", "of the end's variance")
    return Table("D. The Schrödinger bridge", columns, rows, "Between N(0, 1) and N(0, 4), ε = 0.5.")


def _kl(figures: Figures) -> list[Picture]:
    made: list[Picture] = []
    for arm in ("brownian", "quadratic", "sine", "trig"):
        seeds = list(figures.get(arm, {}).values())
        if not seeds:
            continue
        epsilons = list(seeds[0]["kl"])
        x = [float(e) for e in epsilons]
        lines = [
            Line("SDE", x, *mean_and_error([[f["kl"][e] for f in seeds] for e in epsilons])),
            Line("its bound", x, *mean_and_error([[f["bound"][e] for f in seeds] for e in epsilons]), "blind"),
            Line("ODE", x, *mean_and_error([[f["kl_ode"] for f in seeds]] * len(x)), "baseline"),
        ]
        if arm == "brownian" and figures.get("no-gamma"):
            flat = [[f["kl_ode"] for f in figures["no-gamma"].values()]] * len(x)
            lines.append(Line("ODE learnt without γ", x, *mean_and_error(flat), "baseline"))
        caption = f"KL to the target against the noise ε chosen after training; {LABELS[arm]}."
        made.append(Curves(f"kl-{arm}", caption, lines, "ε", "KL (nats)", log_x=True, log_y=True))
    return made


def _densities(figures: Figures) -> list[Picture]:
    density = _first(figures, "brownian").get("density")
    if not density:
        return []
    names = {"exact": ("target", "blind"), "ode": ("ODE", "baseline"), "sde": ("SDE at ε*", "ours")}
    lines = [Line(label, density["x"], density[k], None, role) for k, (label, role) in names.items() if k in density]
    return [Curves("density", "Densities at t = 1, first seed.", lines, "x", "density")]


def _distances(figures: Figures) -> list[Picture]:
    seeds = list(figures.get("exact", {}).values())
    if not seeds or len(seeds[0]["distance"]) < 2:
        return []
    steps = list(seeds[0]["distance"])
    lines = [
        Line(
            f"ε = {e}",
            [float(n) for n in steps],
            *mean_and_error([[f["distance"][n][e] for f in seeds] for n in steps]),
        )
        for e in seeds[0]["distance"][steps[0]]
    ]
    caption = "Distance to the target with exact fields; a stratified ODE has no Monte Carlo error, an SDE has."
    return [Curves("exact", caption, lines, "steps", "sup |F_n - F|", log_x=True, log_y=True)]


def _clouds(figures: Figures) -> list[Picture]:
    panels = {}
    for arm in ("one-sided", "two-sided", "flow-matching"):
        points = _first(figures, arm).get("points", {})
        panels |= {f"{LABELS[arm]}, {_sampler(k)}": v for k, v in points.items() if k in ("ode", "sde-50")}
    caption = "Samples of the checkerboard, first seed."
    return [Points("board", caption, panels)] if panels else []


def _training(figures: Figures) -> list[Picture]:
    lines = []
    for arm in figures:
        curve = _first(figures, arm).get("curve")
        if curve and min(curve) > 0:  # losses of interpolants lack a constant and may be negative
            lines.append(Line(LABELS[arm], _shares(len(curve)), curve, None))
    negative = [
        Line(LABELS[arm], _shares(len(curve)), [c - min(curve) + 1e-3 for c in curve])
        for arm, curve in ((arm, _first(figures, arm).get("curve")) for arm in figures)
        if curve and min(curve) <= 0
    ]
    made: list[Picture] = []
    if negative:
        caption = "Training losses above the least that was seen: they lack a constant, so their zero means nothing."
        made.append(Curves("training", caption, negative, "share of training", "loss above its least", log_y=True))
    if lines:
        made.append(Curves("training-board", "Training losses of study C.", lines, "share of training", "loss"))
    return made


def _shares(n: int) -> list[float]:
    return [(i + 0.5) / n for i in range(n)]


def _first(figures: Figures, arm: str) -> Any:
    return next(iter(figures.get(arm, {}).values()), {})
