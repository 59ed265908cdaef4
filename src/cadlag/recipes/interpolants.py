"""Stochastic interpolants (Albergo, Boffi, Vanden-Eijnden, JMLR 2025): what does noise, chosen after training, do?

Four studies. (A) Two mixtures on a line with exact fields: every ε must arrive at the same law. (B) The same with
learned fields: the law of every SDE comes from its Fokker-Planck equation on a grid, so KL against ε is exact and can
be held against the bound, against the best ε the bound predicts, and against the ODE. (C) From a normal law to a
checkerboard, against plain flow matching. (D) With entropic couplings the SDE has to be the Schrödinger bridge.
"""

import pathlib
from typing import Any

from cadlag.recipes._claim import Better, Claim, Outcome, Paper, below, compare_paired
from cadlag.recipes._picture import Picture, Table
from cadlag.recipes._recipe import AbstractRecipe, Arm, Figures, Preset, value_per_seed

ARMS = (
    Arm("exact", "ours", "study A: linear path, Brownian γ, exact fields"),
    Arm("brownian", "ours", "study B: linear path, γ = sqrt(t(1 - t))"),
    Arm("no-gamma", "ablation", "study B: linear path without latent noise, ODE alone: flow matching of two data sets"),
    Arm("quadratic", "ours", "study B: linear path, γ = t(1 - t)"),
    Arm("sine", "ours", "study B: linear path, γ = sin²(πt)"),
    Arm("trig", "ours", "study B: trigonometric path, γ = sqrt(t(1 - t))"),
    Arm("one-sided", "ours", "study C: one-sided linear path, one network, ODE and SDEs"),
    Arm("flow-matching", "baseline", "study C: flow matching, the same network and training under another seed"),
    Arm("two-sided", "ours", "study C: linear path, Brownian γ, from the normal law as if it were data"),
    Arm("bridge", "ours", "study D: entropic coupling"),
    Arm("bridge-independent", "ablation", "study D: independent coupling, the same path"),
)
LINE = ("brownian", "no-gamma", "quadratic", "sine", "trig")
BOARD = ("one-sided", "flow-matching", "two-sided")
SKIPPED = {
    Preset.SMOKE: ("quadratic", "sine", "trig", "two-sided", "flow-matching", "bridge-independent", "no-gamma"),
    Preset.QUICK: ("quadratic", "sine", "trig", "two-sided"),
}
SIZES = {
    Preset.SMOKE: {
        "network": {"1": [8, 1], "2": [8, 1]}, "batch": 32, "line_steps": 5, "board_steps": 5, "bridge_steps": 5,
        "particles": 200, "exact_steps": [10], "exact_epsilons": [0, 2], "cells": 200, "every": 2, "ode_steps": 10,
        "error_times": 40, "fokker_planck_steps": 20, "epsilons": [0.5, 2], "samples": 40, "likelihoods": 0,
        "sde_steps": 10, "board_epsilons": [0.5], "coupled": 40,
    },
    Preset.QUICK: {
        "network": {"1": [64, 2], "2": [128, 3]}, "batch": 256, "line_steps": 1500, "board_steps": 2000,
        "bridge_steps": 1500, "particles": 10_000, "exact_steps": [100, 200], "exact_epsilons": [0, 0.5, 2, 5],
        "cells": 2200, "every": 4, "ode_steps": 300, "error_times": 150, "fokker_planck_steps": 800,
        "epsilons": [0.1, 0.25, 0.5, 1, 2, 5, 10], "samples": 4000, "likelihoods": 0, "sde_steps": 100,
        "board_epsilons": [0.5, 2], "coupled": 800,
    },
    Preset.STANDARD: {
        "network": {"1": [128, 3], "2": [256, 4]}, "batch": 500, "line_steps": 5000, "board_steps": 7000,
        "bridge_steps": 5000, "particles": 40_000, "exact_steps": [50, 100, 200, 400],
        "exact_epsilons": [0, 0.5, 2, 5], "cells": 4400, "every": 8, "ode_steps": 500, "error_times": 300,
        "fokker_planck_steps": 1600, "epsilons": [0.1, 0.25, 0.5, 1, 2, 5, 10], "samples": 10_000, "likelihoods": 2000,
        "sde_steps": 400, "board_epsilons": [0.1, 0.5, 2], "coupled": 1500,
    },
}  # fmt: skip
SIZES[Preset.GPU] = SIZES[Preset.STANDARD]
# Best of 0.002, 0.005, 0.01 by the loss on fresh draws, seed 100, sizes of `quick`; the arms of a study agreed.
RATES = {"line": 1e-2, "board": 5e-3, "bridge": 1e-2}
LOG_32_GAP = 0.25


class InterpolantsRecipe(AbstractRecipe):
    """KL of learned SDEs against ε and its bound, latent noise, the checkerboard, the Schrödinger bridge."""

    name = "interpolants"
    title = "Stochastic interpolants: ODE or SDE, and how much noise"
    summary = "Any law carried to any other, with the noise chosen after training: what does it buy?"
    bibtex = (
        "@article{albergo2025stochastic,\n  title={Stochastic Interpolants: A Unifying Framework for Flows and "
        "Diffusions},\n  author={Albergo, Michael S. and Boffi, Nicholas M. and Vanden-Eijnden, Eric},\n"
        "  journal={Journal of Machine Learning Research},\n  volume={26},\n  number={209},\n  year={2025}\n}"
    )

    def arms(self, preset: Preset) -> tuple[Arm, ...]:
        """All arms; `quick` leaves out the other paths and γ of study B and the two-sided arm of study C."""
        return tuple(arm for arm in ARMS if arm.name not in SKIPPED.get(preset, ()))

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Sizes, steps, levels of noise."""
        return {**SIZES[preset], "learning_rate": RATES, "ema": 0.995, "bridge_epsilon": 0.5}

    def measure(self, arm: Arm, preset: Preset, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """The study that the arm belongs to."""
        from cadlag.recipes import _interpolants_studies as studies

        settings = self.settings(preset)
        if arm.name == "exact":
            return studies.exact_study(settings, seed)
        if arm.name in LINE:
            return studies.line_study(arm.name, settings, seed)
        if arm.name in BOARD:
            return studies.board_study(arm.name, settings, seed)
        return studies.bridge_study(arm.name, settings, seed)

    def judge(self, figures: Figures) -> list[Claim]:
        """Every claim of the four studies."""
        return [*_exact(figures), *_line(figures), *_board(figures), *_bridge(figures)]

    def tables(self, figures: Figures) -> list[Table]:
        """One table a study."""
        from cadlag.recipes._interpolants_page import tables

        return tables(figures)

    def pictures(self, figures: Figures, out: pathlib.Path) -> list[Picture]:
        """KL against ε with its bound, densities, distances with exact fields, the checkerboard, training."""
        from cadlag.recipes._interpolants_page import pictures

        return pictures(figures)


def _exact(figures: Figures) -> list[Claim]:
    limit = 0.02
    return [
        Claim(
            "any-epsilon",
            "With exact fields the law at t = 1 does not depend on ε.",
            f"the largest sup |F_n - F| over ε in 0, 0.5, 2, 5 at the most steps (200 or more) < {limit}; n "
            "independent draws of the truth have about 0.87/√n, 0.009 for 10,000",
            limit,
            below(value_per_seed(figures, "exact", "worst"), limit),
            ("exact",),
        )
    ]


def _line(figures: Figures) -> list[Claim]:
    star, ode = (value_per_seed(figures, "brownian", key) for key in ("kl_star", "kl_ode"))
    return [
        *(_bound(figures, arm) for arm in ("brownian", "quadratic", "sine", "trig")),
        Claim(
            "sde-below-ode",
            "With the same learned fields an SDE of intermediate noise reaches a lower KL than the ODE.",
            "KL(ρ_1 ‖ ρ̂_1) of the SDE at ε* minus that of the ODE < 0; ε* from the errors of the fields, not from KL",
            0.0,
            compare_paired(star, ode, better="lower"),
            ("brownian",),
            Paper("lower, with an optimum at intermediate ε, in 128 dimensions", "recalled"),
        ),
        Claim(
            "best-epsilon",
            "The ε* that minimises the bound is a good choice.",
            "KL at ε* over the least KL of the sweep < 1.5",
            1.5,
            below(value_per_seed(figures, "brownian", "star_over_best"), 1.5),
            ("brownian",),
        ),
        Claim(
            "latent-noise",
            "Latent noise γz removes spurious structure of the linear path between two multimodal laws, and its "
            "velocity is learnt better.",
            "∫E|b̂ - b|²/∫E|b|² with γ = sqrt(t(1 - t)) minus that without γ < 0, at equal evaluations of the network",
            0.0,
            compare_paired(*_both(figures, "b_error", "b_error"), better="lower"),
            ("brownian", "no-gamma"),
            Paper("γ > 0 removes spurious intermediate modes", "recalled"),
        ),
        Claim(
            "latent-noise-kl",
            "The SDE with latent noise ends closer to the target than the plain flow between the two laws.",
            "KL of the SDE at ε* minus KL of the ODE learnt without γ < 0",
            0.0,
            compare_paired(*_both(figures, "kl_star", "kl_ode"), better="lower"),
            ("brownian", "no-gamma"),
        ),
    ]


def _both(figures: Figures, ours: str, theirs: str) -> tuple[dict[int, float], dict[int, float]]:
    return value_per_seed(figures, "brownian", ours), value_per_seed(figures, "no-gamma", theirs)


def _bound(figures: Figures, arm: str) -> Claim:
    return Claim(
        f"bound-{arm}",
        f"KL of every SDE obeys the bound by the errors of its fields ({arm}).",
        "the largest KL(ρ_1 ‖ ρ̂_1) / [∫E|b̂ - b + ε(ŝ - s)|²/(4ε) dt] over ε < 1",
        1.0,
        below(value_per_seed(figures, arm, "ratio"), 1.0),
        (arm,),
        Paper("theorem 23", "recalled"),
    )


def _board(figures: Figures) -> list[Claim]:
    inside = {key: value_per_seed(figures, "one-sided", f"inside.{key}") for key in ("sde-50", "ode")}
    ours = value_per_seed(figures, "one-sided", "sliced.sde-50")
    flow = value_per_seed(figures, "flow-matching", "sliced.ode")
    return [
        Claim(
            "fewer-strays",
            "With the same network the SDE puts fewer samples outside the squares than the ODE.",
            "share inside, SDE of ε = 0.5 (1 - t), minus share inside of the ODE > 0; the standard error is the larger "
            "of that over seeds and that of the counts",
            0.0,
            _compare(inside["sde-50"], inside["ode"], _count_errors(figures), "higher"),
            ("one-sided",),
        ),
        Claim(
            "flow-matching",
            "The one-sided SDE is closer to the checkerboard than flow matching.",
            "sliced W2 without its floor, SDE of ε = 0.5 (1 - t), minus that of flow matching's ODE < 0; the standard "
            "error is the larger of that over seeds and that of the estimates",
            0.0,
            _compare(ours, flow, _sliced_errors(figures), "lower"),
            ("one-sided", "flow-matching"),
        ),
        Claim(
            "likelihood",
            "The ODE's density is close to the truth's.",
            f"mean negative log-likelihood of the one-sided ODE minus log 32 < {LOG_32_GAP} nats",
            LOG_32_GAP,
            below(value_per_seed(figures, "one-sided", "nll_gap"), LOG_32_GAP),
            ("one-sided",),
        ),
    ]


def _compare(ours: Any, baseline: Any, errors: dict[int, float], better: Better) -> Outcome:
    """`compare_paired` with a standard error not below that of the estimates, `errors` by seed."""
    outcome = compare_paired(ours, baseline, better=better)
    if outcome.standard_error is None:
        return outcome
    seeds = [row["seed"] for row in outcome.per_seed]
    within = sum(errors[s] ** 2 for s in seeds) ** 0.5 / len(seeds)
    return compare_paired(ours, baseline, better=better, standard_error=max(within, outcome.standard_error))


def _count_errors(figures: Figures) -> dict[int, float]:
    """Of the difference of two shares of `samples` draws each."""
    inside, size = (value_per_seed(figures, "one-sided", key) for key in ("inside.ode", "samples"))
    return {s: (2 * inside[s] * (1 - inside[s]) / size[s]) ** 0.5 for s in inside if s in size}


def _sliced_errors(figures: Figures) -> dict[int, float]:
    ours = value_per_seed(figures, "one-sided", "sliced_error.sde-50")
    flow = value_per_seed(figures, "flow-matching", "sliced_error.ode")
    return {s: (ours[s] ** 2 + flow[s] ** 2) ** 0.5 for s in ours if s in flow}


def _bridge(figures: Figures) -> list[Claim]:
    ours, other = (value_per_seed(figures, arm, "covariance_error") for arm in ("bridge", "bridge-independent"))
    return [
        Claim(
            "bridge",
            "With entropic couplings and γ² = 2εt(1 - t) the SDE of noise ε is the Schrödinger bridge.",
            "relative error of the covariance of the SDE's own ends against the closed form < 0.05",
            0.05,
            below(ours, 0.05),
            ("bridge",),
        ),
        Claim(
            "bridge-ends",
            "And it keeps the marginal.",
            "relative error of the variance at t = 1 < 0.05",
            0.05,
            below(value_per_seed(figures, "bridge", "variance_error"), 0.05),
            ("bridge",),
        ),
        Claim(
            "bridge-coupling",
            "It is the coupling that makes it the bridge.",
            "relative error of the covariance, entropic minus independent coupling, < 0",
            0.0,
            compare_paired(ours, other, better="lower"),
            ("bridge", "bridge-independent"),
        ),
    ]


RECIPE = InterpolantsRecipe
