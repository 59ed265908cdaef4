"""Regress a number on irregular series: how fast does a noisy decaying wave decay?"""

import os
import sys

import numpy as np

from cadlag.data import IrregularSeries, split
from cadlag.series import NeuralCDE, SeriesRegressor

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))
count, steps, epochs = (12, 10, 1) if TINY else (300, 40, 60)

rng = np.random.default_rng(0)
times = np.sort(rng.uniform(0, 4, (count, steps)), axis=1)  # every series has times of its own
rate = rng.uniform(0.2, 1.0, count)
waves = np.exp(-rate[:, None] * times) * np.cos(3 * times) + 0.02 * rng.standard_normal(times.shape)
series = IrregularSeries.from_arrays(times, waves[:, :, None], labels=rate)
train, test = split(series, (0.7, 0.3), seed=1)
regressor = SeriesRegressor(NeuralCDE, epochs=epochs, learning_rate=3e-3).fit(train)
print(f"R² {regressor.score(test):.2f} on {len(test)} series")
