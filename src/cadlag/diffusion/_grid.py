"""Where a sampler steps: falling times from `t_max` to `t_min` of a schedule."""

import abc
import contextlib
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array

from cadlag.diffusion._schedule import AbstractSchedule


class AbstractGrid(eqx.Module):
    """A rule that places the times of a sampler.

    To write your own: give `inner(schedule, u)`, the time at the fraction u of the way, falling in u; the ends are
    put at `t_max` and `t_min` exactly.
    """

    @abc.abstractmethod
    def inner(self, schedule: AbstractSchedule, u: Array) -> Array:
        """Times at the fractions u in [0, 1]."""

    def __call__(self, schedule: AbstractSchedule, steps: int, dtype: Any) -> Array:
        """Times, shape (steps + 1,)."""
        times = self.inner(schedule, jnp.linspace(0, 1, steps + 1, dtype=dtype))
        return times.at[0].set(schedule.t_max).at[-1].set(schedule.t_min)


def known(schedule: AbstractSchedule) -> contextlib.AbstractContextManager:
    """A context in which what follows from a schedule of known numbers is computed before compiling, also under jit."""
    traced = any(isinstance(x, Tracer) for x in jax.tree.leaves(schedule.shifted(None)))
    return contextlib.nullcontext() if traced else jax.ensure_compile_time_eval()


class UniformTime(AbstractGrid):
    """Equal steps in the schedule's own time."""

    def inner(self, schedule: AbstractSchedule, u: Array) -> Array:
        """Linear in t."""
        return schedule.t_max + (schedule.t_min - schedule.t_max) * u


class UniformLogSNR(AbstractGrid):
    """Equal steps in log-SNR (Lu et al., DPM-Solver, NeurIPS 2022)."""

    def inner(self, schedule: AbstractSchedule, u: Array) -> Array:
        """Linear in log(α²/σ²)."""
        low, high = _ends(schedule, u)
        return schedule.time_at(low + (high - low) * u)


class Karras(AbstractGrid):
    """Equal steps in (σ/α)^{1/ρ} (Karras et al. 2022, eq. 5), ρ = 7."""

    rho: float = 7.0

    def __check_init__(self):
        if not self.rho > 0:
            raise ValueError(f"Karras: rho={self.rho} must be positive.")

    def inner(self, schedule: AbstractSchedule, u: Array) -> Array:
        """Powers of σ/α."""
        low, high = _ends(schedule, u)
        first, last = jnp.exp(-0.5 * low / self.rho), jnp.exp(-0.5 * high / self.rho)
        return schedule.time_at(-2 * self.rho * jnp.log(first + (last - first) * u))


class PowerTime(AbstractGrid):
    """Equal steps in t^{1/power}: denser near the data (Song, Meng & Ermon 2021 with power 2)."""

    power: float = 2.0

    def inner(self, schedule: AbstractSchedule, u: Array) -> Array:
        """Powers of t."""
        first, last = schedule.t_max ** (1 / self.power), schedule.t_min ** (1 / self.power)
        return (first + (last - first) * u) ** self.power


def _ends(schedule: AbstractSchedule, like: Array) -> tuple[Array, Array]:
    times = jnp.asarray([schedule.t_max, schedule.t_min], like.dtype)
    low, high = schedule.log_snr(times)
    return low, high
