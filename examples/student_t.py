"""Regression with heavy tails: an infinitely wide network whose last layer's scale is random."""

import os

import numpy as np

from cadlag.kernels import NNGP, Dense, ReLU, Serial
from cadlag.limits import StudentTRegressor

TINY = "CADLAG_TINY" in os.environ

rng = np.random.default_rng(0)
x = rng.uniform(-2, 2, (25, 1))
y = np.sin(3 * x[:, 0]) + 0.1 * rng.normal(size=25)

network = NNGP(Serial(Dense(1.5, 0.5), ReLU(), Dense(1.5, 0.5), ReLU(), Dense()))
model = StudentTRegressor(1.0 * network, degrees=4.0, steps=3 if TINY else 100).fit(x, y)

new = np.linspace(-2, 2, 5)[:, None]
mean, std = model.predict(new, return_std=True)
for place, m, s in zip(new[:, 0], mean, std, strict=True):
    print(f"f({place:+.1f}) = {m:+.2f} ± {s:.2f}   (true {np.sin(3 * place):+.2f})")
print(f"Predictions have {model.degrees_:.0f} degrees of freedom.")
print(f"Density of 3 where 0 is expected: {np.exp(model.log_prob(np.zeros((1, 1)), np.array([3.0])))[0]:.2g}")
