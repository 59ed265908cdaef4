"""The Hurst index learnt from paths, by the variational bound and by the exact likelihood.

Paths x_i(t_j) = s B_H(t_j) + σ ε with σ known. The bound's control is the best one for the NEXT observation alone, in
closed form, plus a network that sees what comes after it; H, s and the network learn together.

The paper's posterior keeps the prior's noise, dB → u dt + dB. On steps of width h that bound is loose, the more so the
larger a gap's variance is over σ², that is the rougher the prior, which pulls H up. `tight` lets a step's noise be
smaller: dB → u h + ρ √h ε costs h u²/2 + (ρ² - 1 - log ρ²)/2, the exact divergence of the two chains, and ρ → 1 as
h → 0.
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
    FunctionPath,
    MarkovApproximation,
)
from cadlag.solve import SDE, AbstractProcess, Calculus, Direct, NoiseKind, controlled, fractional, solve
from cadlag.train import gradient, minimise


def draw_paths(hurst: float, settings: dict[str, Any], seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Exact noisy paths of type II from zero: times (T + 1,) with time zero, observations (n, T) after it."""
    times = np.linspace(0.0, 1.0, settings["points"] + 1)
    law = FractionalBrownianMotion(hurst, kind=FractionalKind.causal)
    k1, k2 = jr.split(jr.key(1000 + seed))
    x = jax.jit(jax.vmap(lambda k: law.sample(jnp.asarray(times[1:]), key=k)))(jr.split(k1, n))
    return times, np.asarray(x + settings["noise"] * jr.normal(k2, x.shape, x.dtype))


class Model(eqx.Module):
    """Prior dX = s dB̂_H from 0 and the posterior's control."""

    raw_hurst: Array
    log_scale: Array
    net: MLP
    noise: AbstractMarkovNoise
    tight: bool = eqx.field(static=True)

    def __init__(self, noise: AbstractMarkovNoise, width: int, tight: bool, *, key: PRNGKeyArray):
        self.raw_hurst, self.log_scale, self.noise, self.tight = jnp.zeros(()), jnp.zeros(()), noise, tight
        net = MLP(len(noise.rates) + 6, 2, width, 2, activation=jnp.tanh, key=key)
        last = lambda n: (n.layers[-1].weight, n.layers[-1].bias)  # noqa: E731
        self.net = eqx.tree_at(last, net, tuple(map(jnp.zeros_like, last(net))))

    @property
    def hurst(self) -> Array:
        """H."""
        return jax.nn.sigmoid(self.raw_hurst)

    def bound(self, times: Array, seen: Array, deviation: float, steps: int, key: PRNGKeyArray) -> Array:
        """One draw's estimate of the bound on log p(observations)."""
        k1, k2 = jr.split(key)
        scale = jnp.exp(self.log_scale)
        prior = SDE(lambda t, x, a: jnp.zeros_like(x), lambda t, x, a: scale * jnp.ones_like(x), NoiseKind.additive)
        lifted = fractional(prior, self.hurst, self.noise)
        start = (lifted.start(jnp.zeros(1), key=k1), jnp.zeros(()))
        width = (times[1] - times[0]) / steps
        ahead = FunctionPath(Ahead(times, seen, self.noise, self.noise.weights(self.hurst), scale, deviation, width))
        process = Chain(lifted, self.control, width) if self.tight else controlled(lifted, self._mean)
        adjoint = Direct(store_intermediates=True)
        (x, _), energy = solve(process, start, times, args=ahead, key=k2, steps=steps, adjoint=adjoint).ys
        fit = jax.scipy.stats.norm.logpdf(seen, x[1:, 0], jnp.asarray(deviation, seen.dtype))
        return jnp.sum(fit) - energy[-1]

    def control(self, t: Any, z: tuple[Array, Array], args: Any) -> tuple[Array, Array]:
        """u, and minus the logarithm of what share of a step's variance the next observation takes away."""
        x, y = z
        gain, rate, gap, unit, pull, values = unpacked(args.evaluate(t))
        # In units of the deviation of the next observation, seen from here.
        miss = (values[0] - x - y @ pull) / unit
        features = jnp.concatenate([miss, (values[1:] - values[0]) / unit, gap[None], jnp.log(unit)[None], y[0]])
        more = self.net(features)
        return gain * unit * (miss + more[:1]), rate * jnp.exp(more[1:])

    def _mean(self, t: Any, z: tuple[Array, Array], args: Any) -> Array:
        return self.control(t, z, args)[0]


class Chain(AbstractProcess):
    """A process whose Euler steps of one width have another mean and a smaller variance; its energy is their exact
    divergence.
    """

    process: AbstractProcess
    control: Callable
    width: Array
    noise: NoiseKind = eqx.field(static=True, default=NoiseKind.operator)
    calculus: Calculus = eqx.field(static=True, default=Calculus.ito)

    def drift(self, t: Any, y: Any, args: Any) -> Any:
        """f + g u, and the divergence a unit of time."""
        z, _ = y
        u, rate = self.control(t, z, args)
        pushed = self.process.diffusion(t, z, args).mv(u)
        ratio = self._ratio(rate)
        cost = jnp.sum(u * u) / 2 + jnp.sum(ratio - 1 - jnp.log(ratio)) / (2 * self.width)
        return jax.tree.map(jnp.add, self.process.drift(t, z, args), pushed), cost

    def diffusion(self, t: Any, y: Any, args: Any) -> lx.AbstractLinearOperator:
        """(ρ g, 0)."""
        z, energy = y
        rho, g = jnp.sqrt(self._ratio(self.control(t, z, args)[1])), self.process.diffusion(t, z, args)
        return lx.FunctionLinearOperator(lambda db: (g.mv(rho * db), 0 * energy), g.in_structure())

    def _ratio(self, rate: Array) -> Array:
        # ρ² = 1 / (1 + h rate), in (0, 1).
        return 1 / (1 + self.width * rate)


class Ahead(eqx.Module):
    """Of time alone, as one vector: the closed form's gain, the rate at which it takes variance, the time to the next
    observation in gaps, the deviation it is expected with; the next four observations; the closed form's pull on Y.
    """

    times: Array
    seen: Array
    noise: AbstractMarkovNoise
    weights: Array
    scale: Array
    deviation: float
    width: Array

    def __call__(self, t: Array) -> Array:
        """At a time before the last."""
        i = jnp.searchsorted(self.times[1:], t, side="right")
        last = len(self.seen) - 1
        values = self.seen[jnp.minimum(i + jnp.arange(4, dtype=i.dtype), last)]
        left = self.times[jnp.minimum(i + 1, last + 1)] - t
        reached = self.weights * jnp.exp(-jnp.asarray(self.noise.rates, t.dtype) * left)
        total = self.scale * jnp.sum(reached)
        variance = self.scale**2 * self.noise.covariance(self.weights, left, left) + self.deviation**2
        # Of a step h: 1/(1 + h rate) = 1 - h total²/variance, to the accuracy of a step.
        rest = jnp.maximum(variance - self.width * total**2, 0.5 * self.deviation**2)
        gap = left / (self.times[1] - self.times[0])
        pull = self.scale * (reached - self.weights)
        return jnp.concatenate([jnp.stack([total / variance, total**2 / rest, gap, jnp.sqrt(variance)]), values, pull])


def unpacked(v: Array) -> tuple[Array, ...]:
    """What `Ahead` packed: four numbers, pull, observations."""
    return v[0], v[1], v[2], v[3], v[8:], v[4:8]


def learn(
    noise: AbstractMarkovNoise, times: np.ndarray, seen: np.ndarray, settings: dict[str, Any], seed: int, tight: bool
) -> tuple[Model, Array]:
    """Adam on minus the bound of all paths, its rate falling to zero by a cosine; the model and H along the way."""
    k1, k2 = jr.split(jr.key(seed))
    model = Model(noise, settings["hurst_width"], tight, key=k1)
    return _train(model, jnp.asarray(times), jnp.asarray(seen), settings, k2)


@eqx.filter_jit
def _train(model: Model, times: Array, seen: Array, settings: dict[str, Any], key: PRNGKeyArray) -> tuple[Model, Array]:
    def loss(model: Model, batch: None, key: PRNGKeyArray) -> tuple[Array, dict]:
        return -jnp.mean(bounds(model, times, seen, settings, key)), {"hurst": model.hurst}

    rate = optax.cosine_decay_schedule(settings["hurst_rate"], settings["hurst_updates"])
    update = gradient(loss, optax.chain(optax.clip_by_global_norm(100.0), optax.adam(rate)))
    state, info = minimise(update, update.init(model, key), None, settings["hurst_updates"], key=key)
    return state.unknowns, info["hurst"]


@eqx.filter_jit
def bounds(model: Model, times: Array, seen: Array, settings: dict[str, Any], key: PRNGKeyArray) -> Array:
    """A draw's bound for each path."""
    one: Callable = lambda s, k: model.bound(times, s, settings["noise"], settings["substeps"], k)  # noqa: E731
    return jax.vmap(one)(seen, jr.split(key, len(seen)))


def study(arm: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """H from paths of each H: estimate, its distance, scale; and the bound of paths not learnt from."""
    found: dict[str, Any] = {}
    for hurst in settings["hursts"]:
        times, seen = draw_paths(hurst, settings, seed, 2 * settings["series"])
        train, test = seen[: settings["series"]], seen[settings["series"] :]
        row = by_likelihood(times, train) if arm == "likelihood" else by_bound(arm, times, train, test, settings, seed)
        found[name_of(hurst)] = {**row, "distance": abs(row["hurst"] - hurst)}
    return found


def name_of(hurst: float) -> str:
    """0.3 is h3: a dot would be read as a path through the figures."""
    return f"h{round(10 * hurst)}"


def by_likelihood(times: np.ndarray, seen: np.ndarray) -> dict[str, float]:
    """The exact estimate, the noise's deviation unknown to it."""
    from cadlag.data import IrregularSeries
    from cadlag.series import HurstEstimator

    series = IrregularSeries.from_arrays(times[1:], seen[:, :, None].astype(np.float64))
    fitted = HurstEstimator(kind=FractionalKind.causal).fit(series)
    return {
        "hurst": float(fitted.hurst_[0]),
        "standard_error": float(fitted.hurst_error_[0]),
        "scale": float(fitted.scale_[0]),
    }


def by_bound(
    arm: str, times: np.ndarray, train: np.ndarray, test: np.ndarray, settings: dict[str, Any], seed: int
) -> dict[str, Any]:
    """The variational estimate; the held-out bound is a mean over eight draws."""
    memory = MarkovApproximation(settings["terms"], fastest=settings["fastest"], kind=FractionalKind.causal, unit=True)
    noise = BrownianNoise() if arm == "brownian" else memory
    model, along = learn(noise, times, train, settings, seed, arm != "bound")
    grid, data = jnp.asarray(times), jnp.asarray(test)
    draws = np.stack([bounds(model, grid, data, settings, jr.fold_in(jr.key(seed), 100 + i)) for i in range(8)])
    return {
        "hurst": float(model.hurst),
        "scale": float(jnp.exp(model.log_scale)),
        "bound": float(draws.mean()),
        "along": [float(h) for h in np.asarray(along)[:: max(1, len(along) // 50)]],
    }
