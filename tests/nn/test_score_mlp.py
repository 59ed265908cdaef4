"""The score network for vectors: its parts, batches, conditions, training, saving."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from cadlag.nn import FourierFeatures, ScoreMLP
from cadlag.train import gradient, load, save


def small(size=3, **settings):
    return ScoreMLP(size, width=8, depth=2, key=jr.key(0), **settings)


def cast(net, dtype):
    return jax.tree.map(lambda x: x.astype(dtype) if eqx.is_inexact_array(x) else x, net)


def test_it_is_what_its_formula_says():
    net, x, level = small(), np.array([0.3, -1.0, 2.0]), -1.5
    silu = lambda a: a / (1 + np.exp(-a))
    affine = lambda layer, a: np.asarray(layer.weight) @ a + np.asarray(layer.bias)
    e = silu(affine(net.level, np.asarray(net.embedding(level))))
    scales, shifts = affine(net.modulation, e).reshape(2, 2, 8)
    h = affine(net.first, x)
    for layer, s, b in zip(net.layers, scales, shifts, strict=True):
        h = h + affine(layer, silu((1 + s) * h + b))
    np.testing.assert_allclose(net(level, jnp.asarray(x)), affine(net.last, silu(h)), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_batches_equal_loops_and_jit_changes_nothing(dtype):
    net = cast(small(), dtype)
    x, levels = jr.normal(jr.key(1), (4, 3), dtype), jnp.linspace(-8, 8, 4, dtype=dtype)
    out = jax.jit(jax.vmap(net))(levels, x)
    assert out.dtype == dtype
    loop = jnp.stack([net(level, row) for level, row in zip(levels, x, strict=True)])
    # Sums of some 64 terms, in another order.
    np.testing.assert_allclose(out, loop, atol=100 * jnp.finfo(dtype).eps)
    shared = jax.vmap(net, in_axes=(None, 0))(levels[0], x)
    np.testing.assert_allclose(shared[0], loop[0], atol=100 * jnp.finfo(dtype).eps)


def test_one_level_for_a_batch_is_modulated_once():
    net = small()
    jaxpr = jax.make_jaxpr(jax.vmap(net, in_axes=(None, 0)))(jnp.asarray(0.5), jnp.zeros((5, 3)))
    shapes = [v.aval.shape for e in jaxpr.jaxpr.eqns if e.primitive.name == "dot_general" for v in e.outvars]
    assert (2 * 2 * 8,) in shapes


def test_it_is_small_before_training_but_every_weight_learns():
    net = small(classes=2)
    x = jr.normal(jr.key(1), (3,))
    assert float(jnp.max(jnp.abs(net(0.0, x, cond=1)))) < 0.1
    update = gradient(lambda net, batch, key: (jnp.sum((net(0.3, batch, cond=1) - 1) ** 2), {}), optax.sgd(0.1))
    state, info = eqx.filter_jit(update.step)(update.init(net, jr.key(2)), x, jr.key(3))
    old, new = eqx.filter(net, eqx.is_inexact_array), eqx.filter(state.unknowns, eqx.is_inexact_array)
    assert all(bool(jnp.any(a != b)) for a, b in zip(jax.tree.leaves(old), jax.tree.leaves(new), strict=True))
    assert np.isfinite(info["loss"])


def test_shapes_are_flattened_inside():
    net, flat = small((2, 3)), small(6)
    x = jr.normal(jr.key(1), (2, 3))
    np.testing.assert_array_equal(net(0.1, x), flat(0.1, x.reshape(6)).reshape(2, 3))


def test_conditions_reach_the_output():
    x = jr.normal(jr.key(1), (3,))
    net = small(classes=2)
    outs = [net(0.0, x, cond=c) for c in (0, 1, 2, None)]
    np.testing.assert_array_equal(outs[2], outs[3])
    assert len({float(o[0]) for o in outs}) == 3
    net = small(conditions=2)
    a, b = net(0.0, x, cond=jnp.asarray([1.0, 0.0])), net(0.0, x, cond=jnp.asarray([0.0, 1.0]))
    assert not jnp.allclose(a, b)
    np.testing.assert_array_equal(net(0.0, x), net(0.0, x, cond=jnp.full(2, jnp.nan)))


def test_save_and_load(tmp_path):
    net = small(classes=2, embedding=FourierFeatures(6, key=jr.key(5)))
    save(tmp_path / "net", net)
    x = jnp.ones(3)
    np.testing.assert_array_equal(load(tmp_path / "net")(0.2, x, cond=1), net(0.2, x, cond=1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: small(0), "size=0 of a ScoreMLP"),
        (lambda: ScoreMLP(2, width=0, key=jr.key(0)), "width=0"),
        (lambda: ScoreMLP(2, depth=0, key=jr.key(0)), "depth=0"),
        (lambda: small(conditions=-1), "conditions=-1"),
        (lambda: small(conditions=2, classes=3), "one or the other"),
        (lambda: small()(0.0, jnp.zeros(4)), r"x: got shape \(4,\), expected \(3,\)"),
        (lambda: small()(0.0, jnp.zeros(3), cond=1), "takes no condition"),
        (lambda: small(conditions=2)(0.0, jnp.zeros(3), cond=jnp.zeros(3)), "floating vector of length 2"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
