"""Gaussian-process regression against NumPy, SciPy and scikit-learn; the wing's estimators end to end."""

import copy
import math
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from sklearn.gaussian_process import GaussianProcessRegressor as Reference
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import Ridge
from sklearn.utils.estimator_checks import check_estimator

from cadlag.kernels import (
    NNGP,
    NTK,
    AbstractKernel,
    Dense,
    Erf,
    Separable,
    Serial,
    SquaredExponential,
    network_kernels,
)
from cadlag.limits import (
    GaussianProcessRegressor,
    WideNetworkClassifier,
    WideNetworkRegressor,
    condition,
    log_marginal_likelihood,
)

RNG = np.random.default_rng(0)
X, Z = RNG.normal(size=(12, 1)), np.linspace(-2, 2, 5)[:, None]
Y = np.sin(2 * X) + 0.1 * RNG.normal(size=(12, 1))
KERNEL = SquaredExponential(0.7)


def rbf(a, b):
    return np.exp(-((a - b.T) ** 2) / (2 * 0.7**2))


def test_posterior_and_likelihood_against_numpy_and_scipy():
    process = condition(KERNEL, jnp.asarray(X), jnp.asarray(Y), noise=0.02)
    k = rbf(X, X) + 0.02 * np.eye(12)
    np.testing.assert_allclose(process.mean(jnp.asarray(Z)), rbf(Z, X) @ np.linalg.solve(k, Y), rtol=1e-9)
    covariance = rbf(Z, Z) - rbf(Z, X) @ np.linalg.solve(k, rbf(X, Z))
    np.testing.assert_allclose(process.covariance(jnp.asarray(Z)), covariance, atol=1e-11)
    np.testing.assert_allclose(process.variance(jnp.asarray(Z)), np.diag(covariance), atol=1e-11)
    assert float(process.cholesky.jitter) == 0
    expected = stats.multivariate_normal(np.zeros(12), k).logpdf(Y[:, 0])
    found = log_marginal_likelihood(KERNEL, jnp.asarray(X), jnp.asarray(np.hstack([Y, Y])), noise=0.02)
    np.testing.assert_allclose(found, 2 * expected, rtol=1e-9)


def test_draws_have_the_posterior_s_moments():
    process = condition(KERNEL, jnp.asarray(X), jnp.asarray(Y), noise=0.02)
    z, n = jnp.asarray(Z), 4000
    draws = jax.jit(jax.vmap(lambda k: process.sample(z, key=k)[:, 0]))(jax.random.split(jax.random.key(0), n))
    mean, covariance = np.asarray(process.mean(z))[:, 0], np.asarray(process.covariance(z))
    deviation = np.sqrt(np.diag(covariance))
    # Five standard errors of a mean; of a covariance at most sqrt(2 / n) of the product of deviations.
    assert np.all(abs(np.mean(draws, 0) - mean) < 5 * deviation / math.sqrt(n))
    off = np.cov(np.asarray(draws).T) - covariance
    assert np.all(abs(off) < 5 * math.sqrt(2 / n) * np.outer(deviation, deviation))


def test_learnt_process_agrees_with_scikit_learn():
    ours = GaussianProcessRegressor(SquaredExponential(1.0), noise=0.01, standardise=False).fit(X, Y[:, 0])
    scaled = (Y[:, 0] - Y.mean()) / Y.std()
    noise = float(ours.noise_std_[0] / Y.std()) ** 2
    reference = Reference(RBF(1.0), alpha=noise).fit(X, scaled)
    # The same optimum of the length given the noise, found by another optimiser.
    np.testing.assert_allclose(np.exp(ours.model_.kernel.log_length), reference.kernel_.length_scale, rtol=1e-2)
    mean, std = reference.predict(Z, return_std=True)
    found, deviation = ours.predict(Z, return_std=True)
    np.testing.assert_allclose(found, mean * Y.std() + Y.mean(), atol=0.02)
    np.testing.assert_allclose(deviation, std * Y.std(), atol=0.02)
    untouched = GaussianProcessRegressor(SquaredExponential(1.0), noise=0.01, learn=False, standardise=False)
    assert ours.log_marginal_likelihood_ > untouched.fit(X, Y[:, 0]).log_marginal_likelihood_ + 1
    assert ours.score(X, Y[:, 0]) > 0.9
    density = stats.norm(found, np.hypot(deviation, ours.noise_std_)).logpdf(0.3)
    np.testing.assert_allclose(ours.log_prob(Z, np.full(len(Z), 0.3)), density, rtol=1e-9)


def test_duplicates_and_constant_targets():
    twice = GaussianProcessRegressor(KERNEL, noise=0.0, learn=False).fit(np.vstack([X, X]), np.vstack([Y, Y]))
    assert 0 < twice.jitter_ < 1e-6
    np.testing.assert_allclose(twice.predict(X), Y, atol=1e-3)
    constant = GaussianProcessRegressor(KERNEL, learn=False).fit(X, np.full(12, 3.0))
    np.testing.assert_allclose(constant.predict(Z), np.full(5, 3.0))


def test_default_kernel_has_a_length_for_each_column():
    x = np.random.default_rng(1).normal(size=(30, 2))
    fitted = GaussianProcessRegressor().fit(x, np.sin(2 * x[:, 0]))
    lengths = [float(jnp.exp(k.log_length)) for k in fitted.model_.kernel.kernel.kernels]
    assert lengths[1] > 5 * lengths[0]
    assert fitted.sample(x, 3).shape == (3, 30)
    assert isinstance(fitted.model_.kernel.kernel, Separable)


SMALL = NTK(Serial(Dense(1.5, 0.3), Erf(), Dense(1.5, 0.3)))


def curved():
    x = np.random.default_rng(2).normal(size=(40, 3))
    return x, np.stack([np.sin(2 * x[:, 0]) * x[:, 1], x[:, 2]], axis=1)


def test_infinite_network_beats_a_line_and_comes_back(tmp_path):
    x, y = curved()
    fitted = WideNetworkRegressor(SMALL, ridge=1e-4).fit(x[:30], y[:30])
    assert fitted.score(x[30:], y[30:]) > Ridge(1.0).fit(x[:30], y[:30]).score(x[30:], y[30:]) + 0.05
    mean, std = fitted.predict(x[30:], return_std=True)
    assert mean.shape == std.shape == (10, 2)
    np.testing.assert_allclose(fitted.predict(x[:30], return_std=True)[1], 0, atol=0.05)
    np.testing.assert_allclose(mean, fitted.predict(x[30:]), atol=1e-8)
    assert np.all(std > 0)
    fitted.save(tmp_path / "model")
    back = WideNetworkRegressor.load(tmp_path / "model")
    np.testing.assert_array_equal(back.predict(x[30:]), fitted.predict(x[30:]))


def test_stopping_at_once_predicts_the_mean():
    x, y = curved()
    early = WideNetworkRegressor(SMALL, time=0).fit(x, y[:, 0])
    np.testing.assert_allclose(early.predict(x), np.full(40, y[:, 0].mean()), atol=1e-12)


def test_classifier():
    x, y = curved()
    names = np.where(y[:, 0] > 0, "up", "down")
    for kernel in (NNGP(SMALL.architecture), SMALL):
        fitted = WideNetworkClassifier(kernel, ridge=1e-3).fit(x, names)
        assert fitted.score(x, names) > 0.95
    assert fitted.decision_function(x).shape == (40,)
    with pytest.raises(ValueError, match="one class only"):
        WideNetworkClassifier(SMALL).fit(x, np.zeros(40))


def test_bad_input():
    x, y = curved()
    with pytest.raises(ValueError, match="is not fitted"):
        WideNetworkRegressor(SMALL).predict(x)
    with pytest.raises(ValueError, match="NaN or infinite"):
        WideNetworkRegressor(SMALL).fit(x, np.where(y > 1, np.nan, y))
    with pytest.raises(ValueError, match="one target for each row"):
        WideNetworkRegressor(SMALL).fit(x[:10], y)
    with pytest.raises(ValueError, match="requires y"):
        WideNetworkRegressor(SMALL).fit(x)
    with pytest.raises(ValueError, match="is expecting 3 features"):
        WideNetworkRegressor(SMALL, time=0).fit(x, y).predict(x[:, :2])
    with pytest.raises(TypeError, match="expected a kernel, such as NTK"):
        WideNetworkRegressor(Erf).fit(x, y)
    with pytest.raises(TypeError, match=r"say NTK\(architecture\)"):
        WideNetworkRegressor(SMALL.architecture).fit(x, y)
    with pytest.raises(ValueError, match="time=-1"):
        WideNetworkRegressor(SMALL, time=-1).fit(x, y)
    with pytest.raises(ValueError, match="must be positive"):
        GaussianProcessRegressor(noise=0.0).fit(x, y)
    with pytest.raises(TypeError, match="expected a kernel"):
        GaussianProcessRegressor(Erf()).fit(x, y)
    with pytest.raises(ValueError, match="noise=-1"):
        condition(KERNEL, jnp.asarray(X), jnp.asarray(Y), noise=-1)
    with pytest.raises(ValueError, match=r"y\[:, None\]"):
        condition(KERNEL, jnp.asarray(X), jnp.asarray(Y[:5]))


def test_members_of_the_ensemble_have_its_law_and_repeat():
    x, y = curved()
    fitted = WideNetworkRegressor(SMALL, time=200.0, learning_rate=0.5, seed=3).fit(x[:20], y[:20])
    mean, std = fitted.predict(x[30:], return_std=True)
    draws = fitted.sample(x[30:], 3000)
    assert draws.shape == (3000, 10, 2)
    # Five standard errors of a mean and of a deviation: no false alarm in 10^5 runs of these 40 numbers.
    assert np.all(abs(draws.mean(0) - mean) < 5 * std / math.sqrt(3000))
    assert np.all(abs(draws.std(0) / std - 1) < 5 / math.sqrt(2 * 3000))
    np.testing.assert_array_equal(fitted.sample(x[30:], 2), fitted.sample(x[30:], 2))
    with pytest.raises(ValueError, match="n=0"):
        fitted.sample(x, 0)


def test_no_training_leaves_the_prior_and_the_end_is_a_solve():
    x, y = curved()
    prior = WideNetworkRegressor(SMALL, time=0, standardise=False).fit(x[:20], y[:20, 0])
    mean, std = prior.predict(x[20:], return_std=True)
    k = network_kernels(SMALL.architecture, jnp.asarray(x))
    np.testing.assert_allclose(std, np.sqrt(np.diag(k.nngp)[20:]) * y[:20, 0].std(), rtol=1e-10)
    np.testing.assert_allclose(mean, np.full(20, y[:20, 0].mean()), atol=1e-12)
    end = WideNetworkRegressor(SMALL, ridge=1e-3, standardise=False).fit(x[:20], y[:20, 0])
    theta = np.asarray(k.ntk)
    ridged = theta[:20, :20] + 1e-3 * np.trace(theta[:20, :20]) / 20 * np.eye(20)
    centred = y[:20, 0] - y[:20, 0].mean()
    expected = y[:20, 0].mean() + theta[20:, :20] @ np.linalg.solve(ridged, centred)
    np.testing.assert_allclose(end.predict(x[20:]), expected, rtol=1e-9)


def test_classes_are_drawn_and_a_constant_column_does_no_harm(tmp_path):
    x, y = curved()
    x[:, 1] = 7.0
    names = np.where(y[:, 1] > 0, "up", "down")
    fitted = WideNetworkClassifier(SMALL, ridge=1e-2).fit(x, names)
    draws = fitted.sample(x, 50)
    assert draws.shape == (50, 40)
    assert np.mean(draws == fitted.predict(x)) > 0.9
    fitted.save(tmp_path / "model")
    np.testing.assert_array_equal(WideNetworkClassifier.load(tmp_path / "model").predict(x), fitted.predict(x))


def test_duplicated_points_report_their_jitter():
    x, y = curved()
    fitted = WideNetworkRegressor(SMALL, ridge=0).fit(np.vstack([x, x]), np.vstack([y, y]))
    assert 0 < fitted.jitter_ < 1e-8
    np.testing.assert_allclose(fitted.predict(x), y, atol=1e-4)


class Indefinite(AbstractKernel):
    """x·y less a constant: far from positive definite."""

    def __call__(self, x, y):
        return x @ y - 5.0

    def gram(self, x, z=None):
        return x @ (x if z is None else z).T - 5.0


def test_a_kernel_that_is_not_positive_definite_is_refused():
    x, y = curved()
    with pytest.raises(ValueError, match=r"has no Cholesky factor, even with .* added"):
        WideNetworkRegressor(Indefinite(), ridge=0).fit(x, y)


@pytest.mark.parametrize("estimator", [WideNetworkRegressor(SMALL), GaussianProcessRegressor(steps=3)])
def test_a_process_of_single_precision_reads_back_what_it_wrote(estimator, tmp_path):
    x, y = curved()
    with jax.enable_x64(False):
        mean = estimator.fit(x, y).predict(x)
        for back in (pickle.loads(pickle.dumps(estimator)), copy.deepcopy(estimator)):
            np.testing.assert_array_equal(back.predict(x), mean)
        estimator.save(tmp_path / "model")
        np.testing.assert_array_equal(type(estimator).load(tmp_path / "model").predict(x), mean)


@pytest.mark.parametrize(
    "estimator", [WideNetworkRegressor(SMALL), WideNetworkClassifier(SMALL)], ids=lambda e: type(e).__name__
)
@pytest.mark.slow
def test_scikit_learn_s_checks(estimator):
    found = check_estimator(estimator, on_fail=None)
    assert len(found) > 40
    failed = {r["check_name"]: str(r["exception"]) for r in found if r["status"] == "failed"}
    # The tests' own checks of signatures refuse settings of a wrong kind in the constructor, which users do not have.
    failed.pop("check_do_not_raise_errors_in_init_or_set_params", None)
    assert failed == {}
