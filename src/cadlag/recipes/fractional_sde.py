"""Fractional noise by variational inference (Daems et al., ICLR 2024): weights, a bridge, the Hurst index.

(A) Errors of the Markov approximation by number of terms, optimal weights against the Riemann rule. (B) A bridge of
type II at H = 0.7 whose evidence is known: the best control in closed form, a learnt one, and what a motion without
memory draws instead. (C) H learnt from 64 noisy paths by the paper's bound, by one whose steps may have less noise, and
by the exact likelihood. The claims of (C) stand for both bounds: the paper's is loose on coarse steps, the more so for
rough paths, and the recipe says whether that shows.
"""

import pathlib
from typing import Any

from cadlag.recipes._claim import Claim, above, below, compare_paired
from cadlag.recipes._picture import Picture, Table
from cadlag.recipes._recipe import AbstractRecipe, Arm, Figures, Preset, value_per_seed

ARMS = (
    Arm("errors", "ours", "errors of the approximation by number of terms"),
    Arm("exact-control", "ours", "bridge: the best control in closed form"),
    Arm("learnt-control", "ours", "bridge: a learnt control"),
    Arm("brownian-control", "baseline", "bridge: the best control of a motion without memory"),
    Arm("bound", "ours", "H by the paper's bound: the posterior keeps the prior's noise"),
    Arm("tight", "ours", "H by a bound whose steps may have less noise"),
    Arm("brownian", "baseline", "the same bound, motion without memory"),
    Arm("likelihood", "baseline", "H by the exact Gaussian likelihood"),
)
BRIDGE = ("exact-control", "learnt-control", "brownian-control")
SIZES = {
    Preset.SMOKE: {"updates": 2, "width": 8, "batch": 4, "steps": 40, "paths": 50, "fine_paths": 20,
                   "fine_steps": [40, 80], "hurst_updates": 2, "series": 4, "points": 10, "hurst_width": 4,
                   "term_counts": [1, 5], "grid": [0.3, 0.5, 0.7]},
    Preset.QUICK: {},
    Preset.STANDARD: {"updates": 4000, "fine_paths": 4000, "fine_steps": [400, 800, 1600, 3200, 6400],
                      "hurst_updates": 2000, "substeps": 4},
    Preset.GPU: {"updates": 4000, "width": 1000, "fine_paths": 20000, "fine_steps": [400, 800, 1600, 3200, 6400],
                 "hurst_updates": 4000, "substeps": 8},
}  # fmt: skip


class FractionalSDERecipe(AbstractRecipe):
    """Errors of the approximation, a bridge, the Hurst index."""

    name = "fractional-sde"
    title = "Variational Inference for SDEs Driven by Fractional Noise"
    summary = "SDEs with long memory or roughness, made Markov by a few Ornstein-Uhlenbeck processes."
    bibtex = (
        "@inproceedings{daems2024variational,\n  title={Variational Inference for {SDE}s Driven by Fractional "
        "Noise},\n  author={Daems, Rembert and Opper, Manfred and Crevecoeur, Guillaume and Birdal, Tolga},\n"
        "  booktitle={International Conference on Learning Representations},\n  year={2024}\n}"
    )

    def arms(self, preset: Preset) -> tuple[Arm, ...]:
        """All arms in every preset."""
        return ARMS

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Grids, the bridge, the paths that H is learnt from."""
        return {
            "term_counts": [1, 2, 3, 5, 7, 10],
            "grid": [round(0.05 * i, 2) for i in range(1, 20)],
            "terms": 5,
            "fastest": 20.0,
            "bridge_hurst": 0.7,
            "end": 2.0,
            "deviation": 0.1,
            "coarse_loss": 2.79,
            "steps": 200,
            "paths": 2000,
            "fine_steps": [400, 800, 3200],
            "fine_paths": 500,
            # The best of (width, rate) = (128, 0.001), (64, 0.003), (64, 0.01), (32, 0.01) on seed 100.
            "width": 64,
            "batch": 64,
            "rate": 1e-2,
            "updates": 700,
            "hursts": [0.3, 0.7],
            "series": 64,
            "points": 50,
            "noise": 0.05,
            "substeps": 2,
            "hurst_width": 32,
            "hurst_rate": 2e-2,
            "hurst_updates": 300,
            **SIZES[preset],
        }

    def measure(self, arm: Arm, preset: Preset, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """The study that the arm belongs to."""
        from cadlag.recipes import _fractional_sde_bridge as bridge
        from cadlag.recipes import _fractional_sde_errors as errors
        from cadlag.recipes import _fractional_sde_hurst as hurst

        settings = self.settings(preset)
        if arm.name == "errors":
            return errors.study(settings)
        return (bridge if arm.name in BRIDGE else hurst).study(arm.name, settings, seed)

    def judge(self, figures: Figures) -> list[Claim]:
        """Every claim of the three studies."""
        return [
            *_error_claims(figures),
            *_bridge_claims(figures),
            *(_hurst_claim(figures, arm, h) for arm in ("bound", "tight") for h in ("h3", "h7")),
            *(_memory_claim(figures, h) for h in ("h3", "h7")),
        ]

    def tables(self, figures: Figures) -> list[Table]:
        """Errors by terms, losses of the bridge, estimates of H."""
        from cadlag.recipes._fractional_sde_page import tables

        return tables(figures)

    def pictures(self, figures: Figures, out: pathlib.Path) -> list[Picture]:
        """Errors against H, deviations along the bridge, H along training."""
        from cadlag.recipes._fractional_sde_page import pictures

        return pictures(figures)


def _error_claims(figures: Figures) -> list[Claim]:
    at = lambda key: value_per_seed(figures, "errors", key)  # noqa: E731
    return [
        Claim(
            "errors-by-terms",
            "Errors of the approximation are those that another program found from the same formulas.",
            "largest relative distance of 24 errors (both types, K = 5 and 10, optimal and Riemann) < 0.01, their "
            "three digits",
            0.01,
            below(at("distance"), 0.01, standard_error=0.0),
            ("errors",),
        ),
        Claim(
            "optimal-never-worse",
            "Optimal weights are nowhere worse than the Riemann rule.",
            "largest ratio of errors, optimal over Riemann, over H in 0.05 to 0.95, K in 1 to 10 and both types, "
            "< 1.000001 (equality is no failure)",
            1.000001,
            below(at("worst_ratio"), 1.000001, standard_error=0.0),
            ("errors",),
        ),
        Claim(
            "gain-of-type-two",
            "For type II five optimal weights are ten times better than the Riemann rule.",
            "least ratio of errors, Riemann over optimal, K = 5, H in 0.3 to 0.9, > 10",
            10.0,
            above(at("least_gain"), 10.0, standard_error=0.0),
            ("errors",),
        ),
    ]


def _bridge_claims(figures: Figures) -> list[Claim]:
    exact = lambda key: value_per_seed(figures, "exact-control", key)  # noqa: E731
    learnt = lambda key: value_per_seed(figures, "learnt-control", key)  # noqa: E731
    return [
        Claim(
            "exact-coarse",
            "On 200 Euler steps the best control of continuous time costs 2.79.",
            "distance of the loss from 2.79 < 0.05",
            0.05,
            below(exact("coarse_distance"), 0.05),
            ("exact-control",),
        ),
        Claim(
            "exact-limit",
            "As steps shrink it attains the evidence, 2.7065.",
            "distance of the loss on the finest steps from ½ log(1 + v/s²) < 0.05",
            0.05,
            below(exact("limit_distance"), 0.05),
            ("exact-control",),
        ),
        Claim(
            "learnt-not-below",
            "No learnt control beats the evidence.",
            "loss plus three of its standard errors less the evidence > 0",
            0.0,
            above(learnt("above"), 0.0),
            ("learnt-control",),
        ),
        Claim(
            "learnt-close",
            "A learnt control comes close to the best.",
            "loss on 200 steps < 2.99, that is 0.2 above the best control's 2.79",
            2.99,
            below(learnt("loss"), 2.99),
            ("learnt-control",),
        ),
        Claim(
            "learnt-curve",
            "The learnt posterior's deviation follows the exact bridge of fractional motion.",
            "root mean square error of the deviation along 41 times < 0.05",
            0.05,
            below(learnt("curve_error"), 0.05),
            ("learnt-control",),
        ),
        Claim(
            "brownian-curve",
            "A motion without memory draws another bridge.",
            "error of the deviation, learnt control of fractional motion less best control of Brownian motion, < 0",
            0.0,
            compare_paired(
                learnt("curve_error"), value_per_seed(figures, "brownian-control", "curve_error"), better="lower"
            ),
            ("learnt-control", "brownian-control"),
        ),
    ]


def _hurst_claim(figures: Figures, arm: str, name: str) -> Claim:
    hurst = f"0.{name[1:]}"
    which = {"bound": "The paper's bound", "tight": "A bound whose steps may have less noise"}[arm]
    return Claim(
        f"{arm}-{name}",
        f"{which} finds H = {hurst} from 64 noisy paths.",
        f"distance of the estimate from {hurst} < 0.12",
        0.12,
        below(value_per_seed(figures, arm, f"{name}.distance"), 0.12),
        (arm,),
    )


def _memory_claim(figures: Figures, name: str) -> Claim:
    return Claim(
        f"memory-{name}",
        f"On paths of H = 0.{name[1:]} the fractional model's bound is above the Brownian model's.",
        "held-out bound, nats a path, fractional less Brownian, both with steps that may have less noise, > 0",
        0.0,
        compare_paired(
            value_per_seed(figures, "tight", f"{name}.bound"), value_per_seed(figures, "brownian", f"{name}.bound")
        ),
        ("tight", "brownian"),
    )


RECIPE = FractionalSDERecipe
