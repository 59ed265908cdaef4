"""Fast samplers for mean-reverting diffusion (Li et al., ICLR 2025): how few evaluations keep the quality?

(A) A scalar problem with a known flow: errors of the samplers by evaluations. (B) Degraded digits are restored by one
trained network under every sampler at 5, 10, 20 and 100 evaluations, beside regression of the clean digit in one call.
The posterior sampler, the usual baseline, is run at the SAME counts: it is the first-order SDE sampler (a test shows
it), so "10 to 20 times fewer evaluations" would otherwise compare grids. Quality is a distance to the law of clean
digits; PSNR stands beside it, though it rewards shrinking to the mean.
"""

import pathlib
from typing import Any

from cadlag.recipes._claim import Claim, Outcome, Paper, above, below, compare_paired
from cadlag.recipes._picture import Picture, Table
from cadlag.recipes._recipe import AbstractRecipe, Arm, Figures, Preset, value_per_seed

ARMS = (
    Arm("exact", "ours", "scalar problem with exact predictions"),
    Arm("mr", "ours", "one noise network, all samplers"),
    Arm("regression", "baseline", "the clean digit regressed in one call, same network and training"),
)
COUNTS = (5, 10, 20, 100)
SIZES = {
    Preset.SMOKE: {"steps": 20, "restored": 24, "tasks": ["block"], "counts": [10, 20]},
    Preset.QUICK: {"steps": 4000, "restored": 360, "tasks": ["block"]},
    Preset.STANDARD: {"steps": 10_000, "restored": 360, "tasks": ["block", "blur", "noise"]},
    Preset.GPU: {"steps": 30_000, "restored": 360, "tasks": ["block", "blur", "noise"]},
}


class MRSamplerRecipe(AbstractRecipe):
    """Orders on an exact problem; restoration of digits at equal evaluations."""

    name = "mr-sampler"
    title = "Fast samplers for mean-reverting diffusion"
    summary = "Restoration by mean-reverting diffusion in 5 to 20 network calls instead of 100."
    bibtex = (
        "@inproceedings{li2025mars,\n  title={MaRS: A Fast Sampler for Mean Reverting Diffusion Based on ODE and SDE "
        "Solvers},\n  author={Li, Ao and Fang, Wei and Zhao, Hongbo and Lu, Le and Yang, Ge and Xu, Minfeng},\n"
        "  booktitle={International Conference on Learning Representations},\n  year={2025}\n}"
    )

    def arms(self, preset: Preset) -> tuple[Arm, ...]:
        """All arms in every preset."""
        return ARMS

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Degradations, widths, lengths of training, evaluations."""
        return {
            "counts": list(COUNTS),
            **SIZES[preset],
            "width": 256,
            "depth": 4,
            "batch": 256,
            "learning_rate": 1e-3,
            "average": 0.999,
            "projections": 256,
        }

    def measure(self, arm: Arm, preset: Preset, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """The study that the arm belongs to."""
        from cadlag.recipes import _mr_sampler_studies as studies

        settings = self.settings(preset)
        if arm.name == "exact":
            return studies.exact(settings)
        return {"tasks": {task: studies.restoration(arm.name, task, settings, seed) for task in settings["tasks"]}}

    def judge(self, figures: Figures) -> list[Claim]:
        """Every claim of the two studies; those on digits are about the missing block."""
        return [
            Claim(
                "second-order",
                "On the exact problem the second-order sampler is more accurate than the first-order one.",
                "error of order 2 at 10 evaluations over that of order 1, both on the flow with data readings, < 0.5",
                0.5,
                below(value_per_seed(figures, "exact", "ratio"), 0.5, standard_error=0.0),
                ("exact",),
            ),
            *(_against_posterior(figures, count) for count in (5, 10, 20)),
            Claim(
                "ten-times-fewer",
                "Ten evaluations of the second-order SDE sampler keep the quality of a hundred of the posterior one.",
                "distance to clean digits (sliced W2), order 2 at 10 over posterior at 100, < 1.05",
                1.05,
                below(_ratio(figures, "sde-2", 10, "posterior", 100), 1.05),
                ("mr",),
                Paper("10 to 20 times fewer evaluations at equal quality", "seen"),
            ),
            Claim(
                "not-behind-twenty",
                "Ten evaluations of the second-order SDE sampler are as good as twenty of the posterior one.",
                "distance to clean digits (sliced W2), order 2 at 10 over posterior at 20, < 1",
                1.0,
                below(_ratio(figures, "sde-2", 10, "posterior", 20), 1.0),
                ("mr",),
            ),
            Claim(
                "psnr",
                "Ten evaluations of the second-order SDE sampler lose at most 0.3 dB to the posterior one's hundred.",
                "PSNR of order 2 at 10 minus that of the posterior sampler at 100 > -0.3 dB",
                -0.3,
                _compare(figures, ("sde-2", 10), ("posterior", 100), "psnr", "higher", -0.3),
                ("mr",),
            ),
            Claim(
                "euler",
                "Euler steps with ten evaluations are far worse.",
                "distance to clean digits (sliced W2), Euler at 10 over order 2 (SDE) at 10, > 1.5",
                1.5,
                above(_ratio(figures, "euler", 10, "sde-2", 10), 1.5),
                ("mr",),
            ),
            Claim(
                "data-steadier",
                "With few evaluations, reading the data is steadier than reading the noise.",
                "distance to clean digits (sliced W2), second-order flow at 5 evaluations, data minus noise < 0",
                0.0,
                _compare(figures, ("ode-2", 5), ("ode-2-noise", 5), "distance", "lower"),
                ("mr",),
            ),
            Claim(
                "against-regression",
                "Sampling gives digits closer to the law of clean ones than regression in one call.",
                "distance to clean digits (sliced W2), order 2 (SDE) at 10 minus regression < 0",
                0.0,
                compare_paired(
                    _figure(figures, "mr", "sde-2", 10, "distance"),
                    _figure(figures, "regression", "once", 1, "distance"),
                    better="lower",
                ),
                ("mr", "regression"),
            ),
        ]

    def tables(self, figures: Figures) -> list[Table]:
        """Exact errors; distance and PSNR by sampler and evaluations."""
        from cadlag.recipes._mr_sampler_page import tables

        return tables(figures)

    def pictures(self, figures: Figures, out: pathlib.Path) -> list[Picture]:
        """Distance against evaluations, restored digits."""
        from cadlag.recipes._mr_sampler_page import pictures

        return pictures(figures)


def _figure(figures: Figures, arm: str, sampler: str, count: int, what: str) -> dict[int, float]:
    return value_per_seed(figures, arm, f"tasks.block.{sampler}.{count}.{what}")


def _ratio(figures: Figures, ours: str, ours_at: int, other: str, other_at: int) -> dict[int, float]:
    a, b = (_figure(figures, "mr", s, n, "distance") for s, n in ((ours, ours_at), (other, other_at)))
    return {seed: a[seed] / b[seed] for seed in a if seed in b}


def _compare(
    figures: Figures, ours: tuple[str, int], other: tuple[str, int], what: str, better: Any, threshold: float = 0.0
) -> Outcome:
    values = [_figure(figures, "mr", *of, what) for of in (ours, other)]
    return compare_paired(*values, threshold, better=better)


def _against_posterior(figures: Figures, count: int) -> Claim:
    return Claim(
        f"posterior-{count}",
        f"At {count} evaluations the second-order SDE sampler beats the posterior sampler with as many.",
        f"distance to clean digits (sliced W2), order 2 minus posterior, both at {count} evaluations, < 0",
        0.0,
        _compare(figures, ("sde-2", count), ("posterior", count), "distance", "lower"),
        ("mr",),
    )


RECIPE = MRSamplerRecipe
