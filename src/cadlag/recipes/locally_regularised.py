"""Local regularisation (Pal, Edelman and Rackauckas, ICML 2023): does one step at a random time save as much as all?

(A) Digits: evaluations, accuracy and times with the error of a single step, at a uniform time or at one of the solver's
own, against a plain network and against all steps. (B) From `standard` on: the same through the continuous adjoint,
which all steps do not go with; and a composition that nobody published, a Langevin equation driven by
fractional noise, locally regularised.
"""

import pathlib
from typing import Any

from cadlag.recipes import _regularised as shared
from cadlag.recipes._claim import Claim, Paper, below
from cadlag.recipes._picture import Picture, Table
from cadlag.recipes._recipe import AbstractRecipe, Arm, Figures, Preset

LOCAL = {"local-unbiased": "the error of one step at a uniform time", "local-biased": "the error of one of its steps"}
DIGITS = (
    shared.PLAIN,
    Arm("error", "baseline", "mean of error times width over all steps"),
    *(Arm(name, "ours", what) for name, what in LOCAL.items()),
)
MORE = (Arm("local-backsolve", "ours", "one step at a uniform time, the task through the continuous adjoint"),)
LANGEVIN = (
    Arm("langevin-plain", "baseline", "Langevin equation driven by fractional noise, adaptive steps"),
    Arm("langevin-local", "ours", "the same, locally regularised"),
)


class LocallyRegularisedRecipe(AbstractRecipe):
    """Evaluations and accuracy with a penalty on one step at a random time."""

    name = "locally-regularised"
    title = "Locally Regularized Neural Differential Equations: Some Black Boxes Were Meant to Remain Closed!"
    summary = "The error of one step at a random time, added to the loss, makes neural differential equations cheap."
    precision = 64
    bibtex = (
        "@inproceedings{pal2023locally,\n  title={Locally Regularized Neural Differential Equations: Some Black Boxes "
        "Were Meant to Remain Closed!},\n  author={Pal, Avik and Edelman, Alan and Rackauckas, Christopher},\n"
        "  booktitle={International Conference on Machine Learning},\n  year={2023}\n}"
    )

    def arms(self, preset: Preset) -> tuple[Arm, ...]:
        """Digits in every preset, the rest from `standard` on."""
        return DIGITS if preset in (Preset.SMOKE, Preset.QUICK) else DIGITS + MORE + LANGEVIN

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Sizes and weights, shared with `solver-regularised`."""
        return shared.settings(preset)

    def measure(self, arm: Arm, preset: Preset, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """The study of the arm."""
        from cadlag.recipes import _regularised_sde as sde
        from cadlag.recipes import _regularised_studies as studies

        settings = self.settings(preset)
        if arm.name.startswith("langevin-"):
            return sde.langevin(arm.name, settings["langevin"], seed)
        return studies.digits(arm.name, settings, seed)

    def judge(self, figures: Figures) -> list[Claim]:
        """Every claim of both studies."""
        paper = Paper("0.556 to 0.733 over the experiments", "seen")
        claims = []
        for arm, what in LOCAL.items():
            claims += [
                shared.nfe_claim(figures, arm, 0.9, what, paper),
                shared.accuracy_claim(figures, arm, what),
                shared.growth_claim(figures, arm, what),
                shared.time_claim(
                    figures, f"{arm}-training-time", arm, "Training costs about as much as without.",
                    "seconds_a_step", 1.2, None,
                ),
            ]  # fmt: skip
        return [
            *claims,
            shared.time_claim(
                figures, "prediction-time", "local-biased", "Its predictions take less time.", "seconds_of_prediction",
                0.9, Paper("1 / 2 to 1 / 1.3 over the experiments", "seen"),
            ),
            Claim(
                "near-global",
                "One step, one of the solver's own, saves about as much as all of them.",
                "evaluations over those of a network trained with all steps < 1.25",
                1.25,
                below(shared.ratio(figures, "local-biased", "error", "nfe"), 1.25),
                ("local-biased", "error"),
            ),
            shared.nfe_claim(figures, "local-backsolve", 0.9, "one step and the continuous adjoint", paper),
            shared.sde_claim(
                figures, "langevin-nfe", "langevin-local", "langevin-plain", "one step at a random time", 0.95, None
            ),
        ]  # fmt: skip

    def tables(self, figures: Figures) -> list[Table]:
        """Accuracy, evaluations and times."""
        from cadlag.recipes._regularised_page import tables

        return tables(figures, DIGITS + MORE, LANGEVIN)

    def pictures(self, figures: Figures, out: pathlib.Path) -> list[Picture]:
        """Evaluations through training."""
        from cadlag.recipes._regularised_page import pictures

        return pictures(figures, DIGITS + MORE)


RECIPE = LocallyRegularisedRecipe
