"""Couplings: they keep the marginals, and are the ones they say."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax.scipy.stats import norm

from cadlag.data import Batches, FromFunction
from cadlag.diffusion._coupling import CoupledBatches, EntropicOT, Independent, MinibatchOT
from cadlag.diffusion._gamma import BrownianGamma
from cadlag.diffusion._interpolant import Linear
from cadlag.diffusion._interpolant_loss import Pairs

N = 300
QUANTILES = norm.ppf(jnp.arange(0.5, N) / N)[:, None]
A, B = 1.0, 4.0


def test_optimal_assignment_on_a_line_sorts():
    x0, x1 = jr.normal(jr.key(0), (20, 1)), jr.normal(jr.key(1), (20, 1))
    a, b = MinibatchOT()(x0, x1, jr.key(2))
    order = np.argsort(np.asarray(a[:, 0]))
    np.testing.assert_array_equal(np.asarray(b[:, 0])[order], np.sort(np.asarray(x1[:, 0])))
    np.testing.assert_array_equal(np.sort(a, axis=0), np.sort(x0, axis=0))


@pytest.mark.parametrize("epsilon", [0.05, 0.5, 5.0])
def test_entropic_coupling_of_gaussians_has_the_bridge_covariance(epsilon):
    """c = ½(sqrt(4AB + r²) - r) with r = 2ε, and the bridge's variance half way, ¼(A + B + 2c + r).

    Partners are drawn, so a covariance of 300 pairs has a standard error of about 2/sqrt(300) = 0.12 at most.
    """
    r = 2 * epsilon
    c = 0.5 * (np.sqrt(4 * A * B + r * r) - r)
    couple = eqx.filter_jit(EntropicOT(jnp.asarray(epsilon), iterations=2000, tolerance=1e-3))
    draws = [couple(np.sqrt(A) * QUANTILES, np.sqrt(B) * QUANTILES, jr.key(i)) for i in range(8)]
    covariances = [float(jnp.mean(x0 * x1)) for x0, x1 in draws]
    # Of eight draws: 0.12/sqrt(8), four of them; 0.02 for quantiles that miss the tails.
    assert np.mean(covariances) == pytest.approx(c, abs=4 * 0.12 / np.sqrt(8) + 0.02)
    path, z = Linear(BrownianGamma(r)), QUANTILES
    half = np.mean([np.var(path.at(jnp.asarray(0.5), *pair, jr.permutation(jr.key(9), z))) for pair in draws])
    assert half == pytest.approx(0.25 * (A + B + 2 * c + r), rel=0.08)


def test_bridge_covariance_has_its_limits():
    c = lambda r: 0.5 * (np.sqrt(4 * A * B + r * r) - r)
    assert c(1e-9) == pytest.approx(np.sqrt(A * B), rel=1e-8)
    assert c(1e4) == pytest.approx(A * B / 1e4, rel=1e-6)


def test_batches_of_pairs_shuffle_each_end_on_its_own():
    first = Batches(jnp.arange(12.0)[:, None], 4)
    second = FromFunction(lambda key: jr.normal(key, (4, 1)))
    source = CoupledBatches(first, second)
    draw = eqx.filter_jit(source.draw)
    state, seen = source.init(jr.key(0)), []
    for i in range(3):
        state, batch = draw(state, None, jr.key(i))
        assert isinstance(batch, Pairs)
        seen.append(np.asarray(batch.x0[:, 0]))
    assert sorted(np.concatenate(seen)) == list(range(12))
    twice = CoupledBatches(first, first)
    _, batch = twice.draw(twice.init(jr.key(1)), None, jr.key(2))
    assert not np.array_equal(batch.x0, batch.x1)
    x = jnp.ones((2, 1))
    assert Independent()(x, 2 * x, jr.key(0))[1] is not None


def test_refusals():
    with pytest.raises(ValueError, match=r"epsilon=0.0 must be positive"):
        EntropicOT(0.0)
