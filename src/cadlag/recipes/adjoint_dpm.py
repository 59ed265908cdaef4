"""AdjointDPM (Pan et al., ICLR 2024): gradients through a diffusion sampler. Are they right, cheap, and of use?

(A) With exact denoisers: error of the gradient in time and in the noise ratio, by Euler and Heun, for the continuous
adjoint, the same with stored states, and the exact gradient of the chain; memory against the number of steps.
(B) Digits: the noise is optimised until a classifier sees a chosen class; a second classifier judges.
"""

import pathlib
from typing import Any

from cadlag.recipes._claim import Claim, Outcome, Paper, above, below, compare_paired
from cadlag.recipes._picture import Picture, Table
from cadlag.recipes._recipe import AbstractRecipe, Arm, Figures, Preset, value_per_seed

ARMS = (
    Arm("exact", "ours", "gradients with exact denoisers; memory"),
    Arm("digits", "ours", "noise steered on digits, and its baselines on the same model"),
)
SIZES = {
    Preset.SMOKE: {"train_steps": 20, "samples": 4, "updates": 2, "starts": 2},
    Preset.QUICK: {"train_steps": 3000, "samples": 50, "updates": 30, "starts": 16},
    Preset.STANDARD: {"train_steps": 8000, "samples": 200, "updates": 30, "starts": 64},
    Preset.GPU: {"train_steps": 20000, "samples": 360, "updates": 30, "starts": 256},
}


class AdjointDPMRecipe(AbstractRecipe):
    """Error, memory and use of gradients through the probability flow."""

    name = "adjoint-dpm"
    title = "Gradients through diffusion sampling"
    summary = "Optimise the noise a sampler starts from; memory does not grow with its steps."
    bibtex = (
        "@inproceedings{pan2024adjointdpm,\n  title={AdjointDPM: Adjoint Sensitivity Method for Gradient "
        "Backpropagation of Diffusion Probabilistic Models},\n  author={Pan, Jiachun and Liew, Jun Hao and Tan, "
        "Vincent and Feng, Jiashi and Yan, Hanshu},\n"
        "  booktitle={International Conference on Learning Representations},\n"
        "  year={2024}\n}"
    )

    def arms(self, preset: Preset) -> tuple[Arm, ...]:
        """Both studies."""
        return ARMS

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Sizes; the sampler and the optimiser are those of the system's description, not tuned."""
        return {
            **SIZES[preset],
            "steps": 20,
            "learning_rate": 0.05,
            "clip": 0.5,
            "width": 256,
            "depth": 3,
            "one_step_scales": [1.0, 4.0],
            "memory_steps": [10, 100],
        }

    def measure(self, arm: Arm, preset: Preset, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """The study of the arm."""
        from cadlag.recipes import _adjoint_dpm_studies as studies

        settings = self.settings(preset)
        return studies.exact(settings, seed) if arm.name == "exact" else studies.digits(settings, seed)

    def judge(self, figures: Figures) -> list[Claim]:
        """Every claim of the two studies."""
        hit = value_per_seed(figures, "digits", "hits.continuous")
        return [
            Claim(
                "reparametrisation",
                "The change of variables to the noise ratio makes gradients accurate.",
                "relative error of Euler's continuous gradient in the noise ratio minus that in time, two-mode "
                "mixture, 20 uniform steps in time, < 0",
                0.0,
                _paired(
                    figures, "exact", "error.mixture.ratio.euler.continuous", "error.mixture.time.euler.continuous"
                ),
                ("exact",),
                Paper("smaller discretisation error", "recalled"),
            ),
            Claim(
                "memory",
                "The memory of the continuous adjoint does not grow with the number of steps.",
                "temporary memory with 100 steps over that with 10 < 1.5",
                1.5,
                below(value_per_seed(figures, "exact", "memory.continuous.growth"), 1.5, standard_error=0.0),
                ("exact",),
            ),
            Claim(
                "cosine",
                "The continuous gradient points where the gradient of the chain does.",
                "mean cosine of the two on digits, 20 Heun steps in the noise ratio, >= 0.9",
                0.9,
                above(value_per_seed(figures, "digits", "cosine"), 0.9),
                ("digits",),
            ),
            Claim(
                "hit-rate",
                "Noise moved by at most 0.5 an entry makes the model draw a chosen class.",
                "share that a second classifier takes for the chosen class > 0.5",
                0.5,
                above(hit, 0.5),
                ("digits",),
            ),
            *(_hit_claim(figures, hit, *row) for row in _BASELINES),
        ]

    def tables(self, figures: Figures) -> list[Table]:
        """Errors, memory, hit rates."""
        from cadlag.recipes._adjoint_dpm_page import tables

        return tables(figures)

    def pictures(self, figures: Figures, out: pathlib.Path) -> list[Picture]:
        """Digits before and after, losses."""
        from cadlag.recipes._adjoint_dpm_page import pictures

        return pictures(figures)


_BASELINES = (
    ("unguided", "sampling without guidance"),
    ("one_step", "guidance through the expected sample only"),
    ("best_of", "the best of as many fresh draws as there are updates, chosen by the first classifier"),
)


def _hit_claim(figures: Figures, hit: dict[int, float], baseline: str, what: str) -> Claim:
    return Claim(
        f"above-{baseline.replace('_', '-')}",
        f"Noise optimised through the sampler meets the chosen class more often than {what}.",
        f"hit rate by the second classifier minus that of {what} > 0",
        0.0,
        compare_paired(hit, value_per_seed(figures, "digits", f"hits.{baseline}")),
        ("digits",),
    )


def _paired(figures: Figures, arm: str, ours: str, baseline: str) -> Outcome:
    return compare_paired(value_per_seed(figures, arm, ours), value_per_seed(figures, arm, baseline), better="lower")


RECIPE = AdjointDPMRecipe
