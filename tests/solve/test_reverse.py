"""Time reversal with the exact score of a Gaussian mixture."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.distributions import GaussianMixture
from cadlag.equations import geometric_brownian_motion
from cadlag.solve import ODE, SDE, Heun, NoiseKind, reverse, solve

MIXTURE = GaussianMixture.isotropic(jnp.asarray([0.3, 0.7]), jnp.asarray([[-2.0], [1.5]]), jnp.asarray([0.4, 0.3]))
T = 4.0
FORWARD = SDE(lambda t, y, a: -y, lambda t, y, a: jnp.sqrt(2.0) * jnp.ones_like(y), NoiseKind.additive)


def score(t, y, args):
    decay = jnp.exp(-t)
    return MIXTURE.diffused(decay, jnp.sqrt(1 - decay**2)).score(y)


def samples(level, n):
    process = reverse(FORWARD, score, T, noise_level=level)
    # Finer where the score is steep, near s = T.
    ts = T * (1 - jnp.linspace(1.0, 0.0, 201) ** 2)

    def run(key):
        start, noise = jax.random.split(key)
        # At T the law is a standard normal up to e^-4.
        y0 = MIXTURE.diffused(jnp.exp(-T), jnp.sqrt(1 - jnp.exp(-2 * T))).sample(start)
        stepper = Heun() if level == 0 else None
        return solve(process, y0, ts, key=noise, stepper=stepper).y1[0]

    return np.asarray(jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(1), n)))


@pytest.mark.parametrize("level", [1.0, 0.0, 0.5])
def test_weights_and_moments_of_a_mixture(level):
    """5000 samples; five statistics at 3 standard errors: a false alarm in 74 seeds, and this seed is fixed."""
    n = 5000
    x = samples(level, n)
    left = x < -0.35
    weight = left.mean()
    assert abs(weight - 0.3) < 3 * np.sqrt(0.3 * 0.7 / n)
    for part, mean, std in ((x[left], -2.0, 0.4), (x[~left], 1.5, 0.3)):
        # Euler's last steps add a bias of about one step, 0.01.
        assert abs(part.mean() - mean) < 3 * std / np.sqrt(len(part)) + 0.01
        assert abs(part.std() / std - 1) < 3 / np.sqrt(2 * len(part)) + 0.02


def test_divergence_with_diagonal_noise():
    """∇·(y² b²) = 2 b² y, and the score of a log-normal in closed form make the reversed drift explicit."""
    process = geometric_brownian_motion(0.2, 0.5).process
    reversed_ = reverse(process, lambda t, y, a: -1 / y, 1.0)
    y = jnp.asarray([0.7])
    np.testing.assert_allclose(reversed_.drift(0.3, y, None), -0.2 * y + 2 * 0.25 * y - 0.25 * y, rtol=1e-12)
    np.testing.assert_allclose(reversed_.diffusion(0.3, y, None), 0.5 * y)


def test_matrix_noise_uses_its_gram():
    g = jnp.asarray([[1.0, 2.0], [0.0, 3.0]])
    process = SDE(lambda t, y, a: 0 * y, lambda t, y, a: g, NoiseKind.additive)
    y = jnp.asarray([1.0, -1.0])
    np.testing.assert_allclose(reverse(process, lambda t, x, a: x, 1.0).drift(0.0, y, None), g @ g.T @ y)


def test_bad_reversals_are_refused():
    with pytest.raises(ValueError, match="noise of kind none"):
        reverse(ODE(lambda t, y, a: y), score, 1.0)
    with pytest.raises(ValueError, match="must not be negative"):
        reverse(FORWARD, score, 1.0, noise_level=-1.0)
