"""Physics-informed training, jinns: what an iteration of `jinns.solve` computes, `loop` times in one compiled scan.

`solve` itself compiles anew at every call, so that it cannot be timed by repeating it.
"""

from importlib.metadata import version

import equinox as eqx
import jax
import jax.numpy as jnp
import jinns
import numpy as np
import optax
from jinns.data._Batchs import PDENonStatioBatch, PDEStatioBatch
from jinns.loss import PDENonStatio, PDEStatio, laplacian_rev

from . import pinn_problem


class Burgers(PDENonStatio):
    def equation(self, t_x, u, params):
        def u_(t_x):
            return jnp.squeeze(u(t_x, params))

        slope = jax.grad(u_)
        first, bend = slope(t_x), jax.grad(lambda t_x: slope(t_x)[1])(t_x)
        return first[0:1] + u_(t_x) * first[1:2] - (0.01 / np.pi) * bend[1:2]


class AllenCahn(PDENonStatio):
    def equation(self, t_x, u, params):
        def u_(t_x):
            return jnp.squeeze(u(t_x, params))

        slope = jax.grad(u_)
        first, bend = slope(t_x), jax.grad(lambda t_x: slope(t_x)[1])(t_x)
        return first[0:1] - 1e-4 * bend[1:2] + 5 * u_(t_x) ** 3 - 5 * u_(t_x)


class Poisson(PDEStatio):
    method: str = eqx.field(static=True, default="trace_hessian_x")

    def equation(self, x, u, params):
        laplacian = laplacian_rev(x, u, params, method=self.method)
        return (-laplacian - 10 * np.pi**2 * jnp.prod(jnp.sin(np.pi * x)))[None]


def prepare(options):
    points = jnp.asarray(pinn_problem.points(options))
    d, w = points.shape[1], pinn_problem.WIDTH
    layers = [(eqx.nn.Linear, d, w), (jnp.tanh,)]
    for _ in range(pinn_problem.DEPTH - 1):
        layers += [(eqx.nn.Linear, w, w), (jnp.tanh,)]
    layers += [(eqx.nn.Linear, w, 1)]
    still = options["equation"] == "poisson"
    u, weights = jinns.nn.PINN_MLP.create(
        key=jax.random.key(0), eqx_list=tuple(layers), eq_type="PDEStatio" if still else "PDENonStatio"
    )
    params = jinns.parameters.Params(nn_params=weights, eq_params={"nu": jnp.asarray(1.0)})
    if still:
        equation = Poisson(method=options["method"])
        even = jinns.loss.LossWeightsPDEStatio(dyn_loss=1.0)
        loss = jinns.loss.LossPDEStatio(u=u, dynamic_loss=equation, params=params, loss_weights=even)
        batch = PDEStatioBatch(domain_batch=points, border_batch=None)
    else:
        equation = {"burgers": Burgers, "allen-cahn": AllenCahn}[options["equation"]](Tmax=1)
        even = jinns.loss.LossWeightsPDENonStatio(dyn_loss=1.0)
        loss = jinns.loss.LossPDENonStatio(u=u, dynamic_loss=equation, params=params, loss_weights=even)
        batch = PDENonStatioBatch(domain_batch=points, border_batch=None, initial_batch=None)
    return repeated(loss, params, batch, optax.adam(pinn_problem.RATE), options["loop"])


def repeated(loss, params, batch, optimiser, steps):
    """Steps without the records of losses and parameters that `solve` keeps."""

    def step(carry, _):
        params, state = carry
        terms, gradients = loss.values_and_grads(params, batch)
        updates, state = optimiser.update(loss.ponderate_and_sum_gradient(gradients), state, params)
        return (optax.apply_updates(params, updates), state), loss.ponderate_and_sum_loss(terms)

    carry = params, optimiser.init(params)
    arrays, static = eqx.partition(carry, eqx.is_array)

    def many(arrays):
        def body(arrays, _):
            carry, value = step(eqx.combine(arrays, static), None)
            return eqx.filter(carry, eqx.is_array), value

        return jax.lax.scan(body, arrays, None, length=steps)

    jitted = jax.jit(many)
    _, values = jax.block_until_ready(jitted(arrays))

    def repeat():
        nonlocal arrays
        arrays, _ = jax.block_until_ready(jitted(arrays))

    return {
        "step": repeat,
        "compile": None,
        "value": float(values[0]),
        "versions": {name: version(name) for name in ("jinns", "jax")},
    }
