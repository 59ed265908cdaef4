"""Forecast series with missing values, as a mean and as sample paths."""

import os
import sys

import numpy as np

from cadlag.data import IrregularSeries, delete_time_points
from cadlag.series import LSDE, SeriesForecaster

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))
count, steps, epochs = (4, 12, 1) if TINY else (60, 50, 60)

rng = np.random.default_rng(0)
times = np.linspace(0, 10, steps)
phase, pace = rng.uniform(0, 6, (count, 1)), rng.uniform(0.8, 1.2, (count, 1))
waves = np.stack([np.sin(pace * times + phase), np.cos(pace * times + phase)], axis=-1)
series = delete_time_points(IrregularSeries.from_arrays(times, waves), 0.2, seed=1)
forecaster = SeriesForecaster(LSDE, history=steps // 2, horizon=5, stride=3, epochs=epochs, learning_rate=3e-3)
forecaster.fit(series[: count - 2])
new = series[count - 2 :]
print("mean forecast", forecaster.forecast(new).shape, "= (series, horizon, channels)")
print("sample paths ", forecaster.sample(new, n=8).shape, "= (series, paths, horizon, channels)")
print(f"mean squared error {-forecaster.score(new):.3f} in standardised units")
