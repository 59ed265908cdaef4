"""How a law of series is learnt: by a bound on the evidence, by a critic, or by a distance of expected signatures."""

import abc
import functools
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jaxtyping import Array, PRNGKeyArray

from cadlag.data import IrregularSeries
from cadlag.series._law import AbstractLatentLaw, AbstractSeriesLaw
from cadlag.series._signatures import path_signature
from cadlag.series.sde_gan import CDECritic, clip_weights
from cadlag.train import SWA, AbstractUpdate, Player, gradient, players


class AbstractObjective(eqx.Module):
    """What makes a law like the data.

    To write your own: `unknowns(law, key)`, what is trained; `update(rate, steps)`, an update of it on batches of
    prepared series; `law(state)`, the law after training. `latent` says whether it needs an `AbstractLatentLaw`.
    """

    latent: eqx.AbstractClassVar[bool]

    @abc.abstractmethod
    def unknowns(self, law: AbstractSeriesLaw, *, key: PRNGKeyArray) -> Any:
        """What is trained."""

    @abc.abstractmethod
    def update(self, rate: float, steps: int) -> AbstractUpdate:
        """The update; `rate` is the learning rate, `steps` how many there will be."""

    @abc.abstractmethod
    def law(self, state: Any) -> Any:
        """The law after training."""


class Variational(AbstractObjective):
    """Maximise E_q log p(x | z) - weight KL(q | p), a bound on the evidence (at weight 1); nats an observed value.

    **Arguments:** `weight` of the divergence; `optimiser`: rate → optax transformation; None: Adam.
    """

    latent: ClassVar[bool] = True
    weight: float = 1.0
    optimiser: Callable | None = None

    def unknowns(self, law: AbstractSeriesLaw, *, key: PRNGKeyArray) -> Any:
        """The law alone."""
        return law

    def update(self, rate: float, steps: int) -> AbstractUpdate:
        """Gradients clipped at norm one."""
        return _variational(self, rate)

    def law(self, state: Any) -> Any:
        """The law itself."""
        return state.unknowns

    def __call__(self, law: AbstractLatentLaw, batch: IrregularSeries, key: PRNGKeyArray) -> tuple[Array, dict]:
        """Minus the bound, an observed value; and its two parts."""
        keys = jr.split(key, len(batch.times))
        found = jax.vmap(lambda s, k: law.evidence(s, key=k))(batch, keys)
        count = jnp.maximum(jnp.sum(batch.mask, dtype=batch.values.dtype), jnp.ones((), batch.values.dtype))
        likelihood, divergence = jnp.sum(found.log_likelihood) / count, jnp.sum(found.divergence) / count
        return self.weight * divergence - likelihood, {"log_likelihood": likelihood, "divergence": divergence}


class Adversarial(AbstractObjective):
    """A critic tells drawn from observed paths, the law deceives it: Kidger et al.'s SDE-GAN.

    The losses are the Wasserstein distance's dual, E score(drawn) - E score(observed). Drawn paths have the observed
    ones' times and gaps.

    **Arguments:** `critic`: constructor `(channels, *, key)`; `ratio`: the critic's learning rate over the law's;
    `critic_steps` a step of the law; `project`: keeps the critic Lipschitz after each step; `average_from`: the law's
    weights are averaged over the steps after this fraction of all; `optimiser`: rate → optax transformation; None:
    RMSprop.
    """

    latent: ClassVar[bool] = False
    critic: Callable = CDECritic
    ratio: float = 5.0
    critic_steps: int = 1
    project: Callable = clip_weights
    average_from: float = 0.5
    optimiser: Callable | None = None

    def __check_init__(self) -> None:
        if not self.ratio > 0 or self.critic_steps < 1 or not 0 <= self.average_from < 1:
            raise ValueError(
                f"Adversarial: ratio={self.ratio}, critic_steps={self.critic_steps}, average_from="
                f"{self.average_from}; expected a positive number, at least 1 and a fraction below 1."
            )

    def unknowns(self, law: AbstractSeriesLaw, *, key: PRNGKeyArray) -> dict:
        """Law and critic."""
        return {"critic": self.project(self.critic(law.channels, key=key)), "law": law}

    def update(self, rate: float, steps: int) -> AbstractUpdate:
        """The critic moves first."""
        return _adversarial(self, rate, steps)

    def law(self, state: Any) -> Any:
        """The averaged law."""
        return state.states["law"].averaged


class SignatureScore(AbstractObjective):
    """Minimise |E S(x) - E S(y)|² between observed x and drawn y, S being truncated signatures, term by term scaled.

    An unbiased estimate from the batch's pairs. Paths are made of (t, lead, lag): by the lag a path's quadratic
    variation is a term of level two, so the noise's size is learnt, which plain distances of values shrink.

    **Arguments:** `depth` of the signature; `lead_lag`; `optimiser`: rate → optax transformation; None: Adam.
    """

    latent: ClassVar[bool] = False
    depth: int = 3
    lead_lag: bool = True
    optimiser: Callable | None = None

    def unknowns(self, law: AbstractSeriesLaw, *, key: PRNGKeyArray) -> Any:
        """The law alone."""
        return law

    def update(self, rate: float, steps: int) -> AbstractUpdate:
        """Gradients clipped at norm one; averaged over the last half."""
        return _signature(self, rate, steps)

    def law(self, state: Any) -> Any:
        """The averaged law."""
        return state.averaged

    def __call__(self, law: AbstractSeriesLaw, batch: IrregularSeries, key: PRNGKeyArray) -> tuple[Array, dict]:
        """The distance's estimate, which may be negative."""
        features = jax.vmap(functools.partial(path_signature, depth=self.depth, lead_lag=self.lead_lag))
        observed, drawn = features(batch), features(draw_like(law, batch, key))
        # High levels have sizes of their own: each term counts in units of its spread among the observed.
        spread = jnp.std(observed, axis=0, keepdims=True)
        spread = jnp.where(spread > 0, spread, jnp.ones_like(spread))
        return unbiased_distance(observed / spread, drawn / spread), {}


def draw_like(law: AbstractSeriesLaw, batch: IrregularSeries, key: PRNGKeyArray) -> IrregularSeries:
    """As many draws, at the same times and with the same gaps."""
    drawn = jax.vmap(lambda t, k: law.sample(t, key=k))(batch.times, jr.split(key, len(batch.times)))
    return eqx.tree_at(lambda s: s.values, batch, jnp.where(batch.mask, drawn, jnp.zeros_like(drawn)))


def unbiased_distance(a: Array, b: Array) -> Array:
    """|E a - E b|² from two samples (n, features), (m, features), without bias."""

    def among(x: Array) -> Array:
        n = len(x)
        return (jnp.sum(jnp.sum(x, axis=0) ** 2) - jnp.sum(x**2)) / (n * (n - 1))

    return among(a) + among(b) - 2 * jnp.sum(jnp.mean(a, axis=0) * jnp.mean(b, axis=0))


def _critic_loss(critic: Any, batch: tuple, key: PRNGKeyArray) -> tuple[Array, dict]:
    others, series = batch
    fake = jnp.mean(jax.vmap(critic)(draw_like(others["law"], series, key)))
    return fake - jnp.mean(jax.vmap(critic)(series)), {}


def _law_loss(law: Any, batch: tuple, key: PRNGKeyArray) -> tuple[Array, dict]:
    others, series = batch
    return -jnp.mean(jax.vmap(others["critic"])(draw_like(law, series, key))), {}


# Made once: a new optimiser would compile anew.
@functools.lru_cache(maxsize=64)
def _variational(objective: Variational, rate: float) -> AbstractUpdate:
    return gradient(objective, optax.chain(optax.clip_by_global_norm(1.0), (objective.optimiser or optax.adam)(rate)))


@functools.lru_cache(maxsize=64)
def _signature(objective: SignatureScore, rate: float, steps: int) -> AbstractUpdate:
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), (objective.optimiser or optax.adam)(rate))
    return gradient(objective, optimiser, average=SWA(steps // 2))


@functools.lru_cache(maxsize=64)
def _adversarial(objective: Adversarial, rate: float, steps: int) -> AbstractUpdate:
    make = objective.optimiser or optax.rmsprop
    law = gradient(_law_loss, make(rate), average=SWA(int(objective.average_from * steps)))
    critic = gradient(_critic_loss, make(objective.ratio * rate), project=objective.project)
    return players({"critic": Player(critic, steps=objective.critic_steps), "law": Player(law)})
