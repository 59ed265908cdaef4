"""Spectral-Refiner (Cao et al., ICLR 2025): a few training steps, then the last layer refined by the equation alone.

Decaying two-dimensional turbulence. A spatiotemporal FNO predicts ten frames from ten; for every test case its widened
last layer is refined by the residual of the trajectory in H^-1, in the mean square, and by the solver increment of the
released code, which vanishes for any trajectory: a negative control. Beside them: the same operator trained for twice
as long, a plane FNO frame by frame, and the classical solver on the operator's grid, which needs no training at all.
"""

import math
import pathlib
from typing import Any

from cadlag.recipes._claim import Claim, Outcome, Paper, above, below
from cadlag.recipes._picture import Curves, Images, Line, Picture, Table
from cadlag.recipes._recipe import AbstractRecipe, Arm, Figures, Preset, value_per_seed

ARMS = (
    Arm("refined", "ours", "spatiotemporal FNO, last layer refined case by case"),
    Arm("longer", "baseline", "the same operator, trained for twice as many steps"),
    Arm("fno", "baseline", "plane FNO of as many parameters, frame by frame"),
    Arm("solver", "baseline", "the classical solver on the operator's grid"),
)
LABELS = {arm.name: arm.description for arm in ARMS}
BASE = {
    "resolution": 32, "least": 64, "train": 64, "test": 8, "every": 0.1, "nu": 5e-3, "rms": 2.0, "batch": 4,
    "learning_rate": 5e-3, "modes": [8, 8, 4], "width": 8, "layers": 3, "hidden": 32, "fno_width": 20,
    "refined_modes": [12, 12, 6], "refine_steps": 60, "rates": [1e-3, 1e-4], "rates_l2": [3e-4, 1e-4],
}  # fmt: skip
LARGE = {
    **BASE, "resolution": 64, "least": 128, "nu": 2e-3, "train": 256, "test": 16, "modes": [12, 12, 5], "width": 12,
    "layers": 4, "hidden": 64, "fno_width": 28, "refined_modes": [24, 24, 6], "refine_steps": 100,
}  # fmt: skip
SIZES = {
    Preset.SMOKE: {
        **BASE, "resolution": 16, "least": 16, "train": 4, "test": 3, "steps": 4, "modes": [4, 4, 3], "width": 4,
        "layers": 2, "hidden": 8, "fno_width": 4, "refined_modes": [6, 6, 4], "refine_steps": 3,
    },
    Preset.QUICK: {**BASE, "steps": 500},
    Preset.STANDARD: {**LARGE, "steps": 3000},
    Preset.GPU: {
        **LARGE, "train": 1024, "modes": [32, 32, 5], "width": 10, "refined_modes": [32, 32, 6], "batch": 8,
        "steps": 8000,
    },
}  # fmt: skip


class SpectralRefinerRecipe(AbstractRecipe):
    """Refined by three residuals, against longer training, frame by frame, and the solver."""

    name = "spectral-refiner"
    title = "Spectral-Refiner: refining the last layer of a spatiotemporal Fourier neural operator"
    summary = "A neural operator's prediction of a flow, refined by the equation's residual in H^-1."
    bibtex = (
        "@inproceedings{cao2025spectral,\n  title={Spectral-Refiner: Accurate Fine-Tuning of Spatiotemporal Fourier "
        "Neural Operator for Turbulent Flows},\n  author={Cao, Shuhao and Brarda, Francesco and Li, Ruipeng and Xi, "
        "Yuanzhe},\n  booktitle={International Conference on Learning Representations},\n  year={2025}\n}"
    )

    def arms(self, preset: Preset) -> tuple[Arm, ...]:
        """All arms in every preset."""
        return ARMS

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Data, sizes of the operators, lengths of training and refining."""
        return SIZES[preset]

    def measure(self, arm: Arm, preset: Preset, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """Errors on the test cases, seconds."""
        from cadlag.recipes import _spectral_refiner_studies as studies

        settings = self.settings(preset)
        if arm.name == "solver":
            return studies.solver(settings)
        of = {"refined": studies.refined, "longer": studies.longer, "fno": studies.autoregressive}
        return of[arm.name](settings, seed)

    def judge(self, figures: Figures) -> list[Claim]:
        """Ratios of errors, seed by seed; 'ours' is the mean over the test cases."""
        ratio = "relative L2 error, {}, over refined in H^-1 (each seed, mean over cases), > {}"
        return [
            Claim(
                "halves",
                "A few dozen steps on the residual halve the error.",
                ratio.format("before refining", 2),
                2.0,
                above(value_per_seed(figures, "refined", "negative.ratio"), 2.0),
                ("refined",),
                Paper("8.2e-3 to 4.4e-3, in two different norms", "seen"),
            ),
            Claim(
                "negative-norm",
                "The residual in H^-1 is a better guide than its mean square.",
                ratio.format("refined in L2", 1),
                1.0,
                above(_ratio(figures, ("refined", "l2.error")), 1.0),
                ("refined",),
            ),
            Claim(
                "estimates",
                "The final residual tells good predictions from bad ones.",
                "rank correlation of residual and error over the test cases > 0.7",
                0.7,
                above(value_per_seed(figures, "refined", "correlation"), 0.7),
                ("refined",),
            ),
            Claim(
                "blind",
                "With the solver increment in place of the trajectory's derivative nothing is gained.",
                "relative L2 error, before over after refining by the increment (each seed), < 1.05",
                1.05,
                below(value_per_seed(figures, "refined", "increment.ratio"), 1.05),
                ("refined",),
            ),
            Claim(
                "longer-training",
                "Refining beats training for twice as long.",
                ratio.format("trained for twice as long", 1),
                1.0,
                above(_ratio(figures, ("longer", "error")), 1.0),
                ("refined", "longer"),
            ),
            Claim(
                "frame-by-frame",
                "It beats a plane FNO of as many parameters.",
                ratio.format("plane FNO", 1),
                1.0,
                above(_ratio(figures, ("fno", "error")), 1.0),
                ("refined", "fno"),
            ),
            Claim(
                "solver",
                "It is as accurate as the classical solver on the same grid.",
                ratio.format("classical solver", 1),
                1.0,
                _against_solver(figures),
                ("refined", "solver"),
                Paper("accuracy comparable to the solver", "recalled"),
            ),
        ]

    def tables(self, figures: Figures) -> list[Table]:
        """Errors and seconds, of every way."""
        rows = []
        for key, label in _WAYS:
            seeds = list(figures.get("refined", {}).values())
            if seeds:
                error = [f["before"] if key is None else f[key]["error"] for f in seeds]
                case = None if key is None else [f[key]["case_seconds"] for f in seeds]
                sizes = [[f[name] for f in seeds] for name in ("parameters", "train_seconds")]
                rows.append([label, error, *sizes, case])
        for arm in ("longer", "fno", "solver"):
            seeds = list(figures.get(arm, {}).values())
            if seeds:
                names = ("error", "parameters", "train_seconds", "case_seconds")
                rows.append([LABELS[arm], *([f[n] for f in seeds if n in f] or None for n in names)])
        if not rows:
            return []
        note = (
            "Relative L2 error over all frames, mean over the test cases. Seconds of training with compiling, of "
            "refining or solving a case without."
        )
        return [Table("Ten frames to come", ("method", "error", "parameters", "training, s", "a case, s"), rows, note)]

    def pictures(self, figures: Figures, out: pathlib.Path) -> list[Picture]:
        """The first test case, and estimates over steps, of the first seed."""
        seeds = list(figures.get("refined", {}).values())
        if not seeds:
            return []
        first = seeds[0]
        fields, wrong = first["case"][:4], first["case"][4:]
        largest = max(abs(v) for row in fields[1] for v in row)
        lines = [
            Line(label, list(range(len(first[key]["curve"]))), first[key]["curve"], role=role)
            for key, label, role in (
                ("negative", "in H^-1", "ours"), ("l2", "mean square", "baseline"), ("increment", "increment", "blind"),
            )
        ]  # fmt: skip
        return [
            Images(
                "case",
                "Vorticity of the first test case, x downwards. From left to right: the last frame "
                "seen; of the tenth to come the truth, the prediction, the refined prediction.",
                {"vorticity": fields},
                -largest,
                largest,
            ),
            Images(
                "errors",
                "Errors of the prediction and of the refined prediction of that frame, in a quarter of the range.",
                {"errors": wrong},
                -largest / 4,
                largest / 4,
            ),
            Curves("estimates", "What is minimised, a mean over the cases; each in its own norm.", lines, "step",
                   "residual", log_y=True),
        ]  # fmt: skip


_WAYS = (
    (None, "spatiotemporal FNO, not refined"),
    ("negative", "refined in H^-1"),
    ("l2", "refined in the mean square"),
    ("increment", "refined by the solver increment"),
)


def _ratio(figures: Figures, other: tuple[str, str]) -> dict[int, float]:
    """Another error over ours, seed by seed."""
    theirs, ours = value_per_seed(figures, *other), value_per_seed(figures, "refined", "negative.error")
    return {seed: theirs[seed] / ours[seed] for seed in ours if seed in theirs}


def _against_solver(figures: Figures) -> Outcome:
    ratios = _ratio(figures, ("solver", "error"))
    return above({seed: r for seed, r in ratios.items() if math.isfinite(r)}, 1.0)


RECIPE = SpectralRefinerRecipe
