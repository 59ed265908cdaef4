"""Learn a solution operator from simulations, predict on a finer grid, roll out."""

import os
import sys
from functools import partial

import jax.random as jr

from cadlag.equations import dataset_generator, make_dataset
from cadlag.operators import FNO, OperatorRegressor, evaluate

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))
count, steps, resolution = (6, 4, 32) if TINY else (200, 1500, 64)

generator = dataset_generator("burgers", frames=6)
fields = make_dataset(generator, count, resolution=2 * resolution, key=jr.key(0))
train, test = fields[: count // 2].resample(resolution), fields[count // 2 :]
model = OperatorRegressor(partial(FNO, modes=12, width=24), steps=steps).fit(train)

print(f"R² {model.score(test.resample(resolution)):.3f} of one step on the grid of training")
print(f"R² {model.score(test):.3f} on one twice as fine")  # Fourier modes are the same on every grid
rolled = model.rollout(test.times(slice(0, 1)), 5)  # (example, step, channel, x)
print("five steps of a roll-out:", rolled.shape, "errors", evaluate(model, test).rollout_l2[:, 0].round(3))
