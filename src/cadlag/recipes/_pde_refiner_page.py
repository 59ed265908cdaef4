"""What the page of `pde-refiner` shows."""

import statistics

from cadlag.recipes._picture import Curves, Line, Picture, Table
from cadlag.recipes._recipe import Figures

LABELS = {"refiner": "refiner", "mse": "mean squares", "mse-long": "mean squares, K + 1 times the steps"}


def tables(figures: Figures) -> list[Table]:
    """Errors of one step, horizons, seconds of training."""
    rows = []
    for arm in (a for a in LABELS if figures.get(a)):
        found = list(figures[arm].values())
        horizons = [[f["horizons"][name] for f in found] for name in ("at-80", "at-90", "at-95")]
        one = [[f[name] for f in found] for name in ("relative_l2", "low_energy_error")]
        rows.append([LABELS[arm], *one, *horizons, [f["seconds"] for f in found]])
    if not rows:
        return []
    columns = ("training", "relative L2, one step", "error energy, low modes", "time to 0.8", "to 0.9", "to 0.95", "s")
    caption = "Low modes: those with less than 1e-5 of the peak energy. A horizon equal to the data's end is a bound."
    return [Table("One step and roll-outs", columns, rows, caption)]


def pictures(figures: Figures) -> list[Picture]:
    """Spectra of field and error; correlation along the roll-out. Means over seeds."""
    known = [a for a in LABELS if figures.get(a)]
    if not known:
        return []
    first = figures[known[0]]
    field = _mean(first, "energy")
    shells = list(range(1, len(field)))
    spectra = [Line("field", shells, field[1:], role="blind")]
    spectra += [Line(LABELS[a], shells, _mean(figures[a], "error")[1:], role=_role(a)) for a in known]
    ts = next(iter(first.values()))["ts"]
    curves = [Line(LABELS[a], ts, _mean(figures[a], "correlation"), role=_role(a)) for a in known]
    return [
        Curves("spectra", "Energy of the field and of the error of one step, by mode number.", spectra, "mode number",
               "energy", log_y=True),
        Curves("correlation", "Correlation of roll-outs with the truth, mean over trajectories.", curves, "time",
               "correlation"),
    ]  # fmt: skip


def _mean(seeds: object, name: str) -> list[float]:
    rows = [f[name] for f in seeds.values()]  # type: ignore[attr-defined]
    return [statistics.fmean(values) for values in zip(*rows, strict=True)]


def _role(arm: str) -> str:
    return "ours" if arm == "refiner" else "baseline"
