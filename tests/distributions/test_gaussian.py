"""Normal and Gaussian laws against SciPy, and their relative entropies."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from cadlag.distributions import Checkerboard, Gaussian, Normal, kl

MEAN = np.array([0.5, -1.0])
COVARIANCE = np.array([[2.0, 0.6], [0.6, 0.5]])
X = np.array([1.2, -0.3])


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


def test_normal_against_scipy():
    loc, scale = np.array([[0.5, -1.0, 2.0]]), np.array([[0.3, 1.0, 2.0]])
    law, x = Normal(loc, scale), loc + 0.7
    np.testing.assert_allclose(log_prob(law, jnp.asarray(x)), scipy.stats.norm.logpdf(x, loc, scale).sum(), rtol=1e-13)
    np.testing.assert_allclose(score(law, jnp.asarray(x)), -0.7 / scale**2, rtol=1e-13)
    one = Normal(jnp.zeros((2, 2), jnp.float32), 50.0)
    assert one.sample(jr.key(0)).dtype == jnp.float32
    assert float(log_prob(one, jnp.zeros((2, 2), jnp.float32))) == pytest.approx(
        -2 * np.log(2 * np.pi * 2500), rel=1e-6
    )


def test_gaussian_against_scipy():
    law, x = Gaussian(MEAN, COVARIANCE), jnp.asarray(X)
    np.testing.assert_allclose(
        log_prob(law, x), scipy.stats.multivariate_normal(MEAN, COVARIANCE).logpdf(X), rtol=1e-13
    )
    np.testing.assert_allclose(score(law, x), -np.linalg.solve(COVARIANCE, X - MEAN), rtol=1e-12)
    np.testing.assert_allclose(law.covariance, COVARIANCE, rtol=1e-13)
    for diagonal in (np.array([0.5, 2.0]), np.float64(0.5)):
        full = Gaussian(MEAN, diagonal * np.eye(2))
        np.testing.assert_allclose(log_prob(Gaussian(MEAN, diagonal), x), log_prob(full, x), rtol=1e-13)
    single = Gaussian(MEAN.astype(np.float32), COVARIANCE)
    assert score(single, x.astype(jnp.float32)).dtype == jnp.float32


def test_draws_and_fit():
    """20,000 draws; fit against NumPy exactly, five moments at 4 standard errors (false alarm 3e-4)."""
    n = 20_000
    for law in (Gaussian(MEAN, COVARIANCE), Normal(MEAN, np.sqrt(np.diag(COVARIANCE)))):
        draws = np.asarray(jax.jit(jax.vmap(law.sample))(jr.split(jr.key(0), n)))
        fitted = Gaussian.fit(jnp.asarray(draws), ridge=0.25)
        np.testing.assert_allclose(fitted.mean, draws.mean(0), rtol=1e-12)
        np.testing.assert_allclose(fitted.covariance, np.cov(draws.T) + 0.25 * np.eye(2), rtol=1e-10)
        true = COVARIANCE if isinstance(law, Gaussian) else np.diag(np.diag(COVARIANCE))
        assert np.all(abs(draws.mean(0) - MEAN) < 4 * np.sqrt(np.diag(true) / n))
        # Wick: the variance of a product of two centred entries is C_ii C_jj + C_ij².
        error = np.sqrt((np.outer(np.diag(true), np.diag(true)) + true**2) / n)
        assert np.all(abs(np.cov(draws.T) - true) < 4 * error)


def test_kl_against_the_textbook_and_quadrature():
    other = np.array([[1.0, -0.2], [-0.2, 1.5]])
    p, q = Gaussian(MEAN, COVARIANCE), Gaussian(X, other)
    inverse = np.linalg.inv(other)
    book = 0.5 * (np.trace(inverse @ COVARIANCE) + (X - MEAN) @ inverse @ (X - MEAN) - 2)
    book += 0.5 * (np.linalg.slogdet(other)[1] - np.linalg.slogdet(COVARIANCE)[1])
    np.testing.assert_allclose(kl(p, q), book, rtol=1e-12)
    np.testing.assert_allclose(kl(p, p), 0, atol=1e-14)

    a, b = Normal(jnp.asarray([0.3]), 0.5), Normal(jnp.asarray([-0.2]), 1.5)
    f, g = scipy.stats.norm(0.3, 0.5), scipy.stats.norm(-0.2, 1.5)
    integral = scipy.integrate.quad(lambda x: f.pdf(x) * (f.logpdf(x) - g.logpdf(x)), -8, 8)[0]
    np.testing.assert_allclose(kl(a, b), integral, rtol=1e-8)  # quad's own tolerance
    wide = Gaussian(jnp.asarray([-0.2]), jnp.asarray([[2.25]]))
    np.testing.assert_allclose([kl(a, wide), kl(Gaussian(a.loc, 0.25), b)], integral, rtol=1e-8)


def test_diffusion_and_posterior_of_a_gaussian():
    """Against the conditional law of the joint Gaussian (x, y), written out."""
    law, alpha, sigma, shift = Gaussian(MEAN, COVARIANCE), 0.6, 0.9, np.array([1.0, 2.0])
    noisy = law.diffused(alpha, sigma, jnp.asarray(shift))
    cov_y = alpha**2 * COVARIANCE + sigma**2 * np.eye(2)
    np.testing.assert_allclose(noisy.covariance, cov_y, rtol=1e-13)
    np.testing.assert_allclose(noisy.mean, shift + alpha * (MEAN - shift), rtol=1e-13)
    expected = MEAN + alpha * COVARIANCE @ np.linalg.solve(cov_y, X - np.asarray(noisy.mean))
    np.testing.assert_allclose(posterior_mean(law, jnp.asarray(X), alpha, sigma, jnp.asarray(shift)), expected)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Normal(jnp.zeros(3), jnp.ones(2)), ValueError, r"one number or of the shape of `loc`, \(3,\)"),
        (lambda: Normal(jnp.zeros(3), 0.0), ValueError, "`scale` must be positive, but its smallest entry is 0"),
        (lambda: Normal(np.zeros(3, int)), TypeError, "`loc` must be floats, because they decide the precision"),
        (lambda: Normal(np.array([0.0, np.nan])), ValueError, "`loc` must be finite"),
        (lambda: Gaussian(np.zeros(2), np.eye(3)), ValueError, r"or one number, but got \(2,\) and \(3, 3\)"),
        (lambda: Gaussian(np.zeros(2), [0.5, -1.0]), ValueError, "must not be negative, but the smallest is -1"),
        (lambda: Gaussian(np.zeros(2), [[1.0, 0.5], [0.4, 1.0]]), ValueError, "must be symmetric, .* up to 0.1"),
        (lambda: Gaussian(np.zeros(2), [[1.0, 2.0], [2.0, 1.0]]), ValueError, "has the eigenvalue -1"),
        (lambda: Gaussian.fit(jnp.ones((1, 3))), ValueError, "n >= 2 points"),
        (lambda: kl(Normal(np.zeros(2)), Checkerboard()), TypeError, "`q` is a Checkerboard. Estimate it"),
        (lambda: kl(Normal(np.zeros(2)), Normal(np.zeros(3))), ValueError, r"shape \(2,\) and q of \(3,\)"),
    ],
)
def test_refusals(make, error, words):
    with pytest.raises(error, match=words):
        make()
