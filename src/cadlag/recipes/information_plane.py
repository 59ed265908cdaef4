"""Information plane (Shwartz-Ziv and Tishby, arXiv 1703.00810) and its critique (Saxe et al., ICLR 2018), in one run.

Groups of five networks 12-10-7-5-4-3-2 learn the twelve-bit task; figures are medians over a group. Does a tanh network
lose I(X;T) while it goes on learning? Does a ReLU network, which learns as well? And is what is seen a property of the
network or of the bins? Controls: networks as they start, random labels, all examples at every step.
"""

import pathlib
from typing import Any

from cadlag.recipes._claim import Claim, Paper, above, below, compare_paired
from cadlag.recipes._picture import Picture, Table
from cadlag.recipes._recipe import AbstractRecipe, Arm, Figures, Preset, value_per_seed

ARMS = (
    Arm("tanh", "ours", "tanh networks, Adam with seven batches an epoch"),
    Arm("relu", "ours", "ReLU networks, the same otherwise"),
    Arm("full-batch", "ablation", "tanh networks, all examples at every step: no noise of batches"),
    Arm("random-labels", "ablation", "tanh networks that learn shuffled labels"),
    Arm("untrained", "baseline", "networks as they start"),
    Arm("bottleneck", "baseline", "the information bottleneck's curve of the task with soft labels"),
)
SIZES = {
    Preset.SMOKE: {"epochs": 80, "snapshots": 4, "nets": 2, "full_steps": 80, "batch": 1024, "betas": 6, "noisy": 512},
    Preset.QUICK: {},
    Preset.STANDARD: {"epochs": 8000, "full_steps": 56_000, "full_rate": 4e-4, "snapshots": 80},
    Preset.GPU: {"epochs": 10_000, "full_steps": 70_000, "full_rate": 4e-4, "nets": 50, "snapshots": 160},
}


class InformationPlaneRecipe(AbstractRecipe):
    """Compression under three ways of counting, gradient phases, controls."""

    name = "information-plane"
    title = "Opening the Black Box of Deep Neural Networks via Information"
    summary = "What every layer keeps of input and label along training, by estimators that do not agree."
    precision = 64
    bibtex = (
        "@article{shwartzziv2017opening,\n  title={Opening the Black Box of Deep Neural Networks via Information},\n"
        "  author={Shwartz-Ziv, Ravid and Tishby, Naftali},\n  journal={arXiv preprint arXiv:1703.00810},\n"
        "  year={2017}\n}"
    )

    def arms(self, preset: Preset) -> tuple[Arm, ...]:
        """All arms in every preset."""
        return ARMS

    def settings(self, preset: Preset) -> dict[str, Any]:
        """The paper's code: Adam at 4e-4, 80 % to learn from, seven batches an epoch (468; it takes 512 and a rest).

        With all examples at every step quick takes fewer steps, at a rate as much larger that rate times steps stays.
        """
        return {
            "epochs": 4000,
            "snapshots": 40,
            "nets": 5,
            "batch": 468,
            "train": 0.8,
            "rate": 4e-4,
            "full_steps": 7000,
            "full_rate": 1.6e-3,
            "gamma": 2.0,
            # examples for the bounds by pairs, whose cost is quadratic: all of them
            "noisy": 4096,
            "betas": 60,
            **SIZES[preset],
        }

    def measure(self, arm: Arm, preset: Preset, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """Train a group and look at it, or compute what stands beside it."""
        from cadlag.recipes import _information_plane_references as references
        from cadlag.recipes import _information_plane_studies as studies

        settings = self.settings(preset)
        if arm.name == "untrained":
            return references.untrained(settings, seed)
        if arm.name == "bottleneck":
            return references.bottleneck(settings)
        return studies.train(arm.name, settings, seed)

    def judge(self, figures: Figures) -> list[Claim]:
        """The paper's claims, then those of its critics."""
        return [*_paper(figures), *_critique(figures), *_controls(figures)]

    def tables(self, figures: Figures) -> list[Table]:
        """Bits of every layer by every estimator, accuracies, the phases."""
        from cadlag.recipes._information_plane_page import tables

        return tables(figures)

    def pictures(self, figures: Figures, out: pathlib.Path) -> list[Picture]:
        """The planes with epochs as colour, signal over noise, the bottleneck's curve."""
        from cadlag.recipes._information_plane_page import pictures

        return pictures(figures)


def _paper(figures: Figures) -> list[Claim]:
    switch = value_per_seed(figures, "tanh", "switch.T1")
    return [
        Claim(
            "tanh-compresses",
            "A tanh network loses information of the input for most of its training.",
            "largest I(X;T5) along training less the last, 30 edges on [-1, 1], median of 5 networks, > 3 bits",
            3.0,
            above(value_per_seed(figures, "tanh", "drops.edges.T5"), 3.0),
            ("tanh",),
        ),
        Claim(
            "label-kept",
            "What it keeps of the label stays.",
            "I(T5;Y) at the end, 30 edges on [-1, 1], median of 5 networks, > 0.97 bits",
            0.97,
            above(value_per_seed(figures, "tanh", "final_label.T5"), 0.97),
            ("tanh",),
        ),
        Claim(
            "tanh-compresses-kde",
            "The loss is seen by distances of pairs too, not only by bins.",
            "upper bound of I(X;T5 + noise), variance 0.001, at the end less at epoch 63, median of 5 networks, < 0",
            0.0,
            below(value_per_seed(figures, "tanh", "noisy.changes.upper.T5"), 0.0),
            ("tanh",),
        ),
        Claim(
            "drift-to-diffusion",
            "Gradients of batches turn from drift to diffusion early.",
            "epoch at which mean over deviation of the first layer's gradients falls below 1, median of 5 networks, "
            "< 100",
            100.0,
            below(switch, 100.0),
            ("tanh",),
            Paper(350, "recalled"),
        ),
    ]


def _critique(figures: Figures) -> list[Claim]:
    return [
        Claim(
            "relu-does-not",
            "A ReLU network does not compress: bins of a fixed width.",
            "I(X;T) at the end less at epoch 63, width 0.07, the smaller of T3 and T4, medians of 5 networks, > 0",
            0.0,
            above(_pick(figures, "relu", "width", min), 0.0),
            ("relu",),
        ),
        Claim(
            "stretched-bins-do",
            "Bins stretched to the current range make the same ReLU networks seem to compress.",
            "I(X;T) at the end less at epoch 63, 29 bins over the range, the larger of T3 and T4, medians, < 0",
            0.0,
            below(_pick(figures, "relu", "range", max), 0.0),
            ("relu",),
        ),
        Claim(
            "bins-decide",
            "How the same layer is binned moves its change by more than half a bit.",
            "change of I(X;T4) of ReLU networks, bins over the range less width 0.07, < -0.5 bits",
            -0.5,
            compare_paired(
                value_per_seed(figures, "relu", "changes.range.T4"),
                value_per_seed(figures, "relu", "changes.width.T4"), -0.5, better="lower",
            ),
            ("relu",),
        ),
        Claim(
            "relu-generalises",
            "Without compressing, ReLU networks generalise about as well.",
            "median test accuracy of ReLU networks less that of tanh networks, > -0.05",
            -0.05,
            compare_paired(
                value_per_seed(figures, "relu", "test_accuracy"), value_per_seed(figures, "tanh", "test_accuracy"),
                -0.05,
            ),
            ("relu", "tanh"),
        ),
        Claim(
            "noise-not-needed",
            "Without the noise of batches a tanh network compresses all the same.",
            "largest I(X;T5) along full-batch training less the last, 30 edges, median of 5 networks, > 3 bits",
            3.0,
            above(value_per_seed(figures, "full-batch", "drops.edges.T5"), 3.0),
            ("full-batch",),
        ),
    ]  # fmt: skip


def _controls(figures: Figures) -> list[Claim]:
    return [
        Claim(
            "needs-labels",
            "It is learning that compresses: shuffled labels do so less.",
            "loss of I(X;T5) after its peak, 30 edges, true labels less shuffled ones, > 1 bit",
            1.0,
            compare_paired(
                value_per_seed(figures, "tanh", "drops.edges.T5"),
                value_per_seed(figures, "random-labels", "drops.edges.T5"), 1.0,
            ),
            ("tanh", "random-labels"),
        ),
        Claim(
            "label-learnt",
            "The last hidden layer gains what it knows of the label.",
            "I(T5;Y) of tanh networks at the end less at the start, 30 edges, > 0.3 bits",
            0.3,
            compare_paired(
                value_per_seed(figures, "tanh", "final_label.T5"),
                value_per_seed(figures, "untrained", "tanh.label.T5"), 0.3,
            ),
            ("tanh", "untrained"),
        ),
        Claim(
            "bottleneck-exact",
            "The self-consistent equations reach the closed form of a binary symmetric channel.",
            "largest distance of I(T;Y) from the closed form at beta 1.7, 2 and 3, < 1e-6 bits",
            1e-6,
            below(value_per_seed(figures, "bottleneck", "channel_error"), 1e-6, standard_error=0.0),
            ("bottleneck",),
        ),
    ]  # fmt: skip


def _pick(figures: Figures, arm: str, binning: str, which: Any) -> dict[int, float]:
    """The smaller or the larger change of the layers T3 and T4."""
    third, fourth = (value_per_seed(figures, arm, f"changes.{binning}.{layer}") for layer in ("T3", "T4"))
    return {seed: which(third[seed], fourth[seed]) for seed in third if seed in fourth}


RECIPE = InformationPlaneRecipe
