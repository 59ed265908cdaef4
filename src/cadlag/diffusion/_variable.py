"""The variable that the probability flow is solved in: time, or the noise-to-signal ratio."""

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from cadlag.diffusion._denoiser import AbstractDenoiser
from cadlag.diffusion._processes import probability_flow
from cadlag.diffusion._schedule import AbstractSchedule
from cadlag.solve import AbstractProcess, Calculus, NoiseKind


class AbstractVariable(eqx.Module):
    """A change of variables of the probability flow.

    To write your own: give `process(denoiser)`, the flow in the new variables; `points(schedule, times)`, the new
    variable at times; and `enter(schedule, t, x)`, `leave(schedule, t, y)`, the new state from x at time t and back.
    """

    @abc.abstractmethod
    def process(self, denoiser: AbstractDenoiser) -> AbstractProcess:
        """The flow, a Process whose `args` is the condition."""

    @abc.abstractmethod
    def points(self, schedule: AbstractSchedule, times: Array) -> Array:
        """The variable at the times, monotone in them."""

    @abc.abstractmethod
    def enter(self, schedule: AbstractSchedule, t: Any, x: Array) -> Array:
        """State in the new variables."""

    @abc.abstractmethod
    def leave(self, schedule: AbstractSchedule, t: Any, y: Array) -> Array:
        """x again."""


class Time(AbstractVariable):
    """The schedule's own time: `probability_flow`, nothing changed."""

    def process(self, denoiser: AbstractDenoiser) -> AbstractProcess:
        """dx/dt."""
        return probability_flow(denoiser)

    def points(self, schedule: AbstractSchedule, times: Array) -> Array:
        """The times."""
        return times

    def enter(self, schedule: AbstractSchedule, t: Any, x: Array) -> Array:
        """x."""
        return x

    def leave(self, schedule: AbstractSchedule, t: Any, y: Array) -> Array:
        """x."""
        return y


class NoiseRatio(AbstractVariable):
    """ρ = α_T σ/α and y = (α_T/α)(x - μ), in which the flow is dy/dρ = ε̂; see `sigma_flow`.

    ρ spans orders of magnitude: place the steps by `UniformLogSNR()` or `UniformTime()`, which is where they stand.
    """

    def process(self, denoiser: AbstractDenoiser) -> AbstractProcess:
        """dy/dρ."""
        return sigma_flow(denoiser)

    def points(self, schedule: AbstractSchedule, times: Array) -> Array:
        """ρ at the times."""
        return _end(schedule, times) * jnp.exp(-0.5 * schedule.log_snr(times))

    def enter(self, schedule: AbstractSchedule, t: Any, x: Array) -> Array:
        """Centre, and divide by α/α_T."""
        return schedule.centre(x) * _scale(schedule, t, x)

    def leave(self, schedule: AbstractSchedule, t: Any, y: Array) -> Array:
        """Multiply by α/α_T, and put the mean back."""
        return schedule.uncentre(y / _scale(schedule, t, y))


class _SigmaFlow(AbstractProcess):
    denoiser: AbstractDenoiser
    noise: NoiseKind = eqx.field(static=True, default=NoiseKind.none)
    calculus: Calculus = eqx.field(static=True, default=Calculus.ito)

    def drift(self, t: Any, y: Array, args: Any) -> Array:
        """ε̂ at the time where α_T σ/α is `t`; `args` is the condition."""
        schedule = self.denoiser.schedule
        rho = jnp.asarray(t, y.dtype)
        time = schedule.time_at(-2 * jnp.log(rho / _end(schedule, rho)))
        return self.denoiser.noise(time, NoiseRatio().leave(schedule, time, y), args)

    def diffusion(self, t: Any, y: Array, args: Any) -> None:
        """There is none."""
        return None


def sigma_flow(denoiser: AbstractDenoiser) -> AbstractProcess:
    """The probability flow as dy/dρ = ε̂, with ρ = α_T σ/α and y = (α_T/α)(x - μ), α_T = α(t_max).

    ρ falls from σ(t_max) to α_T σ/α at t_min, and y = x - μ at t_max: of order one, so float32 will do. The term in x
    of the flow is gone from this equation and from its adjoint. One Euler step is a step of DDIM. Pan, Liew, Tan, Feng
    & Yan (AdjointDPM), ICLR 2024, section 4; ρ without their shift by σ(t_max), which cancels near the data.
    """
    return _SigmaFlow(denoiser)


def _end(schedule: AbstractSchedule, like: Array) -> Array:
    return schedule.alpha(jnp.asarray(schedule.t_max, like.dtype))


def _scale(schedule: AbstractSchedule, t: Any, like: Array) -> Array:
    return _end(schedule, like) / schedule.alpha(jnp.asarray(t, like.dtype))
