"""Multigrid neural operators (He, Liu and Xu, ICLR 2024): do V-cycles learn Darcy's flow with fewer parameters?

(A) With the weights of classical multigrid the layer must be multigrid: its factor of convergence does not depend on
the grid. (B) From permeability (3 or 12) to pressure on the unit square, u = 0 on its walls: MgNO with zero padding,
the same with circular padding, FNO with as many parameters and with about four times as many, a U-Net with as many. All
learn with the same loss, the relative error in H1. The baselines are measured at equal steps and in equal time.
`standard` adds rougher interfaces and multiscale coefficients.
"""

import pathlib
from typing import Any

from cadlag.recipes._claim import Claim, Paper, below
from cadlag.recipes._operators import smaller
from cadlag.recipes._picture import Picture, Table
from cadlag.recipes._recipe import AbstractRecipe, Arm, Figures, Preset, value_per_seed

ARMS = (
    Arm("mgno", "ours", "MgNO, zero padding"),
    Arm("mgno-circular", "ablation", "MgNO, circular padding"),
    Arm("fno", "baseline", "FNO, as many parameters"),
    Arm("fno-large", "baseline", "FNO, four times as many"),
    Arm("unet", "baseline", "U-Net, as many parameters"),
)
CYCLE = Arm("v-cycle", "ours", "one V-cycle with the weights of multigrid")
BASELINES = ("fno", "fno-large", "unet")
SMALL = {
    "mgno": {"width": 8, "layers": 3, "levels": 5, "residual": True},
    "fno": {"width": 8, "modes": [6, 7], "project": 64},
    "fno-large": {"width": 16, "modes": [6, 7], "project": 64},
    "unet": {"width": 4, "multipliers": [1, 2, 4], "blocks": 1},
}
"""42,372 parameters; 43,969; 174,337; 44,037."""
PAPER = {
    "mgno": {"width": 24, "layers": 4, "levels": 6, "residual": False},
    "fno": {"width": 16, "modes": 12, "project": 64},
    "fno-large": {"width": 32, "modes": 12, "project": 64},
    "unet": {"width": 15, "multipliers": [1, 2, 4], "blocks": 1},
}
"""572,661 parameters, as published, with the transfer of the released code; 592,129; 2,365,825; 605,356."""
TINY = {
    "mgno": {"width": 3, "layers": 1, "levels": 2, "residual": True},
    "fno": {"width": 2, "modes": 2, "project": 4},
    "fno-large": {"width": 3, "modes": 3, "project": 4},
    "unet": {"width": 2, "multipliers": [1, 1], "blocks": 1},
}
SIZES = {
    Preset.SMOKE: {
        "problems": ["darcy"], "resolution": 16, "pool": 8, "train": 8, "test": 4, "steps": 3, "grids": [8],
        "networks": TINY, "equal_time": [],
    },
    Preset.QUICK: {
        "problems": ["darcy"], "resolution": 32, "pool": 250, "train": 200, "test": 100, "steps": 400,
        "grids": [32, 64, 128], "networks": SMALL, "equal_time": ["fno", "unet"],
    },
    Preset.STANDARD: {
        "problems": ["darcy", "rough", "multiscale"], "resolution": 32, "pool": 700, "train": 600, "test": 100,
        "steps": 1500, "grids": [32, 64, 128, 256], "networks": SMALL, "equal_time": list(BASELINES),
    },
    Preset.GPU: {
        "problems": ["darcy", "rough", "multiscale"], "resolution": 256, "pool": 1280, "train": 1000, "test": 100,
        "steps": 6000, "grids": [32, 64, 128, 256], "networks": PAPER, "equal_time": list(BASELINES),
    },
}  # fmt: skip
RATES = {"mgno": 1e-2, "mgno-circular": 1e-2, "fno": 1e-2, "fno-large": 1e-2, "unet": 3e-3}
"""Of 1e-3, 3e-3, 1e-2, 3e-2 the one of least H1 error on 50 examples of the pool that were not drawn, seed 100, 250
steps of `quick`: mgno 0.246, 0.203, 0.097, 0.989; mgno-circular 0.380, 0.296, 0.237, NaN; fno 0.208, 0.125, 0.096,
0.096; fno-large 0.141, 0.098, 0.084, 0.087; unet 0.191, 0.140, 0.152, 0.162."""
PUBLISHED = {"mgno": 5e-4, "mgno-circular": 5e-4, "fno": 1e-3, "fno-large": 1e-3, "unet": 5e-4}
"""For `gpu`: that of MgNO's paper and of FNO's; the U-Net's is MgNO's. Not tuned."""


class MgNORecipe(AbstractRecipe):
    """V-cycles against Fourier layers and a U-Net on Darcy's flow."""

    name = "mgno"
    title = "Multigrid neural operators"
    summary = "Operators whose linear parts are multigrid cycles: little error, few parameters."
    bibtex = (
        "@inproceedings{he2024mgno,\n  title={MgNO: Efficient Parameterization of Linear Operators via Multigrid},\n"
        "  author={He, Juncai and Liu, Xinliang and Xu, Jinchao},\n"
        "  booktitle={International Conference on Learning Representations},\n  year={2024}\n}"
    )

    def arms(self, preset: Preset) -> tuple[Arm, ...]:
        """All arms in every preset."""
        return (CYCLE, *ARMS)

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Problems, examples, sizes of the networks, lengths of training."""
        return {**SIZES[preset], "batch": 8, "learning_rate": PUBLISHED if preset is Preset.GPU else RATES}

    def measure(self, arm: Arm, preset: Preset, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """The V-cycle's factors, or each problem in turn."""
        from cadlag.recipes import _mgno_studies as studies

        settings = self.settings(preset)
        if arm == CYCLE:
            factors = {str(n): studies.multigrid(n) for n in settings["grids"]}
            return {"factors": factors, "largest": max(factors.values())}
        return {problem: studies.darcy(arm.name, problem, settings, seed) for problem in settings["problems"]}

    def judge(self, figures: Figures) -> list[Claim]:
        """Every claim; all but the first in logarithms of ratios, seed by seed."""
        return [
            Claim(
                "multigrid",
                "With the weights of classical multigrid a V-cycle shrinks the residual alike on all grids.",
                "largest factor of one cycle over the grids measured < 0.65",
                0.65,
                below(value_per_seed(figures, "v-cycle", "largest"), 0.65, standard_error=0.0),
                ("v-cycle",),
                Paper("a factor below one that does not depend on the grid", "seen"),
            ),
            _against(figures, "h1", "MgNO's error in H1 is below that of an FNO with four times as many parameters.",
                     "fno-large", "darcy.steps.h1", Paper("0.711 against 2.583 percent, 211 x 211", "recalled")),
            _against(figures, "l2", "So is its error in L2.", "fno-large", "darcy.steps.l2",
                     Paper("0.153 against 0.684 percent, 211 x 211", "recalled")),
            _against(figures, "equal-parameters", "MgNO's error in H1 is below that of an FNO of its size.",
                     "fno", "darcy.steps.h1"),
            _against(figures, "equal-time", "It is below that of an FNO of its size trained for the same time.",
                     "fno", "darcy.time.h1", ours="darcy.steps.h1"),
            _against(figures, "unet", "MgNO's error in H1 is below that of a U-Net of its size.",
                     "unet", "darcy.steps.h1", Paper("0.711 against 4.885 percent, 211 x 211", "recalled")),
            _against(figures, "unet-equal-time", "It is below that of a U-Net of its size trained for the same time.",
                     "unet", "darcy.time.h1", ours="darcy.steps.h1"),
            _against(figures, "gap", "MgNO generalises better: its error grows less from training to test examples.",
                     "fno-large", "darcy.steps.gap"),
            _against(figures, "padding", "Zero padding, which fits the walls, is better than circular padding.",
                     "mgno-circular", "darcy.steps.h1"),
            _against(figures, "rough", "MgNO's error is below the large FNO's with rougher interfaces.",
                     "fno-large", "rough.steps.h1", Paper("1.380 against 7.516 percent, 256 x 256", "recalled")),
            _against(figures, "multiscale", "It is with multiscale coefficients.",
                     "fno-large", "multiscale.steps.h1", Paper("1.756 against 9.619 percent, 256 x 256", "recalled")),
        ]  # fmt: skip

    def tables(self, figures: Figures) -> list[Table]:
        """Factors of the V-cycle; errors, parameters and seconds for each problem."""
        from cadlag.recipes._mgno_page import tables

        return tables(figures, ARMS)

    def pictures(self, figures: Figures, out: pathlib.Path) -> list[Picture]:
        """Truth, predictions, errors and their spectra; losses."""
        from cadlag.recipes._mgno_page import pictures

        return pictures(figures, ARMS)


def _against(
    figures: Figures, name: str, statement: str, other: str, key: str, paper: Paper | None = None, *, ours: str = ""
) -> Claim:
    """That log(MgNO's figure / the other's) is below 0."""
    what = {"h1": "relative H1 error", "l2": "relative L2 error", "gap": "test error over training error"}
    problem, which, figure = key.split(".")
    spent = "in equal time" if which == "time" else "at equal steps"
    criterion = f"log of the {what[figure]} of MgNO over that of {other} ({problem}, {spent}, each seed) < 0"
    return smaller(figures, name, statement, criterion, ("mgno", ours or key), (other, key), paper)


RECIPE = MgNORecipe
