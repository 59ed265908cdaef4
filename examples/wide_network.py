"""Ensembles of infinitely wide networks on a table: nothing is trained, and the spread over networks comes with it."""

import os
import sys

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import train_test_split

from cadlag.kernels import NNGP, NTK, Dense, ReLU, Serial
from cadlag.limits import WideNetworkRegressor

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))

x, y = load_diabetes(return_X_y=True)
if TINY:
    x, y = x[:60], y[:60]
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.25, random_state=0)

network = Serial(Dense(2**0.5, 0.1), ReLU(), Dense(2**0.5, 0.1))
for name, kernel in (("all layers", NTK(network)), ("last layer", NNGP(network))):
    model = WideNetworkRegressor(kernel, ridge=1.0).fit(x_train, y_train)
    mean, std = model.predict(x_test, return_std=True)
    print(f"{name}: R² {model.score(x_test, y_test):.2f}, spread over networks {np.mean(std):.1f}")
print(f"linear ridge: R² {RidgeCV(np.logspace(-3, 3, 20)).fit(x_train, y_train).score(x_test, y_test):.2f}")

# Stopped early, networks are simpler: the slow components of the kernel are left out.
for time in (10, 100, 1000):
    early = WideNetworkRegressor(NTK(network), ridge=0, time=time).fit(x_train, y_train)
    print(f"stopped after {time} steps of rate one: R² {early.score(x_test, y_test):.2f}")
