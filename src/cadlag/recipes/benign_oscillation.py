"""Benign oscillation (Lu et al., ICLR 2024): do steps so large that the loss oscillates learn what small ones miss?

(A) A weak feature is in every example, a strong one in four of five, and noise to memorise in all. Single-sample SGD
with small and with large steps is tested on examples that carry the weak feature alone; each figure is over eight pairs
of data and initial weights, a diverged one counts as always wrong. Controls: ten times as many small steps, noise on
the targets, a network twice as wide (at the same step it does not oscillate), full batches below and inside their own
window.
(B) One example, one neuron: where the oscillation ends, against the edge of stability.
"""

import pathlib
from typing import Any

from cadlag.recipes._claim import Claim, Paper, above, below
from cadlag.recipes._picture import Picture, Table
from cadlag.recipes._recipe import AbstractRecipe, Arm, Figures, Preset, value_per_seed

ARMS = (
    Arm("large", "ours", "step 2.4, inside the window"),
    Arm("edge", "ours", "step 2.2, near its lower end"),
    Arm("beyond", "ablation", "step 2.8, beyond its upper end for some"),
    Arm("below", "ablation", "step 1.0, below the window"),
    Arm("decayed", "ablation", "step 2.4, a tenth of it from halfway on"),
    Arm("small", "baseline", "step 0.2"),
    Arm("longer", "baseline", "step 0.2, ten times as many"),
    Arm("label-noise", "baseline", "step 0.2, noise of deviation 0.5 on the targets"),
    Arm("wider", "baseline", "step 2.4, twice as wide"),
    Arm("full-batch", "baseline", "full batches, step 2.4"),
    Arm("full-batch-large", "ablation", "full batches, step 6.0"),
    Arm("theory", "ours", "one example, one neuron"),
)
RUNS = {
    "large": {"rate": 2.4}, "edge": {"rate": 2.2}, "beyond": {"rate": 2.8}, "below": {"rate": 1.0},
    "decayed": {"rate": 2.4, "decay": 0.1}, "small": {"rate": 0.2}, "longer": {"rate": 0.2, "longer": 10},
    "label-noise": {"rate": 0.2, "label_noise": 0.5}, "wider": {"rate": 2.4, "wider": 2},
    "full-batch": {"rate": 2.4, "full": True}, "full-batch-large": {"rate": 6.0, "full": True},
}  # fmt: skip
"""A full batch pulls each sign's filters with 0.4 of a single example's strength (half the signs, four of five with the
strong feature): its window begins at 5 where that of single examples begins at 2; 6.0 lies in it as 2.4 there."""
SIZES = {
    Preset.SMOKE: {"dimension": 100, "steps": 200, "runs": 2, "test": 50, "toy_steps": 2000},
    Preset.QUICK: {"runs": 8},
    Preset.STANDARD: {"runs": 32},
    Preset.GPU: {"dimension": 4000, "runs": 256},
}


class BenignOscillationRecipe(AbstractRecipe):
    """Large steps, small steps, and what else might explain the difference."""

    name = "benign-oscillation"
    title = "Benign Oscillation of Stochastic Gradient Descent with Large Learning Rates"
    summary = "Steps so large that the loss oscillates learn a weak feature that small steps miss."
    bibtex = (
        "@inproceedings{lu2024benign,\n  title={Benign Oscillation of Stochastic Gradient Descent with Large Learning "
        "Rates},\n  author={Lu, Miao and Wu, Beining and Yang, Xiaodong and Zou, Difan},\n"
        "  booktitle={International Conference on Learning Representations},\n  year={2024}\n}"
    )

    def arms(self, preset: Preset) -> tuple[Arm, ...]:
        """All arms in every preset."""
        return ARMS

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Sizes of data and network, steps, how many runs a figure is over."""
        return {"dimension": 1000, "examples": 20, "width": 4, "steps": 6000, "test": 2000, "kappas": [1.1, 1.3, 1.5],
                "toy_steps": 20_000, "arms": RUNS, **SIZES[preset]}  # fmt: skip

    def measure(self, arm: Arm, preset: Preset, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """Eight trainings, or the map of one example."""
        from cadlag.recipes import _benign_oscillation_studies as studies

        settings = self.settings(preset)
        if arm.name == "theory":
            return studies.theory(settings)
        how = dict(settings["arms"][arm.name])
        steps = settings["steps"] * how.pop("longer", 1)
        width = settings["width"] * how.pop("wider", 1)
        batch = settings["examples"] if how.pop("full", False) else 1
        return studies.trained(settings, how.pop("rate"), seed, steps=steps, width=width, batch=batch, **how)

    def judge(self, figures: Figures) -> list[Claim]:
        """Accuracies on the weak feature alone are means over the runs of a seed."""
        seen = Paper("near one with large steps, no better than a constant error with small ones", "recalled")
        weak, low, high = "accuracy on the weak feature alone, {}, {} {}", 0.75, 0.95
        return [
            _above(figures, "large", "large", "Steps inside the window learn the weak feature.",
                   weak.format("step 2.4", ">", high), high, seen),
            _above(figures, "edge", "edge", "So do steps near its lower end.",
                   weak.format("step 2.2", ">", high), high),
            _below(figures, "small", "small", "Small steps do not learn it.",
                   weak.format("step 0.2", "<", low), low, seen),
            _below(figures, "longer", "longer", "Nor do ten times as many.",
                   weak.format("60,000 steps of 0.2", "<", low), low),
            Claim(
                "fits",
                "Both fit the training data alike.",
                "larger mean training loss of steps 2.4 and 0.2 < 0.02",
                0.02,
                below(_larger_loss(figures), 0.02),
                ("large", "small"),
            ),
            _below(figures, "label-noise", "label-noise", "It is not noise: noise on the targets does not do it.",
                   weak.format("step 0.2 with label noise", "<", low), low),
            _below(figures, "wider", "wider", "It is not the size of the step: without oscillation, in a network twice "
                   "as wide, it is not learnt.", weak.format("step 2.4, width 8", "<", low), low),
            _below(figures, "full-batch", "full-batch", "Nor do full batches below their own window.",
                   weak.format("full batches, step 2.4", "<", low), low),
            _above(figures, "full-batch-inside", "full-batch-large", "It needs no noise: full batches inside their "
                   "window learn it.", weak.format("full batches, step 6.0", ">", high), high),
            Claim(
                "residual",
                "While it oscillates the residual 1 - y f does not average to zero.",
                "mean residual over the steps from a twentieth to a quarter, step 2.4, > 0.02",
                0.02,
                above(value_per_seed(figures, "large", "residual"), 0.02),
                ("large",),
            ),
            Claim(
                "end",
                "The oscillation stops at the edge of stability, for kappa 1.1, 1.3 and 1.5.",
                "largest relative error of the weak share at the end against (kappa - 1)/(kappa - kappa_u) < 0.01",
                0.01,
                below(value_per_seed(figures, "theory", "worst"), 0.01, standard_error=0.0),
                ("theory",),
            ),
        ]  # fmt: skip

    def tables(self, figures: Figures) -> list[Table]:
        """Accuracies, losses, divergences; the map's ends."""
        from cadlag.recipes._benign_oscillation_page import tables

        return tables(figures, ARMS)

    def pictures(self, figures: Figures, out: pathlib.Path) -> list[Picture]:
        """Residuals along training; accuracy of each run; the map."""
        from cadlag.recipes._benign_oscillation_page import pictures

        return pictures(figures, ARMS)


def _above(
    figures: Figures, name: str, arm: str, statement: str, criterion: str, limit: float, paper: Paper | None = None
) -> Claim:
    return Claim(name, statement, criterion, limit, above(value_per_seed(figures, arm, "weak"), limit), (arm,), paper)


def _below(
    figures: Figures, name: str, arm: str, statement: str, criterion: str, limit: float, paper: Paper | None = None
) -> Claim:
    return Claim(name, statement, criterion, limit, below(value_per_seed(figures, arm, "weak"), limit), (arm,), paper)


def _larger_loss(figures: Figures) -> dict[int, float]:
    large, small = (value_per_seed(figures, arm, "loss") for arm in ("large", "small"))
    return {seed: max(large[seed], small[seed]) for seed in large if seed in small}


RECIPE = BenignOscillationRecipe
