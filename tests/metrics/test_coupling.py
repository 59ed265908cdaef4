"""Entropic couplings against closed forms and limits; precision and recall on sets whose answer is plain."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.stats
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from cadlag.metrics import entropic_coupling, precision_recall

RNG = np.random.default_rng(0)


def test_two_points_in_closed_form():
    """Points 0 and 1 on both sides: P_00 / P_01 = exp(1 / (2 epsilon)), as both potentials are constant."""
    x = jnp.asarray([0.0, 1.0])
    for epsilon in (0.2, 1.0, 50.0):
        ratio = np.exp(0.5 / epsilon)
        expected = 0.5 * np.array([[ratio, 1], [1, ratio]]) / (1 + ratio)
        np.testing.assert_allclose(entropic_coupling(x, x, epsilon).matrix, expected, rtol=1e-12)


def test_covariance_of_the_bridge_between_gaussians():
    """N(0, A) to N(1, B), reference variance r: the coupling's covariance is (sqrt(4 A B + r²) - r) / 2.

    100 and 80 quantiles of equal mass stand for the laws: their variances miss A and B by less than 1 %.
    """
    A, B, r = 1.0, 2.0, 0.7
    x = scipy.stats.norm.ppf((np.arange(100) + 0.5) / 100)
    y = 1 + np.sqrt(B) * scipy.stats.norm.ppf((np.arange(80) + 0.5) / 80)
    coupling = entropic_coupling(x, y, r, tolerance=1e-6)
    covariance = x @ np.asarray(coupling.matrix) @ (y - 1)
    assert covariance == pytest.approx((np.sqrt(4 * A * B + r * r) - r) / 2, rel=0.02)
    np.testing.assert_allclose(np.sum(coupling.matrix, axis=0), 1 / 80, rtol=1e-10)
    np.testing.assert_allclose(np.sum(coupling.matrix, axis=1), 1 / 100, atol=1e-6)


def test_limits():
    """Small epsilon: the best assignment; large: independence."""
    x, y = RNG.normal(size=(6, 2)), RNG.normal(size=(6, 2))
    best = np.zeros((6, 6))
    best[linear_sum_assignment(cdist(x, y, "sqeuclidean"))] = 1 / 6
    # The second best assignment costs at least 0.05 more, which is 50 epsilon.
    np.testing.assert_allclose(entropic_coupling(x, y, 1e-3, iterations=100_000).matrix, best, atol=1e-3)
    np.testing.assert_allclose(entropic_coupling(x, y, 1e6).matrix, 1 / 36, rtol=1e-5)


def test_drawn_pairs_follow_the_matrix():
    """6000 pairs over six cells: chi-squared, false alarm 1e-4."""
    x, y = RNG.normal(size=(2, 3)), RNG.normal(size=(3, 3))
    coupling = entropic_coupling(x, y, 1.0, tolerance=1e-6)
    i, j = jax.vmap(coupling.sample)(jr.split(jr.key(0), 6000))
    counts = np.bincount(np.asarray(3 * i + j), minlength=6)
    matrix = np.asarray(coupling.matrix, np.float64).ravel()
    assert scipy.stats.chisquare(counts, 6000 * matrix / matrix.sum()).pvalue > 1e-4


def test_too_few_iterations_are_said():
    x, y = RNG.normal(size=(6, 2)).astype(np.float32), RNG.normal(size=(6, 2)).astype(np.float32)
    with pytest.raises(eqx.EquinoxRuntimeError, match="not within `tolerance`"):
        entropic_coupling(x, y, 1e-3, iterations=10, tolerance=1e-5)
    loose = entropic_coupling(x, y, 1e-3, iterations=10, tolerance=1e-5, throw=False)
    assert loose.matrix.dtype == jnp.float32
    assert float(loose.error) > 1e-5
    assert int(loose.iterations) == 10
    for options in ({"epsilon": 0.0}, {"tolerance": -1.0}, {"iterations": 0}):
        with pytest.raises(ValueError, match=f"`{next(iter(options))}` must be positive"):
            entropic_coupling(x, y, **{"epsilon": 1.0, **options})


def test_precision_and_recall():
    """Clusters so far apart that every ball stays within its own."""
    left, other = RNG.normal(size=(2, 40, 2))
    both, one = np.concatenate([left, left + 100]), np.concatenate([left, other])
    assert precision_recall(both, both) == (1.0, 1.0)
    assert precision_recall(one, one + 100) == (0.0, 0.0)
    dropped, invented = precision_recall(both, one), precision_recall(one, both)  # a mode too few, a mode too many
    assert dropped == invented[::-1]
    assert dropped.recall <= 0.5 < dropped.precision
    assert precision_recall(both, np.concatenate([left, left])) == (1.0, 0.5)


def test_balls_reach_to_the_kth_neighbour():
    """Real 0, 1, 3, 7 with k = 1 have radii 1, 1, 2, 4; with k = 2 they have 3, 2, 3, 6."""
    real, generated = np.array([0.0, 1.0, 3.0, 7.0]), np.array([-1.5, 2.5, 11.5, 12.9, 13.1])
    assert precision_recall(real, generated, neighbours=1).precision == pytest.approx(1 / 5)
    assert precision_recall(real, generated, neighbours=2).precision == pytest.approx(4 / 5)
    with pytest.raises(ValueError, match="less than both numbers of samples, 4 and 5, but got 4"):
        precision_recall(real, generated, neighbours=4)
    with pytest.raises(ValueError, match="`generated` holds NaN"):
        precision_recall(real, np.array([1.0, np.nan]))
