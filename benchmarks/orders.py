"""Measured strong and weak orders of every stepper, by regression over step sizes that see one Brownian path.

    python benchmarks/orders.py

Strong error: mean |y_h(1) - y(1)| over paths. Weak error: |mean of y_h(1)² - y(1)²| over the same paths,
whose common noise cancels most of the statistical error; step sizes at which it is below three standard
errors are left out, and with fewer than three left the weak order counts as not resolved. y is the exact
solution, or where there is none the same equation solved by the most exact stepper on the finest grid.
"""

import argparse
import json
import os
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from facts import describe, load_average, machine_facts

from cadlag.paths.noise import BrownianGrid
from cadlag.solve import (
    SDE,
    SRK,
    Calculus,
    EulerMaruyama,
    FixedSteps,
    Heun,
    Milstein,
    NoiseKind,
    ReversibleHeun,
    solve,
)

CELLS, STEPS = 512, (8, 16, 32, 64)
MU, SIGMA, NOISE = 0.5, 0.8, 0.6
ITO, STRATONOVICH = Calculus.ito, Calculus.stratonovich


@dataclass(frozen=True)
class Problem:
    """An SDE with y(0) = 1, and how y(1) is known: from W(1), or by a stepper on the finest grid."""

    name: str
    noise: NoiseKind
    calculus: Calculus
    drift: Any
    diffusion: Any
    exact: Any = None
    reference: Any = None

    def process(self) -> SDE:
        return SDE(self.drift, self.diffusion, noise=self.noise, calculus=self.calculus)


def gbm(noise: NoiseKind, calculus: Calculus) -> Problem:
    rate = MU - 0.5 * SIGMA**2 if calculus is ITO else MU
    exact = lambda w: jnp.exp(rate + SIGMA * w)  # noqa: E731
    return Problem(
        "geometric Brownian motion", noise, calculus, lambda t, y, a: MU * y, lambda t, y, a: SIGMA * y, exact
    )


def additive(calculus: Calculus) -> Problem:
    drift = lambda t, y, a: jnp.sin(3.0 * y) - y  # noqa: E731
    return Problem(
        "dy = (sin 3y - y) dt + 0.6 dW",
        NoiseKind.additive,
        calculus,
        drift,
        lambda t, y, a: NOISE * jnp.ones_like(y),
        reference=SRK(),
    )


DIAGONAL, SCALAR = NoiseKind.diagonal, NoiseKind.scalar
# (stepper, problem, strong and weak order in theory; None: no claim)
CASES = [
    (EulerMaruyama(), gbm(DIAGONAL, ITO), 0.5, 1.0),
    (Milstein(), gbm(DIAGONAL, ITO), 1.0, 1.0),
    (SRK(), gbm(DIAGONAL, ITO), 1.5, None),
    (Milstein(), gbm(DIAGONAL, STRATONOVICH), 1.0, 1.0),
    (Heun(), gbm(DIAGONAL, STRATONOVICH), 1.0, 1.0),
    (ReversibleHeun(), gbm(DIAGONAL, STRATONOVICH), 0.5, None),
    (EulerMaruyama(), gbm(SCALAR, ITO), 0.5, 1.0),
    (Milstein(), gbm(SCALAR, ITO), 1.0, 1.0),
    (SRK(), gbm(SCALAR, ITO), 1.5, None),
    (Heun(), gbm(SCALAR, STRATONOVICH), 1.0, 1.0),
    (ReversibleHeun(), gbm(SCALAR, STRATONOVICH), 0.5, None),
    (EulerMaruyama(), additive(ITO), 1.0, 1.0),
    (Milstein(), additive(ITO), 1.0, 1.0),
    (SRK(), additive(ITO), 1.5, None),
    (Heun(), additive(STRATONOVICH), 1.0, None),
    (ReversibleHeun(), additive(STRATONOVICH), 1.0, None),
]


def differences(stepper, problem, step_counts, cells, keys):
    """y_h(1) and y(1) for every path: shapes (paths, step sizes) and (paths,)."""
    process, y0, grid = problem.process(), jnp.ones((1,)), jnp.linspace(0.0, 1.0, cells + 1)
    shape = () if problem.noise is SCALAR else (1,)

    def end(key, method, steps):
        noise = BrownianGrid(grid, shape, key=key).every(cells // steps)
        solved = solve(
            process if method is stepper else SDE(process.drift_field, process.diffusion_field, process.noise, ITO),
            y0,
            grid[jnp.array([0, -1])],
            driver=noise,
            steps=FixedSteps(noise.step_grid),
            stepper=method,
            throw=False,
        )
        return solved.y1[0]

    def one(key):
        if problem.exact is None:
            truth = end(key, problem.reference, cells)
        else:
            truth = problem.exact(BrownianGrid(grid, shape, key=key).evaluate()[-1].reshape(()))
        return jnp.stack([end(key, stepper, n) for n in step_counts]), truth

    made = [jax.jit(jax.vmap(one))(part) for part in jnp.split(keys, max(1, len(keys) // 2000))]
    return tuple(np.concatenate(parts) for parts in zip(*made, strict=True))


def slope(x, y):
    """Least squares in logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def measure(stepper, problem, strong, weak, step_counts, cells, keys):
    """One row."""
    found, truth = differences(stepper, problem, step_counts, cells, keys)
    h = 1.0 / np.asarray(step_counts)
    strong_errors = np.mean(np.abs(found - truth[:, None]), axis=0)
    bias = found**2 - truth[:, None] ** 2
    weak_errors, standard_errors = np.abs(bias.mean(0)), bias.std(0, ddof=1) / len(bias) ** 0.5
    clear = weak_errors > 3 * standard_errors
    return {
        "stepper": type(stepper).__name__,
        "problem": problem.name,
        "noise": problem.noise.name,
        "calculus": problem.calculus.value,
        "strong_order": slope(h, strong_errors),
        "strong_theory": strong,
        "weak_order": slope(h[clear], weak_errors[clear]) if clear.sum() >= 3 else None,
        "weak_theory": weak,
        "steps": list(step_counts),
        "strong_errors": strong_errors.tolist(),
        "weak_errors": weak_errors.tolist(),
        "weak_standard_errors": standard_errors.tolist(),
    }


def markdown(facts, rows):
    """One table."""
    lines = ["# Orders of convergence", "", *describe(facts), ""]
    lines += [
        f"{facts['paths']} paths, steps {', '.join(map(str, facts['steps']))} on [0, 1]; all step sizes sum",
        "cells of one Brownian grid. Theory: the order guaranteed for this kind of noise. Weak: for y²;",
        "*n. r.*: not resolved, the error is below three standard errors at most step sizes.",
        "",
        "| stepper | problem | noise | calculus | strong | theory | weak | theory | least strong error |",
        "|---|---|---|---|--:|--:|--:|--:|--:|",
    ]
    for r in rows:
        weak = "n. r." if r["weak_order"] is None else f"{r['weak_order']:.2f}"
        theory = ["" if r[k] is None else f"{r[k]:g}" for k in ("strong_theory", "weak_theory")]
        lines.append(
            f"| {r['stepper']} | {r['problem']} | {r['noise']} | {r['calculus']} | {r['strong_order']:.2f} | "
            f"{theory[0]} | {weak} | {theory[1]} | {r['strong_errors'][-1]:.1e} |"
        )
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paths", type=int, default=20000)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    parser.add_argument("--cells", type=int, default=CELLS)
    default = Path(__file__).resolve().parent.parent / "results/benchmarks/orders"
    parser.add_argument("--out", type=Path, default=default)
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    facts = machine_facts(load_average()) | {"paths": arguments.paths, "steps": arguments.steps}
    facts["versions"] = {name: version(name) for name in ("jax", "jaxlib")}
    keys = jr.split(jr.key(0), arguments.paths)
    row = partial(measure, step_counts=tuple(arguments.steps), cells=arguments.cells, keys=keys)
    rows = [row(*case) for case in CASES]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.with_suffix(".json").write_text(json.dumps({"machine": facts, "rows": rows}, indent=1) + "\n")
    arguments.out.with_suffix(".md").write_text(markdown(facts, rows))
    print(markdown(facts, rows))


if __name__ == "__main__":
    main()
