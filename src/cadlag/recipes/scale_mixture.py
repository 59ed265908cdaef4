"""Scale mixtures of NNGPs (Lee et al., ICLR 2022): what does a random scale of the last layer change?

(A) Identities: the mean is the NNGP's, the variance that of the law of the scale; wide networks with a random scale are
Student's t; draws share one scale. (B) Diabetes, clean and with 5 % of the training targets far off, at n = 30 and
n = 240, against an NNGP whose output scale is learnt too and a Gaussian process with a t-likelihood at every point.
With n values known there are 4 + n degrees of freedom, so that little but ties is to be expected at n = 240.
"""

import pathlib
from typing import Any

from cadlag.recipes._claim import Claim, Outcome, above, below, compare_paired
from cadlag.recipes._picture import Picture, Table
from cadlag.recipes._recipe import AbstractRecipe, Arm, Figures, Preset, value_per_seed

ARMS = (
    Arm("identities", "ours", "closed forms, wide networks, joint draws"),
    Arm("t", "ours", "Student-t process, 4 degrees of freedom, NNGP kernel learnt"),
    Arm("nngp", "baseline", "the same kernel, noise and output scale learnt, Gaussian"),
    Arm("per-point", "baseline", "the same kernel, a t-likelihood with its own scale at every point (variational)"),
)
MORE = (
    Arm("burr", "ours", "Burr XII prior, c and k on validation data"),
    Arm("svtp", "ours", "digits: sparse Student-t process, 100 inducing inputs"),
    Arm("svgp", "baseline", "digits: sparse variational Gaussian process, the same otherwise"),
)
SIZES = {
    Preset.SMOKE: {"splits": {"30": 1}, "steps": 5, "networks": 200, "width": 64, "draws": 2000},
    Preset.QUICK: {"splits": {"30": 3, "240": 1}, "steps": 60, "networks": 2000, "width": 1024, "draws": 20_000},
    Preset.STANDARD: {"splits": {"30": 10, "240": 5}, "steps": 200, "networks": 5000, "width": 2048, "draws": 50_000},
}
SIZES[Preset.GPU] = SIZES[Preset.STANDARD]


class ScaleMixtureRecipe(AbstractRecipe):
    """Identities of the scale mixture; regression with outliers; digits."""

    name = "scale-mixture"
    title = "Scale mixtures of neural network Gaussian processes"
    summary = "Infinitely wide networks whose last layer's scale is random: heavier tails."
    precision = 64
    bibtex = (
        "@inproceedings{lee2022scale,\n  title={Scale Mixtures of Neural Network Gaussian Processes},\n  author={Lee, "
        "Hyungi and Yun, Eunggu and Yang, Hongseok and Lee, Juho},\n  booktitle={International Conference on Learning "
        "Representations},\n  year={2022}\n}"
    )

    def arms(self, preset: Preset) -> tuple[Arm, ...]:
        """Burr XII and digits from `standard` on."""
        return ARMS if preset in (Preset.SMOKE, Preset.QUICK) else (*ARMS, *MORE)

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Sizes, degrees of freedom, outliers."""
        return {
            **SIZES[preset], "degrees": 4.0, "layers": 3, "outliers": 0.05, "far": 10.0, "test": 200, "noise": 0.1,
            "digits": {"inducing": 100, "steps": 2000, "batch": 100, "wrong_labels": 0.1, "shot": 5.0},
        }  # fmt: skip

    def measure(self, arm: Arm, preset: Preset, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """The study that the arm belongs to."""
        from cadlag.recipes import _scale_mixture_studies as studies

        settings = self.settings(preset)
        if arm.name == "identities":
            return studies.identities(settings, seed)
        if arm.name in ("svtp", "svgp"):
            return studies.digits(arm.name, settings, seed)
        return studies.regression(arm.name, settings, seed)

    def judge(self, figures: Figures) -> list[Claim]:
        """Every claim; criteria were written before the first run on seeds 0 to 2."""
        return [
            *_identities(figures),
            *(_better(figures, n, data) for n in (30, 240) for data in ("clean", "outliers")),
            *(_per_point(figures, n) for n in (30, 240)),
            Claim(
                "digits-corrupted",
                "On digits with shot noise the sparse t-process has the lower negative log-likelihood.",
                "NLL of the sparse t-process minus that of the sparse Gaussian process, corrupted test, < 0 nats",
                0.0,
                _compare(figures, "svtp", "svgp", "corrupted.nll"),
                ("svtp", "svgp"),
            ),
            Claim(
                "digits-accuracy",
                "On clean digits both are equally accurate.",
                "accuracy of the sparse t-process minus that of the sparse Gaussian process > -0.01",
                -0.01,
                compare_paired(
                    value_per_seed(figures, "svtp", "clean.accuracy"),
                    value_per_seed(figures, "svgp", "clean.accuracy"),
                    -0.01,
                ),
                ("svtp", "svgp"),
            ),
        ]

    def tables(self, figures: Figures) -> list[Table]:
        """Likelihoods of regression and of digits."""
        from cadlag.recipes._scale_mixture_page import tables

        return tables(figures)

    def pictures(self, figures: Figures, out: pathlib.Path) -> list[Picture]:
        """Draws of one function at two points."""
        from cadlag.recipes._scale_mixture_page import pictures

        return pictures(figures)


def _identities(figures: Figures) -> list[Claim]:
    """Of laws and wide networks, without learning."""
    return [
        Claim(
            "variance-identity",
            "The predictive variance is the NNGP's times the mean of the scale's posterior, and the mean is its.",
            "relative error of mean and variance against quadrature over the scale < 1e-8",
            1e-8,
            below(value_per_seed(figures, "identities", "identity"), 1e-8, standard_error=0.0),
            ("identities",),
        ),
        Claim(
            "reacts",
            "The predictive variance follows the targets, as a Gaussian process's cannot.",
            "deviation with targets 10 times as large over the deviation before > 5 (a Gaussian process: 1)",
            5.0,
            above(value_per_seed(figures, "identities", "reaction"), 5.0),
            ("identities",),
        ),
        Claim(
            "wide-networks",
            "Outputs of wide networks with a random last scale follow Student's t.",
            "Kolmogorov-Smirnov distance over that at the level of 1 %, < 1",
            1.0,
            below(value_per_seed(figures, "identities", "student_distance"), 1.0),
            ("identities",),
        ),
        Claim(
            "not-gaussian",
            "They do not follow the Gaussian of the same variance.",
            "Kolmogorov-Smirnov distance to it over that at the level of 1 %, > 1",
            1.0,
            above(value_per_seed(figures, "identities", "gaussian_distance"), 1.0),
            ("identities",),
        ),
        Claim(
            "one-scale",
            "Draws at uncorrelated points depend on one another through their common scale.",
            "correlation of squares, one scale for all minus a scale for each point, > 0.03 (exactly 0.091 and 0)",
            0.03,
            compare_paired(
                value_per_seed(figures, "identities", "joint"),
                value_per_seed(figures, "identities", "released"),
                0.03,
            ),
            ("identities",),
        ),
    ]


def _better(figures: Figures, n: int, data: str) -> Claim:
    of = "with 5 % outliers" if data == "outliers" else "clean"
    return Claim(
        f"{data}-{n}",
        f"On diabetes, {of}, {n} training points, the t-process has the lower negative log-likelihood.",
        "test NLL of the t-process minus that of the NNGP with its scale learnt < 0 nats",
        0.0,
        _compare(figures, "t", "nngp", f"{n}.{data}.nll"),
        ("t", "nngp"),
    )


def _per_point(figures: Figures, n: int) -> Claim:
    return Claim(
        f"per-point-{n}",
        f"With outliers, {n} training points, one scale for all beats a scale for each point.",
        "test NLL of the t-process minus that of the Gaussian process with a t-likelihood < 0 nats",
        0.0,
        _compare(figures, "t", "per-point", f"{n}.outliers.nll"),
        ("t", "per-point"),
    )


def _compare(figures: Figures, ours: str, other: str, key: str) -> Outcome:
    return compare_paired(value_per_seed(figures, ours, key), value_per_seed(figures, other, key), better="lower")


RECIPE = ScaleMixtureRecipe
