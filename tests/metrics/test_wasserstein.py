"""Wasserstein and Fréchet distances against SciPy, permutations, closed forms and symmetries."""

import itertools

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from cadlag.metrics import frechet_distance, frechet_of_gaussians, sliced_wasserstein, wasserstein

RNG = np.random.default_rng(0)
KEY = jr.key(0)


@pytest.mark.parametrize(("n", "m"), [(8, 8), (6, 9), (7, 3)])
def test_numbers_against_scipy(n, m):
    x, y = RNG.normal(size=n), RNG.normal(1, 2, m)
    np.testing.assert_allclose(wasserstein(x, y), scipy.stats.wasserstein_distance(x, y), rtol=1e-12)
    # p = 2 by making the numbers of samples equal: each repeated by the other's number.
    equal = np.mean((np.sort(np.repeat(x, m)) - np.sort(np.repeat(y, n))) ** 2) ** 0.5
    np.testing.assert_allclose(wasserstein(x, y, p=2), equal, rtol=1e-12)
    # In one dimension every direction is ±1: sliced is exact.
    np.testing.assert_allclose(sliced_wasserstein(x, y, key=KEY, projections=2), equal, rtol=1e-12)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_best_of_all_assignments(p):
    x, y = RNG.normal(size=(5, 2)), RNG.normal(size=(5, 2))
    best = min(np.mean(np.linalg.norm(x - y[list(order)], axis=1) ** p) for order in itertools.permutations(range(5)))
    np.testing.assert_allclose(wasserstein(x, y, p=p), best ** (1 / p), rtol=1e-12)


def test_symmetries():
    """A translation by v is at distance |v|, a set at zero from itself reordered, an embedding changes nothing."""
    x, y = RNG.normal(size=(30, 3)), RNG.normal(size=(30, 3))
    v = np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose([wasserstein(x, x + v), wasserstein(x, x + v, p=2)], np.linalg.norm(v), rtol=1e-12)
    np.testing.assert_allclose(wasserstein(x, y), wasserstein(y, x), rtol=1e-12)
    assert float(wasserstein(x, x[::-1])) == 0
    basis = np.linalg.qr(RNG.normal(size=(10, 3)))[0]
    np.testing.assert_allclose(wasserstein(x @ basis.T, y @ basis.T), wasserstein(x, y), rtol=1e-12)


def test_sliced_of_a_translation():
    """W_2² of each slice is (θ·v)², of mean |v|² / 3 in space: 4000 directions, 4 standard errors (false alarm 6e-5).

    The variance of (θ·v)² / |v|² is 1/5 - 1/9.
    """
    x, v = RNG.normal(size=(5, 3)), np.array([1.0, -2.0, 0.5])
    found = sliced_wasserstein(x, x + v, key=KEY, projections=4000) ** 2 / (v @ v)
    assert abs(found - 1 / 3) < 4 * np.sqrt((1 / 5 - 1 / 9) / 4000)
    assert float(sliced_wasserstein(x, x[::-1], key=KEY)) == 0
    # Unequal numbers: doubling every sample changes nothing.
    y = RNG.normal(size=(4, 3))
    once, twice = (sliced_wasserstein(x, z, key=KEY, p=1) for z in (y, np.repeat(y, 2, axis=0)))
    np.testing.assert_allclose(once, twice, rtol=1e-12)


def test_single_precision_and_images():
    x = RNG.normal(size=(6, 1, 2, 2)).astype(np.float32)
    for value in (wasserstein(x, x + 1), sliced_wasserstein(x, x + 1, key=KEY), frechet_distance(x, x + 1)):
        assert value.dtype == jnp.float32
    np.testing.assert_allclose(wasserstein(x, x + 1), 2, rtol=1e-6)


def test_frechet_between_gaussians():
    """Against the formula with SciPy's root; commuting covariances and point masses in closed form."""
    a, b = (np.cov(RNG.normal(size=(3, 9))) for _ in range(2))
    m, k = RNG.normal(size=3), RNG.normal(size=3)
    root = scipy.linalg.sqrtm(a).real
    cross = scipy.linalg.sqrtm(root @ b @ root).real
    expected = (m - k) @ (m - k) + np.trace(a + b - 2 * cross)
    np.testing.assert_allclose(frechet_of_gaussians(*map(jnp.asarray, (m, a, k, b))), expected, rtol=1e-9)
    s, t = np.array([0.0, 1.0, 2.0]), np.array([3.0, 0.5, 0.0])  # two of them singular
    found = frechet_of_gaussians(*map(jnp.asarray, (m, np.diag(s**2), m, np.diag(t**2))))
    np.testing.assert_allclose(found, np.sum((s - t) ** 2), rtol=1e-9)


def test_frechet_of_samples():
    x, y = RNG.normal(size=(20, 2)), RNG.normal(size=(15, 2)) * [1.0, 3.0]
    fitted = (x.mean(0), np.cov(x.T), y.mean(0), np.cov(y.T))
    np.testing.assert_allclose(frechet_distance(x, y), frechet_of_gaussians(*map(jnp.asarray, fitted)), rtol=1e-10)
    np.testing.assert_allclose(
        frechet_distance(x, x + 1), 2, rtol=1e-7
    )  # the roots of eigenvalues lose half the digits


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: wasserstein(x, x[:4]), "equally many samples, 5000 at most .* got 6 and 4. Take fewer, or use"),
        (lambda x: wasserstein(x, x, most=5), "5 at most"),
        (lambda x: wasserstein(x, x, p=0.5), "`p` must be a finite number of at least 1, but got 0.5"),
        (lambda x: sliced_wasserstein(x, x, key=KEY, projections=0), "`projections` must be at least 1"),
        (lambda x: sliced_wasserstein(x, x[:, :1], key=KEY), "samples of one shape"),
        (lambda x: frechet_distance(x, x[:1]), "at least 2 samples"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call(np.ones((6, 2)))
