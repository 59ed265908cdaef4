"""Laws of a positive scale against SciPy; scale mixtures against closed forms; joint draws against joint laws."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from cadlag.distributions import (
    BurrXII,
    HalfCauchy,
    InverseGamma,
    LogNormal,
    MultivariateT,
    ScaleMixture,
    Squared,
    kl,
    scale_posterior,
)

LAWS = {
    "inverse gamma": (InverseGamma(2.5, 1.7), stats.invgamma(2.5, scale=1.7)),
    "burr": (BurrXII(2.0, 1.5), stats.burr12(2.0, 1.5)),
    "log-normal": (LogNormal(0.3, 0.8), stats.lognorm(0.8, scale=math.exp(0.3))),
    "half-cauchy": (HalfCauchy(1.4), stats.halfcauchy(scale=1.4)),
}
ROOT = np.array([[1.2, 0.0], [0.5, 0.7]])


@functools.cache
def draws(name, n=4000):
    law = LAWS[name][0]
    return np.asarray(jax.jit(jax.vmap(law.sample))(jax.random.split(jax.random.key(3), n)))


@pytest.mark.parametrize("name", LAWS)
def test_densities_and_draws_are_those_of_scipy(name):
    law, reference = LAWS[name]
    x = np.array([1e-3, 0.2, 1.0, 3.0, 50.0])
    np.testing.assert_allclose(jax.vmap(law.log_prob)(jnp.asarray(x)), reference.logpdf(x), rtol=1e-10)
    # A false alarm once in 10,000.
    assert stats.kstest(draws(name), reference.cdf).pvalue > 1e-4
    assert law.log_prob(jnp.asarray(0.5, jnp.float32)).dtype == jnp.float32


def test_medians_of_burr():
    for c, k in ((1.0, 1.0), (2.0, 1.5)):
        sample = jax.vmap(BurrXII(c, k).sample)(jax.random.split(jax.random.key(0), 4000))
        # The share below the median has the standard error 1 / (2 sqrt n); five of them.
        assert abs(float(jnp.mean(sample < (2 ** (1 / k) - 1) ** (1 / c))) - 0.5) < 5 / (2 * math.sqrt(4000))


def test_square_of_a_half_cauchy_deviation():
    # v / s² of a half-Cauchy deviation is F(1, 1).
    x = np.array([0.1, 1.0, 8.0])
    np.testing.assert_allclose(
        jax.vmap(Squared(HalfCauchy(1.3)).log_prob)(jnp.asarray(x)), stats.f(1, 1, scale=1.69).logpdf(x), rtol=1e-9
    )


def test_divergence_of_inverse_gammas():
    p, q = InverseGamma(3.0, 2.0), InverseGamma(2.0, 1.0)
    a, b = stats.invgamma(3.0, scale=2.0), stats.invgamma(2.0, scale=1.0)
    expected = integrate.quad(lambda v: a.pdf(v) * (a.logpdf(v) - b.logpdf(v)), 1e-2, np.inf)[0]
    np.testing.assert_allclose(kl(p, q), expected, rtol=1e-7)
    assert float(kl(p, p)) == 0
    assert math.isinf(InverseGamma(0.9, 1.0).mean)


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize(("count", "squares"), [(0, 0.0), (3, 4.0), (500, 3e5)])
def test_posteriors_against_adaptive_quadrature(name, count, squares):
    law, reference = LAWS[name]
    found = scale_posterior(law, jnp.asarray(squares), count)

    def log_joint(t):
        return reference.logpdf(np.exp(t)) + t - count / 2 * t - squares / 2 * np.exp(-t)

    grid = np.linspace(-60, 60, 200_001)
    with np.errstate(all="ignore"):
        logs = log_joint(grid)
    top = np.nanmax(logs)
    mass = np.exp(np.nan_to_num(logs - top, nan=-np.inf, neginf=-np.inf))
    np.testing.assert_allclose(found.log_evidence, np.log(integrate.simpson(mass, x=grid)) + top, atol=1e-9)
    if count:
        mean = integrate.simpson(mass * np.exp(grid), x=grid) / integrate.simpson(mass, x=grid)
        np.testing.assert_allclose(found.mean, mean, rtol=1e-7)


def test_posterior_of_an_inverse_gamma_is_one():
    found = scale_posterior(InverseGamma(2.0, 2.0), jnp.asarray(7.0), 5)
    exact = stats.invgamma(4.5, scale=5.5)
    np.testing.assert_allclose(found.log_prob(jnp.asarray(0.8)), exact.logpdf(0.8), rtol=1e-10)
    sample = jax.jit(jax.vmap(found.sample))(jax.random.split(jax.random.key(5), 4000))
    assert stats.kstest(np.asarray(sample), exact.cdf).pvalue > 1e-4


def test_multivariate_t_is_that_of_scipy_and_the_mixture_of_it():
    loc = np.array([0.3, -1.0])
    law, mixture = MultivariateT(loc, ROOT, 5.0), ScaleMixture(loc, ROOT, InverseGamma(2.5, 2.5))
    reference = stats.multivariate_t(loc, ROOT @ ROOT.T, df=5.0)
    for x in np.array([[0.3, -1.0], [2.0, 0.0], [300.0, -40.0]]):
        np.testing.assert_allclose(law.log_prob(jnp.asarray(x)), reference.logpdf(x), rtol=1e-10)
        np.testing.assert_allclose(mixture.log_prob(jnp.asarray(x)), reference.logpdf(x), rtol=1e-10)
        # The trapezoid rule in log v is exact to rounding, far out in the tail too.
        square = jnp.sum(jnp.asarray(np.linalg.solve(ROOT, x - loc)) ** 2)
        evidence = scale_posterior(InverseGamma(2.5, 2.5), square, 2).log_evidence
        quadrature = evidence - np.log(2 * np.pi) - np.log(np.diagonal(ROOT)).sum()
        np.testing.assert_allclose(quadrature, reference.logpdf(x), rtol=1e-10)


def test_float32_mixture():
    loc, root = jnp.zeros(2, jnp.float32), jnp.asarray(ROOT, jnp.float32)
    x = jnp.asarray([1.0, 0.5], jnp.float32)
    value = ScaleMixture(loc, root, HalfCauchy(1.0)).log_prob(x)
    double = ScaleMixture(np.zeros(2), ROOT, HalfCauchy(1.0)).log_prob(jnp.asarray([1.0, 0.5]))
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, double, rtol=1e-4)


def independent_scales(key, n, df):
    """The released sampler: a t variable for each entry, then the Cholesky factor."""
    z = stats.t(df).rvs((n, 2), random_state=key)
    return z @ ROOT.T


@pytest.mark.parametrize("law", [MultivariateT(np.zeros(2), ROOT, 12.0),
                                 ScaleMixture(np.zeros(2), ROOT, InverseGamma(6.0, 6.0))])  # fmt: skip
def test_draws_share_one_scale(law):
    n, df = 20_000, 12.0
    x = np.asarray(jax.jit(jax.vmap(law.sample))(jax.random.split(jax.random.key(1), n)))
    # Every entry is t (a false alarm once in 10,000) ...
    for j in range(2):
        scale = np.sqrt((ROOT @ ROOT.T)[j, j])
        assert stats.kstest(x[:, j] / scale, stats.t(df).cdf).pvalue > 1e-4
    # ... and uncorrelated ones, L⁻¹ x, depend on each other: squares correlate by 1 / (df - 1) = 0.091. Its standard
    # error with these heavy tails is 0.012 (over repetitions); the bounds are four of them apart.
    white = np.linalg.solve(ROOT, x.T)
    assert abs(np.corrcoef(white)[0, 1]) < 0.04
    assert abs(np.corrcoef(white**2)[0, 1] - 1 / (df - 1)) < 0.05
    wrong = independent_scales(2, n, df)
    assert abs(np.corrcoef(np.linalg.solve(ROOT, wrong.T) ** 2)[0, 1]) < 0.04


def test_bad_input():
    with pytest.raises(ValueError, match="`a` must be one positive number"):
        InverseGamma(0.0, 1.0)
    with pytest.raises(ValueError, match="`k` must be one positive number"):
        BurrXII(1.0, jnp.ones(2))
    with pytest.raises(ValueError, match="must be finite"):
        HalfCauchy(math.nan)
    with pytest.raises(ValueError, match=r"`root` \(D, D\)"):
        MultivariateT(np.zeros(2), np.eye(3), 4.0)
