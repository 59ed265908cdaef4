"""Models of an interpolant: velocity b and score s at (t, x), learnt, exact, or read off a denoiser.

Samplers, losses and likelihoods ask for these two alone and never for what was trained.
"""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from cadlag.diffusion._denoiser import AbstractDenoiser
from cadlag.diffusion._field_pairs import AbstractFieldPair, InterpolantReading, VelocityNoise, VelocityOnly
from cadlag.diffusion._gamma import NoGamma
from cadlag.diffusion._interpolant import AbstractInterpolant


class AbstractInterpolantModel(eqx.Module):
    """b and s for one x of any shape, t in [0, 1] a scalar of x's dtype; x_0 at t = 0, x_1 at t = 1.

    To write your own: hold an `interpolant` (None where there is none of two ends) and give
    `read(t, x, cond=, key=) → InterpolantReading`.
    """

    interpolant: eqx.AbstractVar[AbstractInterpolant | None]

    @abc.abstractmethod
    def read(self, t: Array, x: Array, *, cond: Any = None, key: PRNGKeyArray | None = None) -> InterpolantReading:
        """Velocity and score at (t, x), under the condition `cond`."""

    def velocity(self, t: Array, x: Array, cond: Any = None) -> Array:
        """b = E[α'x_0 + β'x_1 + γ'z | x_t]."""
        return self.read(t, x, cond=cond).velocity

    def score(self, t: Array, x: Array, cond: Any = None) -> Array:
        """s = ∇ log ρ_t."""
        return _learnt(self.read(t, x, cond=cond).score)

    def noise(self, t: Array, x: Array, cond: Any = None) -> Array:
        """η = E[z | x_t] = -γs."""
        return -self._path().gamma(t) * self.score(t, x, cond)

    def mean_velocity(self, t: Array, x: Array, cond: Any = None) -> Array:
        """v = E[α'x_0 + β'x_1 | x_t] = b + γγ's."""
        velocity, score = self.read(t, x, cond=cond)
        return velocity + self._path().gamma_product(t) * _learnt(score)

    def ends(self, t: Array, x: Array, cond: Any = None) -> tuple[Array, Array]:
        """(E[x_0 | x_t], E[x_1 | x_t]), solved from αη_0 + βη_1 = x + γ²s and α'η_0 + β'η_1 = v."""
        path = self._path()
        velocity, score = self.read(t, x, cond=cond)
        score = _learnt(score)
        mean, rate = x + path.gamma_squared(t) * score, velocity + path.gamma_product(t) * score
        a, b, a1, b1 = path.alpha(t), path.beta(t), path.alpha_rate(t), path.beta_rate(t)
        determinant = a * b1 - a1 * b
        return (b1 * mean - b * rate) / determinant, (a * rate - a1 * mean) / determinant

    def drift(self, t: Array, x: Array, epsilon: Array, cond: Any = None) -> Array:
        """b + εs, of the SDE with diffusion sqrt(2|ε|); forwards for ε > 0, backwards for ε < 0."""
        velocity, score = self.read(t, x, cond=cond)
        return velocity + epsilon * _learnt(score)

    def _path(self) -> AbstractInterpolant:
        if self.interpolant is None:
            raise ValueError(f"{type(self).__name__} has no interpolant of two ends, so no latent noise to speak of.")
        return self.interpolant


class InterpolantModel(AbstractInterpolantModel):
    """Networks, the interpolant they were trained on, and which fields they stand for.

    **Arguments:**

    - `interpolant`: e.g. `Linear(BrownianGamma(1.0))`.
    - `networks`: one for each field of `pair`, called `network(level, x, cond=cond, key=key)`, as `cadlag.nn.ScoreMLP`
      is; level is log(t/(1 - t)), x is scaled to unit variance; returns an array like x.
    - `pair`: `VelocityNoise()` (default), `VelocityScore()`, `MeanVelocityNoise()`, `MeanVelocityScore()`, `Ends()`, or
      `VelocityOnly()` for the ODE alone.
    - `std0`, `std1`: deviations of the entries of x_0 and x_1, for the scale of the networks' input.
    - `t_min`: networks and 1/γ never see t outside [t_min, 1 - t_min]; losses draw t from there.
    """

    interpolant: AbstractInterpolant
    networks: tuple[Callable, ...]
    pair: AbstractFieldPair = VelocityNoise()
    std0: float = 1.0
    std1: float = 1.0
    t_min: float = 1e-3

    def __check_init__(self):
        check_parts(self.interpolant, self.pair)
        if len(self.networks) != len(self.pair.names):
            raise ValueError(
                f"InterpolantModel: got {len(self.networks)} networks for {type(self.pair).__name__}(), which stands "
                f"for {' and '.join(self.pair.names)}; give a tuple of {len(self.pair.names)}."
            )
        if isinstance(self.interpolant.latent, NoGamma) and not isinstance(self.pair, VelocityOnly):
            raise ValueError(
                "InterpolantModel: without latent noise (NoGamma) there is no score to learn; use pair=VelocityOnly() "
                "or another γ."
            )
        if not 0 < self.t_min < 0.5:
            raise ValueError(f"InterpolantModel: t_min={self.t_min} must lie between 0 and 0.5.")
        if not (self.std0 > 0 and self.std1 > 0):
            raise ValueError(f"InterpolantModel: std0={self.std0} and std1={self.std1} must be positive.")

    def inner(self, t: Array) -> Array:
        """t moved into [t_min, 1 - t_min]."""
        return jnp.clip(t, self.t_min, 1 - self.t_min)

    def outputs(self, t: Array, x: Array, *, cond: Any = None, key: PRNGKeyArray | None = None) -> tuple[Array, ...]:
        """What the networks say."""
        path, inner = self.interpolant, self.inner(t)
        variance = jnp.square(path.alpha(t) * self.std0) + jnp.square(path.beta(t) * self.std1) + path.gamma_squared(t)
        # Without latent noise an encoding-decoding path has no variance half way.
        scaled = x / jnp.sqrt(jnp.maximum(variance, 1e-4 * min(self.std0, self.std1) ** 2))
        return tuple(network(path.level(inner), scaled, cond=cond, key=key) for network in self.networks)

    def read(self, t: Array, x: Array, *, cond: Any = None, key: PRNGKeyArray | None = None) -> InterpolantReading:
        """One evaluation of the networks, read as velocity and score."""
        values = self.outputs(t, x, cond=cond, key=key)
        return self.pair.read(values, self.interpolant, t, self.inner(t), x)


class OneSided(AbstractInterpolantModel):
    """A denoiser as an interpolant model: noise at t = 0, data at t = 1, whatever its schedule's clock.

    With it a diffusion or flow-matching model has the SDEs of any ε ≥ 0; t maps to the schedule's t1 (1 - t), kept
    within its cut-offs. Starts from draws of the schedule's prior.
    """

    denoiser: AbstractDenoiser
    interpolant: None = None

    def __check_init__(self):
        check_denoiser(self.denoiser)

    def read(self, t: Array, x: Array, *, cond: Any = None, key: PRNGKeyArray | None = None) -> InterpolantReading:
        """The velocity of the probability flow on the reversed clock, and the score."""
        schedule = self.denoiser.schedule
        time = jnp.clip(schedule.t1 * (1 - t), schedule.t_min, schedule.t_max)
        noise, data = self.denoiser.read(time, x, cond=cond, key=key)
        rate = schedule.alpha_rate(time) * schedule.centre(data) + schedule.sigma_rate(time) * noise
        return InterpolantReading(-schedule.t1 * rate, -noise / schedule.sigma(time))


def _learnt(score: Array | None) -> Array:
    if score is None:
        raise ValueError(
            "This model knows its velocity alone, which does not determine the score: it has the ODE and no SDE. Learn "
            "a second field, e.g. pair=VelocityNoise(), on an interpolant with latent noise."
        )
    return score


def check_parts(interpolant: Any, pair: Any) -> None:
    """Refuse what is no interpolant and no pair of fields."""
    if not isinstance(interpolant, AbstractInterpolant):
        raise TypeError(
            f"InterpolantModel: interpolant is a {type(interpolant).__name__}; expected Linear(), Trigonometric(), "
            "EncodingDecoding() or Mirror(). A Schedule has noise at one end: use Denoiser, and OneSided(denoiser) for "
            "the samplers of interpolants."
        )
    if not isinstance(pair, AbstractFieldPair):
        raise TypeError(f"InterpolantModel: pair is {pair!r}; expected VelocityNoise() or another pair.")


def check_denoiser(denoiser: Any) -> None:
    """Refuse what is no denoiser."""
    if not isinstance(denoiser, AbstractDenoiser):
        raise TypeError(
            f"OneSided: got a {type(denoiser).__name__}; expected a denoiser, that is a network with a schedule. A "
            "model of two arbitrary ends is an InterpolantModel already."
        )
