"""A kernel that learns which inputs matter: nine of ten columns are noise."""

import math
import os

import numpy as np

from cadlag.limits import DeepKernelMachineRegressor

TINY = "CADLAG_TINY" in os.environ

rng = np.random.default_rng(0)
x = rng.normal(size=(600, 10))
y = np.tanh(2 * x[:, 0]) + 0.1 * rng.normal(size=600)
train, test = slice(0, 300), slice(300, 600)

size = {"inducing": 8, "steps": 5} if TINY else {"inducing": 48, "steps": 1000}
# nu is how firmly the kernel is held to that of infinite width (inf: all the way). Choose it on validation data.
for nu in (math.inf, 1.0):
    model = DeepKernelMachineRegressor(layers=1, nu=nu, **size).fit(x[train], y[train])
    likelihood = model.log_prob(x[test], y[test]).mean()
    print(f"nu = {nu}: R² {model.score(x[test], y[test]):.3f}, log-likelihood {likelihood:+.2f} nats a point")
