"""Restore digits whose pixels were blotted out, in ten network calls."""

import os
import sys

import numpy as np

from cadlag.data import digits_split
from cadlag.diffusion import DPMSolver
from cadlag.generate import Restorer

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))


def blot(images):
    blotted = images.copy()
    blotted[:, :, 2:6, 2:6] = images.mean(axis=(1, 2, 3), keepdims=True)
    return blotted


train, test = (np.asarray(part.values) for part in digits_split(seed=0))
train, test = (train[:64], test[:8]) if TINY else (train, test)
restorer = Restorer(steps=2 if TINY else 3000).fit(blot(train), train)
for steps in (5, 10, 20):
    restored = restorer.restore(blot(test), sampler=DPMSolver(steps, stochastic=True))
    print(f"{steps} calls: root mean square error {np.sqrt(np.mean((restored - test) ** 2)):.3f}")
