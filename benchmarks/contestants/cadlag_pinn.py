"""Physics-informed training, ours: the loss of `PINN`, one jitted step of Adam or `loop` of them in one `minimise`."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np

from cadlag.equations import Equation
from cadlag.fields import Box
from cadlag.physics import Adam, Batch, FixedWeights, PhysicsLoss, Task, Unknowns, check_problem, collocate, mlp
from cadlag.physics._chunks import usual_chunk

from . import pinn_problem
from .jax_tools import update_race


def burgers(u, parameters):
    return u.d("t") + u * u.d("x") - (0.01 / np.pi) * u.d("x", 2)


def allen_cahn(u, parameters):
    return u.d("t") - 1e-4 * u.d("x", 2) + 5 * u**3 - 5 * u


def poisson(u, parameters):
    source = u.function(lambda *x: 10 * np.pi**2 * jnp.prod(jnp.sin(np.pi * jnp.stack(x))))
    return -u.laplacian() - source


def prepare(options):
    points = pinn_problem.points(options)
    residual = {"burgers": burgers, "allen-cahn": allen_cahn, "poisson": poisson}[options["equation"]]
    names = ("t", "x") if points.shape[1] == 2 else tuple(f"x{i}" for i in range(points.shape[1]))
    equation = Equation(domain=Box(dict.fromkeys(names, (-1.0, 1.0))), residual_of=residual)
    problem, _ = collocate(Task(equation, None, None, jr.key(0), "float32"), ())
    unknowns = Unknowns(mlp(equation.domain, width=pinn_problem.WIDTH, depth=pinn_problem.DEPTH, key=jr.key(0)))
    loss = PhysicsLoss(problem, (), check_problem(problem, unknowns), None, options.get("chunk", usual_chunk()))
    weights = FixedWeights()
    settled = loss.init(weights, len(points))
    update = Adam(learning_rate=pinn_problem.RATE).update(loss, weights, settled)
    state = update.init(unknowns, jr.key(1), model_state=settled)
    return update_race(update, state, Batch(jnp.asarray(points), ()), options)
