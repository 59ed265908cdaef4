"""What a network predicts, and how its output is read as noise and data.

In centred coordinates x = α x_0 + σ z, so any linear combination of x_0 and z other than x itself gives both.
"""

import abc
from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from cadlag.diffusion._schedule import AbstractSchedule


class AbstractPrediction(eqx.Module):
    """A parametrisation of the network's output, in centred coordinates.

    To write your own: give `read(network, schedule, t, x) → (noise, data)`, where `network(x)` is the output at this
    time, and `target(schedule, t, x0, z)`, whose conditional expectation given x_t the network learns.
    """

    @abc.abstractmethod
    def read(self, network: Callable, schedule: AbstractSchedule, t: Array, x: Array) -> tuple[Array, Array]:
        """Expected noise and data at x."""

    @abc.abstractmethod
    def target(self, schedule: AbstractSchedule, t: Array, x0: Array, z: Array) -> Array:
        """What the output regresses on."""


class Noise(AbstractPrediction):
    """The output is E[z | x_t] (Ho et al. 2020)."""

    def read(self, network: Callable, schedule: AbstractSchedule, t: Array, x: Array) -> tuple[Array, Array]:
        """Data: (x - σ F)/α."""
        noise = network(x)
        return noise, (x - schedule.sigma(t) * noise) / schedule.alpha(t)

    def target(self, schedule: AbstractSchedule, t: Array, x0: Array, z: Array) -> Array:
        """z."""
        return z


class Data(AbstractPrediction):
    """The output is E[x_0 | x_t]."""

    def read(self, network: Callable, schedule: AbstractSchedule, t: Array, x: Array) -> tuple[Array, Array]:
        """Noise: (x - α F)/σ."""
        data = network(x)
        return (x - schedule.alpha(t) * data) / schedule.sigma(t), data

    def target(self, schedule: AbstractSchedule, t: Array, x0: Array, z: Array) -> Array:
        """x_0."""
        return x0


class V(AbstractPrediction):
    """The output is α s z - (σ/s) x_0 (Salimans & Ho 2022 with s = 1; Li et al. 2025 with s = σ_∞).

    Reads well at both ends, whatever the schedule.
    """

    scale: float = 1.0

    def __check_init__(self):
        if not self.scale > 0:
            raise ValueError(f"V: scale={self.scale} must be positive.")

    def read(self, network: Callable, schedule: AbstractSchedule, t: Array, x: Array) -> tuple[Array, Array]:
        """The inverse of a matrix whose determinant is α² s + σ²/s."""
        alpha, sigma, v = schedule.alpha(t), schedule.sigma(t), network(x)
        a, b = alpha * self.scale, sigma / self.scale
        determinant = alpha * a + sigma * b
        return (b * x + alpha * v) / determinant, (a * x - sigma * v) / determinant

    def target(self, schedule: AbstractSchedule, t: Array, x0: Array, z: Array) -> Array:
        """α s z - (σ/s) x_0."""
        return schedule.alpha(t) * self.scale * z - schedule.sigma(t) / self.scale * x0


class Velocity(AbstractPrediction):
    """The output is E[α' x_0 + σ' z | x_t], the probability flow itself (flow matching; Lipman et al. 2023)."""

    def read(self, network: Callable, schedule: AbstractSchedule, t: Array, x: Array) -> tuple[Array, Array]:
        """The inverse of a matrix whose determinant is ασ' - α'σ > 0."""
        alpha, sigma, velocity = schedule.alpha(t), schedule.sigma(t), network(x)
        alpha_rate, sigma_rate = schedule.alpha_rate(t), schedule.sigma_rate(t)
        determinant = alpha * sigma_rate - alpha_rate * sigma
        noise = (alpha * velocity - alpha_rate * x) / determinant
        return noise, (sigma_rate * x - sigma * velocity) / determinant

    def target(self, schedule: AbstractSchedule, t: Array, x0: Array, z: Array) -> Array:
        """α' x_0 + σ' z."""
        return schedule.alpha_rate(t) * x0 + schedule.sigma_rate(t) * z


class Score(AbstractPrediction):
    """The output is ∇ log p_t(x)."""

    def read(self, network: Callable, schedule: AbstractSchedule, t: Array, x: Array) -> tuple[Array, Array]:
        """Noise: -σ F."""
        return _from_score(schedule, t, x, network(x))

    def target(self, schedule: AbstractSchedule, t: Array, x0: Array, z: Array) -> Array:
        """-z/σ."""
        return -z / schedule.sigma(t)


class Potential(AbstractPrediction):
    """The output is a scalar φ, of shape (), whose gradient is the score: a field without rotation.

    φ is log p_t up to a function of time.
    """

    def read(self, network: Callable, schedule: AbstractSchedule, t: Array, x: Array) -> tuple[Array, Array]:
        """Noise: -σ ∇φ."""
        return _from_score(schedule, t, x, jax.grad(network)(x))

    def target(self, schedule: AbstractSchedule, t: Array, x0: Array, z: Array) -> Array:
        """-z/σ, of the gradient."""
        return -z / schedule.sigma(t)


def _from_score(schedule: AbstractSchedule, t: Array, x: Array, score: Array) -> tuple[Array, Array]:
    sigma = schedule.sigma(t)
    noise = -sigma * score
    return noise, (x - sigma * noise) / schedule.alpha(t)


class AbstractWeighting(eqx.Module):
    """How much an error of the expected noise counts at time t.

    To write your own: give `weight(schedule, t)`, the factor of mean |ε̂ - z|², and say with `native` whether the
    error is that of the network's own output instead.
    """

    native: ClassVar[bool] = False

    @abc.abstractmethod
    def weight(self, schedule: AbstractSchedule, t: Array) -> Array:
        """The factor at t."""


class Simple(AbstractWeighting):
    """|ε̂ - z|², that is λ(t) = σ² on the score (Ho et al. 2020; Song et al. 2021)."""

    def weight(self, schedule: AbstractSchedule, t: Array) -> Array:
        """1."""
        return jnp.ones_like(t)


class Likelihood(AbstractWeighting):
    """g² |s_θ + z/σ|²: up to a constant twice the bound on the negative log-likelihood (Song et al., NeurIPS 2021)."""

    def weight(self, schedule: AbstractSchedule, t: Array) -> Array:
        """g²/σ²."""
        return schedule.squared_diffusion(t) / jnp.square(schedule.sigma(t))


class Native(AbstractWeighting):
    """The plain squared error of whatever the network predicts (flow matching with `Velocity`)."""

    native: ClassVar[bool] = True

    def weight(self, schedule: AbstractSchedule, t: Array) -> Array:
        """1."""
        return jnp.ones_like(t)


class MinSNR(AbstractWeighting):
    """min(SNR, limit)/SNR on the noise (Hang et al., ICCV 2023)."""

    limit: float = 5.0

    def weight(self, schedule: AbstractSchedule, t: Array) -> Array:
        """min(1, limit/SNR)."""
        return jnp.minimum(jnp.ones_like(t), self.limit * jnp.exp(-schedule.log_snr(t)))
