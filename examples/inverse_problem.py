"""An unknown coefficient from a few noisy measurements: equation and data fitted together."""

import os
import sys
from functools import partial

import jax
import numpy as np

from cadlag.equations import Heat
from cadlag.physics import PINN, Adam, EquationSolver, HardDirichlet, HardInitial, mlp

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))
steps = 10 if TINY else 3000

rng, truth = np.random.default_rng(0), Heat(0.3)
points = rng.random((50, 2))  # columns t, x
values = np.asarray(jax.vmap(lambda p: truth.exact(*p))(points)) + 0.01 * rng.standard_normal(50)

method = PINN(
    partial(mlp, width=8 if TINY else 32, depth=2),
    ansatz=(HardDirichlet(), HardInitial()),  # walls and initial state hold by construction
    phases=Adam(steps, learning_rate=3e-3),
)
solver = EquationSolver(Heat(0.1), method, observations=(points, values), learn=lambda equation: equation.nu)
solution = solver.solve()
print(solution)
print(f"diffusivity {float(solution.equation.nu):.4f}, of the data 0.3")
