"""Your own SDE with `solve`: geometric Brownian motion, and the strong orders of two steppers."""

import os
import sys

import jax
import jax.numpy as jnp
import jax.random as jr

from cadlag.paths import BrownianGrid
from cadlag.solve import SDE, EulerMaruyama, Milstein, solve

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))
paths, fine = (20, 64) if TINY else (1000, 1024)
a, b = 0.5, 0.8
process = SDE(lambda t, y, args: a * y, lambda t, y, args: b * y)  # diagonal noise, Itô
y0, grid = jnp.ones(1), jnp.linspace(0.0, 1.0, fine + 1)


def error(stepper, steps, key):
    """Distance at time one from the exact solution on the same Brownian path."""
    noise = BrownianGrid(grid, (1,), key=key, cells_per_step=fine // steps)
    y1 = solve(process, y0, jnp.linspace(0.0, 1.0, steps + 1), driver=noise, stepper=stepper).y1
    exact = jnp.exp(a - b**2 / 2 + b * jnp.sum(noise_of(key)))
    return jnp.abs(y1[0] - exact)


def noise_of(key):
    """The same Brownian increments, cell by cell."""
    return BrownianGrid(grid, (1,), key=key, cells_per_step=1).increments(grid).dw


for stepper in (EulerMaruyama(), Milstein()):
    counts = [fine // 32, fine // 16, fine // 8]
    mean = [jax.vmap(lambda k, s=stepper, n=n: error(s, n, k))(jr.split(jr.key(0), paths)).mean() for n in counts]
    order = jnp.log2(mean[0] / mean[-1]) / 2
    print(f"{type(stepper).__name__}: errors {[round(float(e), 4) for e in mean]}, order {order:.2f}")
