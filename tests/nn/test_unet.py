"""The U-Net and its pieces: formulas, symmetries, conditions, derivatives, training, saving."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from cadlag.nn import Attention, Boundary, Downsample, GroupNorm, ResidualBlock, UNet, Upsample
from cadlag.train import gradient, load, save


def draw(seed, *shape, dtype=jnp.float64):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def tiny(**settings):
    return UNet(2, **{"width": 4, "multipliers": (1, 2), "blocks": 1, "key": jr.key(0), **settings})


def awake(net):
    """The layers that are small at first made large, so that everything reaches the output."""
    big = lambda x: 1e3 * x if eqx.is_inexact_array(x) and 0 < float(jnp.max(jnp.abs(x))) < 1e-2 else x
    return jax.tree.map(big, net)


def cast(net, dtype):
    return jax.tree.map(lambda x: x.astype(dtype) if eqx.is_inexact_array(x) else x, net)


NET = awake(tiny(attention=(1,), classes=3))
FLAT = {"multipliers": (1,), "classes": 3}
"""One level compiles in a third of the time."""


@eqx.filter_jit
def batched(net, levels, x, cond, key=None):
    one = lambda level, x, cond: net(level, x, cond=cond, key=key)
    return jax.vmap(one)(levels, x, cond)


def test_batches_equal_single_calls_and_float32_stays():
    x, levels, cond = draw(1, 2, 2, 4, 6), jnp.asarray([-3.0, 5.0]), jnp.asarray([0, 3])
    out = batched(NET, levels, x, cond)
    assert out.shape == x.shape
    assert float(jnp.max(jnp.abs(out))) > 1e-2
    # Some twenty layers of sums of at most 150 terms, in another order.
    one = eqx.filter_jit(lambda level, x, cond: NET(level, x, cond=cond))
    np.testing.assert_allclose(one(levels[1], x[1], cond[1]), out[1], atol=1e-12)
    single = batched(cast(NET, jnp.float32), levels.astype(jnp.float32), x.astype(jnp.float32), cond)
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, out, atol=3e-4 * float(jnp.max(jnp.abs(out))))


def test_it_is_small_at_first_and_every_weight_learns_from_one_step():
    net, x = tiny(attention=(0,), **FLAT), draw(1, 2, 2, 2, 2)
    levels, cond = jnp.asarray([-1.0, 2.0]), jnp.asarray([1, 3])
    assert float(jnp.max(jnp.abs(batched(net, levels, x, cond)))) < 0.05
    # Class 0 and 2 are not in the batch; their rows are the only ones that may stay.
    loss = lambda net, batch, key: (jnp.mean((batched(net, levels, batch, cond) - 1) ** 2), {})
    update = gradient(loss, optax.sgd(1.0))
    state, info = eqx.filter_jit(update.step)(update.init(net, jr.key(2)), x, jr.key(3))
    assert np.isfinite(info["loss"])
    old, new = (jax.tree.leaves(eqx.filter(n, eqx.is_inexact_array)) for n in (net, state.unknowns))
    assert all(bool(jnp.any(a != b)) for a, b in zip(old, new, strict=True))


def test_circular_boundaries_commute_with_shifts_by_the_coarsest_cell():
    net = awake(tiny(boundary=Boundary.circular))
    x = draw(1, 1, 2, 6, 8)
    apply = lambda x: batched(net, jnp.asarray([0.5]), x, None)
    shift = lambda x: jnp.roll(x, (2, -4), (2, 3))
    np.testing.assert_allclose(apply(shift(x)), shift(apply(x)), atol=1e-11)
    assert float(jnp.max(jnp.abs(apply(x) - shift(apply(x))))) > 1e-2


def test_forward_mode_equals_a_finite_difference():
    levels, cond, x, v = jnp.asarray([-3.0, 5.0]), jnp.asarray([0, 3]), draw(1, 2, 2, 4, 6), draw(2, 2, 2, 4, 6)
    call, h = lambda x: batched(NET, levels, x, cond), 1e-5
    tangent = jax.jvp(call, (x,), (v,))[1]
    # Central, in float64: truncation h² and rounding 1e-16 / h, both about 1e-10 relative.
    difference = (call(x + h * v) - call(x - h * v)) / (2 * h)
    np.testing.assert_allclose(tangent, difference, atol=1e-7 * float(jnp.max(jnp.abs(tangent))))


def test_the_divergence_of_a_block_can_be_trained():
    """<u, J v> both ways; the gradient of Hutchinson's estimate in a scan against a finite difference."""
    net = awake(ResidualBlock(2, 2, 3, key=jr.key(0)))
    x, u, v, e = draw(1, 3, 3, 2), draw(2, 3, 3, 2), draw(3, 3, 3, 2), draw(4, 3)

    def divergence(scale):
        def add(total, probe):
            _, pull = jax.vjp(lambda x: net(x, e), scale * x)
            return total + jnp.vdot(pull(probe)[0], probe), None

        return jax.lax.scan(add, jnp.zeros(()), jnp.stack([u, v]))[0]

    @jax.jit
    def all_of_it(scale):
        forward = jnp.vdot(u, jax.jvp(lambda x: net(x, e), (x,), (v,))[1])
        backward = jnp.vdot(jax.vjp(lambda x: net(x, e), x)[1](u)[0], v)
        return forward, backward, *jax.value_and_grad(divergence)(scale)

    forward, backward, _, slope = all_of_it(jnp.ones(()))
    np.testing.assert_allclose(forward, backward, rtol=1e-10)
    h = 1e-5
    values = [all_of_it(jnp.asarray(1 + sign * h))[2] for sign in (1, -1)]
    np.testing.assert_allclose(slope, (values[0] - values[1]) / (2 * h), rtol=1e-6)


def test_one_axis_and_an_image_beside_the_state():
    net = awake(tiny(spatial_axes=1, extra_channels=1, conditions=2, multipliers=(1,)))
    x, image, vector = draw(1, 2, 5), draw(2, 1, 5), draw(3, 2)
    call = eqx.filter_jit(lambda cond: net(0.0, x, cond=cond))
    both, other, alone = call((image, vector)), call((2 * image, vector)), call((image, None))
    assert both.shape == x.shape
    assert not jnp.allclose(both, other)
    assert not jnp.allclose(both, alone)
    np.testing.assert_array_equal(alone, call(image))


def test_dropout_needs_a_key_and_no_inference():
    net, x, e = awake(ResidualBlock(2, 4, 3, dropout=0.5, key=jr.key(0))), draw(1, 2, 2, 2), draw(2, 3)
    quiet = net(x, e)
    assert not jnp.allclose(net(x, e, key=jr.key(1)), quiet)
    np.testing.assert_allclose(eqx.nn.inference_mode(net)(x, e, key=jr.key(1)), quiet, rtol=1e-14)
    net, x = awake(tiny(multipliers=(1,), dropout=0.5)), draw(1, 2, 2, 2)
    one, other = eqx.filter_jit(jax.vmap(lambda key: net(0.0, x, key=key)))(jr.split(jr.key(0)))
    assert not jnp.allclose(one, other)


def test_save_and_load(tmp_path):
    save(tmp_path / "net", NET)
    back, x = load(tmp_path / "net"), draw(1, 2, 2, 4, 6)
    given = jnp.asarray([-3.0, 5.0]), x, jnp.asarray([0, 3])
    np.testing.assert_array_equal(batched(back, *given), batched(NET, *given))


def test_group_norm_is_that_of_equinox():
    ours, theirs = GroupNorm(6, 3), eqx.nn.GroupNorm(3, 6, eps=1e-6)
    scale, shift, x = draw(1, 6), draw(2, 6), 5 + draw(3, 4, 3, 6)
    ours = eqx.tree_at(lambda n: (n.scale, n.shift), ours, (scale, shift))
    theirs = eqx.tree_at(lambda n: (n.weight, n.bias), theirs, (scale, shift))
    expected = lambda x: jnp.moveaxis(theirs(jnp.moveaxis(x, -1, 0)), 0, -1)
    both = lambda f: jax.jvp(f, (x,), (draw(4, 4, 3, 6),))
    found, wanted = eqx.filter_jit(lambda: (both(ours), both(expected)))()
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    assert [GroupNorm(c).groups for c in (3, 8, 20, 256)] == [1, 2, 5, 32]


def test_attention_is_its_formula():
    net = awake(Attention(4, heads=2, key=jr.key(0)))
    x = draw(1, 2, 3, 4)
    flat = np.asarray(net.norm(x)).reshape(6, 4)
    weights = np.asarray(net.qkv.weight).reshape(4, 12)
    q, k, v = np.split((flat @ weights + np.asarray(net.qkv.bias)).reshape(6, 6, 2), 3, axis=1)
    found = np.empty((6, 2, 2))
    for h in range(2):
        e = np.exp(q[:, h] @ k[:, h].T / np.sqrt(2))
        found[:, h] = e / e.sum(1, keepdims=True) @ v[:, h]
    out = found.reshape(6, 4) @ np.asarray(net.out.weight).reshape(4, 4)
    np.testing.assert_allclose(net(x), (x + out.reshape(2, 3, 4)) / np.sqrt(2), atol=1e-12)


@pytest.mark.parametrize("size", [(6,), (4, 6), (2, 4, 2)])
def test_coarser_and_finer_grids(size):
    x, coarse = draw(1, *size, 3), draw(2, *(n // 2 for n in size), 3)
    np.testing.assert_allclose(Downsample()(Upsample()(coarse)), coarse, rtol=1e-15)
    # Repeating is the transpose of averaging, times the points of a cell.
    np.testing.assert_allclose(
        jnp.vdot(Upsample()(coarse), x), 2 ** len(size) * jnp.vdot(coarse, Downsample()(x)), rtol=1e-12
    )
    with pytest.raises(ValueError, match="factor=5 does not divide"):
        Downsample(5)(x)


@pytest.mark.parametrize(
    ("do", "message"),
    [
        (lambda: tiny(width=0), "width=0"),
        (lambda: tiny(multipliers=()), r"multipliers=\(\)"),
        (lambda: tiny(attention=(2,)), r"attention=\(2,\).*levels among 0\.\.1"),
        (lambda: tiny(conditions=1, classes=2), "one or the other"),
        (lambda: NET(0.0, jnp.zeros((2, 5, 6))), r"spatial size \(5, 6\), which 2 .* pad it to \(6, 6\)"),
        (lambda: NET(0.0, jnp.zeros((1, 4, 4))), "expected 2 channels and then 2 spatial axes"),
        (lambda: NET(0.0, jnp.zeros((2, 4, 4)), cond=4), r"not among the classes 0\.\.3"),
        (lambda: tiny(multipliers=(1,))(0.0, jnp.zeros((2, 2, 2)), cond=1), "takes no vector or class"),
        (lambda: tiny(extra_channels=1)(0.0, jnp.zeros((2, 4, 4))), r"an image of shape \(1, 4, 4\)"),
        (lambda: GroupNorm(6, 4), "groups=4 of a GroupNorm does not divide channels=6"),
        (lambda: Attention(6, heads=4, key=jr.key(0)), "heads=4 of an Attention"),
    ],
)
def test_refusals(do, message):
    with pytest.raises(ValueError, match=message):
        do()
