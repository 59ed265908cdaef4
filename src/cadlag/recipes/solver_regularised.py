"""Solver heuristics as regularisers (Pal et al., ICML 2021): is a neural ODE trained to be cheap to solve as accurate?

(A) Digits: evaluations, accuracy and times of networks trained with the error estimates of all steps, with the
stiffness estimates, and with random end times (STEER), against a plain one and against the UNTRAINED one. (B) In
`standard` a neural SDE fitted to the moments of a spiral, solved adaptively, with and without error regularisation.
"""

import pathlib
from typing import Any

from cadlag.recipes import _regularised as shared
from cadlag.recipes._claim import Claim, Paper, below
from cadlag.recipes._picture import Picture, Table
from cadlag.recipes._recipe import AbstractRecipe, Arm, Figures, Preset

DIGITS = (
    shared.PLAIN,
    shared.GLOBAL,
    Arm("stiffness", "ours", "largest stiffness estimate over all steps"),
    Arm("steer", "baseline", "random end time in training, as STEER"),
)
SPIRAL = (
    Arm("sde-plain", "baseline", "neural SDE on a spiral's moments"),
    Arm("sde-error", "ours", "the same with the errors of all steps"),
)


class SolverRegularisedRecipe(AbstractRecipe):
    """Evaluations and accuracy with penalties on all steps."""

    name = "solver-regularised"
    title = (
        "Opening the Blackbox: Accelerating Neural Differential Equations by Regularizing Internal Solver Heuristics"
    )
    summary = "A solver's own error estimates, added to the loss, make neural differential equations cheap to solve."
    precision = 64
    bibtex = (
        "@inproceedings{pal2021opening,\n  title={Opening the Blackbox: Accelerating Neural Differential Equations by "
        "Regularizing Internal Solver Heuristics},\n  author={Pal, Avik and Ma, Yingbo and Shah, Viral and "
        "Rackauckas, Christopher},\n  booktitle={International Conference on Machine Learning},\n  year={2021}\n}"
    )

    def arms(self, preset: Preset) -> tuple[Arm, ...]:
        """Digits in every preset, the spiral from `standard` on."""
        return DIGITS if preset in (Preset.SMOKE, Preset.QUICK) else DIGITS + SPIRAL

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Sizes and weights, shared with `locally-regularised`."""
        return shared.settings(preset)

    def measure(self, arm: Arm, preset: Preset, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """The study of the arm."""
        from cadlag.recipes import _regularised_sde as sde
        from cadlag.recipes import _regularised_studies as studies

        settings = self.settings(preset)
        if arm.name.startswith("sde-"):
            return sde.spiral(arm.name, settings["sde"], seed)
        return studies.digits(arm.name, settings, seed)

    def judge(self, figures: Figures) -> list[Claim]:
        """Every claim of both studies."""
        error = "the solver's error estimates in its loss"
        return [
            shared.nfe_claim(figures, "error", 0.8, error, Paper("177 over 253 on MNIST, 0.70", "recalled")),
            shared.accuracy_claim(figures, "error", error),
            shared.growth_claim(figures, "error", error),
            shared.time_claim(
                figures, "prediction-time", "error", "Its predictions take less time.", "seconds_of_prediction", 0.9,
                Paper("0.060 over 0.094 on MNIST", "recalled"),
            ),
            shared.time_claim(
                figures, "training-time", "error", "Its training takes no more time.", "seconds_a_step", 1.0,
                Paper("0.82 over 0.98 on MNIST", "recalled"),
            ),
            Claim(
                "below-steer",
                "The error estimates save more evaluations than random end times do.",
                "evaluations over those of STEER < 0.9",
                0.9,
                below(shared.ratio(figures, "error", "steer", "nfe"), 0.9),
                ("error", "steer"),
                Paper("177 over 265 on MNIST", "recalled"),
            ),
            shared.nfe_claim(
                figures, "stiffness", 0.95, "the solver's stiffness estimates in its loss",
                Paper("259 over 253 on MNIST: not less", "recalled"),
            ),
            shared.accuracy_claim(figures, "stiffness", "the solver's stiffness estimates in its loss"),
            shared.sde_claim(
                figures, "spiral-nfe", "sde-error", "sde-plain", "error estimates in its loss", 0.98,
                Paper("502 over 529", "recalled"),
            ),
        ]  # fmt: skip

    def tables(self, figures: Figures) -> list[Table]:
        """Accuracy, evaluations and times."""
        from cadlag.recipes._regularised_page import tables

        return tables(figures, DIGITS, SPIRAL)

    def pictures(self, figures: Figures, out: pathlib.Path) -> list[Picture]:
        """Evaluations through training."""
        from cadlag.recipes._regularised_page import pictures

        return pictures(figures, DIGITS)


RECIPE = SolverRegularisedRecipe
