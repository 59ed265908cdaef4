"""An equation of your own, solved without data: residual, conditions, solve."""

import os
import sys
from functools import partial

import jax.numpy as jnp

from cadlag.equations import Equation, dirichlet, initial
from cadlag.fields import Box
from cadlag.physics import LBFGS, PINN, Adam, EquationSolver, Sobol, mlp

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))
steps, count = (10, 32) if TINY else (2000, 1024)

# Fisher's equation u_t = D u_xx + r u (1 - u): a population that spreads from the middle.
domain = Box({"t": (0.0, 1.0), "x": (-1.0, 1.0)})


def fisher(u, p):
    return u.d("t") - p["D"] * u.d("x", 2) - p["r"] * u * (1 - u)


equation = Equation(
    domain=domain,
    residual_of=fisher,
    given=(initial(lambda t, x: jnp.exp(-20 * x**2)), *dirichlet(domain)),
    parameters={"D": 0.02, "r": 4.0},
)
network = partial(mlp, width=8 if TINY else 32, depth=3)
phases = (Adam(steps, learning_rate=3e-3), LBFGS(10 if TINY else 300))
solution = EquationSolver(equation, PINN(network, sampler=Sobol(count), phases=phases)).solve()
print(solution)
print("u(1, 0) =", solution.predict([[1.0, 0.0]])[0], " u_x(1, 0.2) =", solution.field.d("x")(jnp.array([1.0, 0.2])))
solution.plot("fisher.png")
