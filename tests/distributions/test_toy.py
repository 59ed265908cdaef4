"""Toy laws: where their draws lie, and how evenly."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.stats

from cadlag.distributions import Checkerboard, NoisyManifold, circle, spiral, swiss_roll, two_moons


@eqx.filter_jit
def _draws(law, keys):
    return jax.vmap(law.sample)(keys)


def draws(law, n=4000):
    return np.asarray(_draws(law, jr.split(jr.key(0), n)))


def test_checkerboard_is_uniform_on_its_squares():
    """Counts of the eight squares: chi-squared with a false alarm of 1e-4; all draws in [-4, 4]²."""
    x = draws(Checkerboard())
    cells = np.floor(x / 2).astype(int)
    assert np.all((cells.sum(1) % 2 == 0) & (cells >= -2).all(1) & (cells < 2).all(1))
    counts = np.unique(cells, axis=0, return_counts=True)[1]
    assert len(counts) == 8
    assert scipy.stats.chisquare(counts).pvalue > 1e-4
    assert scipy.stats.kstest((x / 2 - cells).ravel(), "uniform").pvalue > 1e-4


def test_density_of_the_checkerboard_integrates_to_one():
    law = Checkerboard(jnp.asarray(1.5, jnp.float32))
    centres = jnp.asarray((np.stack(np.meshgrid(*2 * [np.arange(-5, 5)]), -1).reshape(-1, 2) + 0.5) * 1.5, jnp.float32)
    density = np.exp(jax.jit(jax.vmap(law.log_prob))(centres))
    assert density.dtype == np.float32
    assert density.sum() * 1.5**2 == pytest.approx(1, rel=1e-6)
    assert float(Checkerboard().log_prob(jnp.asarray([0.5, 0.5]))) == pytest.approx(-np.log(32))
    assert float(Checkerboard().log_prob(jnp.asarray([0.5, -0.5]))) == -np.inf


def test_curves_and_surfaces_without_noise():
    np.testing.assert_allclose(np.linalg.norm(draws(circle()), axis=1), 1, rtol=1e-12)
    x = draws(spiral())
    radius = np.linalg.norm(x, axis=1)
    np.testing.assert_allclose(np.cos(10 * radius), x[:, 0] / radius, atol=1e-10)
    np.testing.assert_allclose([radius.min(), radius.max()], [0.15 * np.pi, 0.45 * np.pi], atol=2e-3)
    roll = draws(swiss_roll())
    assert roll.shape == (4000, 3)
    np.testing.assert_allclose(
        np.cos(10 * np.hypot(*roll[:, ::2].T)), roll[:, 0] / np.hypot(*roll[:, ::2].T), atol=1e-10
    )
    assert scipy.stats.kstest(roll[:, 1] / 2.1, "uniform").pvalue > 1e-4
    moons = draws(two_moons(0.0))
    upper = np.isclose(np.linalg.norm(moons, axis=1), 1) & (moons[:, 1] >= 0)
    lower = np.isclose(np.linalg.norm(moons - [1, 0.5], axis=1), 1) & (moons[:, 1] <= 0.5)
    assert np.all(upper | lower)
    assert abs(upper.mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)  # 4 standard errors: false alarm 6e-5


def test_noise_is_what_is_added():
    """The same keys draw the same places; 8000 normal entries by a Kolmogorov test with a false alarm of 1e-4."""
    difference = (draws(circle(0.1)) - draws(circle(0.0))) / 0.1
    assert scipy.stats.kstest(difference.ravel(), "norm").pvalue > 1e-4
    assert draws(two_moons(jnp.asarray(0.05, jnp.float32)), 2).dtype == np.float32


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: two_moons().log_prob(jnp.zeros(2)), TypeError, "has no log_prob: .* Compare samples instead"),
        (lambda: circle(-0.1), ValueError, "`noise` must be zero or more, but is -0.1"),
        (lambda: Checkerboard(0.0), ValueError, "`side` must be positive, but is 0"),
        (lambda: Checkerboard(jnp.ones(2)), ValueError, r"`side` must be one number, but has shape \(2,\)"),
        (lambda: NoisyManifold(jnp.sin, parameters=0), ValueError, "`parameters` must be at least 1"),
    ],
)
def test_refusals(make, error, words):
    with pytest.raises(error, match=words):
        make()
