"""Learning rates by batch size (Granziol, Zohren and Roberts, JMLR 2022): does the curvature of batches set them?

(A) Logistic regression: the largest eigenvalue of a batch's Hessian exceeds that of all examples by a constant over the
batch size; two predictions of the constant. (B) Linear regression, where the theory applies: the largest stable rate of
SGD. (C) A network on digits: largest rates of SGD and of Adam with the full loss below its start after 300 steps, which
is reported against the laws and not judged. (D) A rate that sets itself from the curvature of its batches, against the
best of seven constant ones, chosen on a validation part.
"""

import math
import pathlib
from typing import Any

from cadlag.recipes._claim import Claim, Paper, above, below, compare_paired
from cadlag.recipes._picture import Picture, Table
from cadlag.recipes._recipe import AbstractRecipe, Arm, Figures, Preset, value_per_seed

ARMS = (
    Arm("logistic", "ours", "curvature of batches, logistic regression"),
    Arm("linear", "ours", "largest stable rates, linear regression"),
    Arm("digits", "ours", "largest rates of a network on digits"),
    Arm("learner", "ours", "rate from curvature"),
    Arm("learner-momentum", "ablation", "rate and momentum from curvature"),
    Arm("sweep", "baseline", "best of seven constant rates"),
)
BATCHES = (32, 128, 512)
SIZES = {
    Preset.SMOKE: {"logistic": (200, 20), "batches": (10, 40), "draws": 2, "runs": 4, "dimension": 20, "steps": 30,
                   "rates": (0.05, 2.0, 6), "linear_batches": (1, 4, 16), "grid": 3, "digit_batches": (32, 128),
                   "learner_batches": (512,), "epochs": 2},
    Preset.QUICK: {},
    Preset.STANDARD: {"draws": 256, "runs": 256, "grid": 48, "epochs": 60},
    Preset.GPU: {"logistic": (40_000, 2000), "draws": 256, "runs": 1024, "grid": 96, "epochs": 60},
}  # fmt: skip


class BatchSizeRMTRecipe(AbstractRecipe):
    """Curvature of batches, stable rates, rates that set themselves."""

    name = "batch-size-rmt"
    title = "Learning Rates as a Function of Batch Size: A Random Matrix Theory Approach"
    summary = "Sampling raises the curvature of batches, which limits the rate: linear in the batch for SGD."
    bibtex = (
        "@article{granziol2022learning,\n  title={Learning Rates as a Function of Batch Size: A Random Matrix Theory "
        "Approach to Neural Network Training},\n  author={Granziol, Diego and Zohren, Stefan and Roberts, Stephen},\n"
        "  journal={Journal of Machine Learning Research},\n  volume={23},\n  year={2022}\n}"
    )

    def arms(self, preset: Preset) -> tuple[Arm, ...]:
        """All arms in every preset."""
        return ARMS

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Sizes of problems, grids of rates and of batches."""
        return {"logistic": (4000, 200), "batches": (20, 50, 100, 200, 400), "draws": 64, "dimension": 100, "runs": 64,
                "rates": (0.05, 2.0, 30), "steps": 300, "linear_batches": (1, 2, 4, 8, 16, 32), "grid": 24,
                "digit_batches": (2, 8, 32, 128, 512), "learner_batches": BATCHES, "epochs": 30,
                **SIZES[preset]}  # fmt: skip

    def measure(self, arm: Arm, preset: Preset, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """The study that the arm belongs to."""
        from cadlag.recipes import _batch_size_rmt_studies as studies

        settings = self.settings(preset)
        whole = {"logistic": studies.logistic, "linear": studies.linear_rates, "digits": studies.digits_rates}
        if arm.name in whole:
            return whole[arm.name](settings, seed)
        return studies.learner(arm.name, settings, seed)

    def judge(self, figures: Figures) -> list[Claim]:
        """The laws where they apply, and the learner against the sweep at three batch sizes."""
        seen = lambda arm, key: value_per_seed(figures, arm, key)  # noqa: E731
        return [
            Claim(
                "one-over-b",
                "The largest eigenvalue of a batch exceeds that of all examples in proportion to one over the batch.",
                "excess times effective batch, largest deviation from its mean over b = 20 to 400, < 0.25",
                0.25, below(seen("logistic", "spread"), 0.25), ("logistic",),
                Paper("growth follows the formula on VGG-16 and WideResNet", "recalled"),
            ),
            Claim(
                "directional",
                "Noise as seen along the top eigenvector predicts the excess.",
                "predicted over measured constant within 25 %: absolute logarithm < 0.223",
                math.log(1.25), below(_size(seen("logistic", "directional")), math.log(1.25)), ("logistic",),
            ),
            Claim(
                "isotropic",
                "Noise taken as isotropic does not: it misses what is aligned with the spike.",
                "predicted over measured constant < 1/3",
                1 / 3, below(seen("logistic", "isotropic"), 1 / 3), ("logistic",),
            ),
            Claim(
                "linear",
                "Far below the critical batch the largest stable rate of SGD grows linearly with the batch.",
                "slope of the logarithms over the three smallest batches, linear regression, > 0.7",
                0.7, above(seen("linear", "slope"), 0.7), ("linear",), Paper("linear up to a threshold", "seen"),
            ),
            Claim(
                "saturates",
                "Far above it stays at two over the largest eigenvalue.",
                "largest stable rate at the largest batch over 2/lambda within 15 %: absolute logarithm < 0.14",
                math.log(1.15), below(_size(seen("linear", "saturated")), math.log(1.15)), ("linear",),
            ),
            Claim(
                "predicted",
                "The formula predicts the largest stable rates of SGD at every batch size.",
                "measured over predicted at all batches within a factor of two: largest absolute logarithm < 0.693",
                math.log(2), below(seen("linear", "factor"), math.log(2)), ("linear",),
            ),
            *(
                Claim(
                    f"learner-{b}",
                    f"At batches of {b} a rate from curvature is as good as the best of seven.",
                    f"test accuracy, rate from curvature minus best of seven (each seed), > -0.01 (b = {b})",
                    -0.01,
                    compare_paired(seen("learner", f"{b}.accuracy"), seen("sweep", f"{b}.accuracy"), -0.01),
                    ("learner", "sweep"),
                    Paper("competitive without a sweep", "seen"),
                )
                for b in BATCHES
            ),
        ]  # fmt: skip

    def tables(self, figures: Figures) -> list[Table]:
        """Constants, rates by batch, accuracies."""
        from cadlag.recipes._batch_size_rmt_page import tables

        return tables(figures)

    def pictures(self, figures: Figures, out: pathlib.Path) -> list[Picture]:
        """Rates by batch size; excess by batch size."""
        from cadlag.recipes._batch_size_rmt_page import pictures

        return pictures(figures)


def _size(values: dict[int, float]) -> dict[int, float]:
    return {seed: abs(math.log(v)) if v > 0 else math.nan for seed, v in values.items()}


RECIPE = BatchSizeRMTRecipe
