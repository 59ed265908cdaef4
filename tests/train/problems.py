"""A small regression problem shared by the tests of the room."""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from cadlag.train import EMA, fit, gradient


class Pairs(eqx.Module):
    """Endless batches of `y = A x` with a counter as state."""

    size: int = eqx.field(static=True, default=8)
    dtype: type = eqx.field(static=True, default=jnp.float64)

    def init(self, key):
        return jnp.zeros((), jnp.int32)

    def draw(self, source_state, train_state, key):
        x = jax.random.normal(key, (self.size, 3), self.dtype)
        y = jnp.stack([x[:, 0] - 2 * x[:, 1], 0.5 * x[:, 2]], axis=1)
        return source_state + 1, (x, y)


def model(key=0, dtype=jnp.float64):
    return eqx.nn.MLP(3, 2, 8, 1, activation=jax.nn.tanh, key=jax.random.key(key), dtype=dtype)


def squared(unknowns, batch, key):
    x, y = batch
    error = jax.vmap(unknowns)(x) - y
    return jnp.mean(error**2), {"worst": jnp.max(jnp.abs(error))}


def arrays(tree):
    return jax.tree.leaves(eqx.filter(tree, eqx.is_array))


def same_bits(a, b):
    return all(bool((x == y).all()) for x, y in zip(arrays(a), arrays(b), strict=True))


KEY = jax.random.key(5)
UPDATE = gradient(squared, optax.adam(1e-2), average=EMA(0.9))
# For processes that a test starts.
CACHE = {
    "JAX_COMPILATION_CACHE_DIR": str(jax.config.jax_compilation_cache_dir),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
}


def train(steps=100, update=UPDATE, **options):
    return fit(update, model(), Pairs(), steps=steps, key=KEY, **options)
