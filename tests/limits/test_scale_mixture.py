"""Scale mixtures: a golden case, identities, importance sampling, wide networks, the sparse classifier's bound."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from cadlag.distributions import BurrXII, HalfCauchy, InverseGamma, LogNormal, ScalePosterior
from cadlag.kernels import NNGP, Dense, Erf, ReLU, Separable, Serial, SquaredExponential
from cadlag.limits import (
    GaussianProcessRegressor,
    Inducing,
    SparseScaleMixture,
    StudentTClassifier,
    StudentTRegressor,
    Triangle,
    condition,
    condition_scale_mixture,
    log_marginal_likelihood,
    scale_mixture_log_likelihood,
)
from cadlag.limits._inducing import representatives

X = np.linspace(-1, 1, 6)[:, None]
Y = np.array([0.3, -1.2, 0.5, 2.0, 0.1, -0.4])[:, None]
KERNEL, NOISE = SquaredExponential(0.5), 0.05
K = np.exp(-0.5 * (X - X.T) ** 2 / 0.25) + NOISE * np.eye(6)
Z, VALUES = jnp.full((5, 1), 0.25), np.array([-1.0, 0, 0.5, 2, 5])[:, None]
PRIOR = InverseGamma(2.0, 2.0)


@functools.cache
def conditioned(a=2.0, b=2.0):
    return condition_scale_mixture(KERNEL, InverseGamma(a, b), jnp.asarray(X), jnp.asarray(Y), noise=NOISE)


def test_golden_case():
    # Worked out by hand with NumPy for six points; eight digits were written down.
    mixture = conditioned()
    assert float(2 * (mixture.scale.b - 2)) == pytest.approx(17.159587, abs=1e-6)
    found = scale_mixture_log_likelihood(KERNEL, PRIOR, jnp.asarray(X), jnp.asarray(Y), noise=NOISE)
    np.testing.assert_allclose(found, -10.845474, atol=1e-6)
    np.testing.assert_allclose(mixture.mean(Z)[0, 0], 1.642349, atol=1e-6)
    np.testing.assert_allclose(mixture.process.variance(Z)[0] + NOISE, 0.0858012, atol=1e-7)
    expected = [-8.770340, -5.098835, -3.069678, -0.465256, -10.955639]
    np.testing.assert_allclose(mixture.log_prob(Z, jnp.asarray(VALUES))[:, 0], expected, atol=1e-6)
    scale = stats.multivariate_t(np.zeros(6), K, df=4.0)
    np.testing.assert_allclose(found, scale.logpdf(Y[:, 0]), rtol=1e-10)


def test_posterior_in_both_forms():
    d, (a, b), n = float((Y.T @ np.linalg.solve(K, Y))[0, 0]), (2.0, 3.0), 6
    scale = conditioned(a, b).scale
    np.testing.assert_allclose(scale.b / scale.a, (b / a) * (2 * a + (a / b) * d) / (2 * a + n), rtol=1e-12)


class TestVariance:
    def test_reacts_to_the_data_as_no_gaussian_process_does(self):
        x, small, large = jnp.asarray(X), jnp.asarray(Y) * 1e3, jnp.asarray(Y) * 1e4
        first, second = (condition_scale_mixture(KERNEL, PRIOR, x, y, noise=NOISE) for y in (small, large))
        # d grows with c² and b_n = b + d/2 with it, up to the b that is negligible.
        np.testing.assert_allclose(second.variance(Z) / first.variance(Z), 100, rtol=1e-4)
        np.testing.assert_allclose(second.process.variance(Z), first.process.variance(Z), rtol=1e-12)

    def test_identity(self):
        d = float((Y.T @ np.linalg.solve(K, Y))[0, 0])
        exact = (2 + d / 2) / (2 + 3 - 1) * np.asarray(conditioned().process.variance(Z))
        np.testing.assert_allclose(conditioned().variance(Z), exact, rtol=1e-12)
        np.testing.assert_allclose(jnp.diagonal(conditioned().covariance(Z)), exact, rtol=1e-9)

    @pytest.mark.parametrize("prior", [BurrXII(2.0, 1.0), LogNormal(), HalfCauchy()])
    def test_mean_is_the_gaussian_one_for_every_prior(self, prior):
        x, y = jnp.asarray(X), jnp.asarray(Y)
        mixture = condition_scale_mixture(KERNEL, prior, x, y, noise=NOISE)
        assert isinstance(mixture.scale, ScalePosterior)
        np.testing.assert_array_equal(mixture.mean(Z), condition(KERNEL, x, y, noise=NOISE).mean(Z))


def test_importance_sampling_agrees():
    # The paper's estimate, with draws of the prior, in NumPy: its error falls as the root of the number of draws.
    rng, n = np.random.default_rng(0), 100_000
    v = 2.0 / rng.gamma(2.0, size=n)
    d = float((Y.T @ np.linalg.solve(K, Y))[0, 0])
    logs = -3 * np.log(v) - d / (2 * v)
    weights = np.exp(logs - special.logsumexp(logs))
    assert 0.4 < 1 / np.sum(weights**2) / n < 0.55
    mean, variance = float(conditioned().mean(Z)[0, 0]), 0.0858012
    terms = stats.norm(mean, np.sqrt(v * variance)).logpdf(VALUES)
    estimate = special.logsumexp(np.log(weights) + terms, axis=1)
    np.testing.assert_allclose(conditioned().log_prob(Z, jnp.asarray(VALUES))[:, 0], estimate, atol=0.05)


def test_quadrature_is_exact_for_a_prior_it_does_not_know():
    # A log-normal prior against a trapezoid rule of NumPy on a grid of its own.
    t = np.linspace(-12, 12, 4001)
    d = float((Y.T @ np.linalg.solve(K, Y))[0, 0])
    weights = stats.norm.logpdf(t) - 3 * t - d / 2 * np.exp(-t)
    evidence = special.logsumexp(weights) + np.log(t[1] - t[0]) - 0.5 * np.linalg.slogdet(2 * np.pi * K)[1]
    found = scale_mixture_log_likelihood(KERNEL, LogNormal(), jnp.asarray(X), jnp.asarray(Y), noise=NOISE)
    np.testing.assert_allclose(found, evidence, rtol=1e-10)
    mixture = condition_scale_mixture(KERNEL, LogNormal(), jnp.asarray(X), jnp.asarray(Y), noise=NOISE)
    mean, variance = float(mixture.mean(Z)[0, 0]), float(mixture.process.variance(Z)[0]) + NOISE
    terms = stats.norm.logpdf(VALUES, mean, np.exp(t / 2) * math.sqrt(variance))
    expected = special.logsumexp(weights + terms, axis=1) - special.logsumexp(weights)
    np.testing.assert_allclose(mixture.log_prob(Z, jnp.asarray(VALUES))[:, 0], expected, rtol=1e-9)


def test_many_degrees_are_the_gaussian_process():
    x, y = jnp.asarray(X), jnp.asarray(Y)
    gaussian = stats.norm(float(conditioned().mean(Z)[0, 0]), math.sqrt(0.0858012)).logpdf(VALUES[:, 0])
    found = conditioned(1e6, 1e6).log_prob(Z, jnp.asarray(VALUES))[:, 0]
    np.testing.assert_allclose(found, gaussian, rtol=1e-4)
    expected = log_marginal_likelihood(KERNEL, x, y, noise=NOISE)
    many = scale_mixture_log_likelihood(KERNEL, InverseGamma(1e6, 1e6), x, y, noise=NOISE)
    np.testing.assert_allclose(many, expected, rtol=1e-4)


def test_draws_have_one_scale():
    # Few data, so that the tails are heavy: squares of two outputs at one point correlate through the scale alone.
    mixture = condition_scale_mixture(
        KERNEL, InverseGamma(5.0, 5.0), jnp.zeros((1, 1)), jnp.asarray([[1.0, -1.0]]), noise=NOISE
    )
    z = jnp.asarray([[1.0]])
    sample = jax.jit(jax.vmap(lambda k: mixture.sample(z, key=k)[0]))(jax.random.split(jax.random.key(2), 20_000))
    df = 2 * float(mixture.scale.a)
    assert df == pytest.approx(12)
    centred = (np.asarray(sample) - np.asarray(mixture.mean(z))) / math.sqrt(
        float(mixture.scale.b / mixture.scale.a) * float(mixture.process.variance(z)[0])
    )
    assert stats.kstest(centred[:, 0], stats.t(df).cdf).pvalue > 1e-4
    # 1 / (df - 1) = 0.091; the standard error is 0.012.
    assert abs(np.corrcoef(centred.T**2)[0, 1] - 1 / (df - 1)) < 0.05


def wide(key, width=1024):
    """One hidden layer of ReLU, the readout's variance drawn; at one input of norm sqrt(d)."""
    hidden, scale, last = jax.random.split(key, 3)
    z = jax.nn.relu(math.sqrt(2) * jax.random.normal(hidden, (width,)))
    return jnp.sqrt(PRIOR.sample(scale) / width) * jnp.sum(jax.random.normal(last, (width,)) * z)


def test_wide_networks_with_a_random_scale_are_t():
    f = np.asarray(jax.jit(jax.lax.map, static_argnums=0)(wide, jax.random.split(jax.random.key(6), 2000)))
    # Their NNGP: weight variance 2 and ReLU keep the variance at one, so the scale matrix is b/a = 1.
    k = NNGP(Serial(Dense(2**0.5), ReLU(), Dense(1.0))).gram(jnp.ones((1, 3)))[0, 0]
    np.testing.assert_allclose(k, 1, rtol=1e-12)
    # One false alarm in a hundred; the seed is fixed. The Gaussian of the same variance, 2, is rejected.
    assert stats.kstest(f, stats.t(4).cdf).pvalue > 0.01
    assert stats.kstest(f, stats.norm(0, math.sqrt(2)).cdf).pvalue < 1e-4


def test_last_layer_trained_in_closed_form_keeps_the_prior_s_degrees():
    # Gradient descent does not condition v on the data: f_inf = posterior mean + sqrt(v) (posterior deviation) z.
    rng, n, width = np.random.default_rng(3), 1500, 400
    x, z = np.array([[1.0, 0.2], [-0.3, 1.0]]), np.array([[0.8, -0.9]])
    y = np.array([1.0, -0.5])
    found = []
    for _ in range(n):
        features = np.maximum(np.vstack([x, z]) @ rng.normal(size=(2, width)), 0) / math.sqrt(width)
        w = math.sqrt(2.0 / rng.gamma(2.0)) * rng.normal(size=width)
        start = features @ w
        found.append(start[2] + features[2] @ features[:2].T @ np.linalg.solve(
            features[:2] @ features[:2].T, y - start[:2]))  # fmt: skip
    kernel = NNGP(Serial(Dense(2**0.5), ReLU(), Dense(1.0)))
    process = condition(kernel, jnp.asarray(x), jnp.asarray(y)[:, None])
    mean, deviation = float(process.mean(jnp.asarray(z))[0, 0]), math.sqrt(float(process.variance(jnp.asarray(z))[0]))
    # Width 400 moves the law by some 1 / sqrt(width) of a deviation, within the test's power at 1,500 draws.
    assert stats.kstest((np.array(found) - mean) / deviation, stats.t(4).cdf).statistic < 0.05


def data(n=30):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(n, 2))
    y = np.sin(2 * x[:, 0]) + 0.1 * rng.normal(size=n)
    y[:2] += 6
    return x, y


def test_regressor(tmp_path):
    x, y = data()
    fitted = StudentTRegressor(KERNEL3, learn_prior=True, steps=100).fit(x, y)
    gaussian = GaussianProcessRegressor(KERNEL3, steps=100).fit(x, y)
    # The Gaussian process is the case of infinitely many degrees; what is learnt is at least nearly as likely.
    assert fitted.log_marginal_likelihood_ > gaussian.log_marginal_likelihood_ - 0.1
    mean, std = fitted.predict(x, return_std=True)
    assert mean.shape == std.shape == (30,)
    assert fitted.sample(x, 2).shape == (2, 30)
    # Densities in the targets' own unit integrate to one.
    grid = np.linspace(-60, 60, 20_001)
    density = np.exp(fitted.log_prob(np.repeat(x[:1], len(grid), 0), grid))
    np.testing.assert_allclose(np.trapezoid(density, grid), 1, atol=1e-3)
    fitted.save(tmp_path / "model")
    np.testing.assert_array_equal(StudentTRegressor.load(tmp_path / "model").predict(x), mean)


def test_regressor_learns_another_prior():
    x, y = data(15)
    start = StudentTRegressor(KERNEL2, prior=BurrXII(2.0, 1.0), learn=False).fit(x, y)
    fitted = StudentTRegressor(KERNEL2, prior=BurrXII(2.0, 1.0), learn_prior=True, steps=10).fit(x, y)
    assert fitted.log_marginal_likelihood_ > start.log_marginal_likelihood_
    assert math.isnan(fitted.degrees_)
    assert np.isfinite(fitted.log_prob(x, y)).all()


KERNEL3 = 1.0 * Separable((SquaredExponential(1.4), SquaredExponential(1.4)))
KERNEL2 = NNGP(Serial(Dense(jnp.asarray(1.0), 0.3), Erf(), Dense()))


class TestSparse:
    """The whitened bound against the unwhitened formulas in NumPy."""

    CLASSES, P = 3, 4

    @functools.cached_property
    def model(self):
        rng = np.random.default_rng(5)
        z = jnp.asarray(rng.normal(size=(self.P, 1)))
        raw = jnp.asarray(0.3 * rng.normal(size=(self.CLASSES, self.P, self.P)))
        mean = jnp.asarray(rng.normal(size=(self.CLASSES, self.P)))
        return SparseScaleMixture(KERNEL, z, Inducing(mean, Triangle(raw)), InverseGamma(3.0, 2.0), PRIOR)

    def parts(self):
        z = np.asarray(self.model.z)
        kzz = np.exp(-0.5 * (z - z.T) ** 2 / 0.25)
        root = np.linalg.cholesky(kzz)
        s = np.stack([root @ r @ r.T @ root.T for r in np.asarray(self.model.inducing.root.matrix)])
        return kzz, np.asarray(self.model.inducing.mean) @ root.T, s

    def test_divergence(self):
        kzz, m, s = self.parts()
        a, b, alpha, beta = 3.0, 2.0, 2.0, 2.0
        inverse = np.linalg.inv(kzz)
        logs = self.CLASSES * np.linalg.slogdet(kzz)[1] - np.linalg.slogdet(s)[1].sum()
        traces = np.trace(inverse @ s, axis1=1, axis2=2).sum() + a / b * np.einsum("ci,ij,cj->", m, inverse, m)
        scale = alpha * np.log(b / beta) - special.gammaln(a) + special.gammaln(alpha)
        scale += (a - alpha) * special.digamma(a) + (beta - b) * a / b
        expected = 0.5 * (logs - self.CLASSES * self.P + traces) + scale
        np.testing.assert_allclose(self.model.kl(), expected, rtol=1e-10)

    def test_divergence_by_draws(self):
        kzz, m, s = self.parts()
        rng, n = np.random.default_rng(6), 20_000
        v = 2.0 / rng.gamma(3.0, size=n)
        logs = stats.invgamma(3.0, scale=2.0).logpdf(v) - stats.invgamma(2.0, scale=2.0).logpdf(v)
        for c in range(self.CLASSES):
            e = rng.normal(size=(n, self.P)) @ np.linalg.cholesky(s[c]).T * np.sqrt(v)[:, None]
            u = m[c] + e
            logs += -0.5 * np.einsum("ni,ij,nj->n", e, np.linalg.inv(s[c]), e) / v - 0.5 * np.linalg.slogdet(s[c])[1]
            logs += 0.5 * np.einsum("ni,ij,nj->n", u, np.linalg.inv(kzz), u) / v + 0.5 * np.linalg.slogdet(kzz)[1]
        assert abs(float(self.model.kl()) - logs.mean()) < 4 * logs.std() / math.sqrt(n)
        assert logs.std() / math.sqrt(n) < 0.02 * logs.mean()

    def test_prior_has_no_divergence(self):
        zero = Inducing(jnp.zeros((3, 4)), Triangle(jnp.zeros((3, 4, 4))))
        assert float(SparseScaleMixture(KERNEL, self.model.z, zero, PRIOR, PRIOR).kl()) == 0
        assert float(self.model.kl()) > 0

    def test_marginals_are_t_with_one_scale_for_all_classes(self):
        kzz, m, s = self.parts()
        x, n = np.array([[0.4]]), 20_000
        across = np.exp(-0.5 * (x - np.asarray(self.model.z).T) ** 2 / 0.25)
        a = across @ np.linalg.inv(kzz)
        spread = 1 - (a @ across.T)[0, 0] + np.einsum("i,cij,j->c", a[0], s, a[0])
        f = np.asarray(jax.jit(lambda k: self.model.sample(jnp.asarray(x), n, key=k))(jax.random.key(7)))[:, 0]
        white = (f - (m @ a[0])) / np.sqrt(spread * 2 / 3)
        for c in range(3):
            assert stats.kstest(white[:, c], stats.t(6).cdf).pvalue > 1e-4
        # Squares correlate by 1 / (df - 1) = 0.2; heavy tails make a wide bound, and independent scales give 0.
        assert 0.1 < np.corrcoef(white.T**2)[0, 1] < 0.35


def test_representatives_take_every_class_its_share():
    codes = np.array([0] * 60 + [1] * 30 + [2] * 10)
    np.testing.assert_allclose(np.bincount(codes[representatives(codes, 3, 20, 0)]), [12, 6, 2], atol=1)
    assert len(representatives(codes, 3, 200, 0)) == 100


def test_classifier(tmp_path):
    x, _ = data(60)
    labels = np.where(x[:, 0] > 0, "right", "left")
    fitted = StudentTClassifier(
        KERNEL2, inducing=12, steps=60, batch_size=20, draws=4, learning_rate=0.05
    ).fit(x, labels)  # fmt: skip
    assert fitted.score(x, labels) > 0.85
    p = fitted.predict_proba(x)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-9)
    fitted.save(tmp_path / "model")
    np.testing.assert_array_equal(StudentTClassifier.load(tmp_path / "model").predict_proba(x), p)


def test_bad_input():
    x, y = data()
    with pytest.raises(ValueError, match="degrees=inf of StudentTRegressor"):
        StudentTRegressor(degrees=math.inf).fit(x, y)
    with pytest.raises(ValueError, match="positive where it is learnt"):
        StudentTRegressor(noise=0.0).fit(x, y)
    with pytest.raises(ValueError, match="one class only"):
        StudentTClassifier().fit(x, np.zeros(30))
    with pytest.raises(ValueError, match="inducing=0"):
        StudentTClassifier(inducing=0).fit(x, y > 0)
    with pytest.raises(ValueError, match="NaN or infinite"):
        StudentTRegressor().fit(np.where(x > 1, np.nan, x), y)
    with pytest.raises(ValueError, match="expected that of fitting"):
        StudentTRegressor(KERNEL2, learn=False).fit(x, y).log_prob(x, y[:5])
