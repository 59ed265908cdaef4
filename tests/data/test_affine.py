"""Scaling with its log-determinant, and levels made continuous."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.stats

from cadlag.data import Affine, Samples, dequantise, quantise

RNG = np.random.default_rng(0)
VALUES = RNG.normal(3, [1.0, 5.0, 0.2], (50, 3))


def test_scaled_samples_are_standard_and_come_back():
    s = Samples.from_arrays(VALUES, labels=np.arange(50) % 2)
    scale = Affine.fit(s)
    z = scale.apply(s)
    np.testing.assert_allclose([z.values.mean(0), z.values.std(0)], [[0] * 3, [1] * 3], atol=1e-12)
    np.testing.assert_allclose(scale.invert(z).values, VALUES, rtol=1e-12)
    np.testing.assert_array_equal(z.labels, s.labels)
    np.testing.assert_allclose(scale.apply(VALUES[4]), z.values[4])
    assert scale.apply(VALUES.astype(np.float32)).dtype == jnp.float32


def test_log_determinant():
    """Against the Jacobian, and by the density of a scaled normal."""
    scale = Affine.fit(VALUES)
    jacobian = jax.jacfwd(scale.apply)(jnp.asarray(VALUES[0]))
    np.testing.assert_allclose(scale.log_det, np.linalg.slogdet(jacobian)[1], rtol=1e-12)
    x = VALUES[0]
    density = scipy.stats.norm(np.asarray(scale.shift), np.asarray(scale.scale)).logpdf(x).sum()
    standard = scipy.stats.norm.logpdf(scale.apply(x)).sum() + float(scale.log_det)
    np.testing.assert_allclose(standard, density, rtol=1e-12)


def test_one_scale_for_all_entries():
    scale = Affine.fit(VALUES.reshape(50, 1, 3), shared=True)
    assert scale.shift.shape == (1, 3)
    np.testing.assert_allclose(scale.shift, VALUES.mean(), rtol=1e-12)
    np.testing.assert_allclose(scale.scale, VALUES.std(), rtol=1e-12)
    np.testing.assert_allclose(scale.log_det, -3 * np.log(VALUES.std()), rtol=1e-12)


def test_constant_columns_keep_their_unit():
    values = np.stack([np.full(7, 0.1), np.zeros(7), np.arange(7.0)], axis=1)
    scale = Affine.fit(values)
    np.testing.assert_allclose(scale.scale, [1, 1, 2])
    np.testing.assert_allclose(scale.apply(values)[:, :2], 0, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_levels_fill_their_cells(dtype):
    """17 levels of [-1, 1]: uniform on [-1, 1) all together, by a Kolmogorov test with a false alarm of 1e-4."""
    x = np.tile(np.linspace(-1, 1, 17), 600).astype(dtype)
    found = dequantise(jnp.asarray(x), 17, key=jr.key(0))
    assert found.dtype == dtype
    assert scipy.stats.kstest(np.asarray(found, float), scipy.stats.uniform(-1, 2).cdf).pvalue > 1e-4
    np.testing.assert_array_equal(np.floor((np.asarray(found) + 1) * 17 / 2), np.round((x + 1) * 8))
    np.testing.assert_allclose(quantise(found, 17), x, atol=1e-6)


def test_bytes_as_usual():
    """(x + u) / 256 for x / 255, with the same u."""
    x = jnp.arange(256.0) / 255
    u = jr.uniform(jr.key(1), (256,), x.dtype)
    np.testing.assert_allclose(dequantise(x, 256, low=0, key=jr.key(1)), (np.arange(256.0) + u) / 256, atol=1e-13)


def test_no_rounding_carries_over():
    """10⁶ draws in single precision of 256 levels all come back; 1 in 10⁵ lies within rounding of an edge."""
    x = jnp.tile(jnp.linspace(-1, 1, 256, dtype=jnp.float32), 4000)
    np.testing.assert_allclose(quantise(dequantise(x, 256, key=jr.key(0)), 256), x, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: dequantise(jnp.asarray([0.1]), 17, key=jr.key(0)),
            "not among 17 levels from -1 to 1, in steps of 0.125",
        ),
        (lambda: dequantise(jnp.asarray([1.125]), 17, key=jr.key(0)), "not among 17 levels"),
        (lambda: dequantise(jnp.ones(2), 1, key=jr.key(0)), "At least 2 `levels` and low < high"),
        (lambda: quantise(jnp.ones(2), 5, low=1, high=1), "but got 5 from 1 to 1"),
        (lambda: Affine.fit(np.ones((1, 3))), r"at least 2 samples \(n, ...\), but got shape \(1, 3\)"),
        (lambda: Affine.fit(VALUES).apply(np.ones((4, 2))), r"samples of shape \(3,\), but got an array \(4, 2\)"),
        (lambda: Affine.fit(VALUES).invert(np.float64(1.0)), r"got an array \(\)"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()
