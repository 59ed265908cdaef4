"""What `solver-regularised` and `locally-regularised` share: sizes, weights, ratios of evaluations. Imports no JAX."""

from typing import Any

from cadlag.recipes._claim import Claim, Outcome, Paper, below, compare_paired
from cadlag.recipes._recipe import Arm, Figures, Preset, value_per_seed

PLAIN = Arm("plain", "baseline", "neural ODE on digits, nothing added to the loss")
GLOBAL = Arm("error", "ours", "mean of error times width over all steps")

# Tuned on a part held out of the training images, seeds 100 and 101, 200 steps: of the weights tried (0.01 to 1 for
# error, 0.01 to 3 for stiffness, 10 to 1e5 for one step) the one with the fewest evaluations whose accuracy there is
# within a point of the plain network's under both seeds. At the start and at the end of training: held constant.
WEIGHTS = {
    "error": (0.3, 0.3),
    "stiffness": (2.0, 2.0),
    "local-unbiased": (1e5, 1e5),
    "local-biased": (1e5, 1e5),
    "local-backsolve": (1e5, 1e5),
}
SIZES = {
    Preset.SMOKE: {"width": 8, "steps": 4, "block": 2, "batch_size": 16, "tolerance": 1e-4},
    Preset.QUICK: {},
    Preset.STANDARD: {"steps": 1000, "block": 100},
    Preset.GPU: {"steps": 3000, "block": 100, "width": 100},
}


def settings(preset: Preset) -> dict[str, Any]:
    """Sizes of the study on digits; the tolerance makes evaluations fine enough to compare."""
    return {
        "width": 64,
        "tolerance": 1e-8,
        "max_steps": 256,
        "batch_size": 256,
        "steps": 200,
        "block": 50,
        "learning_rate": 3e-3,
        "steer": 0.5,
        "hold_out": False,
        "weights": {arm: list(pair) for arm, pair in WEIGHTS.items()},
        "sde": {"paths": 32, "steps": 300, "tolerance": 0.03, "weight": 10.0},
        "langevin": {"paths": 32, "steps": 300, "tolerance": 3e-3, "weight": 10.0},
        **SIZES[preset],
    }


def ratio(figures: Figures, ours: str, baseline: str, key: str, other: str | None = None) -> dict[int, float]:
    """A figure of ours over the baseline's, seed by seed."""
    a, b = value_per_seed(figures, ours, key), value_per_seed(figures, baseline, other or key)
    return {seed: a[seed] / b[seed] for seed in a if seed in b}


def nfe_claim(figures: Figures, arm: str, limit: float, what: str, paper: Paper | None = None) -> Claim:
    """Evaluations of an arm over those of the plain network."""
    return Claim(
        f"{arm}-nfe",
        f"A network trained with {what} is solved with fewer evaluations than one trained without.",
        f"evaluations for the test images over those of the plain network, at the same tolerance, < {limit}",
        limit,
        below(ratio(figures, arm, "plain", "nfe"), limit),
        (arm, "plain"),
        paper,
    )


def accuracy_claim(figures: Figures, arm: str, what: str) -> Claim:
    """Accuracy of an arm within a point of the plain network's."""
    return Claim(
        f"{arm}-accuracy",
        f"A network trained with {what} is as accurate as one trained without.",
        "test accuracy less that of the plain network > -0.01",
        -0.01,
        compare_paired(
            value_per_seed(figures, arm, "accuracy"), value_per_seed(figures, "plain", "accuracy"), -0.01,
            better="higher",
        ),
        (arm, "plain"),
    )  # fmt: skip


def growth_claim(figures: Figures, arm: str, what: str) -> Claim:
    """What training adds to the evaluations of the untrained network."""
    after, before = value_per_seed(figures, arm, "nfe"), value_per_seed(figures, arm, "nfe_untrained")
    plain, start = value_per_seed(figures, "plain", "nfe"), value_per_seed(figures, "plain", "nfe_untrained")
    seeds = [s for s in after if s in plain and plain[s] > start[s]]
    return Claim(
        f"{arm}-growth",
        f"With {what} training adds less than half of the evaluations that it adds without.",
        "evaluations after training less those of the untrained network, over the same of the plain network, < 0.5",
        0.5,
        below({s: (after[s] - before[s]) / (plain[s] - start[s]) for s in seeds}, 0.5),
        (arm, "plain"),
    )


def time_claim(figures: Figures, name: str, arm: str, statement: str, key: str, limit: float, paper: Any) -> Claim:
    """Seconds of an arm over those of the plain network, measured in the same run."""
    what = {"seconds_of_prediction": "seconds of a prediction", "seconds_a_step": "seconds of a training step"}[key]
    outcome = below(ratio(figures, arm, "plain", key), limit)
    return Claim(
        name, statement, f"{what} over those of the plain network < {limit}", limit, outcome, (arm, "plain"), paper
    )


def sde_claim(figures: Figures, name: str, arm: str, baseline: str, what: str, limit: float, paper: Any) -> Claim:
    """Evaluations of a stochastic equation over those of the same without the penalty."""
    found: Outcome = below(ratio(figures, arm, baseline, "nfe"), limit)
    return Claim(
        name,
        f"A neural SDE trained with {what} is solved with fewer evaluations.",
        f"evaluations a path over those without the penalty, at the same tolerance, < {limit}",
        limit,
        found,
        (arm, baseline),
        paper,
    )
