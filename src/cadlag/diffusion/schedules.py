"""The schedules of the literature, on one clock: data at t = 0, noise at t1.

| class | α | σ | from |
|---|---|---|---|
| `VP` | e^{-B/2} | sqrt(1 - e^{-B}) | Ho et al. 2020; Song et al. 2021 |
| `SubVP` | e^{-B/2} | 1 - e^{-B} | Song et al. 2021 |
| `VE` | 1 | σ_min (σ_max/σ_min)^t | Song & Ermon 2019; Song et al. 2021 |
| `EDM` | 1 | t | Karras et al. 2022 |
| `Flow` | 1 - t | t | Lipman et al. 2023; Liu et al. 2023; one-sided linear interpolant |
| `Cosine` | cos(πt/2) | sin(πt/2) | Nichol & Dhariwal 2021; one-sided trigonometric interpolant |
| `OU` | e^{-rt} | s sqrt(1 - e^{-2rt}) | constant rate of reversion |
| `MeanReverting` | e^{-Θ(t)} | s sqrt(1 - e^{-2Θ}) | Luo et al. 2023 (IR-SDE) |
| `Tabulated` | table | table | discrete chains |

with B(t) = ∫β = β_min t + ½ (β_max - β_min) t².
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from cadlag.diffusion._schedule import AbstractSchedule, check_cut_offs


class VP(AbstractSchedule):
    """Variance preserving, with linear β (Song et al. 2021, eq. 11; DDPM in continuous time)."""

    beta_min: float = 0.1
    beta_max: float = 20.0
    t1: float = 1.0
    t_min: float = 1e-3
    t_max: float = 1.0
    shift: Array | None = None

    def __check_init__(self):
        _check_betas("VP", self.beta_min, self.beta_max)
        check_cut_offs("VP", self.t_min, self.t_max, self.t1)

    def alpha(self, t: Array) -> Array:
        """e^{-B/2}."""
        return jnp.exp(-0.5 * _integral(self, t))

    def sigma(self, t: Array) -> Array:
        """sqrt(1 - e^{-B})."""
        return jnp.sqrt(-jnp.expm1(-_integral(self, t)))

    def log_snr(self, t: Array) -> Array:
        """-log(e^B - 1)."""
        return _decay_log_snr(_integral(self, t), 1.0)

    def time_at(self, log_snr: Array) -> Array:
        """B = log(1 + e^{-λ}), then the root of a quadratic."""
        return _time_of_integral(self, _decay_at(log_snr, 1.0))


class SubVP(AbstractSchedule):
    """Sub-VP: the same drift as `VP`, less noise (Song et al. 2021, eq. 12)."""

    beta_min: float = 0.1
    beta_max: float = 20.0
    t1: float = 1.0
    t_min: float = 1e-3
    t_max: float = 1.0
    shift: Array | None = None

    def __check_init__(self):
        _check_betas("SubVP", self.beta_min, self.beta_max)
        check_cut_offs("SubVP", self.t_min, self.t_max, self.t1)

    def alpha(self, t: Array) -> Array:
        """e^{-B/2}."""
        return jnp.exp(-0.5 * _integral(self, t))

    def sigma(self, t: Array) -> Array:
        """1 - e^{-B}."""
        return -jnp.expm1(-_integral(self, t))

    def log_snr(self, t: Array) -> Array:
        """-B - 2 log(1 - e^{-B})."""
        b = _integral(self, t)
        return -b - 2 * jnp.log(-jnp.expm1(-b))

    def time_at(self, log_snr: Array) -> Array:
        """With r = α/σ, r α² + α - r = 0; then B from α, or from 1 - α² = α/r where that is small."""
        r = jnp.exp(0.5 * log_snr)
        alpha = 2 * r / (1 + jnp.sqrt(1 + 4 * r * r))
        safe = jnp.maximum(r, 1.0)
        b = jnp.where(r > 1, -jnp.log1p(-jnp.where(r > 1, alpha / safe, 0.5)), -2 * jnp.log(alpha))
        return _time_of_integral(self, b)


class VE(AbstractSchedule):
    """Variance exploding: σ = σ_min (σ_max/σ_min)^t; advice: σ_max ≈ the largest distance in the data.

    At t = 0 a noise of σ_min is left, as in the released code (Song et al. 2021, appendix C).
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0
    t1: float = 1.0
    t_min: float = 1e-5
    t_max: float = 1.0
    shift: Array | None = None

    def __check_init__(self):
        if not 0 < self.sigma_min < self.sigma_max:
            raise ValueError(
                f"VE: sigma_min={self.sigma_min} and sigma_max={self.sigma_max} must satisfy 0 < sigma_min < sigma_max."
            )
        check_cut_offs("VE", self.t_min, self.t_max, self.t1)

    def alpha(self, t: Array) -> Array:
        """1."""
        return jnp.ones_like(t)

    def sigma(self, t: Array) -> Array:
        """σ_min (σ_max/σ_min)^t, t in units of t1."""
        return self.sigma_min * jnp.exp(self._growth * t)

    def log_snr(self, t: Array) -> Array:
        """-2 log σ."""
        return -2 * (math.log(self.sigma_min) + self._growth * t)

    def time_at(self, log_snr: Array) -> Array:
        """log(σ/σ_min) over log(σ_max/σ_min)."""
        return (-0.5 * log_snr - math.log(self.sigma_min)) / self._growth

    @property
    def _growth(self) -> float:
        return math.log(self.sigma_max / self.sigma_min) / self.t1


class EDM(AbstractSchedule):
    """Time is the noise level: σ = t (Karras et al., NeurIPS 2022)."""

    t1: float = 80.0
    t_min: float = 0.002
    t_max: float = 80.0
    shift: Array | None = None

    def __check_init__(self):
        check_cut_offs("EDM", self.t_min, self.t_max, self.t1)

    def alpha(self, t: Array) -> Array:
        """1."""
        return jnp.ones_like(t)

    def sigma(self, t: Array) -> Array:
        """The time itself."""
        return t

    def log_snr(self, t: Array) -> Array:
        """-2 log t."""
        return -2 * jnp.log(t)

    def time_at(self, log_snr: Array) -> Array:
        """e^{-λ/2}."""
        return jnp.exp(-0.5 * log_snr)


class Flow(AbstractSchedule):
    """Straight lines from noise to data, x_t = (1 - t) x_0 + t z: flow matching, rectified flow.

    Log-SNR is infinite at both ends, so both are cut off: α(t_max) = 1e-3 plays the part of e^{-B(1)/2} = 7e-3 in `VP`.
    """

    t1: float = 1.0
    t_min: float = 1e-3
    t_max: float = 0.999
    shift: Array | None = None

    def __check_init__(self):
        _check_unit("Flow", self.t1)
        check_cut_offs("Flow", self.t_min, self.t_max, self.t1)

    def alpha(self, t: Array) -> Array:
        """1 - t."""
        return 1 - t

    def sigma(self, t: Array) -> Array:
        """The time itself."""
        return t

    def log_snr(self, t: Array) -> Array:
        """2 log((1 - t)/t)."""
        return 2 * (jnp.log1p(-t) - jnp.log(t))

    def time_at(self, log_snr: Array) -> Array:
        """A logistic function."""
        return jax.nn.sigmoid(-0.5 * log_snr)


class Cosine(AbstractSchedule):
    """x_t = cos(πt/2) x_0 + sin(πt/2) z; log-SNR is infinite at both ends, so both are cut off."""

    t1: float = 1.0
    t_min: float = 1e-3
    t_max: float = 0.999
    shift: Array | None = None

    def __check_init__(self):
        _check_unit("Cosine", self.t1)
        check_cut_offs("Cosine", self.t_min, self.t_max, self.t1)

    def alpha(self, t: Array) -> Array:
        """cos(πt/2), as a sine of the distance to the end."""
        return jnp.sin(0.5 * math.pi * (1 - t))

    def sigma(self, t: Array) -> Array:
        """sin(πt/2)."""
        return jnp.sin(0.5 * math.pi * t)

    def log_snr(self, t: Array) -> Array:
        """-2 log tan(πt/2)."""
        return 2 * (jnp.log(self.alpha(t)) - jnp.log(self.sigma(t)))

    def time_at(self, log_snr: Array) -> Array:
        """(2/π) atan e^{-λ/2}."""
        return jnp.arctan(jnp.exp(-0.5 * log_snr)) * (2 / math.pi)


class OU(AbstractSchedule):
    """The Ornstein-Uhlenbeck process dx = r (μ - x) dt + s sqrt(2r) dW: constant rate r, stationary deviation s."""

    rate: float = 1.0
    std: float = 1.0
    t1: float = 5.0
    t_min: float = 1e-3
    t_max: float = 5.0
    shift: Array | None = None

    def __check_init__(self):
        _check_positive("OU", rate=self.rate, std=self.std)
        check_cut_offs("OU", self.t_min, self.t_max, self.t1)

    def alpha(self, t: Array) -> Array:
        """e^{-rt}."""
        return jnp.exp(-self.rate * t)

    def sigma(self, t: Array) -> Array:
        """s sqrt(1 - e^{-2rt})."""
        return self.std * jnp.sqrt(-jnp.expm1(-2 * self.rate * t))

    def log_snr(self, t: Array) -> Array:
        """-log(e^{2rt} - 1) - 2 log s."""
        return _decay_log_snr(2 * self.rate * t, self.std)

    def time_at(self, log_snr: Array) -> Array:
        """log(1 + e^{-λ}/s²) / 2r."""
        return _decay_at(log_snr, self.std) / (2 * self.rate)


class MeanReverting(AbstractSchedule):
    """Mean-reverting diffusion from an image to its degraded version μ = `shift` plus noise (IR-SDE).

    The rate of reversion is θ(t) ∝ 1 - cos²(ω(t + s))/cos²(ωs), s = 0.008, ω = π/(2(1 + s)), the cosine table of the
    released code in closed form, scaled so that α(1) = `end`; `std` is the stationary deviation σ_∞ (50/255 for
    images in [0, 1]), and α² + (σ/σ_∞)² = 1. Luo et al., "Image Restoration with Mean-Reverting SDEs", ICML 2023;
    `OU(rate=-log(end), std=std, t1=1.0)` has the constant rate.
    """

    std: float = 50 / 255
    end: float = 0.005
    t1: float = 1.0
    t_min: float = 1e-2
    t_max: float = 1.0
    shift: Array | None = None

    def __check_init__(self):
        _check_unit("MeanReverting", self.t1)
        _check_positive("MeanReverting", std=self.std)
        if not 0 < self.end < 1:
            raise ValueError(f"MeanReverting: end={self.end}, the α that is left at t = 1, must lie in (0, 1).")
        check_cut_offs("MeanReverting", self.t_min, self.t_max, self.t1)

    def alpha(self, t: Array) -> Array:
        """e^{-Θ}."""
        return jnp.exp(-self._reversion(t))

    def sigma(self, t: Array) -> Array:
        """σ_∞ sqrt(1 - e^{-2Θ})."""
        return self.std * jnp.sqrt(-jnp.expm1(-2 * self._reversion(t)))

    def log_snr(self, t: Array) -> Array:
        """-log(e^{2Θ} - 1) - 2 log σ_∞."""
        return _decay_log_snr(2 * self._reversion(t), self.std)

    def time_at(self, log_snr: Array) -> Array:
        """Θ = ½ log(1 + e^{-λ}/σ_∞²), then t by bisection."""
        return _bisect(self._reversion, 0.5 * _decay_at(log_snr, self.std), 0.0, 1.0)

    def _reversion(self, t: Array) -> Array:
        """Θ(t) = ∫θ."""
        return -math.log(self.end) / _cosine_integral(1.0) * _cosine_integral(t)


class Tabulated(AbstractSchedule):
    """A schedule given at points: log α and log σ are linear between them.

    **Arguments:**

    - `times`: increasing, shape (points,); the first may be 0 only where σ > 0 there.
    - `log_alpha`, `log_sigma`: at those times, same shape, with falling log-SNR.
    - `shift`: the mean μ, or None.

    `Tabulated.from_betas` makes the schedule of a discrete chain with β_1 … β_N at the times i/N.
    """

    times: Array
    log_alpha: Array
    log_sigma: Array
    t1: float
    t_min: float
    t_max: float
    shift: Array | None

    def __init__(self, times: Any, log_alpha: Any, log_sigma: Any, *, shift: Array | None = None):
        host = [np.asarray(x, np.float64) for x in (times, log_alpha, log_sigma)]
        if any(x.ndim != 1 or x.shape != host[0].shape or len(x) < 2 for x in host):
            raise ValueError(
                f"Tabulated: times, log_alpha and log_sigma have shapes {[x.shape for x in host]}; expected one shape "
                "(points,), at least two points."
            )
        if not all(np.all(np.isfinite(x)) for x in host):
            raise ValueError("Tabulated: a value is infinite or NaN; leave out the point where σ or α is zero.")
        if not (np.all(np.diff(host[0]) > 0) and np.all(np.diff(host[1] - host[2]) < 0) and host[0][0] >= 0):
            raise ValueError("Tabulated: times must increase from at least 0, and log-SNR must fall with them.")
        self.times, self.log_alpha, self.log_sigma = (jnp.asarray(x) for x in host)
        self.t_min, self.t_max = float(host[0][0]), float(host[0][-1])
        self.t1, self.shift = self.t_max, shift

    @staticmethod
    def from_betas(betas: Any) -> "Tabulated":
        """The chain x_i = sqrt(1 - β_i) x_{i-1} + sqrt(β_i) z of DDPM, at the times i/N, i = 1 … N.

        The last β may be 1, which leaves nothing of the data: α is then 1e-7 of the one before.
        """
        betas = np.array(betas, np.float64)
        inside = (betas > 0) & (betas < 1)
        if betas.ndim != 1 or len(betas) < 2 or not (np.all(inside[:-1]) and (inside[-1] or betas[-1] == 1)):
            raise ValueError(
                "Tabulated.from_betas: betas must be at least two numbers in (0, 1), shape (steps,); the last may be 1."
            )
        log_square = np.cumsum(np.log1p(-np.minimum(betas, 1 - 1e-14)))
        times = np.arange(1, len(betas) + 1) / len(betas)
        return Tabulated(times, 0.5 * log_square, 0.5 * np.log(-np.expm1(log_square)))

    def alpha(self, t: Array) -> Array:
        """From the table."""
        return jnp.exp(self._read(t, self.log_alpha))

    def sigma(self, t: Array) -> Array:
        """From the table."""
        return jnp.exp(self._read(t, self.log_sigma))

    def log_snr(self, t: Array) -> Array:
        """From the table."""
        return 2 * self._read(t, self.log_alpha - self.log_sigma)

    def time_at(self, log_snr: Array) -> Array:
        """From the table, read the other way."""
        table = (2 * (self.log_alpha - self.log_sigma)).astype(log_snr.dtype)
        return jnp.interp(log_snr, table[::-1], self.times.astype(log_snr.dtype)[::-1])

    def _read(self, t: Array, table: Array) -> Array:
        return jnp.interp(t, self.times.astype(t.dtype), table.astype(t.dtype))


def _integral(schedule: VP | SubVP, t: Array) -> Array:
    """B(t), with t in units of t1."""
    u = t / schedule.t1
    return schedule.beta_min * u + 0.5 * (schedule.beta_max - schedule.beta_min) * u * u


def _time_of_integral(schedule: VP | SubVP, b: Array) -> Array:
    # The root in the form that does not cancel for small B.
    slope = schedule.beta_max - schedule.beta_min
    root = jnp.sqrt(schedule.beta_min**2 + 2 * slope * b)
    return schedule.t1 * 2 * b / (schedule.beta_min + root)


def _decay_log_snr(decay: Array, std: float) -> Array:
    """log-SNR of α² = e^{-decay}, σ² = std² (1 - e^{-decay})."""
    return -decay - jnp.log(-jnp.expm1(-decay)) - 2 * math.log(std)


def _decay_at(log_snr: Array, std: float) -> Array:
    """The inverse: decay = log(1 + e^{-λ}/std²)."""
    return jax.nn.softplus(-log_snr - 2 * math.log(std))


def _cosine_integral(t: Any) -> Any:
    """∫_0^t 1 - cos²(ω(u + s))/cos²(ωs) du."""
    s = 0.008
    omega = 0.5 * math.pi / (1 + s)
    c0 = math.cos(omega * s) ** 2
    sine = jnp.sin if eqx.is_array(t) else math.sin
    return t - (0.5 * t + (sine(2 * omega * (t + s)) - math.sin(2 * omega * s)) / (4 * omega)) / c0


def _bisect(f: Any, target: Array, low: float, high: float) -> Array:
    """Where an increasing function has a value; elementwise, to rounding."""

    def halve(_: Any, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        a, b = bracket
        middle = 0.5 * (a + b)
        below = f(middle) < target
        return jnp.where(below, middle, a), jnp.where(below, b, middle)

    start = (jnp.full_like(target, low), jnp.full_like(target, high))
    a, b = jax.lax.fori_loop(0, 60, halve, start)
    return 0.5 * (a + b)


def _check_betas(name: str, beta_min: float, beta_max: float) -> None:
    if not 0 < beta_min <= beta_max:
        raise ValueError(f"{name}: beta_min={beta_min} and beta_max={beta_max} must satisfy 0 < beta_min <= beta_max.")


def _check_positive(name: str, **values: float) -> None:
    for field, value in values.items():
        if not value > 0:
            raise ValueError(f"{name}: {field}={value} must be positive.")


def _check_unit(name: str, t1: float) -> None:
    if t1 != 1:
        raise ValueError(f"{name}: t1={t1}, but the clock of this schedule runs from 0 to 1.")
