"""Race 1, ours: `cadlag.solve.solve` for one path, vmapped."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from cadlag.nn import MLP
from cadlag.solve import SDE, solve

from . import problem
from .jax_tools import gradient_race


def prepare(options):
    size = problem.STATE, problem.STATE, problem.WIDTH, 1
    nets = [MLP(*size, activation=jnp.tanh, key=k) for k in jr.split(jr.key(0))]
    params, static = eqx.partition(tuple(nets), eqx.is_inexact_array)
    y0 = jnp.asarray(np.random.default_rng(0).normal(size=(problem.BATCH, problem.STATE)), jnp.float32)
    ts = jnp.asarray([0.0, 1.0])
    process = SDE(lambda t, y, nets: nets[0](y), lambda t, y, nets: nets[1](y))
    settings = {k: v for k, v in options.items() if k == "throw"}

    def loss(params, key):
        nets = eqx.combine(params, static)

        def path(y, k):
            return solve(process, y, ts, args=nets, key=k, steps=problem.STEPS, **settings).y1

        return jnp.mean(jax.vmap(path)(y0, jr.split(key, problem.BATCH)) ** 2)

    return gradient_race(loss, params, options)
