"""Bridges of fractional noise: the control that is best in closed form, one that is learnt, and what both cost.

X = B̂_H from 0, seen once: X(T) = 0 with deviation s. The evidence is known, so that of E[½ ∫ u² + X_T²/(2 s²)] no
control can be below ½ log(1 + v(0)/s²). With ω_k e^{-γ_k (T-t)} =: r_k(t), v(t) = Var(X_T | Z_t), the best one is
u = -(Σ r) (X + Σ (r_k - ω_k) Y_k) / (v(t) + s²).
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import lineax as lx
import numpy as np
import optax
from jaxtyping import Array, PRNGKeyArray

from cadlag.nn import MLP
from cadlag.paths import (
    AbstractMarkovNoise,
    BrownianNoise,
    FractionalBrownianMotion,
    FractionalKind,
    MarkovApproximation,
)
from cadlag.solve import SDE, AbstractProcess, Calculus, Direct, NoiseKind, controlled, fractional, solve
from cadlag.train import gradient, minimise

STILL = SDE(lambda t, x, a: jnp.zeros_like(x), lambda t, x, a: jnp.ones_like(x), NoiseKind.additive)


def approximation(settings: dict[str, Any], kind: FractionalKind = FractionalKind.causal) -> MarkovApproximation:
    """The bridge's noise."""
    return MarkovApproximation(settings["terms"], fastest=settings["fastest"], horizon=settings["end"], kind=kind)


def evidence(noise: AbstractMarkovNoise, hurst: float, end: float, deviation: float) -> float:
    """½ log(1 + v(0)/s²), a bound from below on every control's loss, for type II."""
    v = noise.covariance(noise.weights(jnp.asarray(hurst)), end, end)
    return float(0.5 * jnp.log1p(v / deviation**2))


class BestControl(eqx.Module):
    """The closed form, for noise that is zero at time zero."""

    weights: Array
    noise: AbstractMarkovNoise
    end: float
    deviation: float

    def __call__(self, t: Any, z: tuple[Array, Array], args: Any) -> Array:
        """u, shape (1,)."""
        x, y = z
        rates = jnp.asarray(self.noise.rates, x.dtype)
        reached = self.weights * jnp.exp(-rates * (self.end - t))
        left = self.end - t
        mean = x + y @ (reached - self.weights)
        return -jnp.sum(reached) * mean / (self.noise.covariance(self.weights, left, left) + self.deviation**2)


class LearntControl(eqx.Module):
    """u = network(sin t, cos t, x, y), its last layer zero at first."""

    net: MLP

    def __init__(self, terms: int, width: int, *, key: PRNGKeyArray):
        net = MLP(3 + terms, 1, width, 2, activation=jnp.tanh, key=key)
        last = lambda n: (n.layers[-1].weight, n.layers[-1].bias)  # noqa: E731
        self.net = eqx.tree_at(last, net, tuple(map(jnp.zeros_like, last(net))))

    def __call__(self, t: Any, z: tuple[Array, Array], args: Any) -> Array:
        """u, shape (1,)."""
        x, y = z
        t = jnp.asarray(t, x.dtype)[None]
        return self.net(jnp.concatenate([jnp.sin(t), jnp.cos(t), x, y[0]]))


class WithMartingale(AbstractProcess):
    """A controlled process and ∫ u dB beside it.

    Under the best control ½ ∫ u² + X_T²/(2 s²) + ∫ u dB is the same number on every path as steps shrink, and the last
    term has mean zero under any: it takes most of the variance out of the loss.
    """

    process: AbstractProcess
    control: Callable
    noise: NoiseKind = eqx.field(static=True, default=NoiseKind.operator)
    calculus: Calculus = eqx.field(static=True, default=Calculus.ito)

    def drift(self, t: Any, y: Any, args: Any) -> Any:
        """The process's, and zero."""
        return self.process.drift(t, y[0], args), jnp.zeros_like(y[1])

    def diffusion(self, t: Any, y: Any, args: Any) -> lx.AbstractLinearOperator:
        """The process's, and u."""
        g, u = self.process.diffusion(t, y[0], args), self.control(t, y[0][0], args)
        return lx.FunctionLinearOperator(lambda db: (g.mv(db), jnp.sum(u * db)), g.in_structure())


def bridge(
    control: Callable, hurst: float, noise: AbstractMarkovNoise, settings: dict[str, Any], steps: int, key: PRNGKeyArray
) -> tuple[Array, Array, Array]:
    """One controlled path at 41 times, its energy plus its misfit at the end, and ∫ u dB."""
    lifted = fractional(STILL, jnp.asarray(hurst), noise)
    zero = jnp.zeros(())
    start = ((lifted.start(jnp.zeros(1)), zero), zero)
    ts = jnp.linspace(0.0, settings["end"], 41)
    process = WithMartingale(controlled(lifted, control), control)
    adjoint = Direct(store_intermediates=True)
    ((x, _), energy), martingale = solve(process, start, ts, key=key, steps=steps // 40, adjoint=adjoint).ys
    return x[:, 0], energy[-1] + x[-1, 0] ** 2 / (2 * settings["deviation"] ** 2), martingale[-1]


def learn(noise: AbstractMarkovNoise, hurst: float, settings: dict[str, Any], seed: int) -> LearntControl:
    """A control by Adam on the loss itself, its rate falling to zero by a cosine."""
    k1, k2 = jr.split(jr.key(seed))
    return _train(LearntControl(len(noise.rates), settings["width"], key=k1), noise, hurst, settings, k2)


@eqx.filter_jit
def _train(control: LearntControl, noise: Any, hurst: float, settings: dict[str, Any], key: PRNGKeyArray) -> Any:
    def loss(control: LearntControl, batch: None, key: PRNGKeyArray) -> tuple[Array, dict]:
        one = lambda k: bridge(control, hurst, noise, settings, settings["steps"], k)[1]  # noqa: E731
        return jnp.mean(jax.vmap(one)(jr.split(key, settings["batch"]))), {}

    rate = optax.cosine_decay_schedule(settings["rate"], settings["updates"])
    update = gradient(loss, optax.chain(optax.clip_by_global_norm(10.0), optax.adam(rate)))
    return minimise(update, update.init(control, key), None, settings["updates"], key=key)[0].unknowns


@eqx.filter_jit
def _many(
    control: Any, hurst: float, noise: Any, settings: dict[str, Any], steps: int, keys: Array
) -> tuple[Array, Array, Array]:
    return jax.lax.map(lambda k: bridge(control, hurst, noise, settings, steps, k), keys, batch_size=500)


def judge_control(
    control: Callable, noise: AbstractMarkovNoise, hurst: float, settings: dict[str, Any], steps: int, seed: int
) -> dict[str, Any]:
    """Mean loss over fresh paths, its standard error, and the deviation of X along time."""

    paths = settings["paths"]
    keys = jr.split(jr.fold_in(jr.key(seed), 7), paths)
    x, losses, martingale = _many(control, hurst, noise, settings, steps, keys)
    losses = losses + martingale
    return {
        "loss": float(losses.mean()),
        "error": float(losses.std() / paths**0.5),
        "curve": np.std(np.asarray(x), axis=0).tolist(),
    }


def exact_curve(hurst: float, settings: dict[str, Any]) -> np.ndarray:
    """The deviation along the bridge of exact fractional Brownian motion of type II, by conditioning."""
    ts = np.linspace(0, settings["end"], 41)
    law = FractionalBrownianMotion(hurst, kind=FractionalKind.causal, unit=False)
    k = np.asarray(law.covariance(jnp.asarray(ts)), np.float64)
    return np.sqrt(np.maximum(np.diagonal(k) - k[:, -1] ** 2 / (k[-1, -1] + settings["deviation"] ** 2), 0))


def study(arm: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """The best control on fine and coarse steps, a learnt one, or the best one of a motion without memory."""
    hurst, steps = settings["bridge_hurst"], settings["steps"]
    noise = BrownianNoise() if arm == "brownian-control" else approximation(settings)
    least = evidence(noise, hurst, settings["end"], settings["deviation"])
    best = BestControl(noise.weights(jnp.asarray(hurst)), noise, settings["end"], settings["deviation"])
    control = learn(noise, hurst, settings, seed) if arm == "learnt-control" else best
    found = judge_control(control, noise, hurst, settings, steps, seed)
    off = np.asarray(found["curve"]) - exact_curve(hurst, settings)
    found |= {"evidence": least, "above": found["loss"] + 3 * found["error"] - least}
    found |= {"curve_error": float(np.sqrt(np.mean(off**2))), "exact_curve": exact_curve(hurst, settings).tolist()}
    if arm == "exact-control":
        fine = {**settings, "paths": settings["fine_paths"]}
        rows = {n: judge_control(best, noise, hurst, fine, n, seed) for n in settings["fine_steps"]}
        found["by_steps"] = {str(n): {k: row[k] for k in ("loss", "error")} for n, row in rows.items()}
        found["limit_distance"] = abs(rows[settings["fine_steps"][-1]]["loss"] - least)
        found["coarse_distance"] = abs(found["loss"] - settings["coarse_loss"])
    return found
