"""Does your training oscillate? Look at the losses of any run, from memory or from its folder."""

import os
import sys
import tempfile

import jax
import jax.numpy as jnp
import optax

from cadlag.data import Batches
from cadlag.lens import oscillation
from cadlag.nn import MLP
from cadlag.train import fit, gradient

steps = 60 if "--tiny" in sys.argv or os.environ.get("CADLAG_TINY") else 300
x = jax.random.normal(jax.random.key(0), (64, 4))
y = jnp.sin(x[:, :1])


def loss(net, batch, key):
    """Mean squared error."""
    inputs, targets = batch
    return jnp.mean((jax.vmap(net)(inputs) - targets) ** 2), {}


for rate in (0.05, 0.7):
    net = MLP(4, 1, width=16, depth=1, key=jax.random.key(1))
    with tempfile.TemporaryDirectory() as folder:
        source = Batches((x, y), 64)
        fit(gradient(loss, optax.sgd(rate)), net, source, steps=steps, key=jax.random.key(2), run=folder, throw=False)
        found = oscillation(folder)
    print(f"step {rate}: {found.course.name}, amplitude {found.amplitude:.2g}, alternation {found.alternation:.2f}")
