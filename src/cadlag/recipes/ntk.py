"""Neural tangent kernel (Jacot, Gabriel and Hongler, NeurIPS 2018): do wide networks train as their kernel says?

(A) One hidden layer of ReLU on a circle: networks of growing width, each against the closed form started from ITS OWN
f_0, and their kernel before and after. (B) The empirical kernel at initialisation against its limit. (C) Digits: kernel
regression against a linear ridge and a tuned squared exponential; the claim of a tie with the latter is part of it.
(D) A fifth of the labels wrong: early stopping, by closed form and by a trained network, along principal components.
"""

import pathlib
from typing import Any

from cadlag.recipes._claim import Claim, above, below, compare_paired
from cadlag.recipes._picture import Picture, Table
from cadlag.recipes._recipe import AbstractRecipe, Arm, Figures, Preset, value_per_seed

ARMS = (
    Arm("training", "ours", "networks on a circle against the closed form from their own start"),
    Arm("initialisation", "ours", "empirical kernels of fresh networks"),
    Arm("early", "ours", "wrong labels and early stopping"),
    Arm("ntk", "ours", "digits: regression with the NTK"),
    Arm("nngp", "ours", "digits: regression with the NNGP"),
    Arm("ridge", "baseline", "digits: linear ridge, penalty tuned on a validation part"),
    Arm("rbf", "baseline", "digits: squared exponential, width tuned on a validation part"),
)
SIZES = {
    Preset.SMOKE: {"widths": [32, 128], "kernel_widths": [32, 128], "nets": 2, "steps": 50, "train": 100, "test": 100,
                   "depths": [1, 3], "noisy": 40, "noisy_width": 64, "noisy_steps": 40},
    Preset.QUICK: {"nets": 24},
    Preset.STANDARD: {"nets": 96, "noisy_width": 4096},
    Preset.GPU: {"nets": 192, "noisy_width": 16384},
}  # fmt: skip


class NTKRecipe(AbstractRecipe):
    """Training, kernels at initialisation, digits, early stopping."""

    name = "ntk"
    title = "Neural Tangent Kernel: Convergence and Generalization in Neural Networks"
    summary = "Wide networks train as kernel regression with a fixed tangent kernel."
    precision = 64
    bibtex = (
        "@inproceedings{jacot2018neural,\n  title={Neural Tangent Kernel: Convergence and Generalization in Neural "
        "Networks},\n  author={Jacot, Arthur and Gabriel, Franck and Hongler, Cl{\\'e}ment},\n"
        "  booktitle={Advances in Neural Information Processing Systems},\n  year={2018}\n}"
    )

    def arms(self, preset: Preset) -> tuple[Arm, ...]:
        """All arms in every preset."""
        return ARMS

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Widths, networks of each, sizes of the data."""
        return {
            "widths": [128, 256, 512, 1024, 2048, 4096],
            "kernel_widths": [128, 512, 2048, 8192],
            # The paper trains on four points of the circle for a thousand steps of rate one.
            "points": 4,
            "kernel_points": 20,
            "steps": 1000,
            "rate": 1.0,
            "train": 1000,
            "test": 797,
            "depths": [1, 2, 3, 4, 5],
            "depth": 3,
            "ridge": 1e-6,
            "noisy": 200,
            "wrong": 0.2,
            "noisy_width": 2048,
            "noisy_steps": 1000,
            **SIZES[preset],
        }

    def measure(self, arm: Arm, preset: Preset, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """The study that the arm belongs to."""
        from cadlag.recipes import _ntk_digits as digits
        from cadlag.recipes import _ntk_studies as studies

        settings = self.settings(preset)
        circle = {"training": studies.training, "initialisation": studies.initialisation}
        if arm.name in circle:
            return circle[arm.name](settings, seed)
        if arm.name == "early":
            return digits.early(settings, seed)
        return digits.accuracy(arm.name, settings, seed)

    def judge(self, figures: Figures) -> list[Claim]:
        """Every claim of the four studies."""
        return [
            *_width_claims(figures),
            *(_above_linear(figures, arm) for arm in ("ntk", "nngp")),
            Claim(
                "tie-with-rbf",
                "On digits the NTK and a tuned squared exponential are as good as one another.",
                "accuracy of the NTK less that of the tuned squared exponential, its absolute value, < 0.01",
                0.01,
                below(_distance(figures, "ntk", "rbf"), 0.01),
                ("ntk", "rbf"),
            ),
            *_early_claims(figures),
        ]

    def tables(self, figures: Figures) -> list[Table]:
        """Deviations by width; accuracies."""
        from cadlag.recipes._ntk_page import tables

        return tables(figures)

    def pictures(self, figures: Figures, out: pathlib.Path) -> list[Picture]:
        """Deviations against width, early stopping."""
        from cadlag.recipes._ntk_page import pictures

        return pictures(figures)


def _width_claims(figures: Figures) -> list[Claim]:
    claims = [
        _slope(figures, arm, f"{arm}-slope", statement)
        for arm, statement in (
            ("training", "Trained networks approach the closed form from their own start as the root of width."),
            ("initialisation", "The empirical kernel at initialisation approaches its limit as the root of width."),
        )
    ]
    return [
        *claims,
        Claim(
            "training-close",
            "The widest networks are where the closed form says.",
            "largest deviation at test points over the targets' deviation, mean over networks, at the greatest width, "
            "< 0.05",
            0.05,
            below(value_per_seed(figures, "training", "widest"), 0.05),
            ("training",),
        ),
        Claim(
            "kernel-stays",
            "The kernel moves less in training the wider the network.",
            "relative change of the empirical kernel at the greatest width over that at the least, < 0.25",
            0.25,
            below(value_per_seed(figures, "training", "drift_ratio"), 0.25),
            ("training",),
        ),
    ]


def _slope(figures: Figures, arm: str, name: str, statement: str) -> Claim:
    slopes = value_per_seed(figures, arm, "slope")
    return Claim(
        name,
        statement,
        "distance of the slope of log deviation against log width from -0.5, < 0.15",
        0.15,
        below({seed: abs(slope + 0.5) for seed, slope in slopes.items()}, 0.15),
        (arm,),
    )


def _above_linear(figures: Figures, arm: str) -> Claim:
    return Claim(
        f"{arm}-above-linear",
        f"On digits regression with the {arm.upper()} is far better than a linear ridge.",
        f"accuracy of the {arm.upper()}, three hidden layers, less that of the ridge, > 0.03",
        0.03,
        compare_paired(
            value_per_seed(figures, arm, "accuracy"), value_per_seed(figures, "ridge", "accuracy"), 0.03,
            better="higher",
        ),
        (arm, "ridge"),
    )  # fmt: skip


def _early_claims(figures: Figures) -> list[Claim]:
    return [
        Claim(
            "early-stopping",
            "With wrong labels the closed form has a best time to stop.",
            "test error at the end over the least before, > 1.1",
            1.1,
            above(value_per_seed(figures, "early", "gain"), 1.1),
            ("early",),
        ),
        Claim(
            "same-curve",
            "A trained network's test error follows the closed form from its own start.",
            "largest difference of both curves over the range of the closed form's, < 0.1",
            0.1,
            below(value_per_seed(figures, "early", "curve_difference"), 0.1),
            ("early",),
        ),
        Claim(
            "components",
            "A trained network's residual decays along each principal component as predicted.",
            "first ten coefficients less what should be left of their start, over the start's norm, "
            "when the fifth should be at 1/e, < 0.1",
            0.1,
            below(value_per_seed(figures, "early", "component_error"), 0.1),
            ("early",),
        ),
    ]


def _distance(figures: Figures, ours: str, other: str) -> dict[int, float]:
    a, b = (value_per_seed(figures, arm, "accuracy") for arm in (ours, other))
    return {seed: abs(a[seed] - b[seed]) for seed in a if seed in b}


RECIPE = NTKRecipe
