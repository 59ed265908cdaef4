"""SineNet: published sizes, waves that vanish, shifts, pooling, memory."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from cadlag.nn import Boundary, Downsample
from cadlag.operators import SineNet


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float64)


def tiny(**settings):
    net = SineNet(2, 1, **{"waves": 2, "width": 4, "levels": 2, "key": jr.key(0), **settings})
    return jax.tree.map(lambda a: a.astype(jnp.float64) if eqx.is_inexact_array(a) else a, net)


call = eqx.filter_jit(lambda net, u: net(u))


@pytest.mark.parametrize(
    ("settings", "published"),
    [
        ({}, 35_490_219),
        ({"waves": 6, "growth": 1.5}, 35_475_499),
        ({"waves": 4, "growth": 1.611}, 35_493_699),
        ({"waves": 2, "growth": 1.8075}, 35_499_989),
        ({"waves": 1, "growth": 2}, 33_788_099),
        ({"waves": 1, "growth": 2, "width": 128}, 135_094_659),
        ({"disentangled": False}, 32_831_403),
    ],
)
def test_published_numbers_of_parameters(settings, published):
    net = eqx.filter_eval_shape(lambda: SineNet(12, 3, **settings, key=jr.key(0)))
    assert sum(math.prod(a.shape) for a in jax.tree.leaves(net) if hasattr(a, "shape")) == published


def test_waves_without_weights_leave_the_first_and_last_layer():
    net, u = tiny(), draw(1, 2, 8, 12)
    blocks = lambda net: [m for w in net.waves for b in w.down + w.up for m in (*b.convs, *b.norms, b.shortcut)]
    none = eqx.tree_at(blocks, net, jax.tree.map(jnp.zeros_like, blocks(net)))
    expected = jnp.moveaxis(net.project(net.lift(jnp.moveaxis(u, 0, -1))), -1, 0)
    np.testing.assert_allclose(call(none, u), expected, atol=1e-13)
    assert float(jnp.max(jnp.abs(call(net, u) - expected))) > 1e-2


def test_circular_boundaries_commute_with_shifts_of_the_coarsest_cell_only():
    u = draw(1, 2, 8, 12)
    shift = lambda a, k: jnp.roll(a, (k, -k), (1, 2))
    for boundary, k, commutes in (
        (Boundary.circular, 4, True),
        (Boundary.circular, 1, False),
        (Boundary.zero, 4, False),
    ):
        net = tiny(boundary=boundary)
        error = float(jnp.max(jnp.abs(call(net, shift(u, k)) - shift(call(net, u), k))))
        # By other cells it fails through pooling alone: finite, and not small.
        assert error < 1e-11 if commutes else 1e-4 < error < 10


def test_the_linear_branch_is_the_mean_over_cells():
    x = draw(1, 8, 16, 3)
    twice = Downsample()(Downsample()(x))
    np.testing.assert_allclose(twice, np.asarray(x).reshape(2, 4, 4, 4, 3).mean((1, 3)), atol=1e-14)


def test_a_block_does_not_see_the_scale_of_what_it_is_given():
    """Up to the eps of its norms: they take it out, but not of the shortcut."""
    block = tiny().waves[0].down[1]
    block = eqx.tree_at(lambda b: [c.bias for c in b.convs], block, [jnp.zeros_like(c.bias) for c in block.convs])
    inputs = block.convs[0].weight.shape[-2], block.shortcut.weight.shape[-2]
    x, moved = 10 * draw(1, 4, 6, inputs[0]), draw(2, 4, 6, inputs[1])
    # 1e-5 beside variances of some tens.
    np.testing.assert_allclose(block(7 * x, moved, None), block(x, moved, None), atol=1e-5)
    assert not np.allclose(block(x, 7 * moved, None), block(x, moved, None), atol=1e-2)


def test_waves_computed_anew_give_the_same_gradient():
    u, key = draw(1, 2, 8, 8), jr.key(0)
    grads = [
        eqx.filter_jit(eqx.filter_grad(lambda n: jnp.sum(n(u) ** 2)))(
            tiny(waves=1, levels=1, rematerialise=flag, key=key)
        )
        for flag in (False, True)
    ]
    for a, b in zip(*map(jax.tree.leaves, grads), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10 * max(1.0, float(jnp.max(jnp.abs(a)))))


def test_work_grows_with_the_number_of_waves():
    like = jax.ShapeDtypeStruct((2, 32, 32), jnp.float64)
    work = [jax.jit(lambda u, n=n: tiny(waves=n)(u)).lower(like).cost_analysis()["flops"] for n in (1, 3, 5)]
    assert work[2] - work[1] == pytest.approx(work[1] - work[0], rel=0.01)


@pytest.mark.slow
def test_it_learns_a_shift_by_one_point():
    """200 pairs, exact advection. A few hundred steps bring a network with waves below a hundredth of the field."""
    u = jr.normal(jr.key(0), (200, 8, 8, 2), jnp.float32)
    phases = jnp.moveaxis(u, -1, 1)
    fields = jnp.fft.irfft2(
        jnp.pad(jax.lax.complex(phases[:, 0, :5, :3], phases[:, 1, :5, :3]), ((0, 0), (0, 11), (0, 6)))
    )
    fields = (fields / fields.std())[:, None]
    target = jnp.roll(fields, 1, -1)
    net = SineNet(1, 1, waves=2, width=8, levels=2, boundary=Boundary.circular, key=jr.key(1))
    net = jax.tree.map(lambda a: a.astype(jnp.float32) if eqx.is_inexact_array(a) else a, net)
    opt = optax.adam(lambda i: 1.5e-3 * (1 + jnp.cos(jnp.pi * i.astype(jnp.float32) / 1500)))
    error = lambda net, x, y: jnp.linalg.norm(jax.vmap(net)(x) - y) / jnp.linalg.norm(y)

    @eqx.filter_jit
    def step(net, state, x, y):
        slopes = eqx.filter_grad(error)(net, x, y)
        with jax.numpy_dtype_promotion("standard"):  # optax counts steps in integers
            change, state = opt.update(slopes, state)
        return eqx.apply_updates(net, change), state

    state = opt.init(eqx.filter(net, eqx.is_array))
    for i in range(1500):
        part = slice(20 * (i % 10), 20 * (i % 10) + 20)
        net, state = step(net, state, fields[part], target[part])
    assert float(error(net, fields, target)) < 1e-2
