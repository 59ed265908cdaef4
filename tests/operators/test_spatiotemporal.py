"""The spatiotemporal FNO: any length, any grid, frozen features, an output linear in its last layer, no divergence."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.nn import Boundary
from cadlag.operators import SpatiotemporalFNO


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float64)


def tiny(channels=1, **settings):
    usual = {"modes": (2, 2, 3), "width": 4, "layers": 2, "latent": 5, "hidden": 3, "horizon": 6, "key": jr.key(0)}
    net = SpatiotemporalFNO(channels, **{**usual, **settings})
    net = jax.tree.map(lambda a: a.astype(jnp.float64) if eqx.is_inexact_array(a) else a, net)
    # The published weights of the last layer are so small, and its bias zero, that tests would see little of them.
    return eqx.tree_at(lambda n: n.last.bias, net, draw(7, *net.last.bias.shape))


def rough(operator):
    return eqx.tree_at(lambda n: n.last.weight, operator, draw(8, *operator.last.weight.shape))


NET = rough(tiny())
call = eqx.filter_jit(lambda net, u: net(u))
features_of = eqx.filter_jit(lambda net, u: net.features(u))
decode = eqx.filter_jit(lambda net, features, last: net.decode(features, last))


def test_published_numbers_of_parameters():
    for settings, published in (({}, 9_245_131), ({"width": 10, "modes": (32, 32, 5)}, 16_474_521)):
        net = eqx.filter_eval_shape(lambda s=settings: SpatiotemporalFNO(**s, key=jr.key(0)))
        assert sum(math.prod(a.shape) for a in jax.tree.leaves(net) if hasattr(a, "shape")) == published


@pytest.mark.parametrize(("frames", "steps", "size"), [(5, 6, (4, 4)), (9, 1, (5, 9)), (4, 20, (8, 6))])
def test_any_number_of_frames_from_any_number_on_any_grid(frames, steps, size):
    u = jax.ShapeDtypeStruct((frames, 1, *size), jnp.float64)
    assert eqx.filter_eval_shape(lambda u: NET(u, steps=steps), u).shape == (steps, 1, *size)
    assert eqx.filter_eval_shape(NET, u).shape == (6, 1, *size)


def test_a_batch_is_many_of_it_and_every_weight_learns():
    net, u = NET, draw(1, 2, 5, 1, 4, 5)

    @eqx.filter_jit
    def step(net, u):
        loss = lambda net: (jnp.sum((out := jax.vmap(net)(u)) ** 2), out)
        return eqx.filter_grad(loss, has_aux=True)(net)

    slopes, out = step(net, u)
    np.testing.assert_allclose(step(net, u[::-1])[1], out[::-1], atol=1e-12)
    assert all(bool(jnp.all(jnp.isfinite(g)) & jnp.any(g != 0)) for g in jax.tree.leaves(slopes))
    assert out.shape == (2, 6, 1, 4, 5)


def test_features_do_not_depend_on_the_last_layer_nor_on_the_length():
    u = draw(1, 5, 1, 4, 5)
    features = features_of(NET, u)
    assert features.shape == (5, 1, 4, 5)
    np.testing.assert_allclose(decode(NET, features, u[-1]), call(NET, u), atol=1e-12)
    slopes = eqx.filter_jit(eqx.filter_grad(lambda net: jnp.sum(net.decode(features, u[-1]) ** 2)))(NET)
    for part in (slopes.norm, slopes.lift, slopes.first, slopes.layers, slopes.reduce):
        assert all(not jnp.any(g) for g in jax.tree.leaves(part))
    assert jnp.any(slopes.last.bias != 0)


def test_the_output_is_affine_in_weights_and_bias_of_the_last_layer():
    u = draw(1, 5, 1, 4, 5)
    features = features_of(NET, u)
    directions = draw(2, *NET.last.weight.shape), draw(3, *NET.last.bias.shape)

    @jax.jit
    def out(h):
        moved = NET.last.weight + h * directions[0], NET.last.bias + h * directions[1]
        return eqx.tree_at(lambda n: (n.last.weight, n.last.bias), NET, moved).decode(features, u[-1])

    second = out(1.0) - 2 * out(0.0) + out(-1.0)
    np.testing.assert_allclose(second, 0, atol=1e-11)
    assert float(jnp.max(jnp.abs(out(1.0) - out(0.0)))) > 1e-2


def test_a_widened_last_layer_predicts_the_same():
    features, last = draw(1, 5, 1, 6, 9), draw(2, 1, 6, 9)
    wide = eqx.tree_at(lambda n: n.last, NET, NET.last.widen((3, 4, 4)))
    np.testing.assert_allclose(decode(wide, features, last), decode(NET, features, last), atol=1e-11)


def test_a_last_layer_of_zeros_repeats_the_last_frame():
    u = draw(1, 5, 1, 4, 5)
    none = eqx.tree_at(lambda n: (n.last.weight, n.last.bias), NET, replace_fn=jnp.zeros_like)
    np.testing.assert_allclose(call(none, u), jnp.broadcast_to(u[-1], (6, 1, 4, 5)), atol=0)


@pytest.mark.parametrize("size", [(7, 9), (4, 6)], ids=["finer", "as coarse as the modes allow"])
def test_the_projection_takes_the_divergence_out_and_nothing_else(size):
    lengths = (1.0, 2.5)
    net = rough(tiny(2, modes=(2, 3, 3), divergence_free=True, lengths=lengths))
    u = jnp.broadcast_to(draw(4, 2)[:, None, None], (5, 2, *size))
    out = np.asarray(call(net, u))
    k = [2 * np.pi * np.fft.fftfreq(n, a / n) for n, a in zip(size, lengths, strict=True)]
    for n, frequencies in zip(size, k, strict=True):
        if n % 2 == 0:
            frequencies[n // 2] = 0
    h = np.fft.fft2(out)
    divergence = np.fft.ifft2(1j * (k[0][:, None] * h[:, 0] + k[1][None, :] * h[:, 1]))
    assert np.abs(divergence).max() < 1e-12 * np.abs(out).max() * 100
    assert np.abs(out - np.asarray(u[-1])).max() > 1e-2
    # Idempotent; the mean flow stays, in time as well.
    h = draw(5, *net.last.weight.shape[:3], 2, 2)
    once = net._project(h)
    np.testing.assert_allclose(net._project(once), once, atol=1e-13)
    np.testing.assert_array_equal(once[0, 0], h[0, 0])
    assert not jnp.allclose(once, h)


def test_padding_conditions_and_one_axis():
    u = draw(1, 5, 1, 4, 5)
    told = rough(tiny(conditions=2, boundary=Boundary.zero))
    outs = [eqx.filter_jit(told)(u, cond=jnp.asarray(c)) for c in ([1.0, 2.0], [-3.0, 0.5])]
    assert outs[0].shape == (6, 1, 4, 5)
    assert not jnp.allclose(*outs, atol=1e-4)
    line = tiny(modes=(3, 2), spatial_axes=1)
    assert eqx.filter_eval_shape(line, jax.ShapeDtypeStruct((4, 1, 8), jnp.float64)).shape == (6, 1, 8)


def test_refusals_name_what_to_do():
    for shape in ((5, 2, 4, 5), (5, 1, 4), (1, 5, 1, 4, 5)):
        with pytest.raises(ValueError, match="u: got shape"):
            NET(jnp.zeros(shape))
    with pytest.raises(ValueError, match="fewer modes"):
        NET(jnp.zeros((3, 1, 4, 5)))
    with pytest.raises(ValueError, match="fewer modes"):
        NET(jnp.zeros((5, 1, 3, 5)))
    with pytest.raises(ValueError, match="steps=0"):
        NET(jnp.zeros((5, 1, 4, 5)), steps=0)
    with pytest.raises(ValueError, match="conditions="):
        NET(jnp.zeros((5, 1, 4, 5)), cond=jnp.zeros(2))
    for bad in ({"modes": (2, 2)}, {"divergence_free": True}, {"lengths": (1.0,)}, {"spatial_axes": 3}, {"width": 1}):
        with pytest.raises(ValueError, match=r"SpatiotemporalFNO|divergence_free"):
            tiny(**bad)
