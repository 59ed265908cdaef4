"""Causal training of physics-informed networks (Wang et al., 2022): does the order of time make the difference?

The Lorenz system with a hard initial state, time scaled and the output scaled, for every arm: a plain network, causal
weights, and a placebo, the same weights on a random order of time slices. `standard` adds Allen-Cahn, with a heavier
initial condition and residual-adaptive points as baselines, and convection at speed 30, where short trainings did not
separate the methods. A classical solver's time stands in every table. The method is patented, as its authors say; see
`cadlag.physics.causal`.
"""

import pathlib
from typing import Any

from cadlag.recipes._claim import Claim, Outcome, Paper, above, below
from cadlag.recipes._picture import Curves, Line, Paths, Picture, Table
from cadlag.recipes._recipe import AbstractRecipe, Arm, Figures, Preset, value_per_seed

ARMS = (
    Arm("causal", "ours", "causal weights"),
    Arm("plain", "baseline", "all times at once"),
    Arm("placebo", "ablation", "causal weights on shuffled time"),
    Arm("heavier-start", "baseline", "all times at once, initial condition ten times heavier"),
    Arm("adaptive", "baseline", "points drawn where the residual is large"),
)
LABELS = {arm.name: arm.description for arm in ARMS}
FIRST = ("causal", "plain", "placebo")
LORENZ = {
    "end": 0.5, "times": 128, "each": 1, "width": 64, "depth": 3, "tolerances": (1e-3, 1e-2, 1e-1, 1.0),
}  # fmt: skip
PERIODIC = {"times": 32, "each": 64, "width": 64, "depth": 4, "initial": 100.0}
SIZES = {
    Preset.SMOKE: {"lorenz": {**LORENZ, "times": 16, "width": 8, "steps": 20}},
    Preset.QUICK: {"lorenz": {**LORENZ, "steps": 8000}},
    Preset.STANDARD: {
        "lorenz": {**LORENZ, "steps": 8000},
        "allen-cahn": {**PERIODIC, "harmonics": 10, "tolerances": (1.0, 10.0, 100.0), "steps": 20_000},
        "convection": {**PERIODIC, "harmonics": 1, "tolerances": (0.01, 0.1, 1.0), "steps": 6000},
    },
    Preset.GPU: {
        "lorenz": {**LORENZ, "steps": 20_000},
        "allen-cahn": {
            **PERIODIC, "times": 64, "each": 128, "width": 128, "harmonics": 10, "tolerances": (1.0, 10.0, 100.0),
            "steps": 100_000,
        },
    },
}  # fmt: skip

SHORT = {
    "allen-cahn": {**PERIODIC, "each": 32, "harmonics": 10, "tolerances": (1.0, 10.0, 100.0), "steps": 4000},
    "convection": {**PERIODIC, "each": 32, "harmonics": 1, "tolerances": (0.01, 0.1, 1.0), "steps": 2000},
}
"""What `--equation` measures where the preset itself leaves the equation out."""


class CausalPINNRecipe(AbstractRecipe):
    """Plain, causal and shuffled weights at equal steps."""

    name = "causal-pinn"
    equations = ("lorenz", "allen-cahn", "convection")
    title = "Causal training of physics-informed networks"
    summary = "Physics-informed training that goes forward in time."
    bibtex = (
        "@article{wang2024causality,\n  title={Respecting causality for training physics-informed neural networks},\n"
        "  author={Wang, Sifan and Sankaran, Shyam and Perdikaris, Paris},\n  journal={Computer Methods in Applied "
        "Mechanics and Engineering},\n  volume={421},\n  pages={116813},\n  year={2024}\n}"
    )

    def arms(self, preset: Preset) -> tuple[Arm, ...]:
        """The three that the first claims need; all from `standard` on, and where Allen-Cahn was asked for."""
        few = preset in (Preset.SMOKE, Preset.QUICK) and self.equation != "allen-cahn"
        return tuple(arm for arm in ARMS if not few or arm.name in FIRST)

    def settings(self, preset: Preset) -> dict[str, Any]:
        """By problem: slices of time, points in each, network, values of ε, steps."""
        problems = SIZES[preset]
        if self.equation is not None:
            problems = {self.equation: problems.get(self.equation, SHORT.get(self.equation))}
        return {"problems": problems, "learning_rate": 1e-3}

    def measure(self, arm: Arm, preset: Preset, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """Each problem in turn; the two other baselines are for those with an initial condition in the loss."""
        from cadlag.recipes._causal_pinn_studies import solve

        settings = self.settings(preset)
        names = [n for n in settings["problems"] if arm.name in FIRST or n == "allen-cahn"]
        return {problem: solve(arm.name, problem, settings, seed) for problem in names}

    def judge(self, figures: Figures) -> list[Claim]:
        """The card's falsifiers: a plain network within a factor of two, or a placebo that works."""
        return [
            Claim(
                "plain-fails",
                "Trained at all times at once, the network does not find the Lorenz system's path.",
                "relative L2 error of the plain network > 0.5",
                0.5,
                above(value_per_seed(figures, "plain", "lorenz.error"), 0.5),
                ("plain",),
            ),
            Claim(
                "causal-finds-it",
                "With causal weights it does.",
                "relative L2 error with causal weights < 0.2",
                0.2,
                below(value_per_seed(figures, "causal", "lorenz.error"), 0.2),
                ("causal",),
                Paper("about 1e-2 on [0, 20] in 40 to 60 windows with far longer training", "recalled"),
            ),
            Claim(
                "twice-as-good",
                "At equal steps causal weights at least halve the error.",
                "relative L2 error, plain over causal (each seed), > 2",
                2.0,
                _ratio(figures, "lorenz", "plain", "causal", 2.0),
                ("causal", "plain"),
            ),
            Claim(
                "placebo",
                "It is the order of time that helps: the same weights on shuffled time do not halve the error.",
                "relative L2 error, shuffled over plain (each seed), > 0.5",
                0.5,
                _ratio(figures, "lorenz", "placebo", "plain", 0.5),
                ("placebo", "plain"),
            ),
            Claim(
                "certificate",
                "The least weight says when the solution can be trusted.",
                "least causal weight over the last 50 steps, at the last ε, > 0.9",
                0.9,
                above(value_per_seed(figures, "causal", "lorenz.least_weight"), 0.9),
                ("causal",),
            ),
            Claim(
                "allen-cahn",
                "On Allen-Cahn causal weights reach an error that plain training does not.",
                "relative L2 error with causal weights < 0.1",
                0.1,
                below(value_per_seed(figures, "causal", "allen-cahn.error"), 0.1),
                ("causal",),
                Paper("1.4e-3 against 0.50 after 300,000 steps", "recalled"),
            ),
            *(_allen_cahn(figures, other) for other in ("plain", "heavier-start", "adaptive")),
            Claim(
                "convection",
                "On convection at speed 30, too, causal weights at least halve the error.",
                "relative L2 error, plain over causal (each seed), > 2",
                2.0,
                _ratio(figures, "convection", "plain", "causal", 2.0),
                ("causal", "plain"),
            ),
        ]

    def tables(self, figures: Figures) -> list[Table]:
        """Errors by arm, for each problem."""
        from cadlag.recipes._physics import by_arm

        note = "Seconds from start to end, compiling included; the classical error is estimated by halving its step."
        titles = {"lorenz": "Lorenz", "allen-cahn": "Allen-Cahn", "convection": "Convection"}
        made = (by_arm(figures, LABELS, title, note, key) for key, title in titles.items())
        return [table for table in made if table is not None]

    def pictures(self, figures: Figures, out: pathlib.Path) -> list[Picture]:
        """The first coordinate of the Lorenz system, where it was solved, and the loss on the first equation."""
        seeds = {arm: next(iter(found.values())) for arm, found in figures.items() if found and arm in FIRST}
        if not seeds:
            return []
        problem = next(iter(next(iter(seeds.values()))))
        first = {arm: found[problem] for arm, found in seeds.items()}
        lines = [
            Line(LABELS[arm], [i / max(1, len(f["curve"]) - 1) for i in range(len(f["curve"]))], f["curve"],
                 role="ours" if arm == "causal" else "baseline")
            for arm, f in first.items()
        ]  # fmt: skip
        loss = Curves("loss", f"Weighted loss on {problem}.", lines, "share of the steps", "loss", log_y=True)
        return [_lorenz(first), loss] if problem == "lorenz" else [loss]


def _lorenz(first: dict[str, Any]) -> Picture:
    truth = next(iter(first.values()))["truth"]
    times = [LORENZ["end"] * i / (len(truth) - 1) for i in range(len(truth))]
    caption = "The first coordinate of the Lorenz system; dashed, the classical solution."
    paths = {LABELS[arm]: [f["path"]] for arm, f in first.items()}
    return Paths("lorenz", caption, times, paths, reference=truth)


def _ratio(figures: Figures, problem: str, above_: str, below_: str, limit: float) -> Outcome:
    """One arm's error over another's, seed by seed."""
    a, b = (value_per_seed(figures, arm, f"{problem}.error") for arm in (above_, below_))
    return above({seed: a[seed] / b[seed] for seed in a if seed in b}, limit)


def _allen_cahn(figures: Figures, other: str) -> Claim:
    return Claim(
        f"allen-cahn-{other}",
        f"On Allen-Cahn causal weights at least halve the error of: {LABELS[other]}.",
        f"relative L2 error, {other} over causal (each seed), > 2",
        2.0,
        _ratio(figures, "allen-cahn", other, "causal", 2.0),
        ("causal", other),
    )


RECIPE = CausalPINNRecipe
