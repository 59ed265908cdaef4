"""Race 2, the yardstick: the mathematics of our LNSDE and its readout, by hand.

The control is read by index at the knots, where the Hermite cubic is the data. With `hoist` all that depends
on time alone (the control's part of the drift, the scale of the noise) leaves the loop, and the two maps of
the embedding become one matrix; without, every step computes what the equations say.
"""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jax import lax

from . import problem
from .jax_tools import compile_seconds, keys, versions


def make_params(rng):
    h = problem.HIDDEN
    sizes = {
        "initial": [problem.CHANNELS, h],
        "state": [h + 2, h],
        "control": [problem.CHANNELS, h],
        "mix": [2 * h, h],
        "core": [h] * (problem.LAYERS + 1),
        "sigma": [2, h, h],
        "hidden": [h, h],
        "out": [h, problem.CLASSES],
    }
    params = {name: problem.uniform_weights(rng, s) for name, s in sizes.items()}
    params |= {"gate": np.ones((), np.float32), "norm": (np.ones(h, np.float32), np.zeros(h, np.float32))}
    return jax.tree.map(jnp.asarray, params)


def control_values(times, values):
    """The control at the knots, time first: shape (times, batch, channels)."""
    clock = np.broadcast_to(times[None, :, None], (*values.shape[:2], 1))
    return jnp.asarray(np.concatenate([clock, values], axis=2).transpose(1, 0, 2))


def dense(weights, x):
    """Affine maps with ReLU between them."""
    for W, b in weights[:-1]:
        x = jax.nn.relu(x @ W.T + b)
    W, b = weights[-1]
    return x @ W.T + b


def features(t):
    return jnp.stack([jnp.sin(t), jnp.cos(t)], axis=-1)


def plain_terms(p, times, x):
    """Rows of the scan, and drift and raw noise at one row."""

    def fields(z, row):
        t, x = row
        clock = jnp.broadcast_to(features(t), (z.shape[0], 2))
        u = dense(p["state"], jnp.concatenate([clock, z], axis=1))
        mixed = dense(p["mix"], jnp.concatenate([u, dense(p["control"], x)], axis=1))
        return mixed, jax.nn.relu(dense(p["sigma"], features(t)))

    return (times[:-1], x[:-1]), fields


def hoisted_terms(p, times, x):
    """The same, with what depends on time alone computed for all steps at once."""
    h = problem.HIDDEN
    (A1, b1), (A2, b2) = p["state"][0], p["mix"][0]
    clock = features(times[:-1]) @ A1[:, :2].T + b1
    offset = (clock @ A2[:, :h].T + b2)[:, None] + dense(p["control"], x[:-1]) @ A2[:, h:].T
    matrix = A2[:, :h] @ A1[:, 2:]
    sigma = jax.nn.relu(dense(p["sigma"], features(times[:-1])))
    return (offset, sigma), lambda z, row: (z @ matrix.T + row[0], row[1])


def solve(p, times, x, key, options):
    rows, fields = (hoisted_terms if options["hoist"] else plain_terms)(p, times, x)
    z0 = dense(p["initial"], x[0])
    widths = jnp.diff(times)
    dw = jnp.sqrt(widths)[:, None, None] * jr.normal(key, (len(widths), *z0.shape))

    def step(z, row):
        row, h, dw = row
        mixed, sigma = fields(z, row)
        drift = jnp.tanh(dense(p["core"], jax.nn.relu(mixed)))
        return z + h * drift + jnp.tanh(jax.nn.sigmoid(p["gate"]) * sigma * z) * dw, None

    if options["checkpoint"]:
        step = jax.checkpoint(step, prevent_cse=False)
    return lax.scan(step, z0, (rows, widths, dw))[0]


def readout(p, z, key):
    z = dense(p["hidden"], z)
    z = (z - z.mean(1, keepdims=True)) * lax.rsqrt(z.var(1, keepdims=True) + 1e-5)
    z = jax.nn.relu(z * p["norm"][0] + p["norm"][1])
    return dense(p["out"], jnp.where(jr.bernoulli(key, 0.9, z.shape), z / 0.9, 0))


def prepare(options):
    rng = np.random.default_rng(0)
    times, values, labels = problem.make_series(rng)
    x, times, labels = control_values(times, values), jnp.asarray(times), jnp.asarray(labels)
    optimiser = optax.adam(1e-3)

    def loss(p, key):
        k1, k2 = jr.split(key)
        logits = readout(p, solve(p, times, x, k1, options), k2)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    def train(params, opt_state, key):
        value, grads = jax.value_and_grad(loss)(params, key)
        updates, opt_state = optimiser.update(grads, opt_state)
        return optax.apply_updates(params, updates), opt_state, value

    params = make_params(rng)
    opt_state, fresh, jitted = optimiser.init(params), keys(), jax.jit(train)
    seconds = compile_seconds(jitted, (params, opt_state, jr.key(0)), options.get("compiles", 3))

    def step():
        nonlocal params, opt_state
        params, opt_state, value = jax.block_until_ready(jitted(params, opt_state, next(fresh)))
        return value

    return {"step": step, "compile": seconds, "versions": versions()}
