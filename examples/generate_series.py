"""New series like those of a data set, with their noise; and the rest of a series from its beginning."""

import os
import sys

import numpy as np

from cadlag.data import IrregularSeries
from cadlag.series import LatentODE, SDEGenerator, SeriesGenerator, SignatureScore

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))
count, steps = (16, 3) if TINY else (512, 400)

rng = np.random.default_rng(0)
times = np.linspace(0, 4, 33)
path = [rng.uniform(-1, 1, count)]
for dt in np.diff(times):
    path.append(path[-1] * (1 - dt) + 0.5 * np.sqrt(dt) * rng.normal(size=count))
series = IrregularSeries.from_arrays(times, np.stack(path, axis=1)[:, :, None])

law = SeriesGenerator(SDEGenerator, objective=SignatureScore(), steps=steps).fit(series)
drawn = law.sample(count)


def noise(x):
    """Size of the noise, by quadratic variation."""
    return np.sqrt(np.mean(np.sum(np.diff(x, axis=1) ** 2, axis=1)) / 4)


print(f"noise of the data {noise(np.asarray(series.values)):.3f}, of drawn series {noise(drawn):.3f}")

phase = rng.uniform(0, 6, (count, 1))
waves = IrregularSeries.from_arrays(times, np.sin(2 * times + phase)[:, :, None])
latent = SeriesGenerator(LatentODE, steps=steps, learning_rate=1e-2).fit(waves)
begun = IrregularSeries.from_arrays(times[:20], np.asarray(waves.values)[:4, :20])
ahead = latent.forecast(begun, times=times[20:], n=50)
print(f"forecasts {ahead.shape} = (series, paths, rows, channels), spread {ahead.std(axis=1).mean():.3f}")
