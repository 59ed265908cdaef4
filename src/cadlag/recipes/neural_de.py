"""On Neural Differential Equations (Kidger, thesis, 2022): its models on its own simulated data.

(A) Spirals, half of their points gone: which way do they turn? A neural CDE against a GRU.
(B) Decaying oscillators at irregular times: the second half from the first, a latent ODE against a GRU.
(C) An Ornstein-Uhlenbeck process whose noise is known: the law learnt by expected signatures, by a critic, by a bound
on the evidence; noise by the quadratic variation of drawn paths.
(D) From `standard` on: two moons by a continuous flow against a Gaussian; the vector field of an oscillator as a
formula; digits by an equilibrium layer; adjoints of one solve.

`--part` takes one of spirals, oscillators, ou, flow, symbolic, equilibrium, adjoints.
"""

import pathlib
from typing import Any

from cadlag.recipes._claim import Claim, Paper, above, below, compare_paired
from cadlag.recipes._picture import Picture, Table
from cadlag.recipes._recipe import AbstractRecipe, Arm, Figures, Preset, value_per_seed

QUICK = (
    Arm("cde", "ours", "neural CDE"),
    Arm("gru-classifier", "baseline", "GRU, values, masks and gaps"),
    Arm("latent-ode", "ours", "latent ODE"),
    Arm("gru-forecaster", "baseline", "GRU that predicts all coming rows"),
    Arm("signature", "ours", "neural SDE, expected signatures"),
    Arm("gan", "ours", "neural SDE against a critic"),
    Arm("latent-sde", "ours", "latent SDE, bound on the evidence"),
    Arm("untrained", "baseline", "neural SDE, as initialised"),
)
MORE = (
    Arm("flow", "ours", "continuous flow"),
    Arm("symbolic", "ours", "formula of a neural ODE's field"),
    Arm("equilibrium", "ours", "equilibrium layer"),
    Arm("adjoints", "ours", "gradients of one solve"),
)
PARTS = {
    "spirals": ("cde", "gru-classifier"),
    "oscillators": ("latent-ode", "gru-forecaster"),
    "ou": ("signature", "gan", "latent-sde", "untrained"),
    **{arm.name: (arm.name,) for arm in MORE},
}
RATES = {
    "cde": 1e-2, "gru-classifier": 1e-2, "latent-ode": 1e-2, "gru-forecaster": 1e-2, "signature": 3e-3, "gan": 5e-4,
    "latent-sde": 5e-3,
}  # fmt: skip
QUICK_LAWS = {
    "signature": {"steps": 600, "batch": 128},
    "gan": {"steps": 800, "batch": 128},
    "latent-sde": {"steps": 400, "batch": 64, "model": {
        "hidden_size": 2, "latent_size": 2, "steps": 8, "noise": 0.15, "learn_noise": False}},
    "untrained": {"steps": 1, "batch": 2},
}  # fmt: skip
SMALL_LAWS = {
    "signature": {"steps": 2, "batch": 8, "depth": 2, "model": {"hidden_size": 2, "width": 2}},
    "gan": {"steps": 2, "batch": 8, "model": {"hidden_size": 2, "width": 2}},
    "latent-sde": {"steps": 2, "batch": 8, "model": {"hidden_size": 2, "latent_size": 2, "width": 2}},
    "untrained": {"steps": 1, "batch": 2, "model": {"hidden_size": 2, "width": 2}},
}
FURTHER = {
    "flow": {"steps": 1000, "width": 32},
    "symbolic": {"paths": 128, "steps": 8000, "points": 200, "rounds": 60},
    "equilibrium": {"width": 64, "steps": 600},
    "adjoint_steps": 200,
}
SIZES = {
    Preset.SMOKE: {
        "spirals": {"train": 16, "test": 8, "rows": 12, "epochs": 1},
        "oscillators": {"train": 16, "test": 4, "rows": 8, "steps": 2},
        "ou": {"train": 32, "rows": 6, "end": 4.0, "pull": 1.0, "noise": 0.5},
        "laws": SMALL_LAWS, "flow": {"steps": 5, "width": 4}, "adjoint_steps": 20,
        "symbolic": {"paths": 8, "steps": 2, "points": 20, "rounds": 1},
        "equilibrium": {"width": 4, "steps": 2},
    },
    Preset.QUICK: {},
    Preset.STANDARD: {"laws": {n: s | {"steps": 4 * s["steps"]} for n, s in QUICK_LAWS.items()}},
    Preset.GPU: {"laws": {n: s | {"steps": 10 * s["steps"], "batch": 512} for n, s in QUICK_LAWS.items()}},
}  # fmt: skip


class NeuralDERecipe(AbstractRecipe):
    """Neural controlled, latent and stochastic equations on data with known answers."""

    name = "neural-de"
    parts = PARTS
    title = "On Neural Differential Equations"
    summary = "Neural ODEs, CDEs and SDEs, continuous flows, reversible solvers, symbolic regression."
    bibtex = (
        "@phdthesis{kidger2022neural,\n  title={On Neural Differential Equations},\n  author={Kidger, Patrick},\n"
        "  school={University of Oxford},\n  year={2022}\n}"
    )

    def arms(self, preset: Preset) -> tuple[Arm, ...]:
        """Those of the part asked for; else all, the parts of (D) from `standard` on."""
        if self.part is not None:
            return tuple(arm for arm in QUICK + MORE if arm.name in self.parts[self.part])
        return QUICK if preset in (Preset.QUICK, Preset.SMOKE) else QUICK + MORE

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Sizes of the data and how long each model is trained."""
        return {
            "spirals": {"train": 256, "test": 256, "rows": 100, "epochs": 36},
            "oscillators": {"train": 512, "test": 256, "rows": 40, "steps": 600},
            "ou": {"train": 1024, "rows": 33, "end": 4.0, "pull": 1.0, "noise": 0.5},
            "laws": QUICK_LAWS, "rates": RATES, **FURTHER, **SIZES[preset],
        }  # fmt: skip

    def measure(self, arm: Arm, preset: Preset, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """One model on its data."""
        from cadlag.recipes import _neural_de_further as further
        from cadlag.recipes import _neural_de_studies as studies

        settings = self.settings(preset)
        if arm.name in PARTS["spirals"]:
            return studies.classify(arm.name, settings, seed)
        if arm.name in PARTS["oscillators"]:
            return studies.extrapolate(arm.name, settings, seed)
        if arm.name in PARTS["ou"]:
            return studies.law(arm.name, settings, seed)
        return getattr(further, arm.name)(settings, seed)

    def judge(self, figures: Figures) -> list[Claim]:
        """Noise counts as recovered within ten per cent."""
        per = lambda arm, key: value_per_seed(figures, arm, key)  # noqa: E731
        return [
            Claim("spirals", "A neural CDE tells which way spirals turn, half of their points gone.",
                  "accuracy > 0.98", 0.98, above(per("cde", "accuracy"), 0.98), ("cde",),
                  Paper("1.0, no gaps", "seen")),
            Claim("spirals-gru", "It is not behind a GRU.", "accuracy of the CDE minus the GRU's > -0.01", -0.01,
                  compare_paired(per("cde", "accuracy"), per("gru-classifier", "accuracy"), -0.01),
                  ("cde", "gru-classifier")),
            Claim("extrapolation", "A latent ODE goes on where data end, better than a GRU.",
                  "error of the latent ODE minus the GRU's < 0", 0.0,
                  compare_paired(per("latent-ode", "error"), per("gru-forecaster", "error"), better="lower"),
                  ("latent-ode", "gru-forecaster")),
            _noise(figures, "signature", "A neural SDE learnt by expected signatures has the data's noise."),
            _noise(figures, "gan", "So has one that deceives a critic."),
            _noise(figures, "latent-sde", "So has a latent SDE."),
            Claim("marginals", "Its marginals are the data's.",
                  "mean over time of |log ratio of deviations| < 0.1", 0.1,
                  below(per("signature", "marginal"), 0.1), ("signature",)),
            Claim("trained", "Training is what does it.", "the same, minus that of an untrained one, < 0", 0.0,
                  compare_paired(per("signature", "marginal"), per("untrained", "marginal"), better="lower"),
                  ("signature", "untrained")),
            Claim("flow", "A continuous flow fits two moons better than a Gaussian does.",
                  "mean log-density of held-out points above the Gaussian's > 0.3 nats", 0.3,
                  above(per("flow", "gain"), 0.3), ("flow",)),
            Claim("symbolic", "The field of a trained neural ODE reads as the formula behind the data.",
                  "largest error of the formula at 1,000 points < 0.01", 0.01,
                  below(per("symbolic", "error"), 0.01), ("symbolic",)),
            Claim("equilibrium", "An equilibrium layer learns digits.", "accuracy > 0.95", 0.95,
                  above(per("equilibrium", "accuracy"), 0.95), ("equilibrium",)),
            Claim("exact", "The reversible adjoint has the gradient of storing every step.",
                  "relative difference < 1e-4 in single precision", 1e-4,
                  below(per("adjoints", "reversible_error"), 1e-4), ("adjoints",)),
            Claim("memory", "And its memory does not grow with the steps.",
                  "temporary bytes at ten times as many steps, over the fewer, < 1.2", 1.2,
                  below(per("adjoints", "reversible_growth"), 1.2), ("adjoints",)),
        ]  # fmt: skip

    def tables(self, figures: Figures) -> list[Table]:
        """One a part."""
        from cadlag.recipes._neural_de_page import tables

        return tables(figures, QUICK + MORE)

    def pictures(self, figures: Figures, out: pathlib.Path) -> list[Picture]:
        """Paths of the laws, their deviations over time."""
        from cadlag.recipes._neural_de_page import pictures

        return pictures(figures, QUICK)


def _noise(figures: Figures, arm: str, statement: str) -> Claim:
    found = below(value_per_seed(figures, arm, "log_noise_ratio"), 0.1)
    criterion = "|log of the ratio of quadratic variations' roots, drawn over data| < 0.1"
    return Claim(f"noise-{arm}", statement, criterion, 0.1, found, (arm,))


RECIPE = NeuralDERecipe
