"""What every layer of a network keeps of digits while it learns them, counted in two ways that do not agree."""

import os
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

from cadlag.data.sources import Batches
from cadlag.lens import Binned, CurrentRange, FixedWidth, compression, gradient_phases, information, layers_of
from cadlag.train import Recorder, fit, gradient

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))
x, y = load_digits(return_X_y=True)
x, y = np.asarray(x[: 200 if TINY else None] / 16, np.float32), np.asarray(y[: 200 if TINY else None], np.int32)

# Any Equinox model: for one that is not a plain stack write `layers = lambda model, x: (first, second, ...)`.
model = eqx.nn.MLP(64, 10, 6, 3, activation=jnp.tanh, key=jax.random.key(0))
layers = layers_of(model, final=jax.nn.softmax)


def loss(model, batch, key):
    inputs, labels = batch
    return optax.softmax_cross_entropy_with_integer_labels(jax.vmap(model)(inputs), labels).mean(), {}


plane = information(layers, x, y, {"width 0.07": Binned(FixedWidth(0.07)), "range / 30": Binned(CurrentRange(30))})
noise = gradient_phases(loss, (x, y), batch_size=64)
look = Recorder(lambda state, key: (plane(state, key), noise(state, key)), at=(0, 10, 20) if TINY else (0, 300, 6000))
result = fit(gradient(loss, optax.adam(2e-3)), model, Batches((x, y), 64), steps=look.at[-1], key=jax.random.key(1),
             recorder=look)  # fmt: skip
bits, gradients = result.records
for name, found in bits.items():
    print(f"{name}: I(X;T) of each layer after {look.at} steps\n{np.round(found.input, 2)}")
    print(f"  lost after the peak {np.round(compression(found.input), 2)}, I(T;Y) now {np.round(found.label[-1], 2)}")
print(f"signal over noise of the gradients\n{np.round(gradients.ratio, 2)}")
