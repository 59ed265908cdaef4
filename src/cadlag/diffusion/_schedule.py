"""`AbstractSchedule`: how data turn into noise, x_t = μ + α(t)(x_0 - μ) + σ(t) z with z standard normal.

One clock for the whole library: data at t = 0, noise at `t1`. With λ = log(α²/σ²), the log-SNR, the marginals above
are those of the linear SDE (Kingma et al., "Variational Diffusion Models", NeurIPS 2021; Song et al., ICLR 2021)

    dx = (α'/α)(x - μ) dt + g dW,   g² = dσ²/dt - 2 (α'/α) σ² = -σ² dλ/dt.
"""

import abc
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from cadlag.solve import SDE, NoiseKind

S = TypeVar("S", bound="AbstractSchedule")


class AbstractSchedule(eqx.Module):
    """A noise schedule. Written for one scalar time; all methods also take arrays of times.

    To write your own: give `alpha(t)`, `sigma(t)`, `log_snr(t)` = log(α²/σ²), strictly falling, stable near both ends,
    its inverse `time_at(log_snr)`, and the fields below. Derivatives, drift and diffusion follow by forward-mode
    differentiation.

    Fields: `t1`, the noise end; `t_min` and `t_max`, the cut-offs within which losses draw times and samplers and
    likelihoods run (log-SNR may be infinite at 0 and at `t1`); `shift`, the mean μ that the process reverts to, like
    x, or None for zero.
    """

    t1: eqx.AbstractVar[float]
    t_min: eqx.AbstractVar[float]
    t_max: eqx.AbstractVar[float]
    shift: eqx.AbstractVar[Array | None]

    @abc.abstractmethod
    def alpha(self, t: Array) -> Array:
        """Scale of the data, α(t)."""

    @abc.abstractmethod
    def sigma(self, t: Array) -> Array:
        """Standard deviation of the noise, σ(t)."""

    @abc.abstractmethod
    def log_snr(self, t: Array) -> Array:
        """log(α²/σ²), falling in t."""

    @abc.abstractmethod
    def time_at(self, log_snr: Array) -> Array:
        """The time of a given log-SNR."""

    def alpha_rate(self, t: Array) -> Array:
        """dα/dt."""
        return derivative(self.alpha, t)

    def sigma_rate(self, t: Array) -> Array:
        """dσ/dt; may be infinite at t = 0."""
        return derivative(self.sigma, t)

    def drift_rate(self, t: Array) -> Array:
        """a(t) = α'/α of the drift a(t)(x - μ)."""
        return self.alpha_rate(t) / self.alpha(t)

    def squared_diffusion(self, t: Array) -> Array:
        """g² = -σ² d log-SNR/dt."""
        return -jnp.square(self.sigma(t)) * derivative(self.log_snr, t)

    def level(self, t: Array) -> Array:
        """log(σ/α), within ±10: how noisy x_t is, the number that networks are told."""
        return jnp.clip(-0.5 * self.log_snr(t), -10.0, 10.0)

    def centre(self, x: Array) -> Array:
        """x - μ."""
        return x if self.shift is None else x - self.shift

    def uncentre(self, x: Array) -> Array:
        """x + μ."""
        return x if self.shift is None else x + self.shift

    def noised(self, t: Array, x0: Array, z: Array) -> Array:
        """x_t from data and noise of one shape."""
        return self.uncentre(self.alpha(t) * self.centre(x0) + self.sigma(t) * z)

    def prior_sample(self, z: Array) -> Array:
        """A draw of the law at `t_max` from standard normal z, α(t_max)(x_0 - μ) neglected."""
        return self.uncentre(self.sigma(jnp.asarray(self.t_max, z.dtype)) * z)

    def prior_log_prob(self, x: Array) -> Array:
        """Log-density of that law at one x, in nats."""
        sigma = self.sigma(jnp.asarray(self.t_max, x.dtype))
        square = jnp.sum(jnp.square(self.centre(x) / sigma))
        return -0.5 * square - x.size * (jnp.log(sigma) + 0.5 * jnp.log(jnp.asarray(2 * jnp.pi, x.dtype)))

    def forward(self) -> SDE:
        """The SDE with these marginals, an ordinary Process with additive noise, data at t = 0."""
        return SDE(_Drift(self), _Diffusion(self), noise=NoiseKind.additive)

    def shifted(self: S, shift: Array | None) -> S:
        """The same schedule, reverting to `shift`."""
        return eqx.tree_at(lambda s: s.shift, self, shift, is_leaf=lambda x: x is None)


class _Drift(eqx.Module):
    schedule: AbstractSchedule

    def __call__(self, t: Any, y: Array, args: Any) -> Array:
        t = jnp.asarray(t, y.dtype)
        return self.schedule.drift_rate(t) * self.schedule.centre(y)


class _Diffusion(eqx.Module):
    schedule: AbstractSchedule

    def __call__(self, t: Any, y: Array, args: Any) -> Array:
        t = jnp.asarray(t, y.dtype)
        return jnp.full_like(y, 1) * jnp.sqrt(self.schedule.squared_diffusion(t))


def derivative(f: Any, t: Array) -> Array:
    """df/dt of an elementwise function."""
    return jax.jvp(f, (t,), (jnp.ones_like(t),))[1]


def check_cut_offs(name: str, t_min: float, t_max: float, t1: float) -> None:
    """Refuse cut-offs that are out of order."""
    if not 0 <= t_min < t_max <= t1:
        raise ValueError(
            f"{name}: the cut-offs must satisfy 0 <= t_min < t_max <= t1, but t_min={t_min}, t_max={t_max}, t1={t1}. "
            "Data are at t = 0 and noise at t1."
        )
