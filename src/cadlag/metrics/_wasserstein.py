"""Wasserstein distances between empirical laws: exact by assignment, exact in one dimension, sliced.

W_p^p = min over couplings of E|X - Y|^p. In one dimension the quantiles are coupled: W_p^p = ∫ |F⁻¹ - G⁻¹|^p.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.metrics._checks import check_order, two_samples


def sliced_wasserstein(
    x: Any, y: Any, *, key: PRNGKeyArray, projections: int = 128, p: float | int = 2
) -> Float[Array, ""]:
    """(mean over random directions θ on the unit sphere of W_p^p between θ·x and θ·y)^(1/p).

    Each one-dimensional distance is exact, for any n and m. Bonneel et al., J. Math. Imaging Vis. 51 (2015).

    **Arguments:** `x` (n, ...) and `y` (m, ...), floats, flattened behind the first axis; `projections`, how many
    directions; `p` ≥ 1. The same key gives the same directions.

    **Raises:** ValueError for fewer than two samples, other shapes, values that are not finite; TypeError for integers
    and mixed precision.
    """
    x, y = two_samples(x, y)
    check_order(p)
    if projections < 1:
        raise ValueError(f"`projections` must be at least 1 direction, but got {projections}.")
    return _sliced(x, y, key, projections=projections, p=p)


def wasserstein(x: Any, y: Any, *, p: float | int = 1, most: int = 5000) -> Float[Array, ""]:
    """W_p between two sets of samples, exact; on the host, in double precision.

    For numbers by their quantiles, for any n and m. Otherwise by the best assignment, for n = m ≤ `most`: it takes
    time like n³ (under a second at n = 1000) and memory like n².

    **Arguments:** `x` (n, ...) and `y` (m, ...), floats, flattened behind the first axis; `p` ≥ 1.

    **Raises:** ValueError as `sliced_wasserstein`, and for n ≠ m or n > `most` in more than one dimension.
    """
    x, y = two_samples(x, y)
    check_order(p)
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if a.shape[1] == 1:
        i, j, weights = quantile_coupling(len(a), len(b))
        gaps = abs(np.sort(a[:, 0])[i] - np.sort(b[:, 0])[j])
        return jnp.asarray(np.sum(weights * gaps**p) ** (1 / p), x.dtype)
    if len(a) != len(b) or len(a) > most:
        raise ValueError(
            f"`wasserstein` in {a.shape[1]} dimensions needs equally many samples, {most} at most (`most`), but got "
            f"{len(a)} and {len(b)}. Take fewer, or use `sliced_wasserstein`."
        )
    return jnp.asarray(_assignment(a, b, p), x.dtype)


def quantile_coupling(n: int, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The monotone coupling of n and m equal masses: which goes with which, and how much; n + m - 1 pieces at most."""
    # In units of 1 / (n m) all levels are integers.
    levels = np.union1d(np.arange(n + 1, dtype=np.int64) * m, np.arange(m + 1, dtype=np.int64) * n)
    return levels[:-1] // m, levels[:-1] // n, np.diff(levels) / (n * m)


@functools.partial(jax.jit, static_argnames=("projections", "p"))
def _sliced(x: Array, y: Array, key: PRNGKeyArray, *, projections: int, p: float | int) -> Array:
    directions = jr.normal(key, (x.shape[1], projections), x.dtype)
    directions = directions / jnp.linalg.norm(directions, axis=0, keepdims=True)
    a, b = (jnp.sort(jnp.matmul(z, directions, precision="highest"), axis=0) for z in (x, y))
    i, j, weights = quantile_coupling(len(x), len(y))
    gaps = jnp.abs(a[i] - b[j]) ** p
    return jnp.mean(jnp.sum(jnp.asarray(weights, x.dtype)[:, None] * gaps, axis=0)) ** (1 / p)


def _assignment(a: np.ndarray, b: np.ndarray, p: float | int) -> float:
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    cost = cdist(a, b, "sqeuclidean") if p == 2 else cdist(a, b) ** p
    return float(cost[linear_sum_assignment(cost)].mean() ** (1 / p))
