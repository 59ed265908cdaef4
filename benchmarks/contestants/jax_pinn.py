"""Physics-informed training by hand in JAX: nested forward mode of a function of one point, vmapped; Adam in a scan."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

from . import pinn_problem
from .jax_tools import compile_seconds, versions


def network(params, p):
    for W, b in params[:-1]:
        p = jnp.tanh(W @ p + b)
    W, b = params[-1]
    return (W @ p + b)[0]


def initial(d):
    sizes = [d, *[pinn_problem.WIDTH] * pinn_problem.DEPTH, 1]
    pairs = list(zip(jr.split(jr.key(0), len(sizes) - 1), sizes[:-1], sizes[1:], strict=True))
    return [(np.sqrt(2 / (m + n)) * jr.normal(k, (n, m)), jnp.zeros(n)) for k, m, n in pairs]


def along(f, i):
    return lambda p: jax.jvp(f, (p,), (jnp.zeros_like(p).at[i].set(1),))[1]


def residual(equation, u, p):
    if equation == "poisson":
        laplacian = sum(along(along(u, i), i)(p) for i in range(p.shape[0]))
        return -laplacian - 10 * np.pi**2 * jnp.prod(jnp.sin(np.pi * p))
    t, x, xx = along(u, 0)(p), along(u, 1)(p), along(along(u, 1), 1)(p)
    if equation == "burgers":
        return t + u(p) * x - (0.01 / np.pi) * xx
    return t - 1e-4 * xx + 5 * u(p) ** 3 - 5 * u(p)


def prepare(options):
    points, optimiser = jnp.asarray(pinn_problem.points(options)), optax.adam(pinn_problem.RATE)
    params = initial(points.shape[1])
    carry = params, optimiser.init(params)

    def loss(params):
        return jnp.mean(jax.vmap(lambda p: residual(options["equation"], lambda q: network(params, q), p))(points) ** 2)

    def step(carry, _):
        value, gradient = jax.value_and_grad(loss)(carry[0])
        updates, state = optimiser.update(gradient, carry[1])
        return (optax.apply_updates(carry[0], updates), state), value

    jitted = jax.jit(lambda carry: jax.lax.scan(step, carry, None, length=options["loop"]), donate_argnums=0)
    seconds = compile_seconds(jitted, (carry,), options.get("compiles", 3))

    def repeat():
        nonlocal carry
        carry, _ = jax.block_until_ready(jitted(carry))

    return {"step": repeat, "compile": seconds, "versions": versions()}
