"""Classify irregular series: spirals that turn one way or the other, with half of their values missing."""

import os
import sys

import jax.random as jr

from cadlag.data import delete_observations, spirals, split
from cadlag.series import LNSDE, SeriesClassifier

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))
count, steps, epochs = (12, 10, 1) if TINY else (200, 60, 40)

series = delete_observations(spirals(count, key=jr.key(0), steps=steps, noise=0.1), 0.5, seed=1)
train, test = split(series, (0.7, 0.3), seed=2)
classifier = SeriesClassifier(LNSDE, epochs=epochs, learning_rate=3e-3).fit(train)
print(f"accuracy {classifier.score(test):.2f} on {len(test)} series")
print("probabilities of the first:", classifier.predict_proba(test)[0].round(3))
