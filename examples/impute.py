"""Fill in missing values from both sides, with the spread of the completions."""

import os
import sys

import jax.random as jr
import numpy as np

from cadlag.data import delete_time_points, spirals
from cadlag.series import LNSDE, SeriesInterpolator

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))
count, steps, epochs = (8, 10, 1) if TINY else (100, 40, 80)

truth = spirals(count, key=jr.key(0), steps=steps)
series = delete_time_points(truth, 0.4, seed=1)
interpolator = SeriesInterpolator(LNSDE, epochs=epochs, learning_rate=3e-3).fit(series)
filled = interpolator.predict(series)
hidden = ~np.asarray(series.mask)
error = np.sqrt(np.mean((filled - np.asarray(truth.values))[hidden] ** 2))
print(f"root mean square error {error:.3f} on {hidden.sum()} hidden values")
print(f"mean spread of 20 completions {interpolator.sample(series, n=20).std(axis=1)[hidden].mean():.3f}")
