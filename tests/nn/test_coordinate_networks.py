"""Encoders and networks of a point: periodicity with derivatives, exact factorisation, gates, parameter counts."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.fields import Box
from cadlag.linalg import derivative_along
from cadlag.nn import (
    MLP,
    SIREN,
    CoordinateNetwork,
    FactorisedLinear,
    ModifiedMLP,
    PeriodicEmbedding,
    RandomFourierFeatures,
    ToUnit,
    glorot_linear,
)

BOX = Box({"t": (0.0, 4.0), "x": (-1.0, 3.0), "y": (2.0, 3.0)}, periodic=("x", "y"))


def parameters(module):
    return sum(x.size for x in jax.tree.leaves(eqx.filter(module, eqx.is_inexact_array)))


def test_scaled_coordinates_are_plus_and_minus_reach_at_the_corners():
    encoder = ToUnit(BOX, reach=2)
    np.testing.assert_allclose(encoder(jnp.asarray(BOX.lower)), [-2, -2, -2])
    np.testing.assert_allclose(encoder(jnp.asarray(BOX.upper)), [2, 2, 2])


def test_products_of_harmonics_against_their_definition():
    encoder = PeriodicEmbedding(BOX, harmonics=2)
    assert encoder.size == 1 + 4 * 2 + 4 * 4 + 1
    t, x, y = 1.0, 0.7, 2.3
    a, b = 2 * np.pi / 4 * (x + 1), 2 * np.pi * (y - 2)
    one = lambda s: [1, np.cos(s), np.cos(2 * s), np.sin(s), np.sin(2 * s)]
    expected = [-0.5, *np.outer(one(a), one(b)).ravel()]
    np.testing.assert_allclose(encoder(jnp.asarray([t, x, y])), expected, atol=1e-14)


def test_a_periodic_network_agrees_at_both_ends_with_four_derivatives():
    encoder = PeriodicEmbedding(BOX, harmonics=3)
    net = CoordinateNetwork(encoder, ModifiedMLP(encoder.size, 1, 8, 2, key=jr.key(0)))
    ends = jnp.asarray([[1.3, -1.0, 2.4], [1.3, 3.0, 2.4]])
    x = jnp.asarray([0.0, 1.0, 0.0])
    series = lambda p: jnp.stack([net(p), *(derivative_along(net, p, x, k) for k in (1, 2, 4))])
    low, high = jax.jit(jax.vmap(series))(ends)
    # Each derivative multiplies the rounding of the phase by up to 3π/2 times the layers' slopes.
    np.testing.assert_allclose(low, high, rtol=1e-10, atol=1e-12)
    assert np.all(np.abs(low) > 1e-6)
    single = jax.tree.map(lambda x: x.astype(jnp.float32) if eqx.is_inexact_array(x) else x, net)
    ends = [single(jnp.asarray([1.3, x, 2.4], jnp.float32)) for x in (-1.0, 3.0)]
    assert ends[0].dtype == jnp.float32
    assert abs(float(ends[0] - ends[1])) < 1e-6


def test_random_fourier_features_are_scaled_and_frozen():
    encoder = RandomFourierFeatures(BOX, size=4000, scale=3, key=jr.key(1))
    # 6,000 draws: the standard error of the standard deviation is 1 % of it.
    assert float(jnp.std(encoder.frequencies)) == pytest.approx(3, rel=0.05)
    point = jnp.asarray([1.0, 2.0, 2.5])
    phase = np.asarray(encoder.frequencies) @ np.asarray([-0.5, 0.5, 0.0])
    np.testing.assert_allclose(encoder(point), np.concatenate([np.cos(phase), np.sin(phase)]), atol=1e-12)
    slope = lambda e: jax.grad(lambda f: jnp.sum(eqx.tree_at(lambda x: x.frequencies, e, f)(point)))(e.frequencies)
    assert not np.any(slope(encoder))
    assert np.any(slope(RandomFourierFeatures(BOX, size=4, trainable=True, key=jr.key(1))))


def test_fourier_features_of_a_periodic_embedding_are_periodic():
    encoder = RandomFourierFeatures(BOX, size=16, encoder=partial(PeriodicEmbedding, harmonics=2), key=jr.key(2))
    ends = [encoder(jnp.asarray([0.0, x, y])) for x, y in ((-1.0, 2.0), (3.0, 3.0))]
    np.testing.assert_allclose(*ends, atol=1e-13)


def test_a_factorised_map_starts_as_its_unfactorised_self():
    layer, x = FactorisedLinear(5, 3, std=0.5, key=jr.key(3)), jr.normal(jr.key(4), (5,))
    plain = glorot_linear(5, 3, key=jr.split(jr.key(3))[0])
    np.testing.assert_allclose(layer.weight, plain.weight, rtol=1e-15)
    np.testing.assert_allclose(layer(x), plain(x), rtol=1e-13)
    assert len(set(np.asarray(layer.scale).tolist())) == 3
    assert parameters(layer) == 5 * 3 + 2 * 3


def test_glorot_weights_have_their_variance():
    layer = glorot_linear(100, 60, key=jr.key(5))
    # 6,000 draws: the standard error of the variance is 1.8 % of it.
    assert float(jnp.var(layer.weight)) == pytest.approx(2 / 160, rel=0.08)
    assert not np.any(layer.bias)


def test_with_equal_gates_the_hidden_layers_do_not_matter():
    net = ModifiedMLP(2, 3, 7, 2, key=jr.key(6))
    assert parameters(net) == 2 * (2 * 7 + 7) + (2 * 7 + 7) + (7 * 7 + 7) + (7 * 3 + 3)
    z = jnp.asarray([0.3, -0.8])
    equal = eqx.tree_at(lambda n: n.gates, net, (net.gates[0], net.gates[0]))
    np.testing.assert_allclose(equal(z), net.last(jnp.tanh(net.gates[0](z))), rtol=1e-13)
    U, V = (np.tanh(g.weight @ z + g.bias) for g in net.gates)
    H = np.asarray(z)
    for layer in net.layers:
        Z = np.tanh(np.asarray(layer.weight) @ H + np.asarray(layer.bias))
        H = Z * U + (1 - Z) * V
    np.testing.assert_allclose(net(z), net.last.weight @ H + net.last.bias, rtol=1e-12)


def test_siren_keeps_the_law_of_its_layers():
    net, x = SIREN(1, 1, 128, 3, key=jr.key(7)), jnp.linspace(-1.0, 1.0, 256)[:, None]
    assert parameters(net) == 128 * 2 + 2 * (128 * 129) + 129
    h = jnp.sin(30.0 * jax.vmap(net.layers[0])(x))
    for layer in net.layers[1:-1]:
        inner = 30.0 * jax.vmap(layer)(h)
        # The paper's claim: arguments of the sines are close to N(0, 1) in every layer.
        assert float(jnp.std(inner)) == pytest.approx(1, abs=0.2)
        h = jnp.sin(inner)
    np.testing.assert_allclose(jax.vmap(net)(x), jax.vmap(net.layers[-1])(h), rtol=1e-12)


def test_one_component_is_a_scalar_and_scale_and_shift_are_applied():
    encoder, point = ToUnit(BOX), jnp.asarray([1.0, 0.0, 2.5])
    body = MLP(3, 1, 4, 1, activation=jnp.tanh, layer=FactorisedLinear, key=jr.key(8))
    net = CoordinateNetwork(encoder, body, scale=20, shift=-3)
    assert net(point).shape == ()
    np.testing.assert_allclose(net(point), -3 + 20 * body(encoder(point))[0], rtol=1e-14)
    two = CoordinateNetwork(encoder, MLP(3, 2, 4, 1, key=jr.key(9)), 2)
    assert two(point).shape == (2,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ToUnit(BOX, reach=0), "reach=0"),
        (lambda: PeriodicEmbedding(BOX, harmonics=0), "harmonics=0"),
        (lambda: PeriodicEmbedding(Box({"x": (0, 1)})), "no axis of"),
        (lambda: PeriodicEmbedding(BOX, axes=["z"]), "'z'"),
        (lambda: RandomFourierFeatures(BOX, size=3, key=jr.key(0)), "size=3"),
        (lambda: RandomFourierFeatures(BOX, scale=0, key=jr.key(0)), "scale=0"),
        (lambda: ModifiedMLP(1, 1, 4, 0, key=jr.key(0)), "depth=0"),
        (lambda: SIREN(1, 1, 4, 1, omega=0, key=jr.key(0)), "omega=0"),
        (lambda: CoordinateNetwork(ToUnit(BOX), MLP(3, 2, 4, 1, key=jr.key(0))), r"returns \(2,\)"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
