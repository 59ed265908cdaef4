"""Spectral density of a Hessian, ours: one probe, twenty Lanczos steps."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from cadlag.linalg import hessian_product, spectral_density
from cadlag.nn import MLP, Conv

from .curvature_problem import CLASSES, STEPS, TASKS, data
from .jax_tools import compile_seconds, versions


class Small(eqx.Module):
    layers: list
    last: eqx.nn.Linear

    def __init__(self, channels, key):
        keys = jr.split(key, len(channels) + 1)
        sizes = zip((1, *channels), channels, keys, strict=False)
        self.layers = [Conv(a, b, 3, key=k) for a, b, k in sizes]
        self.last = eqx.nn.Linear(channels[-1], CLASSES, key=keys[-1])

    def __call__(self, x):
        x = jnp.moveaxis(x, 0, -1)
        for layer in self.layers:
            x = jnp.tanh(layer(x))
        return self.last(jnp.mean(x, axis=(0, 1)))


def loss(model, example):
    return -jax.nn.log_softmax(model(example[0]))[example[1]]


def prepare(options):
    task = options["task"]
    size, (x, y) = TASKS[task], (jnp.asarray(a) for a in data(task))
    if task == "mlp":
        model = MLP(*size["input"], CLASSES, size["widths"][0], len(size["widths"]), activation=jnp.tanh, key=jr.key(0))
    else:
        model = Small(size["channels"], jr.key(0))
    arrays, static = eqx.partition(hessian_product(loss, model, (x, y)), eqx.is_array)

    @jax.jit
    def run(arrays, key):
        hessian = eqx.combine(arrays, static)
        return spectral_density(hessian, hessian.parameters, steps=STEPS, probes=1, key=key).nodes

    seconds = compile_seconds(run, (arrays, jr.key(0)), options.get("compiles", 3))
    return {
        "step": lambda: jax.block_until_ready(run(arrays, jr.key(1))),
        "compile": seconds,
        "value": float(jnp.max(run(arrays, jr.key(0)))),
        "versions": versions(),
    }
