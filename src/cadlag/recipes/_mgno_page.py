"""What the page of `mgno` shows."""

from collections.abc import Sequence

from cadlag.recipes._operators import first, loss_curves, operator_tables, panels, spectra
from cadlag.recipes._picture import Picture, Table
from cadlag.recipes._recipe import Arm, Figures

PROBLEMS = {"darcy": "Darcy, 3 and 12", "rough": "Darcy, rougher interfaces", "multiscale": "Darcy, multiscale"}
COLUMNS = {"h1": "relative H1 error", "l2": "relative L2 error", "gap": "test over training error"}


def tables(figures: Figures, arms: Sequence[Arm]) -> list[Table]:
    """Factors of the V-cycle; two tables a problem."""
    return _factors(figures) + operator_tables(figures, arms, PROBLEMS, "MgNO's steps", COLUMNS)


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
