"""Train a neural CDE on adaptive steps to be cheap to solve, by the solver's own error estimates."""

import functools
import os
import sys

import jax.random as jr

from cadlag.data import delete_observations, spirals, split
from cadlag.series import NeuralCDE, SeriesClassifier
from cadlag.solve import AdaptiveSteps, ErrorPenalty

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))
count, rows, epochs = (12, 8, 1) if TINY else (120, 20, 20)

series = delete_observations(spirals(count, key=jr.key(0), steps=rows, noise=0.1), 0.3, seed=1)
train, test = split(series, (0.7, 0.3), seed=2)
steps = AdaptiveSteps(rtol=1e-3, atol=1e-4, max_steps=256)
model = functools.partial(NeuralCDE, hidden_size=4 if TINY else 16, steps=steps)
# One step at a random time instead of all: LocalPenalty(of=ErrorPenalty(weight=10.0)).
for name, penalty in {"nothing": None, "errors of all steps": ErrorPenalty(weight=1.0)}.items():
    classifier = SeriesClassifier(model, regularise=penalty, epochs=epochs, learning_rate=3e-3).fit(train)
    nfe, accuracy = classifier.evaluations(test).mean(), classifier.score(test)
    print(f"{name} added to the loss: {nfe:.0f} evaluations, accuracy {accuracy:.2f}")
