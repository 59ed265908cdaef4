"""Fractional Brownian motion as a weighted sum of Ornstein-Uhlenbeck processes: MA-fBM.

All K processes dY_k = -γ_k Y_k dt + dB have ONE Brownian motion, and the sum's weights minimise the mean squared error,

    B̂(t) = Σ_k ω_k (Y_k(t) - Y_k(0)),    ω = argmin 1/T ∫_0^T E[(B̂ - B_H)²] dt,    that is A ω = b(H)

(Daems, Opper, Crevecoeur and Birdal, ICLR 2024, arXiv 2310.12975): a fractional equation becomes an ordinary one in
more variables. A does not depend on H and may have a condition of 1e12; b is entire in H. So the system is solved on
the host in double precision at Chebyshev nodes of H, once, and `weights` sums the interpolating series: exact to
rounding, differentiable in H, at home under jit and vmap and in single precision.
"""

import abc
import functools
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.paths._fractional import FractionalKind, check_hurst, unit_variance
from cadlag.paths._markov_equations import normal_equations, riemann_weights, solve_weights

# b is entire in H: its Chebyshev coefficients on [0, 1] fall below rounding well before this degree.
_DEGREE = 40


class AbstractMarkovNoise(eqx.Module):
    """Noise with memory as a weighted sum of Ornstein-Uhlenbeck processes that share one Brownian motion.

    To write your own: declare `rates` γ, whether the processes are `stationary` at time zero (or zero), and give
    `weights(hurst)`: ω with a last axis of length K.
    """

    rates: eqx.AbstractVar[tuple[float, ...]]
    stationary: eqx.AbstractVar[bool]

    @abc.abstractmethod
    def weights(self, hurst: Any) -> Array:
        """ω(H), shape (*hurst.shape, K), differentiable in H."""

    def initial(self, shape: tuple[int, ...], dtype: Any, *, key: PRNGKeyArray | None = None) -> Array:
        """Y(0) of independent motions of some shape, (*shape, K): N(0, 1/(γ_i + γ_j)), or zero."""
        size = len(self.rates)
        if not self.stationary:
            return jnp.zeros((*shape, size), dtype)
        if key is None:
            raise ValueError("The Ornstein-Uhlenbeck processes of type I start at random: pass `key`.")
        g = np.asarray(self.rates)
        values, vectors = np.linalg.eigh(1 / (g[:, None] + g[None]))
        root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
        return jr.normal(key, (*shape, size), dtype) @ jnp.asarray(root, dtype)

    def covariance(self, weights: Float[Array, " terms"], s: Any, t: Any) -> Array:
        """Cov(B̂(s), B̂(t)) at one pair of times for given weights, as their Brownian integral gives it."""
        g = jnp.asarray(self.rates, weights.dtype)
        total = g[:, None] + g[None, :]
        lo, hi = jnp.minimum(s, t), jnp.maximum(s, t)
        # ∫_0^lo e^{-γ_i (s-u) - γ_j (t-u)} du, of γ = 0 too.
        both = lo * _phi(total * lo) * jnp.exp(-g[None, :] * (hi - lo))
        if self.stationary:
            fall = jnp.expm1(-g[:, None] * lo) * jnp.expm1(-g[None, :] * hi)
            both = both + fall / total
        return weights @ both @ weights


class MarkovApproximation(AbstractMarkovNoise):
    """MA-fBM: rates γ and the horizon T over which its weights are optimal.

    **Arguments:**

    - `terms`: K; the rates run geometrically from `slowest` to `fastest`.
    - `fastest`: default 20; Euler steps need fastest * dt < 1/2. `slowest`: default 1/fastest. Long memory of type I
      above H = 0.7 wants it smaller: the past is infinite.
    - `rates`: γ themselves, positive and increasing, in place of these three.
    - `horizon`: T. Weights belong to (γ, T): changing the unit of time changes both.
    - `kind`: type I or II. The error of type II is far smaller.
    - `unit`: whether B_H has variance one at time one, or that of its integral.

    **Raises:** ValueError for rates or a horizon that are not positive, or no terms.
    """

    rates: tuple[float, ...] = eqx.field(static=True)
    horizon: float = eqx.field(static=True)
    kind: FractionalKind = eqx.field(static=True)
    unit: bool = eqx.field(static=True)

    def __init__(
        self,
        terms: int = 5,
        *,
        fastest: float | int = 20.0,
        slowest: float | int | None = None,
        rates: tuple[float, ...] | None = None,
        horizon: float | int = 1.0,
        kind: FractionalKind = FractionalKind.stationary,
        unit: bool = False,
    ):
        if rates is None:
            slowest = 1 / fastest if slowest is None else slowest
            if terms < 1 or not 0 < slowest <= fastest:
                raise ValueError(
                    f"MarkovApproximation: terms={terms}, slowest={slowest}, fastest={fastest}; expected at least one "
                    "term and 0 < slowest <= fastest."
                )
            # A single rate is the middle.
            grid = np.geomspace(slowest, fastest, terms) if terms > 1 else [np.sqrt(slowest * fastest)]
            rates = tuple(float(g) for g in grid)
        if not rates or min(rates) <= 0 or list(rates) != sorted(set(rates)):
            raise ValueError(f"MarkovApproximation: rates={rates} must be positive and increase.")
        if not horizon > 0:
            raise ValueError(f"horizon={horizon} of MarkovApproximation must be positive.")
        self.rates, self.horizon, self.kind, self.unit = rates, float(horizon), kind, unit

    @property
    def stationary(self) -> bool:
        """Type I."""
        return self.kind is FractionalKind.stationary

    def weights(self, hurst: Any) -> Array:
        """The optimal ω(H), shape (*hurst.shape, K), of H's dtype.

        **Raises:** ValueError for a known H outside (0, 1).
        """
        check_hurst(hurst)
        h = jnp.asarray(hurst)
        h = h if jnp.issubdtype(h.dtype, jnp.inexact) else h.astype(float)
        raw = _chebyshev(jnp.asarray(_table(self.rates, self.horizon, self.kind), h.dtype), h)
        return raw / self._deviation(h)[..., None] if self.unit else raw

    def riemann_weights(self, hurst: float) -> np.ndarray:
        """The rule that the optimal weights are to beat: the integral over γ, its integrand linear between rates.

        Not defined at H = 1/2.
        """
        check_hurst(hurst)
        raw = riemann_weights(self.rates, hurst)
        return raw / float(self._deviation(jnp.asarray(hurst))) if self.unit else raw

    def error(self, hurst: float, weights: Any = None) -> float:
        """E(ω)/c, the mean squared error over [0, T] relative to that of no approximation; host, double precision.

        `weights`: others than the optimal ones.
        """
        check_hurst(hurst)
        a, b, c = normal_equations(self.rates, self.horizon, self.kind is FractionalKind.stationary, hurst)
        if weights is None:
            w = solve_weights(a, b)
        else:
            w = np.asarray(weights, np.float64) * (float(self._deviation(jnp.asarray(hurst))) if self.unit else 1)
        return float((w @ a @ w - 2 * b @ w + c) / c)

    def _deviation(self, hurst: Array) -> Array:
        return jnp.sqrt(unit_variance(self.kind, hurst))


class BrownianNoise(AbstractMarkovNoise):
    """Plain Brownian motion in the same form, K = 1, γ = 0, ω = 1: what memory is compared with. Ignores H."""

    rates: tuple[float, ...] = eqx.field(static=True, default=(0.0,))
    stationary: bool = eqx.field(static=True, default=False)

    def weights(self, hurst: Any) -> Array:
        """One, whatever H."""
        h = jnp.asarray(hurst)
        h = h if jnp.issubdtype(h.dtype, jnp.inexact) else h.astype(float)
        return jnp.ones((*h.shape, 1), h.dtype)


@functools.lru_cache(maxsize=256)
def _table(rates: tuple[float, ...], horizon: float, kind: FractionalKind) -> np.ndarray:
    """Chebyshev coefficients of ω on [0, 1], shape (degree + 1, K), double precision."""
    nodes = np.cos(np.pi * (np.arange(_DEGREE + 1) + 0.5) / (_DEGREE + 1))
    stationary = kind is FractionalKind.stationary
    rows = [normal_equations(rates, horizon, stationary, (1 + x) / 2) for x in nodes]
    values = solve_weights(rows[0][0], np.stack([b for _, b, _ in rows], axis=1)).T
    modes = np.cos(np.outer(np.arange(_DEGREE + 1), np.arccos(nodes)))
    coefficients = 2 / (_DEGREE + 1) * modes @ values
    coefficients[0] /= 2
    return coefficients


def _chebyshev(coefficients: Float[Array, "n terms"], h: Array) -> Array:
    """The series at h, by Clenshaw's recursion: stable in any precision."""
    x = (2 * h - 1)[..., None]
    ahead, after = jnp.zeros(()).astype(h.dtype), jnp.zeros(()).astype(h.dtype)
    for c in coefficients[:0:-1]:
        c = c.reshape((1,) * h.ndim + c.shape)
        ahead, after = c + 2 * x * ahead - after, ahead
    return coefficients[0].reshape((1,) * h.ndim + coefficients[0].shape) + x * ahead - after


def _phi(x: Array) -> Array:
    """(1 - e^{-x})/x, one at zero."""
    safe = jnp.where(x == 0, jnp.ones_like(x), x)
    return jnp.where(x == 0, jnp.ones_like(x), -jnp.expm1(-safe) / safe)
