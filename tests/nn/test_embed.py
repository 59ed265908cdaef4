"""Embeddings against their formulas; what is refused."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.nn import ClassEmbedding, FourierFeatures, SinusoidalEmbedding, VectorEmbedding


def test_fourier_features_are_waves_of_their_frequencies():
    features = FourierFeatures(6, scale=0.5, key=jr.key(0))
    phase = 2 * np.pi * np.asarray(features.frequencies) * 0.7
    # Rounding of float64.
    np.testing.assert_allclose(features(0.7), [*np.cos(phase), *np.sin(phase)], rtol=1e-12, atol=1e-14)
    assert features.size == 6


def test_frequencies_are_normal_of_the_scale_asked_for():
    f = FourierFeatures(8000, scale=3.0, key=jr.key(1)).frequencies
    # 4000 draws: the standard error of the deviation is 3 / sqrt(8000) = 0.034; 4 of them, 6e-5 false alarms.
    assert abs(float(jnp.std(f)) - 3.0) < 4 * 0.034


def test_frequencies_get_no_gradient_and_the_scalar_does():
    features = FourierFeatures(4, key=jr.key(2))
    grad = eqx.filter_grad(lambda f: jnp.sum(f(jnp.asarray(0.3)) ** 3))(features)
    np.testing.assert_array_equal(grad.frequencies, 0.0)
    assert abs(float(jax.grad(lambda s: jnp.sum(features(s) ** 3))(jnp.asarray(0.3)))) > 0.1


def test_sinusoids_have_the_periods_at_both_ends():
    embedding = SinusoidalEmbedding(8, shortest=2.0, longest=16.0)
    at_zero, later = embedding(jnp.asarray(0.0)), embedding(jnp.asarray(4.0))
    np.testing.assert_allclose(at_zero, [1, 1, 1, 1, 0, 0, 0, 0], atol=1e-15)
    # Periods 16, 8, 4, 2: after 4 units a quarter turn, a half turn, one and two turns.
    np.testing.assert_allclose(later, [0, -1, 1, 1, 1, 0, 0, 0], atol=1e-14)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_features_have_the_dtype_of_the_scalar(dtype):
    for embedding in (FourierFeatures(4, key=jr.key(0)), SinusoidalEmbedding(4)):
        assert embedding(jnp.asarray(0.5, dtype)).dtype == dtype
        assert embedding(1).dtype == jnp.float64  # the test session's default


def test_class_embedding_looks_up_and_none_is_the_last():
    table = ClassEmbedding(3, 4, key=jr.key(0))
    for k in range(4):
        np.testing.assert_array_equal(eqx.filter_jit(table)(jnp.asarray(k)), table.table[k])
    np.testing.assert_array_equal(table(None), table.table[3])
    for outside in (-1, 4):
        assert jnp.all(jnp.isnan(eqx.filter_jit(table)(jnp.asarray(outside))))
        with pytest.raises(ValueError, match=r"not among the classes 0\.\.3"):
            table(outside)


def test_a_missing_condition_is_the_learnt_null():
    embed = VectorEmbedding(2, 3, key=jr.key(0))
    embed = eqx.tree_at(lambda e: e.null, embed, jnp.asarray([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(embed(None), [1, 2, 3])
    np.testing.assert_array_equal(embed(jnp.asarray([jnp.nan, 0.5])), [1, 2, 3])
    np.testing.assert_allclose(embed(jnp.asarray([2.0, 0.5])), embed.linear(jnp.asarray([2.0, 0.5])))
    # The hidden branch must not leak its NaN into the gradient.
    grad = eqx.filter_grad(lambda e: jnp.sum(e(jnp.asarray([jnp.nan, 0.5]))))(embed)
    np.testing.assert_array_equal(grad.linear.weight, 0.0)
    np.testing.assert_array_equal(grad.null, 1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FourierFeatures(5, key=jr.key(0)), "size=5 of FourierFeatures must be even"),
        (lambda: FourierFeatures(4, scale=0.0, key=jr.key(0)), "scale=0.0 of FourierFeatures must be positive"),
        (lambda: SinusoidalEmbedding(0), "size=0 of SinusoidalEmbedding must be even"),
        (lambda: SinusoidalEmbedding(4, shortest=9.0, longest=3.0), "shortest=9.0 and longest=3.0"),
        (lambda: SinusoidalEmbedding(4)(jnp.zeros(2)), "one scalar; jax.vmap over a batch"),
        (lambda: ClassEmbedding(0, 4, key=jr.key(0)), "classes=0"),
        (lambda: ClassEmbedding(2, 4, key=jr.key(0))(jnp.asarray(1.0)), "expected one integer class in 0..2"),
        (lambda: VectorEmbedding(0, 4, key=jr.key(0)), "conditions=0"),
        (lambda: VectorEmbedding(2, 4, key=jr.key(0))(jnp.zeros(3)), "floating vector of length 2"),
    ],
)
def test_refusals(make, message):
    # jaxtyping, on in the tests, may refuse a wrong rank first.
    with pytest.raises((ValueError, TypeError), match=message.replace("..", r"\.\.") + "|annotation"):
        make()
