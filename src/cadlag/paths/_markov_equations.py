"""The normal equations A ω = b of MA-fBM in closed form, on the host in double precision.

Daems et al. 2024, re-derived: A_ij = ∫_0^T E[(Y_i(t) - Y_i(0)) (Y_j(t) - Y_j(0))] dt, b_k = ∫_0^T E[(Y_k(t) - Y_k(0))
B_H(t)] dt, c = ∫_0^T E B_H(t)² dt. For type I the last integrand is γ^{-α} (2 - e^{-γt} - e^{γt} Q(α, γt)), for type II
γ^{-α} P(α, γt); P and Q are the regularised incomplete gamma functions. (The released code's cost for type I lacks the
factor 2 on b and the factor V on c; its weights are the same.)
"""

import numpy as np
from scipy import special

Equations = tuple[np.ndarray, np.ndarray, float]


def normal_equations(rates: tuple[float, ...], horizon: float, stationary: bool, hurst: float) -> Equations:
    """A (K, K), b (K,) and c; type I where `stationary`. At H = 0 and 1 of type I c is infinite."""
    g, t, a = np.asarray(rates, np.float64), float(horizon), hurst + 0.5
    total = g[:, None] + g[None, :]
    if not stationary:
        matrix = (t + np.expm1(-total * t) / total) / total
        first = t * g**-a * special.gammainc(a, g * t)
        right = first - a * g ** (-a - 1) * special.gammainc(a + 1, g * t)
        variance = np.inf if hurst == 0 else 1 / (2 * hurst * special.gamma(a) ** 2)
        return matrix, right, variance * t ** (2 * hurst + 1) / (2 * hurst + 1)
    fall = np.expm1(-g * t) / g
    matrix = (2 * t + fall[:, None] + fall[None, :]) / total
    right = 2 * t / g**a - t**a / (g * special.gamma(a + 1))
    right = right + (np.exp(-g * t) - scaled_gammaincc(a, g * t)) / g ** (a + 1)
    with np.errstate(divide="ignore"):
        variance = 1 / (special.gamma(2 * hurst + 1) * np.sin(np.pi * hurst))
    return matrix, right, variance * t ** (2 * hurst + 1) / (2 * hurst + 1)


def solve_weights(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """ω of least norm, directions that A does not tell from zero in double precision left out.

    Scaled to a unit diagonal first. At K = 10 of type II A is singular to double precision: what is left out changes
    the error by less than it can resolve, and the weights stay small.
    """
    scale = 1 / np.sqrt(np.diagonal(matrix))
    values, vectors = np.linalg.eigh(matrix * scale[:, None] * scale[None])
    keep = values > 8 * len(values) * np.finfo(np.float64).eps * values[-1]
    shape = (-1,) + (1,) * (right.ndim - 1)
    along = vectors.T @ (scale.reshape(shape) * right)
    inverse = np.where(keep, 1 / np.where(keep, values, 1), 0)
    return scale.reshape(shape) * (vectors @ (inverse.reshape(shape) * along))


def scaled_gammaincc(a: float, z: np.ndarray) -> np.ndarray:
    """e^z Q(a, z) for a in (0, 2) and z > 0, as one function: the factors overflow and underflow alone.

    Below 10 as the product; above it Legendre's continued fraction by Lentz's method.
    """
    small = np.minimum(z, 10.0)
    large = np.maximum(z, 10.0)
    b = large + 1 - a
    fraction = d = 1 / b
    c = np.full_like(large, np.inf)
    for i in range(1, 60):
        step = -i * (i - a)
        b = b + 2
        d = 1 / (b + step * d)
        c = b + step / c
        fraction = fraction * c * d
    return np.where(z < 10, np.exp(small) * special.gammaincc(a, small), large**a / special.gamma(a) * fraction)


def riemann_weights(rates: tuple[float, ...], hurst: float) -> np.ndarray:
    """Weights of the integral over γ with an integrand linear between the rates and nothing outside (raw, not unit)."""
    if hurst == 0.5:
        raise ValueError("The Riemann rule has no weights at hurst=0.5, where the representing integral degenerates.")
    g, a = np.asarray(rates, np.float64), hurst + 0.5
    if hurst > 0.5:
        mass = np.diff(g ** (2 - a)) / ((2 - a) * special.gamma(a) * special.gamma(2 - a))
        slope = np.concatenate([[0.0], mass / np.diff(g), [0.0]])
        return slope[1:] - slope[:-1]
    # ∫ γ^{-α} (γ_{k+1} - γ)/Δ and ∫ γ^{-α} (γ - γ_k)/Δ over each piece.
    whole, first = np.diff(g ** (1 - a)) / (1 - a), np.diff(g ** (2 - a)) / (2 - a)
    width, weights = np.diff(g), np.zeros_like(g)
    weights[:-1] += (g[1:] * whole - first) / width
    weights[1:] += (first - g[:-1] * whole) / width
    return weights / (special.gamma(a) * special.gamma(1 - a))
