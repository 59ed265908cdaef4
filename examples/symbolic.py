"""Find the law behind measurements: formulas for a vector field, evolved, turned into a process and solved."""

import os
import sys

import jax
import jax.numpy as jnp
import jax.random as jr

from cadlag.equations import Evolution, expression_ode, symbolic_regression
from cadlag.solve import ODE, solve

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))
rounds, settings = (1, Evolution(max_size=5, islands=2, population=16, children=4)) if TINY else (60, None)


def truth(t, x, args):
    return jnp.stack([x[1] / (1 + x[1]), -x[0] / (1 + x[0])])


# What a trained neural ODE would be asked: states, and where the field points there.
states = jr.uniform(jr.key(0), (200, 2), minval=-0.375, maxval=0.5)
slopes = jax.vmap(lambda x: truth(0.0, x, None))(states)

laws = []
for i in range(2):
    front = symbolic_regression(states, slopes[:, i], key=jr.key(i), settings=settings, rounds=rounds)
    laws.append(front.pick().rounded(2))
    print(f"size, loss, score and formula of dx{i}/dt:\n{front}\nto believe: dx{i}/dt = {laws[i]}")

ts, start = jnp.linspace(0.0, 3.0, 4), jnp.array([0.2, 0.1])
ours, true = (solve(process, start, ts, steps=30).ys for process in (expression_ode(*laws), ODE(truth)))
print(f"largest difference of the solutions: {jnp.max(jnp.abs(ours - true)):.2g}")
