"""Lead a generator by any metric of its samples: change the noise it starts from, not the model."""

import os
import sys

import jax.numpy as jnp
import jax.random as jr

from cadlag.data import digits_split
from cadlag.diffusion import NoiseRatio, ProbabilityFlow, decode
from cadlag.generate import Generator, steer
from cadlag.solve import Backsolve

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))
train_steps, steps, count = (2, 2, 2) if TINY else (3000, 30, 16)

train, _ = digits_split(seed=0)
model = Generator(steps=train_steps).fit(train.values)
noise = jr.normal(jr.key(1), (count, *model.shape_))
sampler = ProbabilityFlow(20, variable=NoiseRatio(), adjoint=Backsolve())


def right_half_dark(x, aim):
    """Mean ink on the right half of an 8 by 8 digit."""
    return jnp.mean(x.reshape(8, 8)[:, 4:])


steered = steer(model.model_, right_half_dark, noise, key=jr.key(0), sampler=sampler, steps=steps, clip=0.5)
before = jnp.mean(jnp.stack([right_half_dark(decode(model.model_, z, flow=sampler), None) for z in noise[:2]]))
print(f"ink on the right half: {before:.3f} before (two digits), {steered.losses[:, -1].mean():.3f} after")
