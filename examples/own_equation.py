"""Your own equation: a residual and conditions, solved by a network; its figures say how well it is satisfied."""

import os
import sys

import jax.numpy as jnp

from cadlag.equations import Equation, dirichlet, initial
from cadlag.fields import Box
from cadlag.physics import LBFGS, PINN, Adam, EquationSolver, Sobol, mlp

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))
points, steps = (32, 5) if TINY else (1024, 4000)

box = Box({"t": (0.0, 1.0), "x": (0.0, 1.0)})
fisher = Equation(  # u_t = D u_xx + r u (1 - u)
    domain=box,
    residual_of=lambda u, p: u.d("t") - p["D"] * u.d("x", 2) - p["r"] * u * (1 - u),
    given=(initial(lambda t, x: jnp.sin(jnp.pi * x) ** 2), *dirichlet(box)),
    parameters={"D": jnp.asarray(0.05), "r": jnp.asarray(2.0)},
)
method = PINN(mlp, sampler=Sobol(points), on_faces=points // 4, phases=(Adam(steps), LBFGS(steps // 5)))
solution = EquationSolver(fisher, method).solve()
print(solution)
print("u(1, 1/2) =", solution.predict([[1.0, 0.5]]))
solution.plot("fisher.png")
