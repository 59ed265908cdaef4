"""Race 1, Diffrax. As documented: a virtual Brownian tree for one path, vmapped. At its best: one batch.

The batched solve reads a path drawn beforehand; an `UnsafeBrownianPath` cannot be differentiated.
"""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import lineax as lx
import numpy as np

from . import problem
from .jax_tools import gradient_race

H = 1.0 / problem.STEPS


class Drawn(diffrax.AbstractPath):
    """Increments drawn beforehand, found by the number of the step."""

    dw: jax.Array
    t0 = 0.0
    t1 = 1.0

    def evaluate(self, t0, t1=None, left=True, use_levy=False):
        del t1, left, use_levy
        return self.dw[jnp.round(t0 / H).astype(int)]


def prepare(options):
    k1, k2 = jr.split(jr.key(0))
    size = problem.STATE, problem.STATE, problem.WIDTH, 1
    nets = eqx.nn.MLP(*size, activation=jnp.tanh, key=k1), eqx.nn.MLP(*size, activation=jnp.tanh, key=k2)
    params, static = eqx.partition(nets, eqx.is_inexact_array)
    y0 = jnp.asarray(np.random.default_rng(0).normal(size=(problem.BATCH, problem.STATE)), jnp.float32)

    def solve(field_f, field_g, noise, y, **settings):
        control = diffrax.ControlTerm(lambda t, y, args: lx.DiagonalLinearOperator(field_g(y)), noise)
        terms = diffrax.MultiTerm(diffrax.ODETerm(lambda t, y, args: field_f(y)), control)
        return diffrax.diffeqsolve(terms, diffrax.Euler(), 0.0, 1.0, H, y, **settings).ys[-1]

    def default(nets, key):
        def path(y, k):
            tree = diffrax.VirtualBrownianTree(0.0, 1.0, tol=H / 2, shape=y.shape, key=k)
            return solve(*nets, tree, y)

        return jax.vmap(path)(y0, jr.split(key, problem.BATCH))

    def batched(nets, key):
        noise = Drawn(H**0.5 * jr.normal(key, (problem.STEPS, *y0.shape)))
        adjoint = {"direct": diffrax.DirectAdjoint, "recursive": diffrax.RecursiveCheckpointAdjoint}
        fields = [jax.vmap(net) for net in nets]
        settings = {"adjoint": adjoint[options["adjoint"]](), "max_steps": problem.STEPS + 1}
        return solve(*fields, noise, y0, **settings)

    run = default if options["path"] == "tree" else batched

    def loss(params, key):
        return jnp.mean(run(eqx.combine(params, static), key) ** 2)

    return gradient_race(loss, params, options)
