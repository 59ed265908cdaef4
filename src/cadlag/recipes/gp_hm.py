"""GP-HM (Fang et al., ICLR 2024): does a Gaussian process find frequencies that networks miss, and is it needed?

Poisson's equation with the solution sin(100 x), on [0, 2 pi] and 400 points, and harder ones. Seeds move all points and
the frequencies that fitting starts from. Beside the solver: the same without cosines (the better of two starts), its
published descent, a tanh network, networks of random Fourier features (the best of three scales), and the two solvers
that smooth solutions on an interval usually get: least squares in random Fourier features, and Chebyshev collocation.
Every error is the last one; the paper's is the least of twenty on the test points, which the table shows beside it.
"""

import math
import pathlib
from typing import Any

from cadlag.recipes._claim import Claim, Paper, above, below, compare_paired
from cadlag.recipes._picture import Picture, Table
from cadlag.recipes._recipe import AbstractRecipe, Arm, Figures, Preset, value_per_seed

ARMS = (
    Arm("gp-hm", "ours", "Student-t mixture, variable projection"),
    Arm("rff-pinn", "baseline", "network of random Fourier features, the best of the scales 1, 20, 100"),
    Arm("gp-published", "baseline", "the same process by Adam on everything together, as published"),
    Arm("pinn", "baseline", "tanh network"),
    Arm("gp-matern-no-cosine", "ablation", "without cosines: a sum of Matérn kernels"),
    Arm("gp-se-no-cosine", "ablation", "without cosines: a sum of squared exponentials"),
    Arm("rff-least-squares", "baseline", "least squares in random Fourier features, the best of three scales"),
    Arm("chebyshev", "baseline", "collocation at Chebyshev's nodes"),
    Arm("gp-wide", "ablation", "frequencies spread twice too far at the start"),
    Arm("scaling", "ours", "time over points"),
)
ONLY_STANDARD = ("gp-wide", "scaling")
MANY = ["sin100", "sin6cos100", "xsin200", "three-scales", "sin500", "allen-cahn", "poisson-2d", "advection"]
SIZES: dict[Preset, dict[str, Any]] = {
    Preset.SMOKE: {
        "cases": ["sin100"], "wave": 10.0, "points": 40, "components": 6, "steps": 4, "stages": 2,
        "published_steps": 20, "network_steps": 20, "features": 40,
    },
    Preset.QUICK: {"cases": ["sin100"], "steps": 90, "published_steps": 500, "network_steps": 2500},
    Preset.STANDARD: {
        "cases": MANY, "steps": 120, "published_steps": 4000, "network_steps": 10_000, "sides": [100, 316, 1000],
    },
    Preset.GPU: {
        "cases": [*MANY, "sin100-2d"], "steps": 180, "published_steps": 20_000, "network_steps": 50_000,
        "sides": [100, 316, 1000],
    },
}  # fmt: skip


class GPHMRecipe(AbstractRecipe):
    """High frequencies and several scales, with the baselines that also solve them."""

    name = "gp-hm"
    equations = (*MANY, "sin100-2d")
    title = "Gaussian processes for high-frequency and multi-scale equations"
    summary = "A Gaussian process with a learnt spectrum solves oscillating equations and shows their frequencies."
    precision = 64
    bibtex = (
        "@inproceedings{fang2024solving,\n  title={Solving High Frequency and Multi-Scale PDEs with Gaussian "
        "Processes},\n  author={Fang, Shikai and Cooley, Madison and Long, Da and Li, Shibo and Kirby, Robert and "
        "Zhe, Shandian},\n  booktitle={International Conference on Learning Representations},\n  year={2024}\n}"
    )

    def arms(self, preset: Preset) -> tuple[Arm, ...]:
        """All but the costly ones in every preset."""
        big = preset in (Preset.STANDARD, Preset.GPU)
        return tuple(arm for arm in ARMS if big or arm.name not in ONLY_STANDARD)

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Cases, sizes of the kernels, lengths of training."""
        return {
            "wave": 100.0, "points": None, "components": 30, "stages": 3, "scales": [1.0, 20.0, 100.0],
            "features": 600, "network_features": 64, "width": 64, "depth": 4, "learning_rate": 1e-3,
            **SIZES[preset], **({} if self.equation is None else {"cases": [self.equation]}),
        }  # fmt: skip

    def measure(self, arm: Arm, preset: Preset, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """The study that the arm belongs to."""
        from cadlag.recipes import _gp_hm_baselines as baselines
        from cadlag.recipes import _gp_hm_studies as studies

        settings = self.settings(preset)
        if arm.name == "scaling":
            return studies.scaling(settings, seed)
        if arm.name.startswith("gp-"):
            return studies.spectral(arm.name, settings, seed)
        return baselines.baseline(arm.name, settings, seed)

    def judge(self, figures: Figures) -> list[Claim]:
        """Every claim."""
        return [
            _error_below(figures, "accurate", "GP-HM solves Poisson's equation with sin(100 x)", "sin100"),
            *(_blind(figures, *row) for row in _WITHOUT),
            Claim(
                "frequency",
                "The heaviest component sits on the solution's frequency, 100 / 2 pi = 15.92 cycles.",
                "distance of its frequency from 15.92 < 0.1",
                0.1,
                below({s: abs(f - 100 / (2 * math.pi)) for s, f in _first(figures, "gp-hm", "frequency").items()}, 0.1),
                ("gp-hm",),
            ),
            Claim(
                "pruned",
                "Components without evidence vanish.",
                "share of the weight on the three heaviest of thirty > 0.95",
                0.95,
                above(_first(figures, "gp-hm", "top3"), 0.95),
                ("gp-hm",),
            ),
            *(_beats(figures, *row) for row in _AGAINST),
            _error_below(figures, "range", "A range of frequencies twice too wide does no harm", "sin100", "gp-wide"),
            *(_error_below(figures, *row) for row in _HARDER),
            Claim(
                "time",
                "Time grows like the number of points to the power 1.5.",
                "slope of log seconds of one evaluation over log points, 10^4 to 10^6 in the plane, < 1.6",
                1.6,
                below(value_per_seed(figures, "scaling", "slope"), 1.6),
                ("scaling",),
            ),
        ]

    def tables(self, figures: Figures) -> list[Table]:
        """Errors and seconds; scales; last against best; time over points."""
        from cadlag.recipes._gp_hm_page import tables

        return tables(figures)

    def pictures(self, figures: Figures, out: pathlib.Path) -> list[Picture]:
        """Error over steps, and the spectrum found."""
        from cadlag.recipes._gp_hm_page import pictures

        return pictures(figures)


_WITHOUT = (
    ("matern-fails", "Without cosines a Matérn process fails.", "gp-matern-no-cosine"),
    ("se-fails", "Without cosines a squared-exponential process fails.", "gp-se-no-cosine"),
    ("pinn-fails", "A tanh network fails.", "pinn"),
)
_AGAINST = (
    ("beats-rff-pinn", "GP-HM is ten times more accurate than networks of random Fourier features.", "rff-pinn", -1.0),
    (
        "beats-published",
        "Variable projection is ten times more accurate than the published descent.",
        "gp-published",
        -1.0,
    ),
    ("beats-rff-least-squares", "GP-HM beats least squares in random Fourier features.", "rff-least-squares", 0.0),
    ("beats-chebyshev", "GP-HM beats Chebyshev collocation with as many points.", "chebyshev", 0.0),
)
_HARDER = (
    ("two-frequencies", "It solves Poisson's equation with sin(6 x) cos(100 x)", "sin6cos100"),
    ("growing", "It solves Poisson's equation with x sin(200 x)", "xsin200"),
    (
        "three-scales",
        "It solves Poisson's equation with three scales, sin x + sin(20 x)/10 + sin(100 x)/20",
        "three-scales",
    ),
    ("trend", "It solves Poisson's equation with sin(500 x) - 2 (x - 1/2)²", "sin500"),
    ("allen-cahn", "It solves the Allen-Cahn equation with sin(100 x)", "allen-cahn"),
    ("plane", "It solves Poisson's equation in the plane", "poisson-2d"),
    ("advection", "It solves advection at speed 200", "advection"),
)


def _case(figures: Figures, arm: str, case: str, key: str) -> dict[int, float]:
    return value_per_seed(figures, arm, f"cases.{case}.{key}")


def _first(figures: Figures, arm: str, key: str) -> dict[int, float]:
    return _case(figures, arm, "sin100", key)


def _error_below(figures: Figures, id: str, statement: str, case: str, arm: str = "gp-hm") -> Claim:
    paper = Paper("errors between 1e-3 and 1e-7", "seen") if id == "accurate" else None
    outcome = below(_case(figures, arm, case, "error"), 1e-3)
    return Claim(id, f"{statement}.", "relative L2 error < 1e-3", 1e-3, outcome, (arm,), paper)


def _blind(figures: Figures, id: str, statement: str, arm: str) -> Claim:
    outcome = above(_first(figures, arm, "error"), 0.3)
    return Claim(id, statement, "relative L2 error on sin(100 x) > 0.3", 0.3, outcome, (arm,))


def _beats(figures: Figures, id: str, statement: str, arm: str, margin: float) -> Claim:
    ours, theirs = ({s: math.log10(e) for s, e in _first(figures, a, "error").items()} for a in ("gp-hm", arm))
    criterion = f"log10 of the relative L2 error on sin(100 x), GP-HM minus the baseline, < {margin:g}"
    outcome = compare_paired(ours, theirs, margin, better="lower")
    return Claim(id, statement, criterion, margin, outcome, ("gp-hm", arm))


RECIPE = GPHMRecipe
