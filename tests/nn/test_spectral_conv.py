"""The spectral layer: both transforms against numpy, other grids, bias, projection, derivatives, refusals."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.nn import SpectralConv, Transform


def draw(seed, *shape, dtype=jnp.float64):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def made(modes, m=2, n=3, dtype=jnp.float64, **settings):
    conv = SpectralConv(m, n, modes, spatial_axes=len(modes), bias=True, key=jr.key(0), **settings)
    conv = eqx.tree_at(lambda c: (c.weight, c.bias), conv, (draw(1, *conv.weight.shape), draw(2, *conv.bias.shape)))
    return jax.tree.map(lambda a: a.astype(dtype), conv)


def by_numpy(conv, x, size):
    """numpy's full transform, one mode at a time."""
    axes = tuple(range(x.ndim - 1))
    h = np.fft.rfftn(np.asarray(x), axes=axes, norm="forward")
    out = np.zeros((*size[:-1], size[-1] // 2 + 1, conv.weight.shape[-1]), complex)
    weight, bias = np.asarray(conv.weight), np.asarray(conv.bias)
    weight, bias = weight[..., 0, :] + 1j * weight[..., 1, :], bias[..., 0, :] + 1j * bias[..., 1, :]
    for index in np.ndindex(weight.shape[: len(axes)]):
        k = tuple(i if j == len(axes) - 1 or i < m else i - 2 * m
                  for j, (i, m) in enumerate(zip(index, conv.modes, strict=True)))  # fmt: skip
        out[k] = h[k] @ weight[index] + bias[index]
    return np.fft.irfftn(out, size, axes=axes, norm="forward")


@pytest.mark.parametrize(
    ("modes", "size", "new"),
    [((4,), (9,), (6,)), ((5,), (8,), (8,)), ((2, 3), (5, 8), (4, 11)), ((2, 1, 3), (4, 3, 6), (5, 2, 4))],
    ids=["1d", "1d-nyquist", "2d", "3d"],
)
def test_both_transforms_equal_numpy_on_other_grids_too(modes, size, new):
    conv, x = made(modes), draw(3, *size, 2)
    expected = by_numpy(conv, x, new)
    for transform in (Transform.products, Transform.fast):
        # Sums of a hundred terms of order one in float64.
        np.testing.assert_allclose(made(modes, transform=transform)(x, size=new), expected, atol=1e-12)
    np.testing.assert_allclose(conv(x), by_numpy(conv, x, size), atol=1e-12)


def test_one_wave_is_turned_and_scaled():
    n, k = 16, 3
    conv = SpectralConv(1, 1, (5,), spatial_axes=1, key=jr.key(0))
    weight = jnp.zeros_like(conv.weight).at[k, 0, :, 0].set(jnp.asarray([1.5, 0.5]))
    x = jnp.arange(n) / n
    out = eqx.tree_at(lambda c: c.weight, conv, weight)(jnp.cos(2 * jnp.pi * k * x)[:, None])
    # (1.5 + 0.5 i) on exp(i φ) / 2 and its conjugate.
    expected = 1.5 * np.cos(2 * np.pi * k * x) - 0.5 * np.sin(2 * np.pi * k * x)
    np.testing.assert_allclose(out[:, 0], expected, atol=1e-7 if out.dtype == jnp.float32 else 1e-14)


def test_a_finer_output_passes_through_the_coarse_points():
    conv, x = made((3, 2)), draw(3, 7, 6, 2)
    np.testing.assert_allclose(conv(x, size=(14, 18))[::2, ::3], conv(x), atol=1e-12)


def test_gradients_of_the_two_transforms_agree_under_vmap():
    x, target = draw(3, 3, 5, 6, 2), draw(4, 3, 5, 6, 3)
    grads = []
    for transform in (Transform.products, Transform.fast):
        it = made((2, 2), transform=transform)
        loss = lambda pair: jnp.sum((jax.vmap(pair[0])(pair[1]) - target) ** 2)
        grads.append(eqx.filter_jit(eqx.filter_grad(loss))((it, x)))
    for a, b in zip(*(jax.tree.leaves(g) for g in grads), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)
        assert float(jnp.max(jnp.abs(a))) > 1e-2


def test_float32_stays_and_is_near_float64():
    single, x = made((6, 6), dtype=jnp.float32), draw(3, 24, 24, 2)
    out = single(x.astype(jnp.float32))
    assert out.dtype == jnp.float32
    # 576 terms of order one, each rounded to 6e-8.
    np.testing.assert_allclose(out, made((6, 6))(x), atol=1e-4)


def test_widened_layers_give_the_same_and_learn_more():
    conv, x = made((2, 3)), draw(3, 12, 13, 2)
    wide = conv.widen((4, 5))
    assert wide.weight.shape[:2] == (8, 5)
    np.testing.assert_allclose(wide(x), conv(x), atol=1e-12)
    slope = eqx.filter_grad(lambda c: jnp.sum(c(x)[..., 0] ** 3))(wide).bias
    assert float(jnp.abs(slope[4, 3, 0, 0])) > 0
    with pytest.raises(ValueError, match="at least"):
        conv.widen((1, 5))


def test_bias_scale_and_projection_act_on_coefficients():
    conv, x = made((2, 2), 1, 1), draw(3, 6, 6, 1)
    none = eqx.tree_at(lambda c: c.bias, conv, None)
    np.testing.assert_allclose(conv(x, bias_scale=0.5), 0.5 * (conv(x) + none(x)), atol=1e-12)
    np.testing.assert_allclose(conv(x, project=lambda h: 2 * h), 2 * conv(x), atol=1e-12)


def test_published_weights_and_the_choice_by_size():
    conv = SpectralConv(4, 8, (12, 12), key=jr.key(0))
    assert conv.weight.shape == (24, 12, 4, 2, 8)
    assert 0 <= float(jnp.min(conv.weight)) < 0.1 / 32
    assert 0.9 / 32 < float(jnp.max(conv.weight)) <= 1 / 32
    assert conv.by_products
    assert not SpectralConv(1, 1, (12, 48), key=jr.key(0)).by_products


def test_refusals_name_what_to_do():
    conv = made((3, 3))
    with pytest.raises(ValueError, match=r"6 points.*fewer modes"):
        conv(draw(1, 5, 8, 2))
    with pytest.raises(ValueError, match="size: got spatial size"):
        conv(draw(1, 8, 8, 2), size=(8, 3))
    with pytest.raises(ValueError, match="2 channels"):
        conv(draw(1, 8, 8, 3))
    for bad in ({"modes": (3,)}, {"modes": 0}, {"modes": 2, "spatial_axes": 4}, {"modes": 2, "in_channels": 0}):
        with pytest.raises(ValueError, match="of a SpectralConv"):
            SpectralConv(**{"in_channels": 1, "out_channels": 1, "key": jr.key(0), **bad})
