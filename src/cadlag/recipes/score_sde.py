"""Score-based generative modelling through SDEs (Song et al., ICLR 2021): what do its four promises come to?

(A) With the exact score of a mixture the probability flow gives exact likelihoods. (B) On a ring of eight Gaussians,
whose entropy is known, VP and sub-VP models: how far is the likelihood from the truth, how many evaluations does a
black-box solver take, is predictor-corrector better than predictor-only at equal evaluations, sub-VP than VP? (C) On
scikit-learn's digits: bits per dimension against classical densities, and filling in the lower half with an
unconditional model against means and a Gaussian.
"""

import pathlib
from typing import Any

from cadlag.recipes._claim import Claim, Outcome, Paper, below, compare_paired
from cadlag.recipes._picture import Picture, Table
from cadlag.recipes._recipe import AbstractRecipe, Arm, Figures, Preset, value_per_seed

# The longest first: two workers then end together.
ARMS = (
    Arm("digits", "ours", "VP, MLP on digits"),
    Arm("digits-unet", "ours", "VP, U-Net on digits"),
    Arm("exact", "ours", "exact score of a mixture, no network"),
    Arm("vp", "ours", "VP on the ring"),
    Arm("sub-vp", "ours", "sub-VP on the ring"),
    Arm("ve", "ours", "VE on the ring"),
    Arm("gaussian", "baseline", "a full Gaussian; conditional means and draws"),
    Arm("mixture", "baseline", "a Gaussian mixture, components chosen on held-out data"),
    Arm("mean", "baseline", "the mean digit fills in the lower half"),
)
PRESET_ARMS = {
    Preset.SMOKE: ("exact", "vp"),
    Preset.QUICK: ("exact", "vp", "sub-vp", "digits", "gaussian", "mixture", "mean"),
    Preset.STANDARD: tuple(a.name for a in ARMS),
    Preset.GPU: tuple(a.name for a in ARMS),
}
SIZES = {
    Preset.SMOKE: {"ring_steps": 20, "digit_steps": 20, "unet_steps": 2, "tested": 32, "drawn": 64, "filled": 16},
    Preset.QUICK: {
        "ring_steps": 3600, "digit_steps": 2700, "unet_steps": 0, "tested": 600, "drawn": 2000, "filled": 180,
    },
    Preset.STANDARD: {
        "ring_steps": 8000, "digit_steps": 8000, "unet_steps": 5000, "tested": 2000, "drawn": 4000, "filled": 360,
    },
    Preset.GPU: {
        "ring_steps": 20000, "digit_steps": 20000, "unet_steps": 20000, "tested": 5000, "drawn": 10000, "filled": 360,
    },
}  # fmt: skip


class ScoreSDERecipe(AbstractRecipe):
    """Likelihood, black-box sampling, predictor-corrector, sub-VP and inpainting of score-based models."""

    name = "score-sde"
    title = "Score-based generative modelling through SDEs"
    summary = "One score network: samples by SDE or ODE, exact likelihood, inpainting without retraining."
    bibtex = (
        "@inproceedings{song2021score,\n  title={Score-Based Generative Modeling through Stochastic Differential "
        "Equations},\n  author={Song, Yang and Sohl-Dickstein, Jascha and Kingma, Diederik P and Kumar, Abhishek and "
        "Ermon, Stefano and Poole, Ben},\n  booktitle={International Conference on Learning Representations},\n"
        "  year={2021}\n}"
    )

    def arms(self, preset: Preset) -> tuple[Arm, ...]:
        """What the preset has time for."""
        return tuple(a for a in ARMS if a.name in PRESET_ARMS[preset])

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Widths, lengths of training, numbers of samples."""
        return {
            **SIZES[preset],
            "ring": {"modes": 8, "radius": 4.0, "std": 0.3, "train": 20_000, "width": 128, "depth": 3, "batch": 512},
            "digits": {"width": 256, "depth": 4, "batch": 256, "levels": 17},
            "learning_rate": 1e-3,
            "average": 0.999,
            "evaluations": [50, 100],
            "snr": 0.16,
            "components": [1, 2, 4, 8, 16, 32],
        }

    def measure(self, arm: Arm, preset: Preset, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """The study that the arm belongs to."""
        from cadlag.recipes import _score_sde_studies as studies

        settings = self.settings(preset)
        if arm.name == "exact":
            return studies.exact(settings, seed)
        if arm.name in ("vp", "sub-vp", "ve"):
            return studies.ring(arm.name, settings, seed)
        if arm.name in ("digits", "digits-unet"):
            return studies.digits(arm.name, settings, seed)
        return {"ring": studies.classical_ring(arm.name, settings, seed)} | studies.classical_digits(
            arm.name, settings, seed
        )

    def judge(self, figures: Figures) -> list[Claim]:
        """Every claim of the three studies."""
        return [
            Claim(
                "exact-likelihood",
                "With the exact score, the probability flow gives the exact log-likelihood of the smoothed data.",
                "largest error over the test points < 1e-4 nats",
                1e-4,
                below(value_per_seed(figures, "exact", "error"), 1e-4),
                ("exact",),
            ),
            *(_gap_claim(figures, arm) for arm in ("vp", "sub-vp")),
            Claim(
                "evaluations",
                "A black-box ODE solver samples with far fewer evaluations than a thousand-step chain.",
                "mean evaluations of an adaptive solver at tolerance 1e-5, VP on the ring, < 150",
                150.0,
                below(value_per_seed(figures, "vp", "evaluations"), 150.0),
                ("vp",),
                Paper("over 90 % fewer", "recalled"),
            ),
            Claim(
                "sub-vp-likelihood",
                "Sub-VP gives better likelihoods than VP.",
                "negative log-likelihood of sub-VP minus that of VP on the ring < 0",
                0.0,
                _paired(figures, ("sub-vp", "nll"), ("vp", "nll")),
                ("vp", "sub-vp"),
                Paper("3.02 against 3.16 bits per dimension on CIFAR-10", "seen"),
            ),
            Claim(
                "predictor-corrector",
                "At equal evaluations, predictor-corrector sampling is better than predictor-only.",
                "sliced W2 to the data law, predictor-corrector minus predictor-only, VP on the ring, mean over 50 and "
                "100 evaluations, < 0",
                0.0,
                _paired(figures, ("vp", "distance.pc"), ("vp", "distance.predictor")),
                ("vp",),
                Paper("FID 3.18 against 3.19 (VP), 3.60 against 4.74 (VE)", "recalled"),
            ),
            *(_bits_claim(figures, baseline) for baseline in ("gaussian", "mixture")),
            Claim(
                "inpainting-error",
                "An unconditional model fills in the lower half of a digit better than the mean digit.",
                "mean squared error in the lower half, one draw a digit, minus that of the mean digit < 0",
                0.0,
                _paired(figures, ("digits", "filled.error"), ("mean", "filled.error")),
                ("digits", "mean"),
            ),
            *(_class_claim(figures, baseline) for baseline in ("mean", "gaussian")),
        ]

    def tables(self, figures: Figures) -> list[Table]:
        """Likelihoods, samplers, digits."""
        from cadlag.recipes._score_sde_page import tables

        return tables(figures)

    def pictures(self, figures: Figures, out: pathlib.Path) -> list[Picture]:
        """Samples of the ring, digits filled in, training curves."""
        from cadlag.recipes._score_sde_page import pictures

        return pictures(figures, out)


def _paired(figures: Figures, ours: tuple[str, str], baseline: tuple[str, str]) -> Outcome:
    return compare_paired(value_per_seed(figures, *ours), value_per_seed(figures, *baseline), better="lower")


def _gap_claim(figures: Figures, arm: str) -> Claim:
    gaps = {s: abs(g) for s, g in value_per_seed(figures, arm, "gap").items()}
    return Claim(
        f"likelihood-{arm}",
        f"The likelihood of a trained {arm.upper()} model on the ring is the truth's.",
        "|negative log-likelihood - that of the true law| on the same test points < 0.05 nats",
        0.05,
        below(gaps, 0.05),
        (arm,),
    )


def _bits_claim(figures: Figures, baseline: str) -> Claim:
    what = {"gaussian": "a full Gaussian", "mixture": "a Gaussian mixture with components chosen on held-out data"}
    return Claim(
        f"bits-{baseline}",
        f"On digits the model has fewer bits per dimension than {what[baseline]}.",
        f"bits per dimension of held-out digits minus those of {what[baseline]} < 0",
        0.0,
        _paired(figures, ("digits", "bits"), (baseline, "bits")),
        ("digits", baseline),
    )


def _class_claim(figures: Figures, baseline: str) -> Claim:
    what = {"mean": "the mean digit", "gaussian": "the conditional mean of a Gaussian"}
    return Claim(
        f"inpainting-class-{baseline}",
        f"Digits filled in by the model are recognised more often than those filled in by {what[baseline]}.",
        f"accuracy of a logistic regression on filled digits minus its accuracy on those of {what[baseline]} > 0",
        0.0,
        compare_paired(
            value_per_seed(figures, "digits", "filled.accuracy"), value_per_seed(figures, baseline, "filled.accuracy")
        ),
        ("digits", baseline),
    )


RECIPE = ScoreSDERecipe
