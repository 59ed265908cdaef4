"""Fractional Brownian motion, exactly: its covariance and its paths.

With α = H + 1/2 and Brownian motion B, type I (Mandelbrot and Van Ness 1968) and type II (Riemann-Liouville) are

    B_I(t) = B_II(t) + 1/Γ(α) ∫_{-∞}^0 [(t-s)^{α-1} - (-s)^{α-1}] dB(s),   B_II(t) = 1/Γ(α) ∫_0^t (t-s)^{α-1} dB(s).

Var B_I(t) = V t^{2H} with V = 1/(Γ(2H+1) sin πH); its increments are stationary. Var B_II(t) = t^{2H}/(2H Γ(α)²): no
past, and increments that settle down only with time. Paths of type I on equal steps by circulant embedding (Davies
and Harte 1987), all others by Cholesky.
"""

import enum
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.core import Tracer
from jax.scipy.special import gamma, gammaln
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.linalg import safe_cholesky

# Terms of a power series at an argument of at most 1/2, in double precision.
_TERMS = 56


class FractionalKind(enum.Enum):
    """Which fractional Brownian motion.

    `stationary`: type I, an infinite past, stationary increments. `causal`: type II, nothing before time zero.
    """

    stationary = "type I"
    causal = "type II"


def check_hurst(hurst: Any) -> None:
    """Raise a ValueError for a known Hurst index outside (0, 1)."""
    if isinstance(hurst, Tracer) or callable(hurst):
        return
    values = np.asarray(hurst)
    if not np.all((values > 0) & (values < 1)):
        raise ValueError(
            f"hurst={values.tolist()} must lie strictly between 0 and 1: 1/2 is Brownian motion, below it paths are "
            "rougher, above it they have long memory. To learn it, train a real number and pass its sigmoid."
        )


def unit_variance(kind: FractionalKind, hurst: Array) -> Array:
    """Variance at time one of the integral that defines the motion."""
    if kind is FractionalKind.stationary:
        return jnp.exp(-gammaln(2 * hurst + 1)) / jnp.sin(np.pi * hurst)
    return jnp.exp(-2 * gammaln(hurst + 0.5)) / (2 * hurst)


class FractionalBrownianMotion(eqx.Module):
    """The exact law of fractional Brownian motion from B(0) = 0.

    **Arguments:**

    - `hurst`: H in (0, 1), a number.
    - `kind`: type I (`FractionalKind.stationary`, the textbook's) or II (`FractionalKind.causal`).
    - `unit`: divide by the deviation at time one, so that Var B(t) = t^{2H}; otherwise the integral as it stands.

    **Raises:** ValueError for H outside (0, 1).
    """

    hurst: Float[Array, ""]
    kind: FractionalKind = eqx.field(static=True)
    unit: bool = eqx.field(static=True)

    def __init__(self, hurst: Any, *, kind: FractionalKind = FractionalKind.stationary, unit: bool = True):
        check_hurst(hurst)
        self.hurst, self.kind, self.unit = jnp.asarray(hurst), kind, unit

    def variance(self, times: Float[Array, " n"]) -> Float[Array, " n"]:
        """Var B(t)."""
        return self._scale(times.dtype) * _power(times, 2 * self.hurst.astype(times.dtype))

    def covariance(self, times: Float[Array, " n"], others: Float[Array, " m"] | None = None) -> Float[Array, "n m"]:
        """Cov(B(t), B(s)) for times that are not negative."""
        others = times if others is None else others
        h = self.hurst.astype(times.dtype)
        s, t = jnp.broadcast_arrays(times[:, None], others[None, :])
        if self.kind is FractionalKind.stationary:
            k = (_power(s, 2 * h) + _power(t, 2 * h) - _power(jnp.abs(s - t), 2 * h)) / 2
        else:
            k = _causal(jnp.minimum(s, t), jnp.maximum(s, t), h)
        return self._scale(times.dtype) * k

    def sample(self, times: Float[Array, " n"], *, key: PRNGKeyArray) -> Float[Array, " n"]:
        """A path at any distinct times that are not negative, by Cholesky: n³ operations."""
        at_zero = times == 0
        cov = self.covariance(times) + jnp.diag(at_zero.astype(times.dtype))
        values = safe_cholesky(cov).factor @ jr.normal(key, times.shape, times.dtype)
        return jnp.where(at_zero, jnp.zeros_like(values), values)

    def sample_grid(self, steps: int, width: Any, *, key: PRNGKeyArray) -> Float[Array, " points"]:
        """A path of type I at 0, width, …, steps * width, by circulant embedding: n log n operations.

        **Raises:** ValueError for type II, whose increments are not stationary: use `sample`.
        """
        if self.kind is not FractionalKind.stationary:
            raise ValueError("sample_grid needs stationary increments, which type II has not; use sample(times).")
        if steps < 1:
            raise ValueError(f"steps={steps} of sample_grid must be at least 1.")
        width = jnp.asarray(width, jnp.result_type(float) if isinstance(width, float | int) else None)
        scale = jnp.sqrt(self._scale(width.dtype)) * width ** self.hurst.astype(width.dtype)
        increments = _circulant(increment_covariance(self.hurst.astype(width.dtype), steps), key)[:steps]
        return scale * jnp.concatenate([jnp.zeros(1, width.dtype), jnp.cumsum(increments)])

    def _scale(self, dtype: Any) -> Array:
        return jnp.ones((), dtype) if self.unit else unit_variance(self.kind, self.hurst.astype(dtype))


def increment_covariance(hurst: Float[Array, ""], lags: int) -> Float[Array, " points"]:
    """Covariance of increments over unit steps, unit variance, at lags 0 to `lags`."""
    k = jnp.arange(1, lags + 1, dtype=hurst.dtype)
    two_h = 2 * hurst
    # The second difference of k^{2H} as a sum of small numbers: their difference would be lost in single precision.
    at_one = 2**two_h / 2 - 1
    k = jnp.where(k > 1, k, jnp.full_like(k, 2))
    rest = k**two_h * (jnp.expm1(two_h * jnp.log1p(1 / k)) + jnp.expm1(two_h * jnp.log1p(-1 / k))) / 2
    return jnp.concatenate([jnp.ones(1, k.dtype), at_one[None], rest[1:]])


def _circulant(row: Float[Array, " points"], key: PRNGKeyArray) -> Float[Array, " period"]:
    """A stationary Gaussian sequence with this covariance at lags 0, …, n: a period of 2n values.

    For increments of fractional Brownian motion no eigenvalue is negative but by rounding (Craigmile 2003); one that is
    gives NaN, not a wrong law.
    """
    period = jnp.concatenate([row, row[-2:0:-1]])
    values = jnp.fft.fft(period).real
    least = -jnp.finfo(row.dtype).eps * len(period) * jnp.max(values)
    values = jnp.where(values < least, jnp.full_like(values, jnp.nan), jnp.maximum(values, jnp.zeros_like(values)))
    re, im = jnp.sqrt(values / len(period))[None] * jr.normal(key, (2, len(period)), row.dtype)
    return jnp.fft.fft(jax.lax.complex(re, im)).real


def _causal(s: Array, t: Array, h: Array) -> Array:
    """Covariance of type II, unit variance at one, for s ≤ t: s^α t^{α-1} 2H/α F(1-α, 1; 1+α; s/t).

    Gauss's F as a power series below s/t = 1/2; above it through its transformation to 1 - s/t, the poles that its two
    terms have at H = 1/2 cancelled by hand.
    """
    a = h + 0.5
    safe = jnp.where(t > 0, t, jnp.ones_like(t))
    z = s / safe
    near = z > 0.5
    low = _series(1 - a, 1 + a, jnp.where(near, jnp.zeros_like(z), z))
    w = jnp.where(near, 1 - z, jnp.zeros_like(z))
    first = gamma(1 + a) * gamma(2 * h) / (gamma(2 * a) * gamma(a)) * (1 + 0.5 * w * _series(1.5 - h, 2 - 2 * h, w))
    zs = jnp.where(near, z, jnp.ones_like(z))
    second = -_power(w, 2 * h) * zs**-a * gamma(1 + a) * gamma(1 - h) / h * 2 ** (-2 * h - 1) / np.sqrt(np.pi)
    return _power(s, a) * safe ** (a - 1) * 2 * h / a * jnp.where(near, first + second, low)


def _series(a: Array, c: Array, z: Array) -> Array:
    """F(a, 1; c; z) = Σ (a)_n/(c)_n z^n for z ≤ 1/2."""
    n = jnp.arange(_TERMS, dtype=z.dtype)
    coefficients = jnp.concatenate([jnp.ones(1, z.dtype), jnp.cumprod((a + n) / (c + n))])
    return jnp.polyval(coefficients[::-1], z)


def _power(x: Array, p: Array) -> Array:
    """x^p for x ≥ 0, with a gradient at zero."""
    positive = x > 0
    return jnp.where(positive, jnp.where(positive, x, jnp.ones_like(x)) ** p, jnp.zeros_like(x))
