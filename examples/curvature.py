"""The curvature of your own model's loss: its largest eigenvalue, its spectrum, the rates it allows."""

import jax
import jax.numpy as jnp
from sklearn.datasets import load_wine

from cadlag.data import Batches
from cadlag.lens import batch_curvature, curvature_rate
from cadlag.linalg import hessian_product, spectral_density
from cadlag.nn import MLP
from cadlag.train import fit, gradient

x, y = load_wine(return_X_y=True)
data = jnp.asarray((x - x.mean(0)) / x.std(0), jnp.float32), jnp.asarray(y)


def loss(model, example):
    """Of one example."""
    return -jax.nn.log_softmax(model(example[0]))[example[1]]


def mean_loss(model, batch, key):
    """Of a batch, for training."""
    return jnp.mean(jax.vmap(lambda e: loss(model, e))(batch)), {}


model = MLP(13, 3, width=8, depth=1, activation=jnp.tanh, key=jax.random.key(0))
model = fit(
    gradient(mean_loss, curvature_rate()), model, Batches(data, 32), steps=60, key=jax.random.key(1)
).state.unknowns

found = batch_curvature(loss, model, data, batches=(8, 32), draws=4, key=jax.random.key(2))
print(f"largest eigenvalue {found.largest:.3g}; on batches of {found.batches}: {found.measured.round(3)}")
print(f"rates of SGD that are stable: {found.largest_rate(found.batches).round(3)}")
hessian = hessian_product(loss, model, data)
density = spectral_density(hessian, hessian.parameters, steps=20, probes=2, key=jax.random.key(3))
mean, below = float(density.moment(1)[0]), float(density.share_below(jnp.zeros(1))[0][0])
print(f"mean eigenvalue {mean:.3g}, share below zero {below:.2f}")
