"""What each adjoint costs and how exact its gradient is: time, compile time, memory, error.

    python benchmarks/adjoints.py

Costs are those of `value_and_grad` of mean(y(1)²) in float32, a batch of 32, noise from a key. The error is
that of the gradient for one path against float64 on a grid ten times finer; for the SDE both see one path.
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

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from facts import describe, load_average, machine_facts

from cadlag.nn import MLP
from cadlag.paths.noise import AbstractNoise, BrownianTree, NoiseIncrement
from cadlag.solve import (
    ODE,
    SDE,
    Backsolve,
    Calculus,
    Checkpointed,
    Direct,
    FixedSteps,
    Heun,
    Reversible,
    ReversibleHeun,
    solve,
)

BATCH, STATE, WIDTH = 32, 8, 32
STEPS = (100, 1000)
FINER = 10
ROWS = {
    "Direct()": (Direct(), Heun()),
    "Direct(store_intermediates=True)": (Direct(store_intermediates=True), Heun()),
    "Checkpointed()": (Checkpointed(), Heun()),
    "Direct(), ReversibleHeun": (Direct(), ReversibleHeun()),
    "Reversible()": (Reversible(), ReversibleHeun()),
    "Backsolve(), Diffrax": (Backsolve(), diffrax.Heun()),
}
SAME_STEPPER = {Heun: "Direct()", diffrax.Heun: "Direct()", ReversibleHeun: "Direct(), ReversibleHeun"}


class Widened(AbstractNoise):
    """Another noise with its increments cast to float64: one path in both precisions."""

    noise: AbstractNoise
    shape: jax.ShapeDtypeStruct = eqx.field(static=True)

    def increments(self, grid, *, levy_area=False):
        drawn = self.noise.increments(grid.astype(jnp.float32), levy_area=levy_area)
        return NoiseIncrement(drawn.dw.astype(jnp.float64), None)


def processes(dtype):
    """An ODE and a Stratonovich SDE with tanh networks as coefficients: (name, process, networks)."""
    keys = jr.split(jr.key(0))
    nets = [MLP(STATE, STATE, WIDTH, 1, activation=jnp.tanh, final_activation=jnp.tanh, key=k) for k in keys]
    nets = jax.tree.map(lambda x: x.astype(dtype) if eqx.is_inexact_array(x) else x, tuple(nets))
    ode = ODE(lambda t, y, nets: nets[0](y))
    sde = SDE(lambda t, y, nets: nets[0](y), lambda t, y, nets: nets[1](y), calculus=Calculus.stratonovich)
    return [("ODE", ode, nets), ("SDE", sde, nets)]


def make_loss(process, static, adjoint, stepper, steps, dtype):
    """mean(y(1)²) of one path as a function of (arrays of the networks, y0, driver)."""
    grid = FixedSteps(jnp.linspace(0.0, 1.0, steps + 1, dtype=dtype))

    def loss(arrays, y0, driver):
        nets = eqx.combine(arrays, static)
        given = {"key": driver} if isinstance(driver, jax.Array) else {"driver": driver}
        ends = jnp.asarray([0.0, 1.0], dtype)
        y1 = solve(process, y0, ends, args=nets, steps=grid, stepper=stepper, adjoint=adjoint, throw=False, **given).y1
        return jnp.mean(y1**2)

    return loss


def measure_cost(process, nets, adjoint, stepper, steps, repetitions):
    """Median milliseconds, seconds of compiling, bytes of temporary memory."""
    arrays, static = eqx.partition(nets, eqx.is_inexact_array)
    loss = make_loss(process, static, adjoint, stepper, steps, jnp.float32)
    noisy = isinstance(process, SDE)
    # Backsolve needs noise that can be asked for any interval; the others draw theirs from the key.
    tree = isinstance(adjoint, Backsolve)

    def batch_loss(arrays, y0, keys):
        def one(y, k):
            if not noisy:
                return loss(arrays, y, None)
            return loss(
                arrays, y, BrownianTree(jnp.float32(0), jnp.float32(1), (STATE,), tol=0.5 / steps, key=k) if tree else k
            )

        return jnp.mean(jax.vmap(one)(y0, keys))

    y0 = jr.normal(jr.key(1), (BATCH, STATE), jnp.float32)
    given = arrays, y0, jr.split(jr.key(2), BATCH)
    jax.clear_caches()
    start = time.perf_counter()
    compiled = jax.jit(jax.value_and_grad(batch_loss)).lower(*given).compile()
    compile_seconds = time.perf_counter() - start
    seconds = [timed(compiled, given) for _ in range(repetitions + 1)][1:]
    return {
        "milliseconds": 1e3 * median(seconds),
        "compile_seconds": compile_seconds,
        "temporary_bytes": compiled.memory_analysis().temp_size_in_bytes,
    }


def timed(compiled, given):
    start = time.perf_counter()
    jax.block_until_ready(compiled(*given))
    return time.perf_counter() - start


def gradients(process, nets, adjoint, stepper, steps, dtype, finest):
    """The gradient along one path, as one float64 vector."""
    arrays, static = eqx.partition(nets, eqx.is_inexact_array)
    driver = None
    if isinstance(process, SDE):
        driver = BrownianTree(jnp.float32(0), jnp.float32(1), (STATE,), tol=0.25 / finest, key=jr.key(3))
        if dtype == jnp.float64:
            driver = Widened(driver, jax.ShapeDtypeStruct((STATE,), jnp.float64))
    y0 = jr.normal(jr.key(1), (STATE,), jnp.float32).astype(dtype)
    loss = make_loss(process, static, adjoint, stepper, steps, dtype)
    grads = jax.jit(jax.grad(loss))(arrays, y0, driver)
    return jnp.concatenate([g.astype(jnp.float64).reshape(-1) for g in jax.tree.leaves(grads)])


def relative(a, b):
    return float(jnp.linalg.norm(a - b) / jnp.linalg.norm(b))


def run(step_counts, repetitions):
    """All rows: costs, and errors relative to the reference and to `Direct` with the same stepper."""
    rows, finest = [], FINER * max(step_counts)
    for (name, process, nets), (_, _, wide) in zip(processes(jnp.float32), processes(jnp.float64), strict=True):
        reference = gradients(process, wide, Checkpointed(), Heun(), finest, jnp.float64, finest)
        for steps in step_counts:
            found = {}
            for label, (adjoint, stepper) in ROWS.items():
                row = {"process": name, "adjoint": label, "steps": steps}
                rows.append(row)
                try:
                    found[label] = gradients(process, nets, adjoint, stepper, steps, jnp.float32, finest)
                    row |= measure_cost(process, nets, adjoint, stepper, steps, repetitions)
                except Exception as error:  # one adjoint that fails must not hide the others
                    row["failed"] = f"{type(error).__name__}: {str(error).splitlines()[0]}"
                    continue
                row["gradient_error"] = relative(found[label], reference)
                row["difference_from_direct"] = relative(found[label], found[SAME_STEPPER[type(stepper)]])
    return rows


def markdown(facts, rows):
    """One table."""
    head = "process | adjoint | steps | ms | compile s | temporary kB | gradient error | difference from Direct"
    lines = ["# Adjoints", "", *describe(facts), ""]
    lines += [
        f"`value_and_grad` of mean(y(1)²), batch {BATCH}, state {STATE}, width {WIDTH}, float32,",
        "Heun unless named otherwise. Errors are relative, for one path: against float64 on a grid ten times",
        "finer than the finest here, and against `Direct()` with the same stepper and steps. Backsolve reads",
        "a virtual Brownian tree, whose cost is part of its time.",
        "",
        f"| {head} |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for r in rows:
        if "failed" in r:
            lines.append(f"| {r['process']} | {r['adjoint']} | {r['steps']} | failed: {r['failed']} | | | | |")
            continue
        lines.append(
            f"| {r['process']} | {r['adjoint']} | {r['steps']} | {r['milliseconds']:.2f} | "
            f"{r['compile_seconds']:.2f} | {r['temporary_bytes'] / 1024:.0f} | {r['gradient_error']:.1e} | "
            f"{r['difference_from_direct']:.1e} |"
        )
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=30)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    default = Path(__file__).resolve().parent.parent / "results/benchmarks/adjoints"
    parser.add_argument("--out", type=Path, default=default)
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    facts = machine_facts(load_average())
    facts["versions"] = {name: version(name) for name in ("jax", "jaxlib", "diffrax")}
    rows = run(arguments.steps, arguments.repetitions)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.with_suffix(".json").write_text(json.dumps({"machine": facts, "rows": rows}, indent=1) + "\n")
    arguments.out.with_suffix(".md").write_text(markdown(facts, rows))
    print(markdown(facts, rows))


if __name__ == "__main__":
    main()
