"""Simulators, ours: `simulate` from values to values, or `solve` from Fourier coefficients to values."""

import jax
import jax.numpy as jnp

from cadlag.equations import Burgers, KuramotoSivashinsky, NavierStokes, fourier_state, fourier_values, simulate
from cadlag.fields import Grid
from cadlag.solve import ETDRK4, solve

from . import problem
from .compile_tools import compile_seconds
from .jax_tools import versions


def make(name):
    size = problem.SIMULATIONS[name]
    if name == "ks":
        return KuramotoSivashinsky()
    return Burgers(size["nu"]) if name == "burgers" else NavierStokes(size["nu"])


def prepare(options):
    name = options["problem"]
    size, u0 = problem.SIMULATIONS[name], jnp.asarray(problem.initial_states(name))
    equation = make(name)
    grid, ends = Grid(equation.space, size["points"]), [0.0, size["dt"] * size["steps"]]
    process = equation.on(grid)

    def one(u):
        if not options.get("modes"):
            return simulate(equation, grid, ends, u0=u, step=size["dt"]).values[-1]
        state = fourier_state(equation, grid, u)
        solution = solve(process, state, ends, steps=size["steps"], stepper=ETDRK4(), throw=False)
        return fourier_values(grid, solution.y1)

    run = jax.jit(jax.vmap(one))
    seconds = compile_seconds(run, (u0,), options.get("compiles", 3))
    return {
        "step": lambda: jax.block_until_ready(run(u0)),
        "compile": seconds,
        "value": float(jnp.mean(run(u0) ** 2)),
        "versions": versions(),
    }
