"""An equilibrium classifier: the features of a digit are where a small network comes to rest on it."""

import os
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax

from cadlag.data import Batches, digits_split
from cadlag.nn import Equilibrium
from cadlag.train import fit, gradient

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))
size, steps = (8, 3) if TINY else (64, 400)


class Cell(eqx.Module):
    state: eqx.nn.Linear
    image: eqx.nn.Linear

    def __call__(self, z, x):
        return jnp.tanh(self.state(z) + self.image(x))


def loss(net, batch, key):
    features, readout = net
    logits = jax.vmap(lambda x: readout(features(x)))(batch[0])
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, batch[1])), {}


def contract(net):
    """Rows of the state's weights sum to 0.95 at most in modulus: there is one rest point, and iterations find it."""
    rows = lambda w: w * jnp.minimum(1.0, 0.95 / jnp.sum(jnp.abs(w), axis=1, keepdims=True))  # noqa: E731
    return eqx.tree_at(lambda n: n[0].cell.state.weight, net, replace_fn=rows)


(x, y), (x_test, y_test) = ((s.values.reshape(-1, 64), jnp.asarray(s.labels)) for s in digits_split(seed=0))
k1, k2, k3 = jr.split(jr.key(0), 3)
cell = Cell(eqx.nn.Linear(size, size, key=k1), eqx.nn.Linear(64, size, key=k2))
net = contract((Equilibrium(cell, size), eqx.nn.Linear(size, 10, key=k3)))
update = gradient(loss, optax.adam(3e-3), project=contract)
features, readout = fit(update, net, Batches((x, y), 64), steps=steps, key=jr.key(1)).state.unknowns
found = eqx.filter_jit(eqx.filter_vmap(features.solve))(jnp.asarray(x_test))
accuracy = jnp.mean(jnp.argmax(jax.vmap(readout)(found.value), axis=1) == y_test)
print(f"accuracy {accuracy:.3f} at rest after {jnp.mean(found.stats['num_steps']):.1f} iterations on average")
