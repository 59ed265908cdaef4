"""MMD and energy distance against sums over all pairs written out, closed forms, and their own unbiasedness."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.stats
from scipy.spatial.distance import cdist

from cadlag.metrics import energy_distance, median_distance, mmd

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(9, 2, 3)), RNG.normal(0.5, 1.5, (7, 2, 3))


def by_hand(h, x, y):
    """Means over pairs of different samples, by whole matrices in NumPy."""
    x, y = x.reshape(len(x), -1), y.reshape(len(y), -1)
    n, m = len(x), len(y)
    xx, yy = h(x, x), h(y, y)
    within = (xx.sum() - np.trace(xx)) / (n * (n - 1)), (yy.sum() - np.trace(yy)) / (m * (m - 1))
    return within[0], h(x, y).mean(), within[1]


def kernel(widths):
    return lambda a, b: np.mean([np.exp(-cdist(a, b, "sqeuclidean") / (2 * w * w)) for w in widths], axis=0)


@pytest.mark.parametrize("block", [4, 512])
def test_mmd_against_all_pairs(block):
    xx, xy, yy = by_hand(kernel([1.0, 3.0]), X, Y)
    np.testing.assert_allclose(mmd(X, Y, bandwidths=[1.0, 3.0], block=block), xx + yy - 2 * xy, rtol=1e-12)


def test_default_bandwidths_are_multiples_of_the_median():
    pooled = np.concatenate([X.reshape(9, -1), Y.reshape(7, -1)])
    median = np.median(cdist(pooled, pooled)[np.triu_indices(16, 1)])
    np.testing.assert_allclose(median_distance(X, Y), median, rtol=1e-12)
    xx, xy, yy = by_hand(kernel(median * np.array([0.25, 0.5, 1, 2, 4])), X, Y)
    np.testing.assert_allclose(mmd(X, Y), xx + yy - 2 * xy, rtol=1e-12)
    # The first and last of each are four points, whatever lies between.
    ends = np.concatenate([X[[0, -1]], Y[[0, -1]]]).reshape(4, -1)
    few = np.median(cdist(ends, ends)[np.triu_indices(4, 1)])
    np.testing.assert_allclose(median_distance(X, Y, most=2), few, rtol=1e-12)


def test_energy_distance_against_all_pairs_and_scipy():
    xx, xy, yy = by_hand(cdist, X, Y)
    np.testing.assert_allclose(energy_distance(X, Y), 2 * xy - xx - yy, rtol=1e-12)
    # SciPy's is the root of the biased one in one dimension, which counts the zeros of the diagonal too.
    x, y = X[:, 0, 0], Y[:, 0, 0]
    xx, xy, yy = by_hand(cdist, x, y)
    biased = energy_distance(x, y) + xx / 9 + yy / 7
    np.testing.assert_allclose(biased, scipy.stats.energy_distance(x, y) ** 2, rtol=1e-12)


def test_gradient_of_the_energy_distance():
    """At x = (0, 1), y = (3, 5): each x is left of all y, so 2 E|X - Y| falls by 1 in each; E|X - X'| by -1 and 1."""
    x, y = jnp.asarray([0.0, 1.0]), jnp.asarray([3.0, 5.0])
    np.testing.assert_allclose(jax.grad(energy_distance)(x, y), [-1 + 1, -1 - 1], atol=1e-12)


def test_both_are_unbiased():
    """Means over 4000 pairs of sets of 6: with the closed form of MMD² between normals, and zero for equal laws.

    The biased estimates would be off by some 1/6 of E h, over 50 standard errors; 4 are accepted (false alarm 6e-5).
    """

    def one(key, shift):
        a, b = jr.split(key)
        x, y = jr.normal(a, (6, 1)), shift + jr.normal(b, (6, 1))
        return jnp.stack([mmd(x, y, bandwidths=1.0), energy_distance(x, y)])

    draw = jax.jit(jax.vmap(one, in_axes=(0, None)))
    for shift, key in ((0.0, jr.key(0)), (1.0, jr.key(1))):
        values = np.asarray(draw(jr.split(key, 4000), shift))
        # E exp(-(X - Y)² / 2) = exp(-shift² / 6) / sqrt(3), as X - Y has variance 2.
        expected = [2 / np.sqrt(3) * (1 - np.exp(-(shift**2) / 6)), 2 * (folded(shift) - folded(0.0))]
        assert np.all(abs(values.mean(0) - expected) < 4 * values.std(0) / np.sqrt(4000))


def folded(shift):
    """E|N(shift, 2)|."""
    return scipy.stats.foldnorm(abs(shift) / np.sqrt(2), scale=np.sqrt(2)).mean()


def test_single_precision_and_many_features():
    x, y = (1 + RNG.normal(size=(50, 40))), RNG.normal(size=(60, 40))
    a, b = x.astype(np.float32), y.astype(np.float32)
    found = mmd(a, b, bandwidths=[5.0, 20.0]), energy_distance(a, b)
    assert all(v.dtype == jnp.float32 for v in found)
    (xx, xy, yy), (dxx, dxy, dyy) = by_hand(kernel([5.0, 20.0]), x, y), by_hand(cdist, x, y)
    # Differences of means of order 0.5 and 10 with roundings of 1e-6 of them.
    np.testing.assert_allclose(found, [xx + yy - 2 * xy, 2 * dxy - dxx - dyy], rtol=1e-4)


@pytest.mark.parametrize(
    ("x", "y", "error", "words"),
    [
        (X, Y[:1], ValueError, r"`y` must hold at least 2 samples along its first axis, but has shape \(1, 2, 3\)"),
        (X, Y[:, :1], ValueError, r"samples of one shape, but they have \(2, 3\) and \(1, 3\)"),
        (X, Y.astype(np.float32), TypeError, "`x` is float64, but `y` is float32"),
        (X, np.ones((7, 2, 3), int), TypeError, "`y` must be floats, but is int64"),
        (
            np.where(np.arange(9)[:, None, None] >= 7, np.nan, X),
            Y,
            ValueError,
            "in 2 of 9 samples, the first in sample 7",
        ),
        (X, np.where(Y > 2, np.inf, Y), ValueError, "`y` holds NaN or infinite values"),
        (np.float64(1.0), Y, ValueError, "at least 2 samples"),
    ],
)
def test_bad_samples_are_refused(x, y, error, words):
    for metric in (mmd, energy_distance, median_distance):
        with pytest.raises(error, match=words):
            metric(x, y)


def test_bad_bandwidths_are_refused():
    with pytest.raises(ValueError, match=r"`bandwidths` must be positive, but are \[1.0, 0.0\]"):
        mmd(X, Y, bandwidths=[1.0, 0.0])
    with pytest.raises(ValueError, match="zero if most samples coincide"):
        mmd(np.ones((4, 2)), np.ones((4, 2)))
