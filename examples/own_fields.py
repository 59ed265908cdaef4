"""Your own simulations: an array file and its axes in words become a record, the record trains an operator."""

import os
import sys

import numpy as np

from cadlag.data import read_fields
from cadlag.operators import OperatorRegressor

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))
count, steps = (8, 4) if TINY else (200, 1000)

# Stands in for your solver's output: waves that travel at speeds of their own, (example, x, time).
rng = np.random.default_rng(0)
x, t = np.arange(32) / 32, np.linspace(0, 1, 11)
speed, phase = rng.uniform(0.5, 1.5, (2, count, 1, 1))
np.save("waves.npy", np.sin(2 * np.pi * (x[:, None] - speed * t + phase)).astype(np.float32))

# n: examples, t: time, c: channels, 1: an axis of length one, all else is space. lazy=True leaves it in the file.
fields = read_fields("waves.npy", axes="n x t", ts=t, coordinates={"x": x}, periodic=("x",))
print(len(fields), "examples of", fields.frames, "frames on", fields.shape, "points")
# One frame does not tell the speed: the operator sees two.
model = OperatorRegressor(history=2, steps=steps).fit(fields[: count // 2])
print(f"R² {model.score(fields[count // 2 :]):.3f} of one step on unseen waves")
print("what follows the last frame:", model.predict(fields[-1:]).shape)
