"""The latent SDE with fractional noise: draws, bound, H learnt or kept, through the estimator."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.data import IrregularSeries
from cadlag.paths import FractionalKind, MarkovApproximation
from cadlag.series import GRU, FractionalSDE, SeriesGenerator
from cadlag.solve import SDE, NoiseKind

TIMES = np.linspace(0.0, 1.0, 12)
SMALL = functools.partial(
    FractionalSDE,
    hidden_size=2,
    latent_size=2,
    width=4,
    steps=4,
    encoder=functools.partial(GRU, hidden_size=4),
    approximation=MarkovApproximation(3, kind=FractionalKind.stationary),
)


def flat_prior(hidden_size, *, key):
    return SDE(lambda t, x, a: jnp.zeros_like(x), lambda t, x, a: jnp.ones_like(x), NoiseKind.additive)


def test_draws_have_the_variance_of_the_noise():
    law = FractionalSDE(1, hidden_size=1, prior=flat_prior, hurst=0.7, steps=8, noise=1e-3, key=jax.random.key(0))
    law = eqx.tree_at(lambda m: (m.readout.affine.weight, m.readout.affine.bias), law, (jnp.ones((1, 1)), jnp.zeros(1)))
    keys = jax.random.split(jax.random.key(1), 2000)
    x = np.asarray(jax.jit(jax.vmap(lambda k: law.sample(jnp.asarray(TIMES), key=k)))(keys))[..., 0]
    w = law.approximation.weights(0.7)
    wanted = law.approximation.covariance(w, 1.0, 1.0)
    np.testing.assert_allclose(np.var(x[:, -1] - x[:, 0]), wanted, rtol=0.13)  # four standard errors


def test_the_bound_is_finite_differentiable_and_starts_at_the_prior():
    law = SMALL(1, key=jax.random.key(0))
    np.testing.assert_allclose(law.hurst, 0.5)
    values = np.sin(3 * TIMES)[None, :, None]
    series = IrregularSeries.from_arrays(TIMES, values)[0]
    loss = lambda m: sum(m.evidence(series, key=jax.random.key(1)))
    value, slope = eqx.filter_jit(eqx.filter_value_and_grad(loss))(law)
    assert np.isfinite(value)
    assert np.all(slope.raw_hurst != 0)
    kept = SMALL(1, hurst=0.8, key=jax.random.key(0))
    np.testing.assert_allclose(kept.hurst, 0.8)
    assert not np.any(eqx.filter_grad(lambda m: jnp.sum(m.hurst))(kept).raw_hurst)
    # Without a control the path costs nothing: the divergence is the first state's alone.
    same = eqx.tree_at(lambda m: m.initial.infer, law, jax.tree.map(jnp.zeros_like, law.initial.infer))
    divergence = eqx.filter_jit(lambda m: m.evidence(series, key=jax.random.key(1)).divergence)(same)
    np.testing.assert_allclose(divergence, 0, atol=1e-12)


def test_it_is_fitted_by_the_estimator(tmp_path):
    rng = np.random.default_rng(0)
    values = np.cumsum(rng.standard_normal((6, 12, 1)), axis=1)
    fitted = SeriesGenerator(SMALL, steps=3, batch_size=6, n_paths=2).fit(IrregularSeries.from_arrays(TIMES, values))
    assert np.all(fitted.model_.hurst != 0.5)
    drawn = fitted.sample(2)
    assert drawn.shape == (2, 12, 1)
    fitted.save(tmp_path / "law")
    again = SeriesGenerator.load(tmp_path / "law")
    np.testing.assert_array_equal(again.model_.hurst, fitted.model_.hurst)
    np.testing.assert_array_equal(again.sample(2), drawn)


def test_bad_input_gets_advice():
    with pytest.raises(ValueError, match=r"hurst=1.2 of a FractionalSDE"):
        SMALL(1, hurst=1.2, key=jax.random.key(0))
