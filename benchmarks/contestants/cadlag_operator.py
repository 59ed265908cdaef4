"""Operators, ours: one jitted training step by Adam, or one forward pass of a batch."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax

from cadlag.nn import Boundary
from cadlag.operators import FNO, MgNO, SineNet, UNet
from cadlag.train import gradient

from . import problem
from .jax_tools import compile_seconds, keys, pass_race, versions


def network(name):
    size = dict(problem.OPERATORS[name])
    ends, key = (size.pop("channels"), size.pop("out")), jr.key(0)
    if name == "fno":
        hidden = size.pop("hidden")
        return FNO(*ends, **size, lift=hidden, project=hidden, key=key)
    if name == "mgno":
        return MgNO(*ends, **size, residual=False, key=key)
    if name == "sinenet":
        return SineNet(*ends, **size, boundary=Boundary.circular, key=key)
    return UNet(*ends, **size, key=key)


def prepare(options):
    net = network(options["model"])
    x, y = map(jnp.asarray, problem.fields(options["model"]))
    if options["task"] == "forward":
        arrays, static = eqx.partition(net, eqx.is_array)
        return pass_race(lambda arrays, x: jax.vmap(eqx.combine(arrays, static))(x), (arrays, x), options)
    update = gradient(lambda net, batch, key: (jnp.mean((jax.vmap(net)(x) - y) ** 2), {}), optax.adam(1e-3))
    arrays, static = eqx.partition(update.init(net, jr.key(1)), eqx.is_array)

    def step(arrays, key):
        state, info = update.step(eqx.combine(arrays, static), None, key)
        return eqx.filter(state, eqx.is_array), info["loss"]

    jitted, fresh = jax.jit(step, donate_argnums=0), keys()
    seconds = compile_seconds(jitted, (arrays, jr.key(2)), options.get("compiles", 3))

    def repeat():
        nonlocal arrays
        arrays, _ = jax.block_until_ready(jitted(arrays, next(fresh)))

    return {"step": repeat, "compile": seconds, "versions": versions()}
