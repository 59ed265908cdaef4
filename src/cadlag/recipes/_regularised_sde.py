"""Stochastic equations of `solver-regularised` and `locally-regularised`: a spiral's moments, and a Langevin model.

The spiral (Pal et al., ICML 2021, after the SciML tutorial) is du = (A (u ∘ u ∘ u)) dt + 0.2 u ∘ dW in Itô's sense; a
neural SDE has to have its means and variances at thirty times. The Langevin equation's noise has a memory, a
composition that nobody published.
"""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import lineax as lx
import numpy as np
import optax

from cadlag.nn import MLP
from cadlag.paths import MarkovApproximation
from cadlag.recipes._curve import thin
from cadlag.solve import (
    SDE,
    AbstractProcess,
    AdaptiveSteps,
    Calculus,
    ErrorPenalty,
    LocalPenalty,
    Milstein,
    NoiseKind,
    Sum,
    fractional,
    regularised_solve,
    solve,
)

TIMES = tuple(np.linspace(0.0, 1.0, 30).tolist())
START = (2.0, 0.0)


class SpiralSDE(AbstractProcess):
    """dy = net(y³) dt + (C y + c) ∘ dW in Stratonovich's sense, each entry with a noise of its own."""

    net: MLP
    scale: eqx.nn.Linear
    noise: NoiseKind = eqx.field(static=True, default=NoiseKind.operator)
    calculus: Calculus = eqx.field(static=True, default=Calculus.stratonovich)

    def drift(self, t: Any, y: Any, args: Any) -> Any:
        """The network of the cubes."""
        return self.net(y**3)

    def diffusion(self, t: Any, y: Any, args: Any) -> Any:
        """An affine map of the state, on the diagonal."""
        return lx.DiagonalLinearOperator(self.scale(y))


@functools.cache
def moments(paths: int) -> tuple[np.ndarray, np.ndarray]:
    """Means and variances of the spiral at the thirty times, from paths of 34 Milstein steps between two of them."""
    matrix = jnp.asarray([[-0.1, -2.0], [2.0, -0.1]])
    truth = SDE(lambda t, y, a: jnp.matmul(matrix, y**3), lambda t, y, a: 0.2 * y)
    run = lambda k: solve(truth, jnp.asarray(START), TIMES, key=k, steps=34, stepper=Milstein()).ys  # noqa: E731
    found = jax.jit(jax.vmap(run))(jr.split(jr.key(7), paths))
    return np.asarray(jnp.mean(found, axis=0)), np.asarray(jnp.var(found, axis=0))


def spiral(arm: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Fit the moments; evaluations a path on fresh noise, and the loss there."""
    from cadlag.train import fit, gradient

    k1, k2, k3 = jr.split(jr.key(seed), 3)
    model = SpiralSDE(net=MLP(2, 2, 50, 1, activation=jnp.tanh, key=k1), scale=eqx.nn.Linear(2, 2, key=k2))
    tolerance = settings["tolerance"]
    steps = AdaptiveSteps(rtol=tolerance, atol=tolerance, dt0=0.01, dt_min=1e-4, max_steps=1024)
    mean, variance = (jnp.asarray(m) for m in moments(10_000))
    # As the authors' script: the sum over steps.
    penalty = ErrorPenalty(weight=settings["weight"], aggregate=Sum()) if arm == "sde-error" else None

    def distance(ys: Any) -> Any:
        return jnp.mean((jnp.mean(ys, axis=0) - mean) ** 2) + jnp.mean((jnp.var(ys, axis=0) - variance) ** 2)

    def one(process: Any, k: Any) -> tuple[Any, Any]:
        if penalty is None:
            return solve(process, jnp.asarray(START), TIMES, key=k, steps=steps).ys, jnp.zeros(())
        found, value = regularised_solve(process, jnp.asarray(START), TIMES, penalty=penalty, key=k, steps=steps)
        return found.ys, value

    def loss(process: Any, batch: Any, key: Any) -> Any:
        ys, values = jax.vmap(lambda k: one(process, k))(jr.split(key, settings["paths"]))
        task = distance(ys)
        return task + jnp.mean(values), {"task": task}

    result = fit(gradient(loss, optax.adabelief(1e-2)), model, None, steps=settings["steps"], key=k3, block=10)
    after = result.state.unknowns

    @jax.jit
    def look(keys: Any) -> Any:
        run = lambda k: solve(after, jnp.asarray(START), TIMES, key=k, steps=steps, stats=True)  # noqa: E731
        found = jax.vmap(run)(keys)
        assert found.stats is not None
        return distance(found.ys), jnp.mean(found.stats.evaluations.astype(mean.dtype))

    at_end, nfe = look(jr.split(jr.key(seed + 10_000), 512))
    return {"nfe": float(nfe), "loss_at_end": float(at_end), "loss": thin(result.history["task"])}


def langevin(arm: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """A Langevin equation with a memory, dx = (x - x³) dt + ½ dB_H with H = 0.7, from its moments at thirty times.

    The model is a network as drift and a learnt size of the noise, lifted to (x, y) and solved adaptively; the penalty
    is on one step of that lift. Evaluations a path on fresh noise, and the loss there.
    """
    from cadlag.train import fit, gradient

    tolerance, k1, k2 = settings["tolerance"], *jr.split(jr.key(seed))
    steps = AdaptiveSteps(rtol=tolerance, atol=tolerance, dt0=0.01, dt_min=1e-4, max_steps=1024)
    local = LocalPenalty(of=ErrorPenalty(weight=settings["weight"])) if arm == "langevin-local" else None
    mean, variance = (jnp.asarray(m) for m in langevin_moments(4096))
    model = {"net": MLP(1, 1, 32, 1, activation=jnp.tanh, key=k1), "log_noise": jnp.zeros(1)}

    def lifted(model: Any) -> Any:
        noise = lambda t, x, args: jnp.exp(model["log_noise"])  # noqa: E731
        return with_memory(lambda t, x, args: model["net"](x), noise)

    def distance(xs: Any) -> Any:
        return jnp.mean((jnp.mean(xs, axis=0) - mean) ** 2) + jnp.mean((jnp.var(xs, axis=0) - variance) ** 2)

    def one(process: Any, k: Any) -> tuple[Any, Any]:
        start, again = process.start(jnp.ones(1), key=jr.fold_in(k, 1)), jr.fold_in(k, 2)
        if local is None:
            return solve(process, start, TIMES, key=again, steps=steps).ys[0], jnp.zeros(())
        found, value = regularised_solve(process, start, TIMES, penalty=local, key=again, steps=steps)
        return found.ys[0], value

    def loss(model: Any, batch: Any, key: Any) -> Any:
        xs, values = jax.vmap(lambda k: one(lifted(model), k))(jr.split(key, settings["paths"]))
        task = distance(xs)
        return task + jnp.mean(values), {"task": task}

    result = fit(gradient(loss, optax.adabelief(1e-2)), model, None, steps=settings["steps"], key=k2, block=10)
    after = lifted(result.state.unknowns)

    @jax.jit
    def look(keys: Any) -> Any:
        def run(k: Any) -> Any:
            start = after.start(jnp.ones(1), key=jr.fold_in(k, 1))
            return solve(after, start, TIMES, key=jr.fold_in(k, 2), steps=steps, stats=True)

        found = jax.vmap(run)(keys)
        assert found.stats is not None
        return distance(found.ys[0]), jnp.mean(found.stats.evaluations.astype(mean.dtype))

    at_end, nfe = look(jr.split(jr.key(seed + 10_000), 256))
    return {"nfe": float(nfe), "loss_at_end": float(at_end), "loss": thin(result.history["task"])}


def with_memory(drift: Any, diffusion: Any) -> Any:
    """An SDE with additive noise of Hurst index 0.7, type I, made Markov."""
    process = SDE(drift_field=drift, diffusion_field=diffusion, noise=NoiseKind.additive)
    return fractional(process, 0.7, MarkovApproximation(horizon=1.0, unit=True))


@functools.cache
def langevin_moments(paths: int) -> tuple[np.ndarray, np.ndarray]:
    """Means and variances at the thirty times, from paths of eight Euler steps between two of them."""
    truth = with_memory(lambda t, x, args: x - x**3, lambda t, x, args: jnp.full(1, 0.5))

    def run(k: Any) -> Any:
        return solve(truth, truth.start(jnp.ones(1), key=jr.fold_in(k, 1)), TIMES, key=jr.fold_in(k, 2), steps=8).ys[0]

    found = jax.jit(jax.vmap(run))(jr.split(jr.key(8), paths))
    return np.asarray(jnp.mean(found, axis=0)), np.asarray(jnp.var(found, axis=0))
