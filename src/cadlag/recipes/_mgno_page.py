"""What the page of `mgno` shows."""

from collections.abc import Sequence

from cadlag.recipes._operators import first, loss_curves, operator_table, panels, spectra
from cadlag.recipes._picture import Picture, Table
from cadlag.recipes._recipe import Arm, Figures

PROBLEMS = {"darcy": "Darcy, 3 and 12", "rough": "Darcy, rougher interfaces", "multiscale": "Darcy, multiscale"}
COLUMNS = {"h1": "relative H1 error", "l2": "relative L2 error", "gap": "test over training error"}


def tables(figures: Figures, arms: Sequence[Arm]) -> list[Table]:
    """Factors of the V-cycle; two tables a problem."""
    made = _factors(figures)
    for problem, title in PROBLEMS.items():
        made += operator_table(figures, arms, f"{title}: at equal steps", f"{problem}.steps", COLUMNS)
        title = f"{title}: trained as long as MgNO's steps take"
        made += operator_table(figures, arms, title, f"{problem}.time", COLUMNS)
    return made


def pictures(figures: Figures, arms: Sequence[Arm]) -> list[Picture]:
    """Of the first problem, at equal steps."""
    key = "darcy.steps"
    caption = "Pressure of three test cases: truth, predictions, and their errors ten times magnified."
    return [
        *panels(figures, arms, key, "pressure", caption),
        *spectra(figures, arms, key),
        *loss_curves(figures, arms, key),
    ]


def _factors(figures: Figures) -> list[Table]:
    factors = first(figures, "v-cycle").get("factors", {})
    rows = [[f"{n} x {n}", factor] for n, factor in factors.items()]
    note = "-Δu = f on a periodic square, one Jacobi sweep a level on the way down, none on the way up."
    columns = ("grid", "factor of the residual a cycle")
    return [Table("One V-cycle with the weights of multigrid", columns, rows, note)] if rows else []
