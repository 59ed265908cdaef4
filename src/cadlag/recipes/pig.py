"""Physics-informed Gaussians (Kang et al., ICLR 2025): do bumps that move beat a multilayer perceptron in equal time?

Helmholtz's equation on a square with the solution sin(pi x) sin(4 pi y); in `standard` also Klein-Gordon in two
dimensions and time. Every arm trains for the same number of seconds on one thread and the same kind of loss; learning
rates and the weight of the residual were chosen for each arm on seed 100. A finite-difference solver stands in the
table: it needs a fraction of a second.
"""

import pathlib
from typing import Any

from cadlag.recipes._claim import Claim, Outcome, Paper, above
from cadlag.recipes._picture import Picture, Table
from cadlag.recipes._recipe import AbstractRecipe, Arm, Figures, Preset, value_per_seed

ARMS = (
    Arm("pig", "ours", "Gaussians that move, with a head of 16"),
    Arm("frozen", "ablation", "Gaussians that stay where they were drawn, same head"),
    Arm("no-head", "ablation", "as many Gaussians that move, summed without a head"),
    Arm("pinn", "baseline", "tanh perceptron, 4 layers of 64"),
    Arm("fourier", "baseline", "the same perceptron on 128 random Fourier features"),
)
LABELS = {arm.name: arm.description for arm in ARMS}
TRAINING = {
    "pig": (1e-2, 0.9995, 1e-4),
    "frozen": (1e-2, 0.9995, 1e-4),
    "no-head": (1e-2, 0.9995, 1e-4),
    "pinn": (3e-3, 0.9995, 1e-2),
    "fourier": (3e-3, 0.9995, 1e-3),
}
"""Learning rate, its factor at each step, weight of the residual (the boundary has 1)."""
SIZES = {
    Preset.SMOKE: {"problems": ["helmholtz"], "seconds": 0.5, "most_steps": 20, "points": 200, "gaussians": 20},
    Preset.QUICK: {"problems": ["helmholtz"], "seconds": 20.0, "most_steps": 20_000, "points": 2000, "gaussians": 200},
    Preset.STANDARD: {
        "problems": ["helmholtz", "klein-gordon"], "seconds": 120.0, "most_steps": 100_000, "points": 4000,
        "gaussians": 400,
    },
    Preset.GPU: {
        "problems": ["helmholtz", "klein-gordon"], "seconds": 120.0, "most_steps": 200_000, "points": 10_000,
        "gaussians": 800,
    },
}  # fmt: skip


class PIGRecipe(AbstractRecipe):
    """Gaussians against perceptrons, moving against frozen, with a head against without, at equal time."""

    name = "pig"
    equations = ("helmholtz", "klein-gordon")
    title = "Physics-informed Gaussians"
    summary = "Solutions as sums of Gaussians that move to where they are needed."
    bibtex = (
        "@inproceedings{kang2025pig,\n  title={PIG: Physics-Informed Gaussians as Adaptive Parametric Mesh "
        "Representations},\n  author={Kang, Namgyu and Oh, Jaemin and Hong, Youngjoon and Park, Eunbyung},\n"
        "  booktitle={International Conference on Learning Representations},\n  year={2025}\n}"
    )

    def arms(self, preset: Preset) -> tuple[Arm, ...]:
        """All arms in every preset."""
        return ARMS

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Seconds of training, points, Gaussians in each sum."""
        sizes = SIZES[preset]
        if self.equation is not None:
            sizes = {**sizes, "problems": [self.equation]}
        return {**sizes, "width": 0.1, "faces": 400, "training": {k: list(v) for k, v in TRAINING.items()}}

    def measure(self, arm: Arm, preset: Preset, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """Each problem in turn."""
        from cadlag.recipes._pig_studies import solve

        settings = self.settings(preset)
        return {problem: solve(arm.name, problem, settings, seed) for problem in settings["problems"]}

    def judge(self, figures: Figures) -> list[Claim]:
        """Claims about ratios of errors; the card's single error is one seed's."""
        return [
            Claim(
                "ten-times",
                "In equal time moving Gaussians are ten times as accurate as a perceptron.",
                "relative L2 error on Helmholtz, perceptron over Gaussians (each seed), > 10",
                10.0,
                _ratio(figures, "helmholtz", "pinn", 10.0),
                ("pig", "pinn"),
                Paper("about 4e-5 against 1e-1 after far longer training", "recalled"),
            ),
            Claim(
                "moving",
                "Gaussians that move are more accurate than Gaussians that stay.",
                "relative L2 error on Helmholtz, frozen over moving (each seed), > 1",
                1.0,
                _ratio(figures, "helmholtz", "frozen", 1.0),
                ("pig", "frozen"),
            ),
            Claim(
                "head",
                "A small head behind the sums helps.",
                "relative L2 error on Helmholtz, without a head over with one (each seed), > 1",
                1.0,
                _ratio(figures, "helmholtz", "no-head", 1.0),
                ("pig", "no-head"),
            ),
            Claim(
                "fourier",
                "They are more accurate than a perceptron on random Fourier features, too.",
                "relative L2 error on Helmholtz, Fourier features over Gaussians (each seed), > 1",
                1.0,
                _ratio(figures, "helmholtz", "fourier", 1.0),
                ("pig", "fourier"),
            ),
            Claim(
                "klein-gordon",
                "The same holds in two dimensions and time.",
                "relative L2 error on Klein-Gordon, perceptron over Gaussians (each seed), > 10",
                10.0,
                _ratio(figures, "klein-gordon", "pinn", 10.0),
                ("pig", "pinn"),
            ),
        ]

    def tables(self, figures: Figures) -> list[Table]:
        """Errors by arm, for each problem."""
        from cadlag.recipes._pig_page import tables

        return tables(figures, LABELS)

    def pictures(self, figures: Figures, out: pathlib.Path) -> list[Picture]:
        """Solutions, errors, where the Gaussians went, loss."""
        from cadlag.recipes._pig_page import pictures

        return pictures(figures, LABELS)


def _ratio(figures: Figures, problem: str, other: str, limit: float) -> Outcome:
    """The other arm's error over ours, seed by seed."""
    theirs, ours = (value_per_seed(figures, arm, f"{problem}.error") for arm in (other, "pig"))
    return above({seed: theirs[seed] / ours[seed] for seed in ours if seed in theirs}, limit)


RECIPE = PIGRecipe
