"""Stochastic equations of `solver-regularised` and `locally-regularised`: a spiral's moments, and a Langevin model.

The spiral (Pal et al., ICML 2021, after the SciML tutorial) is du = (A (u ∘ u ∘ u)) dt + 0.2 u ∘ dW in Itô's sense; a
neural SDE has to have its means and variances at thirty times.
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
    """A Langevin-type SDE classifies spirals with half of their values missing; evaluations of a prediction."""
    from cadlag.data import delete_observations, spirals
    from cadlag.series import LSDE, SeriesClassifier

    tolerance = settings["tolerance"]
    steps = AdaptiveSteps(rtol=tolerance, atol=tolerance, dt0=0.01, dt_min=1e-4, max_steps=1024)
    penalty = LocalPenalty(of=ErrorPenalty(weight=settings["weight"])) if arm == "langevin-local" else None
    train, test = (
        delete_observations(spirals(200, steps=20, key=jr.key(s)), 0.5, seed=s) for s in (seed, seed + 10_000)
    )
    classifier = SeriesClassifier(
        functools.partial(LSDE, hidden_size=16, steps=steps), regularise=penalty, seed=seed, learning_rate=1e-2,
        epochs=max(1, settings["steps"] // 6),
    ).fit(train)  # fmt: skip
    return {
        "accuracy": classifier.score(test),
        "nfe": float(np.mean(classifier.evaluations(test))),
        "loss_at_end": float(classifier.history_["loss"][-1]),
        "loss": thin(classifier.history_["loss"]),
    }
