"""Errors of fields: single modes with known norms, invariances, partial sums, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.metrics import (
    band_rmse,
    conserved_error,
    correlation,
    error_spectrum,
    high_correlation_time,
    per_frequency_error,
    relative_h1,
    relative_l2,
    relative_sobolev,
    vrmse,
)

RNG = np.random.default_rng(0)
N = 64
X = np.arange(N) / N


def test_relative_l2_is_per_leading_index_scale_free_and_one_for_zero():
    u = RNG.normal(size=(2, 3, 6, 5))
    v = u + 0.1 * RNG.normal(size=u.shape)
    found = relative_l2(v, u, spatial_axes=2)
    expected = [[np.linalg.norm(v[i, j] - u[i, j]) / np.linalg.norm(u[i, j]) for j in range(3)] for i in range(2)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(relative_l2(0 * u, u, spatial_axes=2), 1, rtol=1e-12)
    # Each channel in its own unit: an average over channels, not the norm of a stacked vector.
    unit = np.array([1.0, 1e3, 1e-3])[:, None, None]
    np.testing.assert_allclose(relative_l2(v * unit, u * unit, spatial_axes=2), expected, rtol=1e-12)


def test_gradient_at_the_truth_is_zero():
    u = jnp.asarray(RNG.normal(size=(2, 8)))
    for metric in (relative_l2, relative_sobolev, relative_h1):
        slope = jax.grad(lambda v, f=metric: jnp.sum(f(v, u, spatial_axes=1)))(u)
        np.testing.assert_array_equal(slope, 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m", [1, 7, 19, 20, 31])
def test_weight_of_one_mode(m, dtype):
    """An error of one mode has the weight sqrt(1 + m²), and 1 from the truncation on (card 15, item 9)."""
    truth = np.ones((1, N), dtype)
    error = np.cos(2 * np.pi * m * X).astype(dtype)[None]
    plain = np.asarray(relative_l2(truth + error, truth, spatial_axes=1), float)
    for modes, weight in ((None, 1 + m**2), (20, 1 + m**2 if m < 20 else 1)):
        found = relative_sobolev(truth + error, truth, spatial_axes=1, modes=modes)
        assert found.dtype == dtype
        # The rounding of ones is seen through the largest weight, 32.
        np.testing.assert_allclose(found, plain * np.sqrt(weight), rtol=300 * np.finfo(dtype).eps)
    lower = relative_sobolev(truth + error, truth, spatial_axes=1, order=-1)
    np.testing.assert_allclose(lower, plain / np.sqrt(1 + m**2), rtol=1e-4 if dtype == np.float32 else 1e-12)


def test_sobolev_in_two_dimensions_counts_both_wavenumbers():
    u = np.cos(2 * np.pi * (3 * X[:, None] - 5 * X[None, :32] * N / 32))[None]
    ones = np.ones_like(u)
    found = relative_sobolev(ones + u, ones, spatial_axes=2) / relative_l2(ones + u, ones, spatial_axes=2)
    np.testing.assert_allclose(found, np.sqrt(1 + 3**2 + 5**2), rtol=1e-12)


def test_h1_by_differences_is_exact_for_quadratics():
    """Also at the ends, where the grid is not periodic: the slope of x² is 2x at every point."""
    x = np.linspace(0, 1, 9)
    ones = np.ones(9)
    found = relative_h1(ones + x**2, ones, spatial_axes=1, spacing=1 / 8)
    np.testing.assert_allclose(found, np.sqrt(np.mean(x**4 + 4 * x**2)), rtol=1e-12)
    # A cubic shows the order: central differences are off by h², one-sided ones by -2h².
    slope = np.concatenate([[-2 / 64], 3 * x[1:-1] ** 2 + 1 / 64, [3 - 2 / 64]])
    cubic = relative_h1(ones + x**3, ones, spatial_axes=1, spacing=1 / 8)
    np.testing.assert_allclose(cubic, np.sqrt(np.mean(x**6 + slope**2)), rtol=1e-12)
    y = x[:, None] ** 2 + 0 * x[None, :6]
    along = [
        relative_h1(1 + u, np.ones_like(u), spatial_axes=2, spacing=h) for u, h in ((y, (0.2, 3)), (y.T, (3, 0.2)))
    ]
    np.testing.assert_allclose(*along, rtol=1e-12)
    np.testing.assert_allclose(along[0], np.sqrt(np.mean(x**4 + (2 * x / 8 / 0.2) ** 2)), rtol=1e-12)


def test_vrmse_is_one_for_the_mean_and_free_of_offset():
    u = RNG.normal(size=(3, 12, 10))
    mean = np.broadcast_to(u.mean((1, 2), keepdims=True), u.shape)
    np.testing.assert_allclose(vrmse(mean, u, spatial_axes=2), 1, rtol=1e-12)
    v = u + 0.2 * RNG.normal(size=u.shape)
    np.testing.assert_allclose(
        vrmse(5 * v + 7, 5 * u + 7, spatial_axes=2), vrmse(v, u, spatial_axes=2), rtol=1e-10
    )  # fmt: skip
    assert np.all(np.isinf(vrmse(u, np.ones_like(u), spatial_axes=2)))


def test_conserved_error_sees_the_mean_only():
    u = RNG.normal(size=(2, 9, 9))
    wave = np.sin(2 * np.pi * np.arange(9) / 9)[None, None]
    np.testing.assert_allclose(conserved_error(u + wave + 0.3, u, spatial_axes=2), 0.3, rtol=1e-12)


def test_spectra_of_single_modes():
    truth = np.stack([2 * np.cos(2 * np.pi * 3 * X), np.cos(2 * np.pi * 9 * X)])
    error = np.stack([0.1 * np.sin(2 * np.pi * 3 * X), np.sin(2 * np.pi * 9 * X)])
    found = error_spectrum(truth + error, truth, spatial_axes=1, lengths=4.0)
    np.testing.assert_allclose(found.wavenumbers, 2 * np.pi / 4 * np.arange(N // 2 + 1), rtol=1e-12)
    # Half the mean square of a cos is a²/4.
    np.testing.assert_allclose(found.error[0, 3], 0.01 / 4, rtol=1e-12)
    np.testing.assert_allclose(found.truth[0, 3], 1, rtol=1e-12)
    np.testing.assert_allclose(np.delete(found.error[0], 3), 0, atol=1e-15)
    k, relative = per_frequency_error(truth + error, truth, spatial_axes=1)
    np.testing.assert_allclose(k, np.arange(N // 2 + 1))
    np.testing.assert_allclose([relative[0, 3], relative[1, 9]], [0.05, 1], rtol=1e-12)


@pytest.mark.parametrize("shape", [(2, 32), (3, 32, 24)])
def test_bands_add_up_to_the_mean_square(shape):
    u, v = RNG.normal(size=(2, *shape))
    d = len(shape) - 1
    bands = band_rmse(u, v, spatial_axes=d)
    assert bands.shape == (shape[0], 3)
    total = np.mean((u - v) ** 2, axis=tuple(range(1, d + 1)))
    np.testing.assert_allclose(np.sum(np.square(bands), axis=-1), total, rtol=1e-12)
    low = np.broadcast_to(np.cos(2 * np.pi * 4 * np.arange(shape[-1]) / shape[-1]), shape)
    np.testing.assert_allclose(band_rmse(v + low, v, spatial_axes=d)[..., 1:], 0, atol=1e-14)


def test_correlation_is_pearsons():
    """Card 22, item 7."""
    u = RNG.normal(size=(4, 7, 6))
    np.testing.assert_allclose(correlation(2.5 * u - 3, u, spatial_axes=2), 1, rtol=1e-12)
    np.testing.assert_allclose(correlation(-u, u, spatial_axes=2), -1, rtol=1e-12)
    v = RNG.normal(size=u.shape)
    expected = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(u, v, strict=True)]
    np.testing.assert_allclose(correlation(u, v, spatial_axes=2), expected, rtol=1e-10)
    np.testing.assert_allclose(correlation(1e300 * u, v, spatial_axes=2), expected, rtol=1e-10)
    assert np.all(np.isnan(correlation(np.full_like(u, 0.1), v, spatial_axes=2)))


def test_high_correlation_time():
    ts = np.array([0.5, 1.0, 1.5, 2.0])
    values = np.array([[1, 0.9, 0.9, 0.0], [1, 0.8, 0.6, 0.9]])
    assert high_correlation_time(values, ts) == 1.5
    assert high_correlation_time(values, ts, threshold=0.9) == 1.0
    assert high_correlation_time(values, ts, threshold=0.4) == 2.0
    lost = np.array([[1, np.nan, np.nan, np.nan], [1, 1, 1, 1]])
    assert high_correlation_time(lost, ts) == 1.0


def test_refusals():
    u = np.ones((2, 8))
    with pytest.raises(ValueError, match=r"shapes \(2, 8\) and \(2, 9\)"):
        relative_l2(u, np.ones((2, 9)), spatial_axes=1)
    with pytest.raises(ValueError, match="spatial_axes=3"):
        relative_l2(u, u, spatial_axes=3)
    with pytest.raises(TypeError, match="float32"):
        relative_l2(u.astype(np.float32), u, spatial_axes=1)
    with pytest.raises(TypeError, match="int"):
        vrmse(u.astype(int), u.astype(int), spatial_axes=1)
    with pytest.raises(ValueError, match="modes"):
        relative_sobolev(u, u, spatial_axes=1, modes=0)
    with pytest.raises(ValueError, match="spacing"):
        relative_h1(u, u, spatial_axes=1, spacing=0.0)
    with pytest.raises(ValueError, match="three points"):
        relative_h1(u[:, :2], u[:, :2], spatial_axes=1)
    with pytest.raises(ValueError, match="lengths"):
        error_spectrum(u, u, spatial_axes=1, lengths=(1.0, 2.0))
    with pytest.raises(ValueError, match="edges"):
        band_rmse(u, u, spatial_axes=1, edges=(5, 3))
    with pytest.raises(ValueError, match="trajectories"):
        high_correlation_time(np.ones(3), np.arange(3))
    with pytest.raises(ValueError, match="threshold"):
        high_correlation_time(np.ones((1, 3)), np.arange(3.0), threshold=1.0)
