"""Carry one data set to another, with the noise chosen after training."""

import os
import sys
from functools import partial

import numpy as np

from cadlag.generate import Transport, mlp

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))
count, steps = (40, 5) if TINY else (2000, 2000)

rng = np.random.default_rng(0)
angle = rng.uniform(0, 2 * np.pi, count)
blobs = rng.choice([-3, 3], (count, 2)) + 0.5 * rng.standard_normal((count, 2))
ring = 3 * np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.3 * rng.standard_normal((count, 2))

model = Transport(network=partial(mlp, width=64, depth=2), steps=steps, sampling_steps=300).fit(blobs, ring)
for epsilon in (0, 0.5, 2):
    radius = np.linalg.norm(model.transport(blobs, epsilon=epsilon), axis=1)
    print(f"noise {epsilon}: radius {radius.mean():.2f} ± {radius.std():.2f}, of the ring 3.01 ± 0.30")
there = model.transport(blobs[:5], epsilon=0)
print("there and back by the ODE:", np.abs(model.transport(there, epsilon=0, backward=True) - blobs[:5]).max())
