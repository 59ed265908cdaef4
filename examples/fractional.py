"""Noise with memory: the Hurst index of paths, and your own Langevin equation driven by fractional noise."""

import os
import sys

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from cadlag.data import IrregularSeries
from cadlag.paths import FractionalBrownianMotion, MarkovApproximation
from cadlag.series import HurstEstimator
from cadlag.solve import SDE, NoiseKind, fractional, solve

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))
n, steps = (8, 20) if TINY else (64, 60)

# 1. Paths with noise on them, as from `cadlag.data.read_long("paths.csv", id="path", time="t")`; H is found again.
exact = FractionalBrownianMotion(0.7)
paths = jax.vmap(lambda k: exact.sample_grid(steps, 1 / steps, key=k))(jr.split(jr.key(0), n))
values = np.asarray(paths)[:, :, None] + 0.02 * np.random.default_rng(0).standard_normal((n, steps + 1, 1))
found = HurstEstimator().fit(IrregularSeries.from_arrays(np.linspace(0, 1, steps + 1), values))
print(f"H = {found.hurst_[0]:.3f} ± {found.hurst_error_[0]:.3f}, noise {found.noise_[0]:.3f}")

# 2. A particle in a double well, dX = (X - X³) dt + 0.7 dB_H: does memory help it over the hill?
langevin = SDE(lambda t, x, args: x - x**3, lambda t, x, args: jnp.full_like(x, 0.7), NoiseKind.additive)
ts = jnp.linspace(0.0, 5.0, 11)
for hurst in (0.3, 0.5, 0.8):
    lifted = fractional(langevin, hurst, MarkovApproximation(horizon=5, unit=True))

    def path(key, lifted=lifted):
        k1, k2 = jr.split(key)
        return solve(lifted, lifted.start(-jnp.ones(1), key=k1), ts, key=k2, steps=steps).ys[0]

    x = jax.vmap(path)(jr.split(jr.key(1), n))
    print(f"H = {hurst}: {float(jnp.mean(x[:, -1] > 0)):.2f} end in the other well")
