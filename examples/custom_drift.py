"""A neural SDE with a drift of your own, trained with `train.fit` to have the law of an Ornstein-Uhlenbeck process."""

import os
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax

from cadlag.solve import SDE, NoiseKind, solve
from cadlag.train import fit, gradient

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))
paths, steps = (16, 2) if TINY else (256, 300)
times = jnp.linspace(0.0, 2.0, 21)


class Model(eqx.Module):
    rate: jax.Array
    log_sigma: jax.Array

    def __call__(self, key):
        """One path from y(0) = 2."""
        drift = lambda t, y, args: -self.rate * y  # noqa: E731
        diffusion = lambda t, y, args: jnp.exp(self.log_sigma)[None]  # noqa: E731
        process = SDE(drift, diffusion, noise=NoiseKind.additive)
        return solve(process, jnp.full((1,), 2.0), times, key=key).ys[:, 0]


def loss(model, batch, key):
    """Squared distance of the mean and of the standard deviation at every time."""
    drawn = jax.vmap(model)(jr.split(key, paths))
    mean, std = 2 * jnp.exp(-times), 0.5 * jnp.sqrt((1 - jnp.exp(-2 * times)) / 2)
    return jnp.mean((drawn.mean(0) - mean) ** 2 + (drawn.std(0) - std) ** 2), {}


start = Model(rate=jnp.array(0.3), log_sigma=jnp.array(0.0))
result = fit(gradient(loss, optax.adam(0.02)), start, None, steps=steps, key=jr.key(0))
learnt = result.state.unknowns
print(f"drift {learnt.rate:.2f} (truth 1), sigma {jnp.exp(learnt.log_sigma):.2f} (truth 0.5)")
