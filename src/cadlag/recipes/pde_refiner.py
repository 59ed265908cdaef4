"""PDE-Refiner (Lippe et al., NeurIPS 2023): does removing small noise teach the whole spectrum, and last longer?

The Kuramoto-Sivashinsky equation on a line of length 64, steps of 0.8, one network for all arms: trained by mean
squares, trained so with K + 1 times the steps (a refined prediction costs K + 1 calls), and as a refiner. Errors of one
step are compared where the field's energy is below 1e-5 of its peak; roll-outs by how long they correlate with the
truth. The spread of the refiner's roll-outs is judged as a ranking of horizons, which is all it can be: its samples are
less spread than the law by construction.
"""

import math
import pathlib
from typing import Any

from cadlag.recipes._claim import Claim, Outcome, Paper, above, compare_paired
from cadlag.recipes._picture import Picture, Table
from cadlag.recipes._recipe import AbstractRecipe, Arm, Figures, Preset, value_per_seed

ARMS = (
    Arm("refiner", "ours", "K = 3 refinements, smallest variance 4e-7"),
    Arm("mse", "baseline", "the same network trained by mean squares, as many steps"),
    Arm("mse-long", "baseline", "the same, K + 1 times the steps"),
)
SIZES: dict[Preset, dict[str, Any]] = {
    Preset.SMOKE: {"trajectories": 3, "frames": 30, "tests": 3, "horizon": 4.8, "steps": 4, "width": 8, "samples": 0,
                   "blocks": 1},
    Preset.QUICK: {"trajectories": 128, "frames": 140, "tests": 16, "horizon": 100.0, "steps": 1200, "width": 24,
                   "samples": 0},
    Preset.STANDARD: {"trajectories": 256, "frames": 140, "tests": 32, "horizon": 120.0, "steps": 5000, "width": 32,
                      "samples": 8},
    Preset.GPU: {"trajectories": 2048, "frames": 140, "tests": 128, "horizon": 160.0, "steps": 15_000, "width": 64,
                 "samples": 16},
}  # fmt: skip


class PDERefinerRecipe(AbstractRecipe):
    """One-step spectra and long roll-outs of Kuramoto-Sivashinsky, against mean squares at equal steps and compute."""

    name = "pde-refiner"
    title = "PDE-Refiner: long roll-outs by refinement"
    summary = (
        "A one-step network that removes noise of ever smaller size, against the same one trained by mean squares."
    )
    bibtex = (
        "@inproceedings{lippe2023pderefiner,\n  title={PDE-Refiner: Achieving Accurate Long Rollouts with Neural PDE "
        "Solvers},\n  author={Lippe, Phillip and Veeling, Bastiaan S. and Perdikaris, Paris and Turner, Richard E. and "
        "Brandstetter, Johannes},\n  booktitle={Advances in Neural Information Processing Systems},\n  year={2023}\n}"
    )

    def arms(self, preset: Preset) -> tuple[Arm, ...]:
        """With four times the training from `standard` on."""
        few = preset in (Preset.SMOKE, Preset.QUICK)
        return tuple(arm for arm in ARMS if not few or arm.name != "mse-long")

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Data, network, length of training."""
        return {
            "blocks": 2,
            **SIZES[preset],
            "length": 64.0,
            "points": 64,
            "simulated_points": 128,
            "stored_step": 0.2,
            "stride": 4,
            "burn_in": 100.0,
            "refinements": 3,
            "variance_min": 4e-7,
            "batch": 64,
            "learning_rate": 2e-3,
            "average": 0.99,
        }

    def measure(self, arm: Arm, preset: Preset, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """Train one arm, and measure one step and the roll-outs on trajectories of its own."""
        from cadlag.recipes import _pde_refiner_studies as studies

        return studies.study(arm.name, self.settings(preset), seed)

    def judge(self, figures: Figures) -> list[Claim]:
        """Every claim."""
        return [
            Claim(
                "low-energy-modes",
                "Refinement lowers the one-step error tenfold where the field has little energy.",
                "log10 of the error energy of mean squares over that of the refiner, one step, modes below 1e-5 of the "
                "peak energy, > 1",
                1.0,
                above(_log_ratio(figures, "mse"), 1.0),
                ("refiner", "mse"),
            ),
            Claim(
                "low-energy-modes-long",
                "There it is also below that of mean squares with four times the training.",
                "log10 of the error energy of mean squares (K + 1 times the steps) over the refiner's, the same modes, "
                "> 0",
                0.0,
                above(_log_ratio(figures, "mse-long"), 0.0),
                ("refiner", "mse-long"),
            ),
            Claim(
                "horizon",
                "Refined roll-outs correlate with the truth for longer.",
                "time until the mean correlation falls below 0.8, refiner minus mean squares, > 0",
                0.0,
                _longer(figures, "mse"),
                ("refiner", "mse"),
                Paper("95-100 against 75-80 time units, at the paper's size", "recalled"),
            ),
            Claim(
                "horizon-long",
                "They do so against mean squares with four times the training.",
                "time until the mean correlation falls below 0.8, refiner minus mean squares (K + 1 times the steps), "
                "> 0",
                0.0,
                _longer(figures, "mse-long"),
                ("refiner", "mse-long"),
            ),
            Claim(
                "spread-ranks",
                "Where samples of the refiner part early, its roll-outs leave the truth early.",
                "rank correlation over test trajectories of the time samples part and the time of correlation 0.8, "
                "> 0.3",
                0.3,
                above(value_per_seed(figures, "refiner", "rank"), 0.3),
                ("refiner",),
                Paper("R² about 0.86", "recalled"),
            ),
        ]

    def tables(self, figures: Figures) -> list[Table]:
        """Errors of one step, horizons."""
        from cadlag.recipes._pde_refiner_page import tables

        return tables(figures)

    def pictures(self, figures: Figures, out: pathlib.Path) -> list[Picture]:
        """Spectra of the error of one step, correlation along the roll-out."""
        from cadlag.recipes._pde_refiner_page import pictures

        return pictures(figures)


def _log_ratio(figures: Figures, baseline: str) -> dict[int, float]:
    ours, other = (value_per_seed(figures, arm, "low_energy_error") for arm in ("refiner", baseline))
    both = {s: (ours[s], other[s]) for s in ours if s in other}
    return {s: math.log10(b / a) if a > 0 and b > 0 else math.nan for s, (a, b) in both.items()}


def _longer(figures: Figures, baseline: str) -> Outcome:
    ours, other = (value_per_seed(figures, arm, "horizons.at-80") for arm in ("refiner", baseline))
    return compare_paired(ours, other, better="higher")


RECIPE = PDERefinerRecipe
