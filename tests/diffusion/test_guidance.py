"""Guidance: Bayes' rule in closed form."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.diffusion import (
    VP,
    ClassifierFree,
    DPMSolver,
    ExactDenoiser,
    FunctionDenoiser,
    Guided,
    LinearGuidance,
    MeanReverting,
    sample,
)
from cadlag.distributions import GaussianMixture

from .laws import two_modes

T, X = jnp.asarray(0.3), jnp.array([0.4, -0.2])


def one_mode(k):
    law = two_modes()
    return GaussianMixture(jnp.ones(1), law.means[k : k + 1], law.covariances[k : k + 1])


def test_classifier_guidance_with_the_exact_classifier_is_the_class_conditional_score():
    law, schedule = two_modes(), VP()

    def log_likelihood(t, x, cond):
        return jnp.log(law.diffused(schedule.alpha(t), schedule.sigma(t)).responsibilities(x)[cond])

    guided = Guided(ExactDenoiser(law, schedule), log_likelihood)
    for k in (0, 1):
        exact = ExactDenoiser(one_mode(k), schedule).read(T, X)
        found = guided.read(T, X, cond=k)
        np.testing.assert_allclose(found.noise, exact.noise, rtol=1e-9)
        np.testing.assert_allclose(found.data, exact.data, rtol=1e-9)


def test_scale_zero_is_unguided_and_the_gradient_scales():
    base = ExactDenoiser(two_modes(), VP())
    likelihood = lambda t, x, cond: -jnp.sum(jnp.square(x - cond))
    target = jnp.array([1.0, 1.0])
    np.testing.assert_allclose(Guided(base, likelihood, 0.0).score(T, X, target), base.score(T, X), rtol=1e-12)
    gain = Guided(base, likelihood, 3.0).score(T, X, target) - base.score(T, X)
    np.testing.assert_allclose(gain, 3 * -2 * (X - target), rtol=1e-9)


def test_classifier_free_weights():
    """w = 0 is the unconditional model, w = 1 the conditional one, and the score is linear in w."""
    modes = [one_mode(0), one_mode(1)]
    readers = [ExactDenoiser(m, VP()) for m in modes] + [ExactDenoiser(two_modes(), VP())]

    def data(t, x, cond):
        return jax.lax.switch(cond, [lambda y, d=d: d.data(t, y) for d in readers], x)

    inner = FunctionDenoiser(data, VP())
    score = lambda w: ClassifierFree(inner, 2, w).score(T, X, jnp.asarray(1))
    np.testing.assert_allclose(score(0.0), readers[2].score(T, X), rtol=1e-10)
    np.testing.assert_allclose(score(1.0), readers[1].score(T, X), rtol=1e-10)
    np.testing.assert_allclose(score(3.0), score(0.0) + 3 * (score(1.0) - score(0.0)), rtol=1e-9)
    with pytest.raises(ValueError, match="needs a condition"):
        ClassifierFree(inner, 2).read(T, X)


@pytest.mark.parametrize("noise_std", [0.0, 0.5])
def test_linear_guidance_is_exact_for_white_gaussian_data(noise_std):
    """x_0 ~ N(m, τ² I), y = A x_0 + ν n: the guided score is that of the Gaussian posterior, diffused."""
    tau, m = 0.8, np.array([0.5, -1.0, 0.2])
    a = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]])
    y = np.array([0.3, 1.0])
    prior = GaussianMixture.isotropic(jnp.ones(1), jnp.asarray(m)[None], jnp.full(1, tau))
    schedule = MeanReverting().shifted(jnp.array([0.1, 0.2, 0.3]))
    guided = LinearGuidance(
        ExactDenoiser(prior, schedule), lambda x: jnp.asarray(a) @ x, jnp.asarray(y), jnp.zeros(3),
        noise_std=noise_std, data_std=tau,
    )  # fmt: skip
    # Kalman's formulas.
    gain = tau**2 * a.T @ np.linalg.inv(tau**2 * a @ a.T + noise_std**2 * np.eye(2))
    mean, cov = m + gain @ (y - a @ m), tau**2 * (np.eye(3) - gain @ a)
    al, s = float(schedule.alpha(T)), float(schedule.sigma(T))
    mu, x = np.array([0.1, 0.2, 0.3]), np.array([0.4, -0.2, 0.9])
    total = al**2 * cov + s**2 * np.eye(3)
    expected = -np.linalg.solve(total, x - mu - al * (mean - mu))
    np.testing.assert_allclose(guided.score(T, jnp.asarray(x)), expected, rtol=1e-6)


def test_an_unseen_direction_is_left_alone():
    """A that maps two equal rows: its Gram matrix is singular, and without noise the answer must stay finite."""
    base = ExactDenoiser(two_modes(), VP())
    guided = LinearGuidance(base, lambda x: jnp.stack([x[0], x[0]]), jnp.array([0.3, 0.3]), X)
    assert np.all(np.isfinite(np.asarray(guided.score(T, X))))
    x = sample(guided, (2,), 50, key=jr.key(0), sampler=DPMSolver(40, denoise=True))
    np.testing.assert_allclose(x[:, 0], 0.3, atol=0.02)


def test_shifted_reaches_the_schedule_inside():
    base = ExactDenoiser(two_modes(), VP())
    shift = jnp.array([1.0, 2.0])
    for wrapped in (
        Guided(base, lambda t, x, c: jnp.sum(x)),
        ClassifierFree(base, 0),
        LinearGuidance(base, lambda x: x[:1], jnp.zeros(1), X),
    ):
        np.testing.assert_array_equal(wrapped.shifted(shift).schedule.shift, shift)


def test_refusals():
    base = ExactDenoiser(two_modes(), VP())
    with pytest.raises(ValueError, match=r"operator maps \(2,\) to \(1,\), but the measurement has shape \(3,\)"):
        LinearGuidance(base, lambda x: x[:1], jnp.zeros(3), X)
    with pytest.raises(ValueError, match="noise_std=-1"):
        LinearGuidance(base, lambda x: x[:1], jnp.zeros(1), X, noise_std=-1.0)
