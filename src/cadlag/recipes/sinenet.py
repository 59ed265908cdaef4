"""SineNet (Zhang et al., ICLR 2024): are several narrow U-Nets in series better than a wide one where things move?

A scalar is carried by a random flow on the unit torus; the network sees the scalar and the flow and predicts the
next frame, and is then rolled out over ten. One, two and four waves have as many parameters, so has an FNO and a U-Net.
Four waves with zero padding show what the padding is worth on a periodic field. How far things move in a frame is the
dial: in `standard` the same is measured at a quarter of the speed, where less should be gained.
"""

import pathlib
from typing import Any

from cadlag.recipes._claim import Claim, Paper, above, below
from cadlag.recipes._operators import log_ratio
from cadlag.recipes._picture import Picture, Table
from cadlag.recipes._recipe import AbstractRecipe, Arm, Figures, Preset

ARMS = (
    Arm("sinenet-4", "ours", "SineNet, 4 waves"),
    Arm("sinenet-2", "ours", "SineNet, 2 waves"),
    Arm("sinenet-1", "ablation", "SineNet, 1 wave"),
    Arm("sinenet-4-zero", "ablation", "SineNet, 4 waves, zero padding"),
    Arm("fno", "baseline", "FNO, as many parameters"),
    Arm("unet", "baseline", "U-Net, as many parameters"),
)
SPEEDS = {"fast": 1.0, "slow": 0.25}
BASELINES = ("fno", "unet")
SMALL = {"width": 8, "levels": 3, "growth": {"1": 2.0, "2": 1.7, "4": 1.45}, "fno": 10, "modes": 9, "unet": 7}
SIZES = {
    Preset.SMOKE: {
        "speeds": ["fast"], "resolution": 16, "frames": 11, "pool": 6, "train": 6, "test": 3, "steps": 3,
        "networks": {"width": 2, "levels": 1, "growth": {"1": 2.0, "2": 1.5, "4": 1.1}, "fno": 3, "modes": 3,
                     "unet": 2},
        "equal_time": [],
    },
    Preset.QUICK: {
        "speeds": ["fast"], "resolution": 32, "frames": 11, "pool": 160, "train": 100, "test": 40, "steps": 400,
        "networks": SMALL, "equal_time": ["fno"],
    },
    Preset.STANDARD: {
        "speeds": ["fast", "slow"], "resolution": 32, "frames": 11, "pool": 300, "train": 200, "test": 40,
        "steps": 1500, "networks": SMALL, "equal_time": list(BASELINES),
    },
    Preset.GPU: {
        "speeds": ["fast", "slow"], "resolution": 128, "frames": 11, "pool": 1000, "train": 800, "test": 100,
        "steps": 10_000,
        "networks": {"width": 32, "levels": 4, "growth": {"1": 2.0, "2": 1.803, "4": 1.605}, "fno": 48, "modes": 16,
                     "unet": 56},
        "equal_time": list(BASELINES),
    },
}  # fmt: skip
RATES = {"sinenet-4": 3e-3, "sinenet-2": 3e-3, "sinenet-1": 3e-3, "sinenet-4-zero": 3e-3, "fno": 1e-2, "unet": 3e-3}
"""Learning rates."""


class SineNetRecipe(AbstractRecipe):
    """Waves at equal parameters, padding, and the distance that things move in a frame."""

    name = "sinenet"
    title = "SineNet"
    summary = "U-Nets in series, each a small step in time, where a single one mixes up where things are."
    bibtex = (
        "@inproceedings{zhang2024sinenet,\n  title={SineNet: Learning Temporal Dynamics in Time-Dependent Partial "
        "Differential Equations},\n  author={Zhang, Xuan and Helwig, Jacob and Lin, Yuchao and Xie, Yaochen and Fu, "
        "Cong and Wojtowytsch, Stephan and Ji, Shuiwang},\n"
        "  booktitle={International Conference on Learning Representations},\n  year={2024}\n}"
    )

    def arms(self, preset: Preset) -> tuple[Arm, ...]:
        """All arms in every preset."""
        return ARMS

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Speeds, examples, sizes of the networks, lengths of training."""
        return {**SIZES[preset], "batch": 8, "learning_rate": RATES}

    def measure(self, arm: Arm, preset: Preset, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """Each speed in turn."""
        from cadlag.recipes._sinenet_studies import advection

        settings = self.settings(preset)
        return {speed: advection(arm.name, SPEEDS[speed], settings, seed) for speed in settings["speeds"]}

    def judge(self, figures: Figures) -> list[Claim]:
        """Every claim, in logarithms of ratios, seed by seed."""
        zero = "sinenet-4-zero"
        return [
            _better(figures, "waves-one-step", "Four waves err less than one in a step, with as many parameters.",
                    "sinenet-1", "one_step"),
            _better(figures, "waves-rollout", "And less in a roll-out of ten.", "sinenet-1", "rollout",
                    paper=Paper("error falls with the number of waves, from 2 to 8", "recalled")),
            _better(figures, "two-waves", "Two waves err less than one in a roll-out.", "sinenet-1", "rollout",
                    ours="sinenet-2"),
            _better(figures, "four-over-two", "Four waves err less than two in a roll-out.", "sinenet-2", "rollout"),
            Claim(
                "padding",
                "On periodic fields zero padding errs 1.3 times as much as circular padding in a roll-out.",
                f"log of the roll-out error of {zero} over that of sinenet-4 (fast, at equal steps, each seed) > 0.262",
                0.262,
                above(log_ratio(figures, (zero, "fast.steps.rollout"), ("sinenet-4", "fast.steps.rollout")), 0.262),
                ("sinenet-4", zero),
                Paper("4.19 against 1.78 percent on the sphere", "seen"),
            ),
            _better(figures, "unet", "Four waves err less than a modern U-Net in a roll-out.", "unet", "rollout",
                    paper=Paper("19.25 against 24.94 percent", "recalled")),
            _better(figures, "fno", "Four waves err less than an FNO in a roll-out.", "fno", "rollout",
                    paper=Paper("19.25 against 22.58 percent (factorised FNO)", "recalled")),
            _better(figures, "fno-equal-time", "And less than an FNO trained for the same time.", "fno", "rollout",
                    which="time"),
            Claim(
                "displacement",
                "The gain of four waves over one grows with the displacement in a frame.",
                "log of the roll-out error, sinenet-4 over sinenet-1, at speed 1 minus that at speed 1/4 (at equal "
                "steps, each seed) < 0",
                0.0,
                below(_growth(figures), 0.0),
                ("sinenet-4", "sinenet-1"),
            ),
        ]  # fmt: skip

    def tables(self, figures: Figures) -> list[Table]:
        """Errors, parameters and seconds for each speed."""
        from cadlag.recipes._sinenet_page import tables

        return tables(figures, ARMS)

    def pictures(self, figures: Figures, out: pathlib.Path) -> list[Picture]:
        """Truth, roll-outs, errors and their spectra; the error by frame; losses."""
        from cadlag.recipes._sinenet_page import pictures

        return pictures(figures, ARMS)


def _better(
    figures: Figures, name: str, statement: str, other: str, figure: str, *, ours: str = "sinenet-4",
    which: str = "steps", paper: Paper | None = None,
) -> Claim:  # fmt: skip
    """That log(our error / the other's) is below 0, for the fast flows."""
    what = "one-step error" if figure == "one_step" else "roll-out error"
    spent = "at equal steps" if which == "steps" else "in equal time"
    return Claim(
        name,
        statement,
        f"log of the {what} of {ours} over that of {other} (fast, {spent}, each seed) < 0",
        0.0,
        below(log_ratio(figures, (ours, f"fast.steps.{figure}"), (other, f"fast.{which}.{figure}")), 0.0),
        (ours, other),
        paper,
    )


def _growth(figures: Figures) -> dict[int, float]:
    fast, slow = (
        log_ratio(figures, ("sinenet-4", f"{speed}.steps.rollout"), ("sinenet-1", f"{speed}.steps.rollout"))
        for speed in SPEEDS
    )
    return {seed: fast[seed] - slow[seed] for seed in fast if seed in slow}


RECIPE = SineNetRecipe
