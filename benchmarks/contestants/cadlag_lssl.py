"""A linear state-space layer with GELU and a mixing map, ours: a gradient of a batch; A and steps learnt or fixed."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from cadlag.nn import LegT, StateSpace

from . import problem
from .jax_tools import gradient_race

SIZE = problem.STATE_SPACE


def prepare(options):
    k1, k2 = jr.split(jr.key(0))
    layer = StateSpace(SIZE["features"], SIZE["order"], memory=LegT(), learn=options["learn"], key=k1)
    mix = eqx.nn.Linear(SIZE["features"], SIZE["features"], key=k2)
    u = jnp.asarray(
        np.random.default_rng(0).normal(size=(SIZE["batch"], SIZE["length"], SIZE["features"])), jnp.float32
    )
    weights, rest = eqx.partition((layer, mix), eqx.is_inexact_array)

    def loss(weights, key):
        layer, mix = eqx.combine(weights, rest)
        y = jax.vmap(jax.vmap(lambda row: mix(jax.nn.gelu(row[:, 0]))))(jax.vmap(layer)(u))
        return jnp.mean(y**2)

    return gradient_race(loss, weights, options)
