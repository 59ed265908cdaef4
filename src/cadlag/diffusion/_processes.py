"""Sampling equations of a denoiser, as ordinary Processes of `solve`."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from cadlag.diffusion._denoiser import AbstractDenoiser
from cadlag.solve import AbstractProcess, Calculus, NoiseKind, reverse


class _ProbabilityFlow(AbstractProcess):
    denoiser: AbstractDenoiser
    noise: NoiseKind = eqx.field(static=True, default=NoiseKind.none)
    calculus: Calculus = eqx.field(static=True, default=Calculus.ito)

    def drift(self, t: Any, y: Array, args: Any) -> Array:
        """The flow's velocity; `args` is the condition."""
        return self.denoiser.velocity(jnp.asarray(t, y.dtype), y, args)

    def diffusion(self, t: Any, y: Array, args: Any) -> None:
        """There is none."""
        return None


class _Score(eqx.Module):
    denoiser: AbstractDenoiser

    def __call__(self, t: Any, y: Array, args: Any) -> Array:
        return self.denoiser.score(jnp.asarray(t, y.dtype), y, args)


def probability_flow(denoiser: AbstractDenoiser) -> AbstractProcess:
    """The ODE dx/dt = α'(x̂_0 - μ) + σ' ε̂ whose marginals are the schedule's; `args` of `solve` is the condition.

    Solve it with falling times to sample, with rising times to encode. Song et al., ICLR 2021, eq. 13.
    """
    return _ProbabilityFlow(denoiser)


def reverse_sde(denoiser: AbstractDenoiser, *, noise_level: float = 1.0) -> AbstractProcess:
    """The reverse SDE at noise level λ, a Process in s = `t1` - t; `args` of `solve` is the condition.

    λ = 1 is Anderson's, λ = 0 the probability flow; every level has the same marginals. Solve it for s from
    `t1 - t_max` to `t1 - t_min` of the schedule.
    """
    schedule = denoiser.schedule
    return reverse(schedule.forward(), _Score(denoiser), schedule.t1, noise_level=noise_level)
