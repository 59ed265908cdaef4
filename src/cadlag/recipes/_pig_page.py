"""What the page of `pig` shows."""

from cadlag.recipes._physics import by_arm
from cadlag.recipes._picture import Curves, Images, Line, Picture, Points, Table
from cadlag.recipes._recipe import Figures

PROBLEMS = {"helmholtz": "Helmholtz, sin(pi x) sin(4 pi y)", "klein-gordon": "Klein-Gordon, two dimensions and time"}


def tables(figures: Figures, labels: dict[str, str]) -> list[Table]:
    """One for each problem that was solved."""
    note = "Seconds from start to end, compiling included; all arms trained equally long."
    made = (by_arm(figures, labels, title, note, key) for key, title in PROBLEMS.items())
    return [table for table in made if table is not None]


def pictures(figures: Figures, labels: dict[str, str]) -> list[Picture]:
    """From the first seed of each arm."""
    seeds = {arm: next(iter(found.values())) for arm, found in figures.items() if found}
    first = {arm: found["helmholtz"] for arm, found in seeds.items() if "helmholtz" in found}
    if not first:
        return []
    made: list[Picture] = [
        Images(
            "solutions",
            "The square after training, x downwards: the solution of every method, between -1 and 1.",
            {labels[arm]: found["images"]["solution"] for arm, found in first.items()},
        ),
        Images(
            "errors",
            "The distance from the exact solution, white at 0.1 and more.",
            {labels[arm]: found["images"]["error"] for arm, found in first.items()},
            0,
            0.1,
        ),
        Curves(
            "loss",
            "Weighted loss of a step. The weights of the residual differ between methods, so compare shapes only.",
            [
                Line(labels[arm], *_curve(found), role="ours" if arm == "pig" else "baseline")
                for arm, found in first.items()
            ],
            "share of the steps",
            "loss",
            log_y=True,
        ),
    ]
    if "pig" in first:
        made.append(Points("centres", "Centres of the Gaussians at the end.", {"centres": first["pig"]["centres"]}))
    return made


def _curve(found: dict) -> tuple[list[float], list[float]]:
    curve = found["curve"]
    return [i / max(1, len(curve) - 1) for i in range(len(curve))], curve
