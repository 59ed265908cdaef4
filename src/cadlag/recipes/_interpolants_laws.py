"""Laws on a line for the studies of `interpolants`: the Fokker-Planck equation on a grid, KL, quantiles, the bridge."""

from typing import Any

import numpy as np

# Alexander's two-stage diagonally implicit method: of order two, damps what is stiff, ends on its last stage.
_GAMMA = 1 - np.sqrt(0.5)


def stage_times(steps: int) -> np.ndarray:
    """The times in [0, 1] at which `fokker_planck` asks for the drift, (steps, 2)."""
    start = np.arange(steps)[:, None] / steps
    return start + np.array([_GAMMA, 1.0]) / steps


def fokker_planck(density: np.ndarray, drift: np.ndarray, epsilon: float, width: float) -> np.ndarray:
    """The density at t = 1 of dX = drift dt + sqrt(2ε) dW, by conservative finite volumes on equal cells.

    Between two cells the flux is the mean drift times the mean density less ε times the slope, with ε raised to half
    the drift times the cell's width where that is larger (a cell Péclet number above two), so that no oscillation
    starts. Nothing flows through the ends, so mass is kept to rounding. Second order in both widths.

    **Arguments:** `density` (cells,) at t = 0; `drift` (steps, 2, cells) at `stage_times(steps)`; `epsilon`, positive;
    `width` of a cell.
    """
    from scipy.linalg import solve_banded

    h = 1 / len(drift)
    implicit = _GAMMA * h
    for first, last in drift:
        one = solve_banded((1, 1), _banded(first, epsilon, width, implicit), density)
        slope = (one - density) / implicit
        explicit = density + (1 - _GAMMA) * h * slope
        density = solve_banded((1, 1), _banded(last, epsilon, width, implicit), explicit)
    return density


def _banded(drift: np.ndarray, epsilon: float, width: float, scale: float) -> np.ndarray:
    """I - scale times the operator, in the diagonal ordered form of `solve_banded`."""
    face = 0.5 * (drift[1:] + drift[:-1])
    spread = np.maximum(epsilon, 0.5 * np.abs(face) * width) / width
    from_left, from_right = (0.5 * face + spread) / width, (0.5 * face - spread) / width
    bands = np.zeros((3, len(drift)))
    bands[1] = 1
    bands[1, :-1] += scale * from_left
    bands[1, 1:] -= scale * from_right
    bands[0, 1:] = scale * from_right
    bands[2, :-1] = -scale * from_left
    return bands


def kl_on_grid(log_p: np.ndarray, log_q: np.ndarray, width: float) -> float:
    """KL(p ‖ q) of two densities on a grid, q not below 1e-30."""
    p = np.exp(log_p)
    return float(np.sum(p * (log_p - np.maximum(log_q, np.log(1e-30)))) * width)


def mixture_cdf(x: np.ndarray, weights: Any, means: Any, stds: Any) -> np.ndarray:
    """The distribution function of a mixture of Gaussians on the line."""
    from scipy.stats import norm

    return np.sum([w * norm.cdf(x, m, s) for w, m, s in zip(weights, means, stds, strict=True)], axis=0)


def mixture_quantiles(n: int, weights: Any, means: Any, stds: Any) -> np.ndarray:
    """The quantiles of (i + ½)/n, to 1e-4: a stratified sample without Monte Carlo error in the mode masses."""
    grid = np.linspace(min(means) - 8 * max(stds), max(means) + 8 * max(stds), 400_001)
    return np.interp((np.arange(n) + 0.5) / n, mixture_cdf(grid, weights, means, stds), grid)


def kolmogorov(sample: np.ndarray, weights: Any, means: Any, stds: Any) -> float:
    """sup |F_n - F| against a mixture."""
    ordered = np.sort(sample)
    n, truth = len(ordered), mixture_cdf(ordered, weights, means, stds)
    steps = np.arange(n + 1) / n
    return float(max(np.max(steps[1:] - truth), np.max(truth - steps[:-1])))


def bridge(a: float, b: float, epsilon: float) -> tuple[float, float]:
    """The Schrödinger bridge between N(·, a) and N(·, b) with reference sqrt(2ε) W: the covariance of its ends, and
    its variance half way.
    """
    r = 2 * epsilon
    c = 0.5 * (np.sqrt(4 * a * b + r * r) - r)
    return float(c), float(0.25 * (a + b + 2 * c + r))
