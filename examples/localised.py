"""A solution that is rough in one place: Gaussians that move find it, no mesh needed."""

import os
import sys
from functools import partial

import jax.numpy as jnp

from cadlag.equations import Poisson, manufactured
from cadlag.fields import Box
from cadlag.physics import LBFGS, PINN, Adam, EquationSolver, FixedWeights, Uniform, gaussians

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))
count, points, steps = (10, 64, 5) if TINY else (100, 2000, 1500)

square = Box({"x": (-1.0, 1.0), "y": (-1.0, 1.0)})
spike = manufactured(Poisson(space=square), lambda x, y: jnp.exp(-50 * ((x - 0.3) ** 2 + (y + 0.2) ** 2)) + 0.1 * x)

method = PINN(
    partial(gaussians, count=count, width=0.2),
    sampler=Uniform(points),
    weights=FixedWeights({"residual": 1e-3}),
    phases=(Adam(steps, learning_rate=1e-2, decay=0.9995, decay_every=1), LBFGS(steps // 5)),
)
solution = EquationSolver(spike, method).solve()
print(solution)
solution.plot("localised.png")
