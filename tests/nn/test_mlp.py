"""The multilayer perceptron against plain matrix products."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.nn import MLP, lipswish


def test_it_is_the_product_of_its_layers():
    net = MLP(3, 2, 5, 2, activation=jnp.tanh, final_activation=jax.nn.relu, key=jr.key(0))
    x = np.array([0.3, -1.0, 2.0])
    for layer in net.layers[:-1]:
        x = np.tanh(np.asarray(layer.weight) @ x + np.asarray(layer.bias))
    last = net.layers[-1]
    expected = np.maximum(np.asarray(last.weight) @ x + np.asarray(last.bias), 0)
    np.testing.assert_allclose(net(jnp.array([0.3, -1.0, 2.0])), expected, rtol=1e-12)
    assert len(net.layers) == 3


def test_depth_zero_is_affine():
    net = MLP(2, 4, 7, 0, key=jr.key(1))
    x, y = jnp.array([1.0, 2.0]), jnp.array([-3.0, 0.5])
    np.testing.assert_allclose(net(x + y) - net(y), net(x) - net(0 * x), atol=1e-12)


def test_lipswish_has_slope_at_most_one():
    slopes = jax.vmap(jax.grad(lipswish))(jnp.linspace(-20.0, 20.0, 4001))
    # The largest slope of silu is 1.09984.
    assert float(jnp.max(jnp.abs(slopes))) == pytest.approx(0.909 * 1.09984, abs=1e-4)


@pytest.mark.parametrize(
    ("sizes", "name"), [((0, 1, 1, 1), "in_size"), ((1, 0, 1, 1), "out_size"), ((1, 1, 1, -1), "depth")]
)
def test_bad_sizes_are_named(sizes, name):
    with pytest.raises(ValueError, match=name):
        MLP(*sizes, key=jr.key(0))
