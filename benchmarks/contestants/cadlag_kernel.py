"""Kernels of wide networks, ours: Gram matrices of an architecture, or the empirical kernel of a network."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from cadlag.kernels import AveragePool, Conv, Dense, Flatten, ReLU, Serial, finite_network, network_kernels
from cadlag.linalg import NTKMethod, empirical_ntk

from .jax_tools import compile_seconds, versions
from .kernel_problem import BIAS, TASKS, WEIGHT, digits


def architecture(task):
    size = TASKS[task]
    head = Dense(WEIGHT, BIAS)
    if task.startswith("dense"):
        return Serial(*[m for _ in range(size["layers"]) for m in (Dense(WEIGHT, BIAS), ReLU())], head)
    body = [m for _ in range(size["layers"]) for m in (Conv((3, 3), WEIGHT, BIAS), ReLU())]
    ends = (AveragePool(), Flatten()) if size.get("pool") else (Flatten(),)
    return Serial(*body, *ends, head)


def prepare(options):
    task = options["task"]
    x, net = jnp.asarray(digits(task)), architecture(task)
    x = x if x.ndim == 2 else x[:, None]
    if task == "empirical":
        size = TASKS[task]
        model = finite_network(net, (1, 8, 8), width=size["width"], outputs=size["outputs"], key=jr.key(0))
        arrays, static = eqx.partition(model, eqx.is_array)
        method = NTKMethod[options["method"]]
        run = jax.jit(lambda a, x: empirical_ntk(eqx.combine(a, static), x, trace=True, method=method))
        inputs = (arrays, x)
    else:
        run, inputs = jax.jit(lambda x: network_kernels(net, x)), (x,)
    seconds = compile_seconds(run, inputs, options.get("compiles", 3))
    value = run(*inputs) if task == "empirical" else run(*inputs).ntk
    return {
        "step": lambda: jax.block_until_ready(run(*inputs)),
        "compile": seconds,
        "value": float(jnp.mean(value)),
        "versions": versions(),
    }
