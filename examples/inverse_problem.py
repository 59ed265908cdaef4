"""An unknown coefficient: measurements of a diffusing quantity tell how fast it diffuses."""

import os
import sys

import jax.numpy as jnp
import numpy as np

from cadlag.equations import Heat
from cadlag.physics import PINN, Adam, EquationSolver, Sobol, mlp

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))
points, steps = (32, 5) if TINY else (512, 4000)

truth = Heat(0.3)
rng = np.random.default_rng(0)
where = rng.uniform(size=(60, 2))  # (t, x)
measured = np.asarray(truth.exact(*jnp.asarray(where).T)) + 0.01 * rng.normal(size=60)

guess = Heat(0.1)
solver = EquationSolver(
    guess,
    PINN(mlp, sampler=Sobol(points), on_faces=64, phases=Adam(steps, learning_rate=3e-3)),
    observations=(where, measured),
    learn=lambda equation: equation.nu,
)
solution = solver.solve()
print(f"diffusivity {float(solution.equation.nu):.4f}, in truth {float(truth.nu):.4f}")
print(solution)
