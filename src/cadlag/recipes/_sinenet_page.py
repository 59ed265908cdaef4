"""What the page of `sinenet` shows."""

from collections.abc import Sequence

from cadlag.recipes._operators import first, loss_curves, operator_tables, panels, spectra
from cadlag.recipes._picture import Curves, Line, Picture, Table
from cadlag.recipes._recipe import Arm, Figures

COLUMNS = {"one_step": "one step, relative L2", "rollout": "roll-out, mean over its frames", "last": "its last frame"}
PROBLEMS = {
    "fast": "Advection, speed 1 (3 cells a frame at 32 x 32)",
    "slow": "Advection, speed 1/4",
    "navier-stokes": "Decaying turbulence",
}


def tables(figures: Figures, arms: Sequence[Arm]) -> list[Table]:
    """Two a problem."""
    return operator_tables(figures, arms, PROBLEMS, "the steps of four waves", COLUMNS)


def pictures(figures: Figures, arms: Sequence[Arm]) -> list[Picture]:
    """Of the fast flows, at equal steps."""
    key = "fast.steps"
    caption = "The scalar in the last frame of three test trajectories: truth, roll-outs, and their errors."
    return [
        *panels(figures, arms, key, "scalar", caption),
        *_growth(figures, arms),
        *spectra(figures, arms, key),
        *loss_curves(figures, arms, key),
    ]


def _growth(figures: Figures, arms: Sequence[Arm]) -> list[Picture]:
    lines = []
    for arm in arms:
        found = first(figures, arm.name).get("fast", {}).get("steps")
        if found:
            y = found["by_step"]
            role = "ours" if arm.kind == "ours" else "baseline"
            lines.append(Line(arm.description, list(range(1, len(y) + 1)), y, role=role))
    caption = "Relative L2 error of the roll-out by frame, mean over the test part, first seed."
    return [Curves("rollout", caption, lines, "frame", "relative L2 error")] if lines else []
