"""The Gaussian mixture: density, score, diffusion and posterior mean, each against an independent computation."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from cadlag.distributions import GaussianMixture, ring_of_gaussians

WEIGHTS = np.array([0.2, 0.5, 0.3])
MEANS = np.array([[-1.0, 0.0], [2.0, 1.0], [0.0, -3.0]])
COVARIANCES = np.array([[[0.5, 0.2], [0.2, 0.3]], [[1.0, -0.4], [-0.4, 0.6]], [[0.2, 0.0], [0.0, 2.0]]])
MIXTURE = GaussianMixture(WEIGHTS, MEANS, COVARIANCES)
X = np.array([0.4, -0.7])


@eqx.filter_jit
def log_prob(law, x):
    return law.log_prob(x)


@eqx.filter_jit
def score(law, x):
    return law.score(x)


@eqx.filter_jit
def _posterior_mean(law, y, alpha, sigma, shift):
    return law.posterior_mean(y, alpha, sigma, shift)


def posterior_mean(law, y, alpha, sigma, shift=0.0):
    return _posterior_mean(law, y, *(jnp.asarray(a, y.dtype) for a in (alpha, sigma, shift)))


def log_pdf(x, alpha=1.0, sigma=0.0, shift=0.0):
    """By SciPy, component by component."""
    laws = [
        scipy.stats.multivariate_normal(shift + alpha * (m - shift), alpha**2 * c + sigma**2 * np.eye(2))
        for m, c in zip(MEANS, COVARIANCES, strict=True)
    ]
    return np.log(sum(w * law.pdf(x) for w, law in zip(WEIGHTS, laws, strict=True)))


def test_density_and_score():
    x, h = jnp.asarray(X), 1e-5
    np.testing.assert_allclose(log_prob(MIXTURE, x), log_pdf(X), rtol=1e-13)
    numeric = [(log_pdf(X + h * e) - log_pdf(X - h * e)) / (2 * h) for e in np.eye(2)]
    np.testing.assert_allclose(score(MIXTURE, x), numeric, rtol=1e-7)  # h² and rounding over h, both some 1e-10
    np.testing.assert_allclose(score(MIXTURE, x), jax.grad(lambda z: log_prob(MIXTURE, z))(x), rtol=1e-12)


def test_far_away_nothing_underflows():
    """The densities themselves are of the order e^-50000 there; the second component dominates."""
    x = jnp.asarray([300.0, 40.0])
    law = scipy.stats.multivariate_normal(MEANS[1], COVARIANCES[1])
    np.testing.assert_allclose(log_prob(MIXTURE, x), np.log(0.5) + law.logpdf(x), rtol=1e-12)
    np.testing.assert_allclose(score(MIXTURE, x), -np.linalg.solve(COVARIANCES[1], x - MEANS[1]), rtol=1e-12)


def test_diffusion_is_scaling_and_convolution():
    shift = np.array([0.5, -1.0])
    noisy = MIXTURE.diffused(0.7, 0.4, jnp.asarray(shift))
    np.testing.assert_allclose(log_prob(noisy, jnp.asarray(X)), log_pdf(X, 0.7, 0.4, shift), rtol=1e-13)
    # Twice is once: alpha multiplies, variances add.
    twice, once = MIXTURE.diffused(0.7, 0.4).diffused(0.5, 0.3), MIXTURE.diffused(0.35, np.sqrt(0.2**2 + 0.3**2))
    np.testing.assert_allclose(score(twice, jnp.asarray(X)), score(once, jnp.asarray(X)), rtol=1e-12)
    np.testing.assert_allclose(MIXTURE.diffused(1.0, 0.0).covariances, COVARIANCES, rtol=1e-13)


def test_moments():
    mean = WEIGHTS @ MEANS
    second = np.einsum("k,kij->ij", WEIGHTS, COVARIANCES + MEANS[:, :, None] * MEANS[:, None, :])
    np.testing.assert_allclose(MIXTURE.mean, mean, rtol=1e-13)
    np.testing.assert_allclose(MIXTURE.covariance, second - np.outer(mean, mean), rtol=1e-12)


def test_draws():
    """20,000 draws: both marginals in six cells by chi-squared, false alarm 1e-4 each; the covariance to 4 errors."""
    n = 20_000
    draws = np.asarray(jax.jit(jax.vmap(MIXTURE.sample))(jr.split(jr.key(0), n)))
    edges = np.array([-np.inf, -1.2, -0.3, 0.3, 1.5, 2.4, np.inf])
    for axis in (0, 1):
        marginals = [scipy.stats.norm(m[axis], np.sqrt(c[axis, axis])) for m, c in zip(MEANS, COVARIANCES, strict=True)]
        cdf = sum(w * law.cdf(edges) for w, law in zip(WEIGHTS, marginals, strict=True))
        observed = np.histogram(draws[:, axis], edges)[0]
        assert scipy.stats.chisquare(observed, n * np.diff(cdf)).pvalue > 1e-4
    product = np.prod(draws - np.asarray(MIXTURE.mean), axis=1)
    assert abs(product.mean() - float(MIXTURE.covariance[0, 1])) < 4 * product.std() / np.sqrt(n)


@pytest.mark.parametrize(("alpha", "sigma"), [(0.9, 0.3), (0.2, 1.0), (1.0, 5.0)])
def test_posterior_mean_is_tweedie(alpha, sigma):
    """E[x | y] = (y + sigma² score(y)) / alpha, with shift and without."""
    y, shift = jnp.asarray(X), jnp.asarray([0.5, -1.0])
    noisy = MIXTURE.diffused(alpha, sigma)
    expected = (y + sigma**2 * score(noisy, y)) / alpha
    np.testing.assert_allclose(posterior_mean(MIXTURE, y, alpha, sigma), expected, rtol=1e-12)
    moved = MIXTURE.diffused(alpha, sigma, shift)
    expected = shift + (y - shift + sigma**2 * score(moved, y)) / alpha
    np.testing.assert_allclose(posterior_mean(MIXTURE, y, alpha, sigma, shift), expected, rtol=1e-12)


def test_posterior_mean_by_quadrature():
    mixture = GaussianMixture.isotropic([0.3, 0.7], [[-1.0], [2.0]], [0.5, 0.8])
    y, alpha, sigma = 0.4, 0.8, 0.7

    def joint(x):
        prior = 0.3 * scipy.stats.norm.pdf(x, -1, 0.5) + 0.7 * scipy.stats.norm.pdf(x, 2, 0.8)
        return prior * scipy.stats.norm.pdf(y, alpha * x, sigma)

    top, bottom = (scipy.integrate.quad(f, -10, 10)[0] for f in (lambda x: x * joint(x), joint))
    np.testing.assert_allclose(posterior_mean(mixture, jnp.asarray([y]), alpha, sigma), [top / bottom], rtol=1e-8)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_posterior_mean_at_both_ends(dtype):
    """No noise: the point itself; nothing but noise: the mean. In single precision as in double."""
    mixture = GaussianMixture(*(jnp.asarray(a, dtype) for a in (WEIGHTS, MEANS, COVARIANCES)))
    y, tolerance = jnp.asarray(X, dtype), 40 * float(jnp.finfo(dtype).eps)
    for sigma in (0.0, 1e-12):
        clean = posterior_mean(mixture, 0.5 * y, 0.5, sigma)
        assert clean.dtype == dtype
        np.testing.assert_allclose(clean, X, atol=tolerance)
    for alpha in (0.0, 1e-12):
        np.testing.assert_allclose(posterior_mean(mixture, y, alpha, 1.0), WEIGHTS @ MEANS, atol=tolerance)
    assert np.all(np.isfinite(jax.jacfwd(lambda s: posterior_mean(mixture, y, 0.5, s))(jnp.asarray(0.0, dtype))))


def test_point_masses_are_the_empirical_law():
    """E[x | y] is the softmax average of the points."""
    points = np.random.default_rng(0).normal(size=(5, 2))
    law = GaussianMixture.isotropic(np.full(5, 0.2), points, 0.0)
    weights = np.exp(-np.sum((X - 0.8 * points) ** 2, axis=1) / (2 * 0.6**2))
    expected = weights @ points / weights.sum()
    np.testing.assert_allclose(posterior_mean(law, jnp.asarray(X), 0.8, 0.6), expected, rtol=1e-12)


def test_isotropic_and_ring():
    stds = np.array([0.3, 0.5, 2.0])
    full = GaussianMixture(WEIGHTS, MEANS, stds[:, None, None] ** 2 * np.eye(2))
    iso = GaussianMixture.isotropic(WEIGHTS, MEANS, stds)
    np.testing.assert_allclose(log_prob(iso, jnp.asarray(X)), log_prob(full, jnp.asarray(X)), rtol=1e-13)
    np.testing.assert_allclose(iso.covariances, full.covariances, rtol=1e-13)
    ring = ring_of_gaussians(8, jnp.asarray(4.0, jnp.float32), 0.3)
    assert ring.means.dtype == jnp.float32
    np.testing.assert_allclose(np.linalg.norm(ring.means, axis=1), 4, rtol=1e-6)
    # The mean square along each axis is radius² / 2 + std².
    np.testing.assert_allclose(ring.covariance, 8.09 * np.eye(2), atol=1e-5)


def test_gradients_with_respect_to_the_parameters():
    def loss(means, stds):
        return log_prob(GaussianMixture.isotropic(WEIGHTS, means, stds), jnp.asarray(X))

    stds, h = jnp.asarray([0.3, 0.5, 2.0]), 1e-6
    found = jax.grad(loss, argnums=(0, 1))(jnp.asarray(MEANS), stds)
    up, down = (loss(jnp.asarray(MEANS), stds.at[2].add(s)) for s in (h, -h))
    np.testing.assert_allclose(found[1][2], (up - down) / (2 * h), rtol=1e-6)
    up, down = (loss(jnp.asarray(MEANS).at[1, 0].add(s), stds) for s in (h, -h))
    np.testing.assert_allclose(found[0][1, 0], (up - down) / (2 * h), rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (
            lambda: GaussianMixture([0.5, 0.6], MEANS[:2], COVARIANCES[:2]),
            ValueError,
            "their sum is 1.1 .* Divide them",
        ),
        (lambda: GaussianMixture([1.5, -0.5], MEANS[:2], COVARIANCES[:2]), ValueError, "smallest -0.5"),
        (lambda: GaussianMixture(WEIGHTS, MEANS[:2], COVARIANCES), ValueError, r"got \(2, 2\) and \(3,\)"),
        (
            lambda: GaussianMixture(WEIGHTS, MEANS, np.ones((3, 3))),
            ValueError,
            r"\(3, 2, 2\), \(3, 2\) or \(3,\) .* got",
        ),
        (lambda: GaussianMixture(WEIGHTS, MEANS, -np.ones(3)), ValueError, "`covariances` must not be negative"),
        (lambda: GaussianMixture(WEIGHTS, MEANS, -COVARIANCES), ValueError, "`covariances` must be positive semi"),
        (lambda: GaussianMixture([1.0], [[1, 2]], COVARIANCES[:1]), TypeError, "`means` must be floats"),
        (lambda: GaussianMixture.isotropic(WEIGHTS, MEANS, [0.1, 0.2]), ValueError, r"one number or \(3,\)"),
        (lambda: GaussianMixture.isotropic(WEIGHTS, MEANS, -1.0), ValueError, "`stds` must not be negative"),
        (lambda: ring_of_gaussians(0), ValueError, "`n` must be at least 1 Gaussian"),
    ],
)
def test_refusals(make, error, words):
    with pytest.raises(error, match=words):
        make()
