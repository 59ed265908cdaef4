"""What the gradient through a sampler costs and how exact it is, for each adjoint, variable and stepper.

    python benchmarks/sampler_adjoints.py

Costs are those of the gradient of the mean square of 64 samples with respect to the noise and all weights, float32.
The error is that of the gradient with respect to the noise of an exactly known denoiser (a Gaussian mixture), float64,
against 2000 steps of Heun's method differentiated step by step; the last column compares with the gradient of the same
steps stored, which is the gradient of what was computed.
"""

import argparse
import json
import os
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from facts import describe, load_average, machine_facts

from cadlag.diffusion import VP, Denoiser, DPMSolver, ExactDenoiser, NoiseRatio, ProbabilityFlow, Time, UniformLogSNR
from cadlag.distributions import ring_of_gaussians
from cadlag.nn import ScoreMLP
from cadlag.solve import Backsolve, Checkpointed, Direct, EulerMaruyama, Heun

BATCH, SIZE, WIDTH, DEPTH = 64, 8, 128, 3
STEPS = (10, 50)
ADJOINTS = {
    "Direct()": Direct(),
    "Direct(store_intermediates=True)": Direct(store_intermediates=True),
    "Checkpointed()": Checkpointed(),
    "Backsolve()": Backsolve(),
}
FLOWS = {
    "Heun in t": lambda n, a: ProbabilityFlow(n, Heun(), adjoint=a, variable=Time()),
    "Euler in σ/α": lambda n, a: ProbabilityFlow(n, EulerMaruyama(), adjoint=a, variable=NoiseRatio()),
    "Heun in σ/α": lambda n, a: ProbabilityFlow(n, Heun(), UniformLogSNR(), a, NoiseRatio()),
    "DPM-Solver++ 2": lambda n, a: DPMSolver(n, adjoint=a),
}


def loss_of(denoiser, sampler):
    """Mean square of samples as a function of their noise (n, d)."""

    def loss(x):
        run = lambda z: sampler.run(denoiser, z, key=jr.key(0)).x  # noqa: E731
        return jnp.mean(jax.vmap(run)(x) ** 2)

    return loss


def measure_cost(sampler, repetitions):
    """Median milliseconds, seconds of compiling, bytes of temporary memory."""
    net = ScoreMLP(SIZE, width=WIDTH, depth=DEPTH, key=jr.key(0))
    arrays, static = eqx.partition(Denoiser(network=net, schedule=VP()), eqx.is_inexact_array)
    arrays = jax.tree.map(lambda x: x.astype(jnp.float32), arrays)
    gradient = jax.jit(jax.grad(lambda p, x: loss_of(eqx.combine(p, static), sampler)(x), (0, 1)))
    given = arrays, jr.normal(jr.key(1), (BATCH, SIZE), jnp.float32)
    jax.clear_caches()
    start = time.perf_counter()
    compiled = gradient.lower(*given).compile()
    compile_seconds = time.perf_counter() - start
    seconds = []
    for _ in range(repetitions + 1):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*given))
        seconds.append(time.perf_counter() - start)
    return {
        "milliseconds": 1e3 * median(seconds[1:]),
        "compile_seconds": compile_seconds,
        "temporary_bytes": compiled.memory_analysis().temp_size_in_bytes,
    }


def noise_gradient(sampler):
    """The gradient with respect to the noise of 32 samples of a ring of Gaussians, float64."""
    exact = ExactDenoiser(law=ring_of_gaussians(8, jnp.asarray(2.0), jnp.asarray(0.3)), schedule=VP())
    x = jr.normal(jr.key(2), (32, 2), jnp.float64)
    return jax.jit(jax.grad(loss_of(exact, sampler)))(x)


def relative(a, b):
    return float(jnp.linalg.norm(a - b) / jnp.linalg.norm(b))


def run(step_counts, repetitions):
    """All rows; an adjoint that a sampler refuses is a row that says so."""
    rows = []
    truth = noise_gradient(ProbabilityFlow(2000, Heun(), UniformLogSNR(), Checkpointed(), NoiseRatio()))
    for label, make in FLOWS.items():
        for steps in step_counts:
            stored = None
            for name, adjoint in ADJOINTS.items():
                row = {"sampler": label, "adjoint": name, "steps": steps}
                rows.append(row)
                try:
                    found = noise_gradient(make(steps, adjoint))
                    row |= measure_cost(make(steps, adjoint), repetitions)
                except Exception as error:
                    row["failed"] = f"{type(error).__name__}: {str(error).splitlines()[0]}"
                    continue
                stored = found if stored is None else stored
                row["gradient_error"] = relative(found, truth)
                row["difference_from_direct"] = relative(found, stored)
    return rows


def markdown(facts, rows):
    """One table."""
    head = "sampler | adjoint | steps | ms | compile s | temporary kB | gradient error | difference from Direct"
    lines = ["# Gradients through samplers", "", *describe(facts), ""]
    lines += [
        f"Costs: gradient of the mean square of {BATCH} samples of length {SIZE} for noise and weights, score MLP of",
        f"width {WIDTH} and depth {DEPTH}, float32. Errors: gradient for the noise with an exact denoiser (ring of",
        "Gaussians), float64, relative, against 2000 steps; and against the same steps stored.",
        "",
        f"| {head} |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for r in rows:
        start = f"| {r['sampler']} | {r['adjoint']} | {r['steps']} | "
        if "failed" in r:
            lines.append(f"{start}refused: {r['failed']} | | | | |")
            continue
        lines.append(
            f"{start}{r['milliseconds']:.2f} | {r['compile_seconds']:.2f} | {r['temporary_bytes'] / 1024:.0f} | "
            f"{r['gradient_error']:.1e} | {r['difference_from_direct']:.1e} |"
        )
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    default = Path(__file__).resolve().parent.parent / "results/benchmarks/sampler_adjoints"
    parser.add_argument("--out", type=Path, default=default)
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    facts = machine_facts(load_average())
    facts["versions"] = {name: version(name) for name in ("jax", "jaxlib", "equinox")}
    rows = run(arguments.steps, arguments.repetitions)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.with_suffix(".json").write_text(json.dumps({"machine": facts, "rows": rows}, indent=1) + "\n")
    arguments.out.with_suffix(".md").write_text(markdown(facts, rows))
    print(markdown(facts, rows))


if __name__ == "__main__":
    main()
