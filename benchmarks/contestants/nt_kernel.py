"""Kernels of wide networks, neural-tangents 0.6.5 with JAX 0.4.30."""

import sys
import types
from importlib.metadata import version

import jax
import jax.numpy as jnp

from .compile_tools import compile_seconds
from .kernel_problem import BIAS, TASKS, WEIGHT, digits

# Its experimental part imports TensorFlow, which nothing here needs.
sys.modules.setdefault("neural_tangents.experimental", types.ModuleType("neural_tangents.experimental"))
import neural_tangents as nt  # noqa: E402
from neural_tangents import stax  # noqa: E402


def layers(task):
    size, std = TASKS[task], {"W_std": WEIGHT, "b_std": BIAS}
    head = stax.Dense(size.get("outputs", 1), **std)
    width = size.get("width", 1)
    if task.startswith("dense"):
        return stax.serial(*[m for _ in range(size["layers"]) for m in (stax.Dense(width, **std), stax.Relu())], head)
    body = [m for _ in range(size["layers"]) for m in (stax.Conv(width, (3, 3), padding="SAME", **std), stax.Relu())]
    return stax.serial(*body, stax.GlobalAvgPool() if size.get("pool") else stax.Flatten(), head)


def prepare(options):
    task = options["task"]
    x = jnp.asarray(digits(task))
    x = x if x.ndim == 2 else x[..., None]
    init, apply, kernel = layers(task)
    if task == "empirical":
        _, params = init(jax.random.PRNGKey(0), x.shape)
        way = nt.NtkImplementation[options["method"]]
        of = nt.empirical_ntk_fn(apply, trace_axes=(-1,), vmap_axes=0, implementation=way)
        run, inputs = jax.jit(lambda p, x: of(x, None, p)), (params, x)
    else:
        run, inputs = jax.jit(lambda x: kernel(x, None, ("nngp", "ntk"))), (x,)
    seconds = compile_seconds(run, inputs, options.get("compiles", 3))
    value = run(*inputs) if task == "empirical" else run(*inputs).ntk
    return {
        "step": lambda: jax.block_until_ready(run(*inputs)),
        "compile": seconds,
        "value": float(jnp.mean(value)),
        "versions": {name: version(name) for name in ("jax", "jaxlib", "neural-tangents")},
    }
