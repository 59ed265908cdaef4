"""`HurstEstimator`: the Hurst index of series by exact Gaussian maximum likelihood.

Each channel is x(t) = level + s B_H(t) + σ ε, with B_H fractional Brownian motion and an unknown level a series:

    K = s² C_H + σ² I,    log p = -½ [r' K⁻¹ r + log det K + log 1' K⁻¹ 1 + (n - 1) log 2π],

r being the residual of the level's generalised least squares (restricted likelihood, so that the level costs nothing).
Exact at any times, n³ operations a series; in double precision whatever the process runs in.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.data import IrregularSeries
from cadlag.linalg import safe_cholesky
from cadlag.paths import FractionalBrownianMotion, FractionalKind
from cadlag.series._estimator import as_series
from cadlag.train import Estimator, enable_x64

# Noise below this share of the motion's deviation is not told from none by a Cholesky factor.
_LEAST = 1e-4


class FractionalGaussian(eqx.Module):
    """One channel's law: H, scale s (deviation of the motion after one unit of time) and noise σ, as free numbers."""

    raw_hurst: Float[Array, ""]
    log_scale: Float[Array, ""]
    log_noise: Float[Array, ""]
    kind: FractionalKind = eqx.field(static=True)
    noisy: bool = eqx.field(static=True)

    @property
    def hurst(self) -> Float[Array, ""]:
        """H."""
        return jax.nn.sigmoid(self.raw_hurst)

    @property
    def noise(self) -> Float[Array, ""]:
        """σ, above a floor that keeps matrices regular."""
        least = _LEAST * jnp.exp(self.log_scale)
        return jnp.where(self.noisy, least + jnp.exp(self.log_noise), least)

    def log_prob(self, times: Float[Array, " n"], values: Float[Array, "m n"], mask: Array) -> Float[Array, ""]:
        """Restricted log-likelihood of m series seen at the same times: from their own start (type I) or from zero."""
        seen = mask.astype(times.dtype)
        law = FractionalBrownianMotion(self.hurst, kind=self.kind)
        cov = jnp.exp(2 * self.log_scale) * law.covariance(times) + self.noise**2 * jnp.eye(len(times))
        # A row without an observation becomes an independent one of variance one that says nothing.
        factor = safe_cholesky(cov * seen[:, None] * seen[None] + jnp.diag(1 - seen))
        x = values * seen[None]
        ones, solved = factor.solve(seen), factor.solve(x.T)
        precision, free = seen @ ones, jnp.sum(seen) - 1
        quadratic = jnp.sum(x.T * solved) - jnp.sum((x @ ones) ** 2) / precision
        each = factor.logdet + jnp.log(precision) + free * np.log(2 * np.pi)
        return -0.5 * (quadratic + len(x) * each)


class HurstEstimator(Estimator):
    """Hurst index, scale and noise of series by exact maximum likelihood, channel by channel.

    **Arguments:**

    - `kind`: type I, stationary increments, the default; or type II, where time zero is the beginning.
    - `noise`: whether observations have noise, whose deviation is then learnt. Without it rough data look rougher.
    - `steps`: most iterations of L-BFGS.

    After `fit`: `hurst_`, `hurst_error_` (standard error from the curvature), `scale_`, `noise_`, each with an entry
    for each channel, in the units of the data, and `model_`, a law for each channel.

    **Example:** `HurstEstimator().fit(read_long("paths.csv", id="path", time="t")).hurst_`
    """

    def __init__(self, *, kind: FractionalKind = FractionalKind.stationary, noise: bool = True, steps: int = 200):
        self.kind, self.noise, self.steps = kind, noise, steps

    def fit(self, X: Any, y: None = None) -> "HurstEstimator":
        """From an `IrregularSeries` or an array (series, time, channels), NaN where missing; returns itself.

        **Raises:** ValueError for a channel with less than two observations in every series or no variation, and for
        type II times below zero.
        """
        if self.steps < 1:
            raise ValueError(f"steps={self.steps} of HurstEstimator must be at least 1.")
        series = as_series(X)
        times = np.asarray(series.times, np.float64)
        if self.kind is FractionalKind.stationary:
            times = times - times[:, :1]
        elif times.min() < 0:
            raise ValueError(f"HurstEstimator: type II begins at time zero, but times go down to {times.min()}.")
        with enable_x64():
            found = [self._channel(series, times, c) for c in range(len(series.channels))]
            self.hurst_ = np.array([float(law.hurst) for law, _ in found])
            self.noise_ = np.array([float(law.noise) if self.noise else 0.0 for law, _ in found])
        self.model_ = tuple(law for law, _ in found)
        self.hurst_error_ = np.array([error for _, error in found])
        self.scale_ = np.exp([float(law.log_scale) for law in self.model_])
        return self

    def _channel(self, series: IrregularSeries, times: np.ndarray, c: int) -> tuple[FractionalGaussian, float]:
        mask = np.asarray(series.mask)[:, :, c]
        values = np.asarray(series.values, np.float64)[:, :, c]
        kept = mask.sum(1) >= 2
        spread = np.std((values - values[:, :1])[mask]) if kept.any() else 0.0
        if not spread > 0:
            raise ValueError(
                f"HurstEstimator: channel {series.channels[c]!r} has no series with two observations that differ."
            )
        times, values, mask = times[kept], values[kept], mask[kept]
        same = np.all(times == times[:1]) and np.all(mask == mask[:1])
        # Series seen at the same times share one factor.
        groups = (times[:1], values[None], mask[:1]) if same else (times, values[:, None], mask)
        data = tuple(map(jnp.asarray, groups))
        span = float(np.ptp(times))
        start = FractionalGaussian(
            jnp.zeros(()),
            jnp.asarray(np.log(spread / np.sqrt(span))),
            jnp.asarray(np.log(0.1 * spread)),
            self.kind,
            self.noise,
        )
        return maximum(start, data, self.steps)


def maximum(start: FractionalGaussian, data: tuple, steps: int) -> tuple[FractionalGaussian, float]:
    """The most likely law by SciPy's L-BFGS, and the standard error of its H."""
    from scipy.optimize import minimize

    x0 = np.array([start.raw_hurst, start.log_scale, start.log_noise])
    # H stays within (0.01, 0.99): beyond, a matrix is singular to double precision.
    reach = ((-4.6, 4.6), (x0[1] - 12, x0[1] + 12), (x0[2] - 12, x0[2] + 12))

    def on_host(x: np.ndarray) -> tuple[float, np.ndarray]:
        loss, slope = _value_and_slope(jnp.asarray(x), start.kind, start.noisy, data)
        return (float(loss), np.asarray(slope)) if np.isfinite(loss) else (1e12, np.zeros(3))

    found = minimize(on_host, x0, jac=True, method="L-BFGS-B", bounds=reach, options={"maxiter": steps})
    x, free = found.x, 3 if start.noisy else 2
    # Differences of the exact gradient: second derivatives would have to be compiled for one matrix of nine numbers.
    shifts = 1e-4 * np.eye(3)[:free]
    curvature = np.stack([(on_host(x + d)[1] - on_host(x - d)[1])[:free] / 2e-4 for d in shifts])
    law = _law(jnp.asarray(x), start.kind, start.noisy)
    with np.errstate(invalid="ignore"):
        error = float(law.hurst * (1 - law.hurst)) * np.sqrt(np.linalg.pinv((curvature + curvature.T) / 2)[0, 0])
    return law, float(error)


def _law(x: Float[Array, "3"], kind: FractionalKind, noisy: bool) -> FractionalGaussian:
    return FractionalGaussian(x[0], x[1], x[2], kind, noisy)


@eqx.filter_jit
def _value_and_slope(x: Float[Array, "3"], kind: FractionalKind, noisy: bool, data: tuple) -> tuple[Array, Array]:
    return jax.value_and_grad(lambda x: -jnp.sum(jax.vmap(_law(x, kind, noisy).log_prob)(*data)))(x)
