"""Spiked random matrices against simulated ones, and the curvature of batches against dense Hessians."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from cadlag.lens import (
    adam_rate,
    batch_curvature,
    critical_batch,
    directional_noise,
    effective_batch,
    isotropic_noise,
    largest_rate,
    sampled_eigenvalue,
    sgd_rate,
    spiked_eigenvalue,
    spiked_overlap,
)
from cadlag.linalg import hessian_product

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
P = 600


def noise(variance):
    """Symmetric, P rows, so that the semicircle's radius is 2 sqrt(variance)."""
    a = RNG.normal(size=(P, P)) * (variance / P) ** 0.5
    return np.triu(a) + np.triu(a, 1).T


def test_noise_has_the_semicircle():
    values = np.linalg.eigvalsh(noise(1.0))
    assert stats.kstest(values, stats.semicircular(scale=2.0).cdf).statistic < 0.02
    assert abs(values[-1] / float(spiked_eigenvalue(0.0, 1.0)) - 1) < 0.03


@pytest.mark.parametrize("variance", [1.0, 0.25])
def test_spikes_move_and_turn_as_predicted(variance):
    spikes = np.array([10.0, 5.0, 2.0])
    whole = np.zeros((P, P))
    whole[range(3), range(3)] = spikes
    values, vectors = np.linalg.eigh(whole + noise(variance))
    np.testing.assert_allclose(values[::-1][:3], spiked_eigenvalue(spikes, variance), rtol=0.05)
    overlaps = np.array([vectors[i, -1 - i] ** 2 for i in range(3)])
    np.testing.assert_allclose(overlaps, spiked_overlap(spikes, variance), atol=0.03)
    # Below the threshold a spike is lost in the edge; negative ones mirror.
    np.testing.assert_allclose(spiked_eigenvalue([0.4, -0.4, -3.0], 1.0), [2.0, -2.0, -3.0 - 1 / 3])
    assert spiked_overlap(0.9, 1.0) == 0


def test_samples_of_a_covariance_follow_marchenko_and_pastur():
    tops = {}
    for spike in (6.0, 1.5):
        root = np.ones(300)
        root[0] = spike**0.5
        tops[spike] = np.mean(
            [np.linalg.eigvalsh(np.cov(root[:, None] * RNG.normal(size=(300, 600)), bias=True))[-1] for _ in range(4)]
        )
        assert abs(tops[spike] / float(sampled_eigenvalue(spike, 0.5)) - 1) < 0.05
    np.testing.assert_allclose(sampled_eigenvalue([6.0, 1.5], 0.5), [6.6, (1 + 0.5**0.5) ** 2], rtol=1e-12)
    # With a bulk of another size everything scales.
    np.testing.assert_allclose(sampled_eigenvalue(12.0, 0.5, bulk=2.0), 13.2)


def test_all_examples_have_no_noise_and_rates_follow_the_laws():
    assert effective_batch(100, 100) == np.inf
    assert spiked_eigenvalue(3.0, 5.0 / effective_batch(100, 100)) == 3.0
    spike, one = 2.0, 4000.0
    assert critical_batch(spike, one) == 1000.0
    # Twice the batch: twice the rate far below the critical one, 4/3 of it there, no gain far above.
    assert 1.99 < sgd_rate(0.1, 2, 4, spike, one) / 0.1 < 2
    np.testing.assert_allclose(sgd_rate(0.1, 1000, 2000, spike, one) / 0.1, 4 / 3)
    assert 1 < sgd_rate(0.1, 10**6, 2 * 10**6, spike, one) / 0.1 < 1.01
    np.testing.assert_allclose(largest_rate(1e9, spike, one), 1.0, rtol=1e-5)
    np.testing.assert_allclose(adam_rate(0.1, 32, 64), 0.1 * 2**0.5)


def test_between_the_laws_rates_follow_the_formula():
    top = lambda b: 1.0 + 10.0 / b
    np.testing.assert_allclose(sgd_rate(0.3, 20, 40, 1.0, 10.0), 0.3 * top(20) / top(40))
    assert adam_rate(0.3, 20, 40) / 0.3 == pytest.approx(2**0.5)


class Logistic(eqx.Module):
    w: jax.Array

    def __call__(self, example):
        x, y = example
        return jax.nn.softplus(-y * jnp.vdot(self.w, x))


def logistic(n=1000, p=40):
    x = RNG.normal(size=(n, p)) * np.geomspace(1, 0.2, p) + 0.5
    y = np.sign(x[:, 0] + 0.5 * RNG.normal(size=n))
    return Logistic(jnp.asarray(0.1 * RNG.normal(size=p))), (jnp.asarray(x), jnp.asarray(y))


def dense(model, data):
    x = np.asarray(data[0])
    s = 1 / (1 + np.exp(-x @ np.asarray(model.w)))
    return (s * (1 - s))[:, None, None] * x[:, :, None] * x[:, None, :]


def loss(model, example):
    return model(example)


def test_directional_noise_is_that_of_dense_hessians_and_sees_what_the_isotropic_misses():
    model, data = logistic()
    each = dense(model, data)
    whole = each.mean(0)
    v = np.linalg.eigh(whole)[1][:, -1]
    moved = np.einsum("nij,j->ni", each, v)
    expected = np.mean(np.sum((moved - whole @ v) ** 2, 1)) - np.var(moved @ v)
    hessian = hessian_product(loss, model, data, batch_size=128)
    found = directional_noise(hessian, Logistic(jnp.asarray(v)))
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    average = np.mean(np.sum((each - whole) ** 2, axis=(1, 2))) / 40
    plain = isotropic_noise(hessian, probes=64, key=KEY)
    assert abs(plain / average - 1) < 0.3
    assert found > 3 * plain


def test_batches_have_the_predicted_excess_and_the_law_is_one_over_b():
    model, data = logistic(4000, 60)
    found = batch_curvature(loss, model, data, batches=(20, 80, 320), draws=24, steps=20, key=KEY)
    top = np.linalg.eigvalsh(dense(model, data).mean(0))[-1]
    np.testing.assert_allclose(found.largest, top, rtol=1e-6)
    assert found.residual < 1e-3 * top
    assert np.ptp(found.excess) < 0.5 * found.excess.mean()
    np.testing.assert_allclose(found.predicted, found.measured, rtol=0.1)
    np.testing.assert_allclose(found.largest_rate(4000), 2 / top, rtol=1e-6)
    assert found.critical > 0
    everything = batch_curvature(loss, model, data, batches=(4000,), draws=1, steps=20, key=KEY)
    np.testing.assert_allclose(everything.measured, top, rtol=1e-6)


def test_a_composition_the_curvature_of_a_physics_informed_residual():
    """The Hessian of a collocation loss of a coordinate network, through two derivatives in space."""
    from cadlag.nn import MLP

    net = MLP(1, 1, 6, 1, activation=jnp.tanh, key=KEY)

    def residual(model, x):
        u = lambda s: model(jnp.stack([s]))[0]
        return (jax.grad(jax.grad(u))(x) + jnp.sin(x)) ** 2

    x = jnp.linspace(0.0, 3.0, 32)
    found = batch_curvature(residual, net, x, batches=(8,), draws=4, steps=19, key=KEY)
    flat, unravel = jax.flatten_util.ravel_pytree(eqx.filter(net, eqx.is_inexact_array))
    rest = eqx.filter(net, eqx.is_inexact_array, inverse=True)
    total = lambda p: jnp.mean(jax.vmap(lambda s: residual(eqx.combine(unravel(p), rest), s))(x))
    np.testing.assert_allclose(found.largest, np.linalg.eigvalsh(jax.hessian(total)(flat))[-1], rtol=1e-5)
    assert found.parameters == 19


def test_bad_input():
    model, data = logistic(50, 5)
    with pytest.raises(ValueError, match="between 1 and 50"):
        batch_curvature(loss, model, data, batches=(60,), key=KEY)
    broken = Logistic(model.w * jnp.nan)
    with pytest.raises(FloatingPointError, match="NaN"):
        batch_curvature(loss, broken, data, batches=(5,), key=KEY)
    with pytest.raises(ValueError, match="between 1 and all"):
        effective_batch(0)
    with pytest.raises(ValueError, match="not negative"):
        spiked_eigenvalue(1.0, -1.0)
    with pytest.raises(ValueError, match="bulk"):
        sampled_eigenvalue(0.5, 1.0)
    with pytest.raises(ValueError, match="positive eigenvalue"):
        largest_rate(8, -1.0, 1.0)
