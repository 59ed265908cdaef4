"""Deep kernel machines (Yang et al., ICML 2023): does learning the Gram matrices pay?

(A) Exactness: the closed form of linear kernels, the NNGP for large nu, alignment with the targets as nu falls (points
of diabetes). (B) Test likelihood on inputs of which nine in ten are irrelevant, and on diabetes, against the NNGP (the
same machine with nu = inf), a sparse Gaussian process with one squared exponential, and an exact one with a length for
each column, which may switch columns off. nu is chosen on validation data. (C) Time of training against n.
"""

import pathlib
from typing import Any

from cadlag.recipes._claim import Claim, Outcome, below, compare_paired
from cadlag.recipes._picture import Picture, Table
from cadlag.recipes._recipe import AbstractRecipe, Arm, Figures, Preset, value_per_seed

ARMS = (
    Arm("exact", "ours", "closed forms and alignment, all points"),
    Arm("dkm", "ours", "two Gram layers, nu on validation data"),
    Arm("nngp", "baseline", "the same with nu = inf"),
    Arm("sparse-gp", "baseline", "squared exponential, one length, the same inducing points and training"),
    Arm("ard-gp", "baseline", "exact, a squared exponential with a length for each column"),
)
COST = Arm("cost", "ours", "a pass over the data and the time it takes, by n")
DIGITS = (Arm("digits-dkm", "ours", "digits, two Gram layers"), Arm("digits-nngp", "baseline", "digits, nu = inf"))
SIZES = {
    Preset.SMOKE: {"tasks": ["irrelevant"], "steps": 20, "nus": [1.0], "inducing": 16, "points": 12},
    Preset.QUICK: {"tasks": ["irrelevant", "diabetes"], "steps": 300, "nus": [10.0, 1.0], "inducing": 32, "points": 30},
    Preset.STANDARD: {
        "tasks": ["irrelevant", "diabetes", "friedman"], "steps": 3000, "nus": [100.0, 10.0, 1.0, 0.1], "inducing": 64,
        "points": 50,
    },
}  # fmt: skip
SIZES[Preset.GPU] = SIZES[Preset.STANDARD]


class DeepKernelMachineRecipe(AbstractRecipe):
    """Exactness, likelihood against three Gaussian processes, cost."""

    name = "deep-kernel-machine"
    title = "Deep kernel machines"
    summary = "Kernels that learn their representation, layer by layer."
    precision = 64
    bibtex = (
        "@inproceedings{yang2023theory,\n  title={A Theory of Representation Learning Gives a Deep Generalisation of "
        "Kernel Methods},\n  author={Yang, Adam X. and Robeyns, Maxime and Milsom, Edward and Anson, Ben and Schoots, "
        "Nandi and Aitchison, Laurence},\n  booktitle={International Conference on Machine Learning},\n  year={2023}\n}"
    )

    def arms(self, preset: Preset) -> tuple[Arm, ...]:
        """Cost and digits from `standard` on."""
        return ARMS if preset in (Preset.SMOKE, Preset.QUICK) else (*ARMS, COST, *DIGITS)

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Tasks, steps, values of nu."""
        return {
            **SIZES[preset], "layers": 2, "batch": 128, "learning_rate": 1e-2, "noise": 0.1, "train": 320,
            "validation": 80, "test": 400, "alignment_nus": [1000.0, 100.0, 10.0, 1.0, 0.1],
            "counts": [1000, 2000, 4000, 8000, 16_000],
        }  # fmt: skip

    def measure(self, arm: Arm, preset: Preset, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """The study that the arm belongs to."""
        from cadlag.recipes import _deep_kernel_machine_studies as studies

        settings = self.settings(preset)
        if arm.name == "exact":
            return studies.exact(settings, seed)
        if arm.name == "cost":
            return studies.cost(settings, seed)
        if arm in DIGITS:
            return studies.digits(arm.name, settings, seed)
        return {"tasks": {task: studies.regression(arm.name, task, settings, seed) for task in settings["tasks"]}}

    def judge(self, figures: Figures) -> list[Claim]:
        """Every claim; criteria were written before the first run on seeds 0 to 2."""
        return [
            Claim(
                "linear-kernel",
                "With linear kernels the optimum is the geodesic from the inputs' to the targets' Gram matrix.",
                "relative distance of the learnt Gram matrices to the closed form < 1e-3",
                1e-3,
                below(value_per_seed(figures, "exact", "linear"), 1e-3),
                ("exact",),
            ),
            Claim(
                "nngp-limit",
                "For large nu the Gram matrices are those of the NNGP.",
                "largest difference to the NNGP's at nu = 1e6 < 1e-3",
                1e-3,
                below(value_per_seed(figures, "exact", "nngp"), 1e-3),
                ("exact",),
            ),
            Claim(
                "alignment",
                "Representations are learnt: the last Gram matrix aligns with the targets.",
                "alignment with Y Yᵀ at nu = 1 minus that at nu = 1000 (diabetes, all points of the study) > 0.05",
                0.05,
                _aligned(figures),
                ("exact",),
            ),
            *(
                _likelier(figures, task, baseline)
                for task in ("irrelevant", "diabetes", "friedman")
                for baseline in ("nngp", "sparse-gp", "ard-gp")
            ),
            Claim(
                "linear-cost",
                "The cost is linear in the data.",
                "slope of log time of one pass against log n < 1.2",
                1.2,
                below(value_per_seed(figures, "cost", "slope"), 1.2),
                ("cost",),
            ),
            Claim(
                "digits",
                "On digits the learnt kernel is at least as accurate as the NNGP.",
                "accuracy of the machine minus that with nu = inf > -0.005",
                -0.005,
                compare_paired(
                    value_per_seed(figures, "digits-dkm", "accuracy"),
                    value_per_seed(figures, "digits-nngp", "accuracy"),
                    -0.005,
                ),
                ("digits-dkm", "digits-nngp"),
            ),
        ]

    def tables(self, figures: Figures) -> list[Table]:
        """Likelihood and error by task, alignment by nu."""
        from cadlag.recipes._deep_kernel_machine_page import tables

        return tables(figures)

    def pictures(self, figures: Figures, out: pathlib.Path) -> list[Picture]:
        """Alignment against nu; Gram matrices."""
        from cadlag.recipes._deep_kernel_machine_page import pictures

        return pictures(figures)


def _aligned(figures: Figures) -> Outcome:
    firm, free = (
        {seed: figure["alignment"][nu] for seed, figure in figures.get("exact", {}).items()} for nu in ("1000.0", "1.0")
    )
    return compare_paired(free, firm, 0.05)


def _likelier(figures: Figures, task: str, baseline: str) -> Claim:
    key = f"tasks.{task}.log_prob"
    names = {
        "nngp": "the NNGP",
        "sparse-gp": "a sparse Gaussian process",
        "ard-gp": "a Gaussian process with a length for each column",
    }
    return Claim(
        f"{task}-{baseline}",
        f"On {task} the deep kernel machine has a higher test likelihood than {names[baseline]}.",
        "test log-likelihood, nats a point, nu on validation data, minus the baseline's > 0",
        0.0,
        compare_paired(value_per_seed(figures, "dkm", key), value_per_seed(figures, baseline, key)),
        ("dkm", baseline),
    )


RECIPE = DeepKernelMachineRecipe
