"""Stable neural SDEs (Oh, Lim and Kim, ICLR 2024): do they hold up on irregular and gappy series?

Three studies. (A) An Ornstein-Uhlenbeck path has to be reproduced from itself as control: what cannot see the path
is stuck at its variance. (B) Real series lose 0, 30, 50, 70 % of their values: how far does accuracy fall, against
neural CDE, GRU-D and MiniRocket, and against the same drift without noise? (C) Forecasts of simulated hoppers, where
`--data` names the array.
"""

import pathlib
from typing import Any

from cadlag.recipes._bootstrap import paired_bootstrap
from cadlag.recipes._claim import Claim, Outcome, Paper, below, compare_paired
from cadlag.recipes._picture import Picture, Table
from cadlag.recipes._recipe import AbstractRecipe, Arm, Figures, Preset, value_per_seed

STABLE = ("lsde", "lnsde", "gsde")
ARMS = (
    Arm("lsde", "ours", "Langevin-type SDE"),
    Arm("lnsde", "ours", "linear-noise SDE"),
    Arm("gsde", "ours", "geometric SDE"),
    Arm("lnsde-no-noise", "ablation", "the linear-noise SDE's drift alone, σ = 0"),
    Arm("cde", "baseline", "neural CDE, same width and training"),
    Arm("gru", "baseline", "GRU on values, masks and gaps"),
    Arm("gru-d", "baseline", "GRU-D"),
    Arm("minirocket", "baseline", "MiniRocket on linearly filled series"),
    Arm("naive-sde", "blind", "free drift and diffusion, no control: sees the first value only"),
    Arm("ode", "blind", "neural ODE: sees the first value only"),
)
RATES = (0.0, 0.3, 0.5, 0.7)
HIGH = (0.5, 0.7)
SETS = {
    Preset.SMOKE: ("BasicMotions",),
    Preset.QUICK: ("BasicMotions", "JapaneseVowels"),
    Preset.STANDARD: ("BasicMotions", "JapaneseVowels", "GunPoint", "ArrowHead", "ItalyPowerDemand"),
    Preset.GPU: ("BasicMotions", "JapaneseVowels", "GunPoint", "ArrowHead", "ItalyPowerDemand"),
}
LENGTHS = {
    Preset.SMOKE: {"ou_epochs": 1, "updates": 5, "hopper_epochs": 1},
    Preset.QUICK: {"ou_epochs": 100, "updates": 600, "hopper_epochs": 10},
    Preset.STANDARD: {"ou_epochs": 100, "updates": 2000, "hopper_epochs": 40},
    Preset.GPU: {"ou_epochs": 100, "updates": 2000, "hopper_epochs": 500},
}


# Best of 0.001, 0.003, 0.01 for each arm: accuracy on held-out training series at missing rates 0.5 and 0.7, seeds
# 100 to 102, 600 updates. The blind arms share the neural CDE's.
RATES_OF_LEARNING = {
    "lsde": 1e-2, "lnsde": 1e-2, "gsde": 1e-2, "lnsde-no-noise": 1e-2, "cde": 3e-3, "gru": 1e-2, "gru-d": 1e-2,
    "naive-sde": 3e-3, "ode": 3e-3,
}  # fmt: skip


class StableSDERecipe(AbstractRecipe):
    """Accuracy of the three stable SDEs under missing values, and what their noise adds."""

    name = "stable-sde"
    title = "Stable neural SDEs on irregular time series"
    summary = "Three neural SDE families that stay stable, on gappy series, against honest baselines."
    bibtex = (
        "@inproceedings{oh2024stable,\n  title={Stable Neural Stochastic Differential Equations in Analyzing "
        "Irregular Time Series Data},\n  author={Oh, YongKyung and Lim, Dong-Young and Kim, Sungil},\n"
        "  booktitle={International Conference on Learning Representations},\n  year={2024}\n}"
    )

    def arms(self, preset: Preset) -> tuple[Arm, ...]:
        """All arms; in `smoke` two."""
        return tuple(a for a in ARMS if a.name in ("lnsde", "cde")) if preset is Preset.SMOKE else ARMS

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Widths, rates and lengths of training."""
        return {
            "sets": list(SETS[preset]),
            "rates": list(RATES if preset is not Preset.SMOKE else RATES[::2]),
            **LENGTHS[preset],
            "hidden_size": 128 if preset is Preset.GPU else 32,
            "depth": 2,
            "learning_rate": {"ou": 1e-3, "real": RATES_OF_LEARNING, "hopper": 1e-3},
            "batch_size": {"ou": 64, "hopper": 64},
            "ou_steps": 2,
            "split": {"test": 0.3, "validation": 0.2, "seed": 7},
            "patience": 30,
            "n_paths": 10,
        }

    def measure(self, arm: Arm, preset: Preset, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """All studies that apply to the arm."""
        from cadlag.recipes._stable_sde_studies import hopper_study, ou_study, real_series

        settings = self.settings(preset)
        figures: dict[str, Any] = {"real": real_series(arm.name, settings, seed)}
        if arm.name in (*STABLE, "cde", "naive-sde", "ode"):
            figures["ou"] = ou_study(arm.name, settings, seed, paths=64 if preset is Preset.SMOKE else 1000)
        if self.data is not None and arm.name in (*STABLE, "lnsde-no-noise", "cde", "gru", "gru-d"):
            figures["hopper"] = hopper_study(arm.name, settings, seed, self.data)
        return figures

    def judge(self, figures: Figures) -> list[Claim]:
        """Every claim of the three studies."""
        return [
            *(_ou_claim(figures, arm) for arm in STABLE),
            Claim(
                "ou-cde",
                "On the OU task a stable SDE reproduces the path better than a neural CDE.",
                "mean squared error of LNSDE minus that of the neural CDE < 0",
                0.0,
                compare_paired(
                    value_per_seed(figures, "lnsde", "ou.mse"), value_per_seed(figures, "cde", "ou.mse"), better="lower"
                ),
                ("lnsde", "cde"),
                Paper("0.00306 against 0.0181", "seen"),
            ),
            *(_pooled_claim(figures, *row) for row in _POOLED),
            _drop_claim(figures),
            Claim(
                "hopper",
                "LNSDE forecasts the hopper more accurately than a neural CDE.",
                "mean squared error of LNSDE minus that of the neural CDE, half of the time points removed, < 0",
                0.0,
                _hopper(figures),
                ("lnsde", "cde"),
                Paper("0.012 to 0.013 against 0.028 on regular data", "recalled"),
            ),
        ]

    def tables(self, figures: Figures) -> list[Table]:
        """Accuracy by set and rate, errors of the OU study and of the forecasts, sizes and times."""
        from cadlag.recipes._stable_sde_page import tables

        return tables(figures)

    def pictures(self, figures: Figures, out: pathlib.Path) -> list[Picture]:
        """Accuracy against missing rate, OU paths, training curves, time of a training step."""
        from cadlag.recipes._stable_sde_page import pictures

        return pictures(figures)


_POOLED = (
    (
        "robust-cde",
        "lnsde",
        "cde",
        "With half or more of the values missing, LNSDE is more accurate than a neural CDE.",
    ),
    ("robust-gru-d", "lnsde", "gru-d", "With half or more of the values missing, LNSDE is more accurate than GRU-D."),
    (
        "robust-minirocket",
        "lnsde",
        "minirocket",
        "With half or more of the values missing, LNSDE is more accurate than MiniRocket.",
    ),
    ("noise-adds", "lnsde", "lnsde-no-noise", "The noise of LNSDE adds accuracy when half or more is missing."),
)


def _ou_claim(figures: Figures, arm: str) -> Claim:
    paper = {"lsde": 0.00325, "lnsde": 0.00306, "gsde": 0.00309}[arm]
    return Claim(
        f"ou-{arm}",
        f"{arm.upper()} sees the path through its control: its error on the OU task lies far below the path's "
        "variance.",
        "mean squared error < 0.005 (a model blind to the path cannot get below 0.0195 in expectation)",
        0.005,
        below(value_per_seed(figures, arm, "ou.mse"), 0.005),
        (arm,),
        Paper(paper, "seen"),
    )


def _pooled_claim(figures: Figures, name: str, ours: str, baseline: str, statement: str) -> Claim:
    return Claim(
        name,
        statement,
        f"accuracy({ours}) - accuracy({baseline}) > 0 over all test series at missing rates 0.5 and 0.7, pooled over "
        "sets, paired; standard error from a bootstrap over series and seeds",
        0.0,
        _pooled(figures, ours, baseline),
        (ours, baseline),
    )


def _pooled(figures: Figures, ours: str, baseline: str) -> Outcome:
    seeds = sorted(set(figures.get(ours, {})) & set(figures.get(baseline, {})))
    if not seeds:
        return Outcome.not_measured("no seed was measured for both sides")
    table = {arm: {s: _hits(figures[arm][s]) for s in seeds} for arm in (ours, baseline)}
    rows = [[table[arm][s] for s in seeds] for arm in (ours, baseline)]
    if not rows[0][0]:
        return Outcome.not_measured("no missing rate of 0.5 or 0.7 was measured")
    labels = _labels(figures[ours][seeds[0]])
    error = paired_bootstrap(rows[0], rows[1], groups=labels).standard_error
    means = {arm: {s: sum(hits) / len(hits) for s, hits in table[arm].items()} for arm in (ours, baseline)}
    one_seed = len(seeds) == 1
    return compare_paired(means[ours], means[baseline], standard_error=None if one_seed else error)


def _hits(figure: Any) -> list[int]:
    """Right or wrong, over all sets at the high missing rates."""
    return [hit for by_rate in figure["real"]["cases"].values() for r in HIGH for hit in by_rate.get(str(r), [])]


def _labels(figure: Any) -> list[str]:
    cases = figure["real"]["cases"]
    return [name for name, by_rate in cases.items() for r in HIGH for _ in by_rate.get(str(r), [])]


def _hopper(figures: Figures) -> Outcome:
    ours, baseline = (value_per_seed(figures, arm, "hopper.50") for arm in ("lnsde", "cde"))
    if not ours and not baseline:
        return Outcome.not_measured("give the array of trajectories by --data")
    return compare_paired(ours, baseline, better="lower")


def _drop_claim(figures: Figures) -> Claim:
    drops = {arm: _drops(figures, arm) for arm in ("lnsde", "cde")}
    return Claim(
        "small-drop",
        "From complete series to 70 % missing, LNSDE loses less accuracy than a neural CDE.",
        "accuracy lost by LNSDE minus accuracy lost by the neural CDE, mean over sets, < 0",
        0.0,
        compare_paired(drops["lnsde"], drops["cde"], better="lower"),
        ("lnsde", "cde"),
    )


def _drops(figures: Figures, arm: str) -> dict[int, float]:
    full, left = (value_per_seed(figures, arm, f"real.mean.{r}") for r in ("0", "70"))
    return {seed: full[seed] - left[seed] for seed in full if seed in left}


RECIPE = StableSDERecipe
