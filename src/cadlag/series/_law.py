"""What a law of series is, and the parts that latent ones share.

A law draws series at any times. A latent one also has a bound on the evidence, E_q log p(x | z) - KL(q | p), and a
posterior, which fills gaps and forecasts: rows without observations are rows to be filled.
"""

import abc
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.data import IrregularSeries
from cadlag.nn import MLP
from cadlag.series._model import AbstractSeriesModel, row_numbers
from cadlag.series._network import reverse_series, reversed_rows


class AbstractSeriesLaw(eqx.Module):
    """A law of series, to draw from.

    To write your own: declare `channels` and give `sample(times, *, key)`: ONE draw at the given times, shape
    (time, channels). Constructors take `(channels, *, key)` first. Repeated times at the end are padding.
    """

    channels: eqx.AbstractVar[int]

    @abc.abstractmethod
    def sample(self, times: Float[Array, " time"], *, key: PRNGKeyArray) -> Float[Array, "time channels"]:
        """One draw at the given times."""


class Evidence(NamedTuple):
    """Of one series, in nats: the expected log-likelihood of its observations, and the divergence from the prior."""

    log_likelihood: Array
    divergence: Array


class GaussianReadout(eqx.Module):
    """x = A y + b + noise, of one deviation a channel.

    **Arguments:** `noise`, the first deviation, in the units the model sees; `learn_noise`: whether it is learnt (it
    never falls below a hundredth of the first) or stays. Data without noise want a small one that stays: a learnt one
    grows first, and takes for noise what the state should do.
    """

    affine: eqx.nn.Linear
    log_noise: Float[Array, " channels"]
    least: float = eqx.field(static=True)
    learn_noise: bool = eqx.field(static=True)

    def __init__(
        self, hidden_size: int, channels: int, *, noise: float = 0.1, learn_noise: bool = True, key: PRNGKeyArray
    ):
        if not noise > 0:
            raise ValueError(f"noise={noise} of a GaussianReadout must be positive.")
        self.affine = eqx.nn.Linear(hidden_size, channels, key=key)
        # Of the weights' own dtype: a weak one would compile the first step twice.
        self.log_noise = jnp.full(channels, math.log(0.99 * noise), self.affine.weight.dtype)
        self.least, self.learn_noise = 0.01 * noise, learn_noise

    @property
    def noise(self) -> Float[Array, " channels"]:
        """The deviations."""
        found = self.least + jnp.exp(self.log_noise)
        return found if self.learn_noise else jax.lax.stop_gradient(found)

    def __call__(self, states: Float[Array, "time hidden"]) -> Float[Array, "time channels"]:
        """Values without noise."""
        return jax.vmap(self.affine)(states)

    def draw(self, states: Float[Array, "time hidden"], *, key: PRNGKeyArray) -> Float[Array, "time channels"]:
        """Values with noise."""
        values = self(states)
        return values + self.noise[None] * jr.normal(key, values.shape, values.dtype)

    def log_prob(self, states: Float[Array, "time hidden"], series: IrregularSeries) -> Float[Array, ""]:
        """Of the observed values, summed."""
        values, mask = jnp.asarray(series.values), jnp.asarray(series.mask)
        seen = jnp.where(mask, values, jnp.zeros_like(values))
        found = jax.scipy.stats.norm.logpdf(seen, self(states), jnp.broadcast_to(self.noise, seen.shape))
        return jnp.sum(jnp.where(mask, found, jnp.zeros_like(found)))


class AbstractLatentLaw(AbstractSeriesLaw):
    """A law with an approximate posterior of hidden states, which a readout turns into values.

    To write your own: declare `readout` beside what a law declares and give `infer(series, *, key)`: one draw of the
    states at all rows given those observed, (time, hidden), and its divergence from the prior.
    """

    readout: eqx.AbstractVar[GaussianReadout]

    @abc.abstractmethod
    def infer(self, series: IrregularSeries, *, key: PRNGKeyArray) -> tuple[Float[Array, "time hidden"], Array]:
        """One draw of the states at all rows, and what it pays for leaving the prior, in nats."""

    def evidence(self, series: IrregularSeries, *, key: PRNGKeyArray) -> Evidence:
        """Both parts of the bound for one series, from one draw."""
        path, divergence = self.infer(series, key=key)
        return Evidence(self.readout.log_prob(path, series), divergence)

    def posterior(self, series: IrregularSeries, *, key: PRNGKeyArray) -> Float[Array, "time channels"]:
        """One draw of the noise-free values at all rows given the observed ones."""
        return self.readout(self.infer(series, key=key)[0])


class InitialLaw(eqx.Module):
    """The first state, a network of v ~ N(0, I); its posterior is q(v) = N(m, s²), read off an encoder's state."""

    infer: eqx.nn.Linear
    start: MLP
    latent_size: int = eqx.field(static=True)

    def __init__(self, encoded: int, latent_size: int, hidden_size: int, width: int, *, key: PRNGKeyArray):
        k1, k2 = jr.split(key)
        self.infer = eqx.nn.Linear(encoded, 2 * latent_size, key=k1)
        self.start = MLP(latent_size, hidden_size, width, 1, activation=jax.nn.softplus, key=k2)
        self.latent_size = latent_size

    def draw(self, key: PRNGKeyArray) -> Float[Array, " hidden"]:
        """A first state from the prior."""
        return self.start(jr.normal(key, (self.latent_size,), self.infer.weight.dtype))

    def posterior(self, code: Float[Array, " encoded"], key: PRNGKeyArray) -> tuple[Array, Array]:
        """A first state from q, and KL(q | p)."""
        mean, log_std = jnp.split(self.infer(code), 2)
        v = mean + jnp.exp(log_std) * jr.normal(key, mean.shape, mean.dtype)
        divergence = 0.5 * jnp.sum(mean**2 + jnp.exp(2 * log_std) - 2 * log_std - 1)
        return self.start(v), divergence


def encode_backwards(model: AbstractSeriesModel, series: IrregularSeries) -> Float[Array, "time hidden"]:
    """A model's states at all rows, each having seen its own row and all later ones.

    Rows after the last observation are padding to it: how far ahead one asks changes nothing that is inferred.
    """
    series = until_last_observed(series)
    return model(reverse_series(series))[reversed_rows(series)]


def until_last_observed(series: IrregularSeries) -> IrregularSeries:
    """A series that ends with its last observation, the rows behind it padding."""
    seen = jnp.any(jnp.asarray(series.mask), axis=1)
    rows = row_numbers(series)
    length = jnp.maximum(jnp.max(jnp.where(seen, rows + 1, jnp.zeros_like(rows))), jnp.ones((), rows.dtype))
    times = jnp.asarray(series.times)[jnp.minimum(rows, length - 1)]
    return eqx.tree_at(lambda s: (s.times, s.lengths), series, (times, length))


def last_observed(series: IrregularSeries) -> Float[Array, ""]:
    """The time of the last row with an observation."""
    times = jnp.asarray(series.times)
    seen = jnp.any(jnp.asarray(series.mask), axis=1)
    return jnp.max(jnp.where(seen, times, jnp.full_like(times, -jnp.inf)))


def build_encoder(build: Callable, channels: int, key: PRNGKeyArray) -> Any:
    """A series model from its constructor."""
    made = build(channels, static_size=0, key=key)
    if not isinstance(made, AbstractSeriesModel):
        raise TypeError(
            f"encoder built a {type(made).__name__}; expected a constructor of a series model, such as GRU or "
            "functools.partial(GRU, hidden_size=64)."
        )
    return made
