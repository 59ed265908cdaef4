"""Long sequences by linear state-space layers, and the same model at half the sampling rate."""

import functools

import equinox as eqx
import numpy as np

from cadlag.data import IrregularSeries
from cadlag.series import LSSL, SeriesClassifier, resampled

rng = np.random.default_rng(0)
times = np.arange(512.0)


def waves(n: int) -> IrregularSeries:
    """A slow wave under noise; its period is the class."""
    label = rng.integers(0, 2, n)
    phase = rng.uniform(0, 2 * np.pi, (n, 1))
    values = np.sin(times / np.where(label, 16, 20)[:, None] + phase) + rng.normal(size=(n, 512))
    return IrregularSeries.from_arrays(times, values[:, :, None], labels=label)


train, test = waves(256), waves(128)
model = functools.partial(LSSL, hidden_size=16, order=16, steps=(1e-3, 1e-2))
classifier = SeriesClassifier(model, epochs=12, learning_rate=1e-2).fit(train)
print("accuracy:", classifier.score(test))

half = IrregularSeries.from_arrays(times[::2], np.asarray(test.values)[:, ::2], labels=test.labels)
print("at half the rate:", classifier.score(half))
network = classifier.model_
classifier.model_ = eqx.tree_at(lambda n: n.model, network, resampled(network.model, 2))
print("its steps doubled:", classifier.score(half))
