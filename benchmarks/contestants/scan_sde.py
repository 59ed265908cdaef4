"""Race 1, the yardstick: what a careful user writes by hand, a `lax.scan` over batched matrix products."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax

from . import problem
from .jax_tools import gradient_race


def mlp(weights, y):
    for W, b in weights[:-1]:
        y = jnp.tanh(y @ W.T + b)
    W, b = weights[-1]
    return y @ W.T + b


def prepare(options):
    rng = np.random.default_rng(0)
    sizes = [problem.STATE, problem.WIDTH, problem.STATE]
    params = jax.tree.map(jnp.asarray, [problem.uniform_weights(rng, sizes) for _ in range(2)])
    y0 = jnp.asarray(rng.normal(size=(problem.BATCH, problem.STATE)), jnp.float32)
    h = 1.0 / problem.STEPS

    def loss(params, key):
        drift, diffusion = params
        dw = h**0.5 * jr.normal(key, (problem.STEPS, *y0.shape))

        def step(y, dw):
            return y + h * mlp(drift, y) + mlp(diffusion, y) * dw, None

        if options["checkpoint"]:
            step = jax.checkpoint(step, prevent_cse=False)
        return jnp.mean(lax.scan(step, y0, dw)[0] ** 2)

    return gradient_race(loss, params, options)
