"""Simulators, exponax: its steppers of order 4, repeated from value to value or in Fourier space."""

from importlib.metadata import version

import exponax as ex
import jax
import jax.numpy as jnp

from . import problem
from .compile_tools import compile_seconds


def make(name):
    size = problem.SIMULATIONS[name]
    dimensions = 2 if name == "ns" else 1
    of = (dimensions, size["length"], size["points"], size["dt"])
    if name == "ks":
        return ex.stepper.KuramotoSivashinskyConservative(*of, order=4)
    if name == "burgers":
        return ex.stepper.Burgers(*of, diffusivity=size["nu"], order=4)
    # Its vorticity is u_y - v_x; with the convection's sign turned the equation is that of v_x - u_y.
    return ex.stepper.NavierStokesVorticity(*of, diffusivity=size["nu"], vorticity_convection_scale=-1.0, order=4)


def prepare(options):
    name = options["problem"]
    size, u0 = problem.SIMULATIONS[name], jnp.asarray(problem.initial_states(name))[:, None]
    stepper = make(name)
    repeated = ex.RepeatedStepper(stepper, size["steps"]) if options["modes"] else ex.repeat(stepper, size["steps"])
    run = jax.jit(jax.vmap(repeated))
    seconds = compile_seconds(run, (u0,), options.get("compiles", 3))
    return {
        "step": lambda: jax.block_until_ready(run(u0)),
        "compile": seconds,
        "value": float(jnp.mean(run(u0) ** 2)),
        "versions": {name: version(name) for name in ("jax", "jaxlib", "exponax")},
    }
