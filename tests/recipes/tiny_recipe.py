"""A recipe without training, for the tests of the runner. Faults are asked for through environment
variables.
"""

import os
import pathlib
import random
import time

from cadlag.recipes import (
    AbstractRecipe,
    Arm,
    Bars,
    Claim,
    Curves,
    Line,
    Paper,
    Paths,
    Preset,
    Table,
    below,
    compare_paired,
    value_per_seed,
)

RATES = (0.0, 0.3, 0.5, 0.7)


class Tiny(AbstractRecipe):
    name = "tiny"
    title = "A tiny recipe"
    summary = "Two arms that draw numbers, one baseline that sees nothing."
    precision = 64
    bibtex = "@article{tiny, title={Tiny}}"

    def arms(self, preset):
        arms = (
            Arm("good", "ours", "mean 0.9"),
            Arm("bad", "baseline", "mean 0.6"),
            Arm("half", "ablation"),
            Arm("blind", "blind"),
        )
        return arms[:2] if preset is Preset.SMOKE else arms

    def seeds(self, preset):
        return (0, 1, 2)

    def settings(self, preset):
        return {"scale": float(os.environ.get("TINY_SCALE", "0.01")), "rates": RATES}

    def measure(self, arm, preset, seed, out: pathlib.Path):
        time.sleep(float(os.environ.get("TINY_SLEEP", "0")))
        if os.environ.get("TINY_CRASH") == f"{arm.name}/{seed}":
            raise FloatingPointError("loss is not finite at step 7")
        if os.environ.get("TINY_KILL") == f"{arm.name}/{seed}":
            os._exit(9)
        (out / "trace.txt").write_text(f"{os.getpid()}\n")
        level = {"good": 0.9, "bad": 0.6, "half": 0.8, "blind": 0.5}[arm.name]
        noise = random.Random(f"{arm.name}{seed}")
        curve = [level - 0.2 * rate**2 + 0.01 * noise.gauss(0, 1) for rate in RATES]
        return {
            "accuracy": level + 0.01 * noise.gauss(0, 1),
            "curve": curve,
            "nested": {"error": 0.001 * (seed + 1)},
            "environment": {key: os.environ.get(key) for key in ("JAX_ENABLE_X64", "NPROC", "JAX_PLATFORMS")},
        }

    def judge(self, figures):
        good, bad = (value_per_seed(figures, arm, "accuracy") for arm in ("good", "bad"))
        half = value_per_seed(figures, "half", "accuracy")
        error = value_per_seed(figures, "good", "nested.error")
        return [
            Claim("better", "Good beats bad.", "accuracy(good) - accuracy(bad) > 0.1", 0.1,
                  compare_paired(good, bad, 0.1), ("good", "bad"), Paper(0.93, "recalled")),
            Claim("worse", "Bad beats good.", "accuracy(bad) - accuracy(good) > 0", 0.0,
                  compare_paired(bad, good), ("good", "bad")),
            Claim("near", "The error is below 0.002.", "error < 0.002", 0.002,
                  below(error, 0.002), ("good",)),
            Claim("part", "The part taken away helps.", "accuracy(good) - accuracy(half) > 0", 0.0,
                  compare_paired(good, half), ("good", "half")),
        ]  # fmt: skip

    def tables(self, figures):
        rows = [[arm, [f["accuracy"] for f in seeds.values()]] for arm, seeds in figures.items()]
        return [Table("Accuracy", ("arm", "accuracy"), rows, "Share of right answers.")]

    def pictures(self, figures, out):
        lines = [
            Line(
                arm,
                RATES,
                next(iter(seeds.values()))["curve"],
                [0.02] * 4,
                "ours" if arm == "good" else "baseline",
            )
            for arm, seeds in figures.items()
        ]
        walk = random.Random(0)
        paths = {
            arm: [[sum(walk.gauss(0, 0.1) for _ in range(3)) for _ in range(30)] for _ in range(6)] for arm in figures
        }
        return [
            Curves("accuracy", "Accuracy against missing rate.", lines, "missing rate", "accuracy"),
            Paths("samples", "Sample paths.", list(range(30)), paths),
            Bars(
                "time",
                "Time of a training step.",
                list(figures),
                [1.0 + i for i, _ in enumerate(figures)],
                "ms",
            ),
        ]
