"""Interpolation to a grid twice as fine: PyTorch's numbers, no seam on periodic grids, closed forms."""

import jax.numpy as jnp
import numpy as np

from cadlag.nn import Boundary, Interpolate, Kernel

# torch.nn.functional.interpolate(x, scale_factor=2, mode="bicubic"), float64, of x = (5 i) mod 11 laid out as 4 x 4;
# one row from the edge and one from the inside.
COARSE = (np.arange(16.0).reshape(4, 4) * 5) % 11
ROWS = {
    0: [-1.59892273, 0.2706604, 3.28793335, 7.20439148, 9.92750549, 9.37890625, 5.74609375, 3.578125],
    3: [10.36236572, 7.66719055, 3.16123962, 2.66853333, 6.59410095, 6.52738953, 2.65589905, 0.34593201],
}


def test_bicubic_equals_a_stored_example_and_not_the_other_kernel():
    fine = Interpolate()(jnp.asarray(COARSE)[..., None])[..., 0]
    assert fine.shape == (8, 8)
    for row, expected in ROWS.items():
        np.testing.assert_allclose(fine[row], expected, atol=6e-9)
    half = lambda d: np.where(d <= 1, 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * (d**3 - 5 * d**2 + 8 * d - 4))
    taps = half(np.asarray([1.75, 0.75, 0.25, 1.25]))
    assert abs(taps[0] - float(Kernel.bicubic(np.asarray(1.75)))) > 0.01


def test_both_kernels_keep_constants_and_bilinear_keeps_lines():
    for kernel in Kernel:
        np.testing.assert_allclose(Interpolate(kernel)(jnp.ones((3, 5, 2))), 1, atol=1e-15)
    line = Interpolate(Kernel.bilinear)(jnp.arange(6.0)[:, None])[:, 0]
    np.testing.assert_allclose(line, [0, *(np.arange(1, 11) / 2 - 0.25), 5], atol=1e-15)


def test_a_circular_boundary_leaves_no_seam():
    n = 16
    wave = lambda x: np.sin(2 * np.pi * x / n)
    old, new = np.arange(n), (np.arange(2 * n) + 0.5) / 2 - 0.5
    field = jnp.asarray(wave(old))[:, None]
    fine = np.asarray(Interpolate(boundary=Boundary.circular)(field))[:, 0]
    # Independently: the kernel at every periodic distance.
    distance = np.abs((new[:, None] - old + n / 2) % n - n / 2)
    np.testing.assert_allclose(fine, Kernel.bicubic(distance) @ wave(old), atol=1e-15)
    jumps = np.abs(np.roll(fine, -1) - fine)
    assert jumps[-1] <= jumps.max() * (1 + 1e-12)
    assert np.isclose(jumps[-1], jumps[n - 1])
    shifted = Interpolate(boundary=Boundary.circular)(jnp.roll(field, 5, 0))[:, 0]
    np.testing.assert_allclose(shifted, np.roll(fine, 10), atol=1e-15)
    # What repeating the last point does to the ends.
    error = np.abs(np.asarray(Interpolate()(field))[:, 0] - wave(new))
    assert error[[0, -1]].max() > 3 * error[4:-4].max()


def test_axes_are_independent_and_dtype_stays():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3, 2)), jnp.float32)
    both = Interpolate(boundary=Boundary.circular)(x)
    assert both.shape == (8, 6, 2)
    assert both.dtype == jnp.float32
    rows = jnp.stack([Interpolate(boundary=Boundary.circular)(row) for row in x])
    columns = jnp.stack([Interpolate(boundary=Boundary.circular)(rows[:, j]) for j in range(6)], 1)
    np.testing.assert_allclose(both, columns, atol=1e-6)
