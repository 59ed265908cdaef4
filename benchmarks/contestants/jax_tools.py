"""The outer loops that JAX contestants share."""

from importlib.metadata import version

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax

from cadlag.train import gradient, minimise

from .compile_tools import compile_seconds as compile_seconds


def keys(count=4096):
    """Endless keys, made beforehand; each repetition sees fresh noise."""
    made = list(jr.split(jr.key(1), count))
    jax.block_until_ready(made)
    while True:
        yield from made


def gradient_race(loss, params, options):
    """A contestant whose repetition is one jitted `value_and_grad(loss)(params, key)`."""
    jitted = jax.jit(jax.value_and_grad(loss))
    seconds = compile_seconds(jitted, (params, jr.key(0)), options.get("compiles", 3))
    fresh = keys()
    value = jitted(params, jr.key(0))[0]
    return {
        "step": lambda: jax.block_until_ready(jitted(params, next(fresh))),
        "compile": seconds,
        "value": float(value),
        "versions": versions(),
    }


def versions():
    """Versions of what takes part."""
    return {name: version(name) for name in ("jax", "jaxlib", "equinox", "diffrax", "optax")}


def denoising_race(net, batch, options):
    """A contestant whose repetition is one training step by Adam, or `loop` of them in one `minimise`."""
    levels, noisy, noise = batch

    def loss(net, batch, key):
        return jnp.mean((jax.vmap(net)(levels, noisy) - noise) ** 2), {}

    update = gradient(loss, optax.adam(1e-3))
    state = update.init(net, jr.key(1))
    arrays, static = eqx.partition(state, eqx.is_array)

    def step(arrays, key):
        state = eqx.combine(arrays, static)
        if "loop" in options:
            state, info = minimise(update, state, None, options["loop"], key=key)
        else:
            state, info = update.step(state, None, key)
        return eqx.filter(state, eqx.is_array), info["loss"]

    jitted, fresh = jax.jit(step, donate_argnums=0), keys()
    seconds = compile_seconds(jitted, (arrays, jr.key(2)), options.get("compiles", 3))

    def repeat():
        nonlocal arrays
        arrays, _ = jax.block_until_ready(jitted(arrays, next(fresh)))

    return {"step": repeat, "compile": seconds, "versions": versions()}


def pass_race(function, args, options):
    """A contestant whose repetition is one call of a jitted function."""
    jitted = jax.jit(function)
    seconds = compile_seconds(jitted, args, options.get("compiles", 3))
    return {
        "step": lambda: jax.block_until_ready(jitted(*args)),
        "compile": seconds,
        "versions": versions(),
    }
