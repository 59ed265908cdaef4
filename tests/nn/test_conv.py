"""Convolutions: values and derivatives against XLA's own, and that a loop holds no slow form."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
from jax import lax

from cadlag.data import FullBatch
from cadlag.nn import Boundary, Conv, ConvTranspose, Padding, _convolve
from cadlag.train import gradient, load, minimise, save

PLAIN = "[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]"
CASES = {
    "plain": ((6, 5), {"kernel": 3}),
    "even, stride": ((7, 6), {"kernel": (4, 2), "stride": (2, 3)}),
    "dilated, stride, odd padding": ((9, 8), {"kernel": 2, "stride": 2, "dilation": 3, "padding": ((2, 0), (1, 4))}),
    "cropping": ((7, 6), {"kernel": 2, "padding": ((-1, 0), (0, -2))}),
    "far padding": ((3, 4), {"kernel": 2, "padding": ((3, 3), (0, 2)), "stride": (1, 2)}),
    "one axis": ((11,), {"kernel": 4, "stride": 3, "dilation": 2}),
    "three axes": ((4, 3, 4), {"kernel": (2, 1, 3), "stride": (1, 2, 1)}),
}


@pytest.fixture
def matrix_products(monkeypatch):
    """The gradient of the kernel as for many points."""
    monkeypatch.setattr(_convolve, "_FEW", 0)
    yield
    jax.clear_caches()


def draw(seed, *shape):
    """Standard normal numbers from NumPy, which compiles nothing."""
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def make(case):
    size, settings = CASES[case]
    return size, Conv(2, 3, spatial_axes=len(size), key=jr.key(0), **settings)


def xla(conv, x, weight):
    """A batch through lax.conv_general_dilated, with nothing from the code under test but its settings."""
    shape = conv.shape
    padding = shape.padding.name.upper() if isinstance(shape.padding, Padding) else shape.padding
    axes = "DHW"[: len(shape.kernel)]
    y = lax.conv_general_dilated(
        x,
        weight,
        shape.stride,
        padding,
        rhs_dilation=shape.dilation,
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
    )
    return y + conv.bias.reshape((1,) * (y.ndim - 1) + (-1,))


def ours(conv, x, weight):
    return jax.vmap(eqx.tree_at(lambda c: c.weight, conv, weight))(x)


def differences(conv, first, second, x, dx, dw):
    """How far two forms are apart in loss and gradients and in their tangents; relative to the largest entry."""

    def both(forward):
        loss = lambda x, w: jnp.sum(jnp.sin(forward(conv, x, w)))
        return jax.jvp(jax.value_and_grad(loss, (0, 1)), (x, conv.weight), (dx, dw))

    gap = lambda a, b: jnp.max(jnp.abs(a - b)) / jnp.maximum(1.0, jnp.max(jnp.abs(b)))
    return jax.tree.leaves(jax.tree.map(gap, both(first), both(second)))


def drawn(size, conv):
    return draw(1, 4, *size, 2), draw(2, 4, *size, 2), draw(3, *conv.weight.shape)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("matrix_products")
def test_values_and_derivatives_equal_those_of_xla(case):
    """Forward over reverse: every product of the three kinds, the transposes of all and their tangents."""
    size, conv = make(case)
    gaps = jax.jit(lambda *a: differences(conv, ours, xla, *a))(*drawn(size, conv))
    # Sums of at most 1000 terms of order one in float64.
    assert max(map(float, gaps)) < 1e-12


@pytest.mark.parametrize("case", CASES)
def test_the_gradient_of_few_points_is_a_plain_convolution_of_the_same_value(case):
    size, conv = make(case)
    x, _, _ = drawn(size, conv)
    plan = conv.shape.plan(size)[1]
    y = draw(4, 4, *plan.out, 3)
    by_products = jax.jit(lambda: _convolve._kernel_by_products(x, y, plan))()
    by_convolution = jax.jit(lambda: _convolve._kernel_by_convolution(x, y, plan))
    # Sums of at most 200 terms in another order.
    np.testing.assert_allclose(by_convolution(), by_products, atol=1e-12)
    assert re.search("stablehlo.convolution", by_convolution.lower().as_text())


def test_reverse_over_reverse():
    size, conv = make("even, stride")
    x, dx, dw = drawn(size, conv)

    def second(forward):
        grad = lambda x, w: jax.grad(lambda x, w: jnp.sum(jnp.sin(forward(conv, x, w))), (0, 1))(x, w)
        return jax.grad(lambda x, w: sum(map(jnp.vdot, grad(x, w), (dx, dw))), (0, 1))(x, conv.weight)

    for a, b in zip(*jax.jit(lambda: (second(ours), second(xla)))(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-11)


def test_the_gradient_is_the_same_in_chunks(monkeypatch, matrix_products):
    size, conv = make("plain")
    x = draw(1, 6, *size, 2)
    grad = lambda: jax.grad(lambda w: jnp.sum(jnp.sin(ours(conv, x, w))))(conv.weight)
    whole = jax.jit(lambda: grad())()
    # One example's rows take 6 * 5 * 3 * 2 * 8 = 1440 bytes, so that this makes three chunks of two.
    monkeypatch.setattr(_convolve, "_CHUNK", 3000)
    assert "while" in jax.jit(grad).lower().as_text()
    # Another order of summing 180 terms.
    np.testing.assert_allclose(jax.jit(grad)(), whole, atol=1e-12)


@pytest.mark.parametrize("case", ["even, stride", "dilated, stride, odd padding", "one axis"])
def test_the_transposed_convolution_is_the_transpose(case):
    size, settings = CASES[case]
    conv = Conv(2, 3, spatial_axes=len(size), bias=False, key=jr.key(0), **settings)
    up = ConvTranspose(3, 2, spatial_axes=len(size), bias=False, key=jr.key(1), **settings)
    up = eqx.tree_at(lambda c: c.weight, up, conv.weight)
    x = draw(2, *size, 2)
    y = draw(3, *conv(x).shape)
    # One number two ways, in float64: <conv x, y> = <x, conv^T y>.
    np.testing.assert_allclose(jnp.vdot(conv(x), y), jnp.vdot(x, up(y, size=size)), rtol=1e-12)
    default = up(y).shape[:-1]
    assert conv(jnp.zeros((*default, 2))).shape == y.shape


@pytest.mark.parametrize(
    ("boundary", "mode"), [(Boundary.circular, "wrap"), (Boundary.reflect, "reflect"), (Boundary.replicate, "edge")]
)
def test_boundaries_are_those_of_numpy(boundary, mode):
    conv = Conv(2, 3, (3, 4), boundary=boundary, key=jr.key(0))
    x = draw(1, 6, 5, 2)
    padded = np.pad(x, ((1, 1), (1, 2), (0, 0)), mode=mode)
    valid = eqx.tree_at(lambda c: c.shape, conv, Conv(2, 3, (3, 4), padding=Padding.valid, key=jr.key(0)).shape)
    np.testing.assert_allclose(conv(x), xla(valid, padded[None], conv.weight)[0], atol=1e-13)
    up = eqx.tree_at(lambda c: (c.weight, c.bias), ConvTranspose(3, 2, (3, 4), boundary=boundary, key=jr.key(0)),
                     (conv.weight, jnp.zeros(2)))  # fmt: skip
    linear = eqx.tree_at(lambda c: c.bias, conv, jnp.zeros(3))
    y = draw(2, 6, 5, 3)
    np.testing.assert_allclose(jnp.vdot(linear(x), y), jnp.vdot(x, up(y)), rtol=1e-11)


def test_a_circular_convolution_commutes_with_shifts():
    conv = Conv(2, 3, 3, boundary=Boundary.circular, key=jr.key(0))
    x = draw(1, 6, 5, 2)
    np.testing.assert_allclose(conv(jnp.roll(x, (2, 1), (0, 1))), jnp.roll(conv(x), (2, 1), (0, 1)), atol=1e-14)


def test_a_batch_of_kernels_and_gradients_of_single_examples():
    size, conv = make("even, stride")
    x = draw(1, 3, *size, 2)
    weights = draw(2, 3, *conv.weight.shape)

    def both(forward):
        one = jax.grad(lambda w, x: jnp.sum(jnp.sin(forward(conv, x[None], w))), (0, 1))
        return jax.vmap(one)(weights, x), jax.vmap(one, (None, 0))(weights[0], x)

    for a, b in zip(*map(jax.tree.leaves, jax.jit(lambda: (both(ours), both(xla)))()), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def dimension_numbers(lowered):
    """Of each convolution in the text that JAX hands to the compiler."""
    return re.findall(r"dim_numbers = (\[[^,]*,[^>]*->\[[^\]]*\])", lowered.as_text())


def two_layers(forward):
    first, second = Conv(2, 3, key=jr.key(0)), Conv(3, 2, 3, stride=2, key=jr.key(1))

    def loss(weights, x):
        y = forward(second, jnp.tanh(forward(first, x, weights[0])), weights[1])
        return jnp.mean(y**2)

    return loss, (first.weight, second.weight)


def lowered_loop(forward, x):
    loss, weights = two_layers(forward)

    def body(weights, _):
        grads = jax.grad(loss)(weights, x)
        return jax.tree.map(lambda w, g: w - 0.1 * g, weights, grads), None

    return jax.jit(lambda w: lax.scan(body, w, None, length=3)).lower(weights)


def test_the_loop_holds_plain_convolutions_of_the_whole_batch_only(matrix_products):
    x = draw(1, 5, 6, 6, 2)
    lowered = lowered_loop(ours, x)
    # Two forward, one back to the first layer's output; the gradients of the kernels are matrix products.
    assert dimension_numbers(lowered) == [PLAIN] * 3
    assert re.findall(r"stablehlo.convolution.*: \(tensor<(\d+)x", lowered.as_text()) == ["5"] * 3
    # The same test sees XLA's own forms.
    assert set(dimension_numbers(lowered_loop(xla, x))) - {PLAIN}


def test_with_few_points_the_gradients_are_plain_convolutions_too():
    assert dimension_numbers(lowered_loop(ours, draw(1, 5, 6, 6, 2))) == [PLAIN] * 5


def test_other_devices_get_the_gradient_of_xla():
    x = draw(1, 5, 6, 6, 2)
    loss, weights = two_layers(ours)
    text = jax.export.export(jax.jit(jax.grad(loss)), platforms=["cuda"])(weights, x).mlir_module()
    # Two forward, one to the first layer's output, two to the kernels, which are XLA's.
    assert len(re.findall("stablehlo.convolution", text)) == 5
    assert "dot_general" not in text


def test_it_trains_inside_minimise_and_survives_saving(tmp_path):
    conv = Conv(1, 1, 3, key=jr.key(0))
    x = draw(1, 4, 6, 6, 1)
    target = jax.vmap(Conv(1, 1, 3, key=jr.key(2)))(x)
    loss = lambda net, batch, key: (jnp.mean((jax.vmap(net)(batch[0]) - batch[1]) ** 2), {})
    update = gradient(loss, optax.adam(0.05))
    run = eqx.filter_jit(lambda s: minimise(update, s, FullBatch((x, target)), 200, key=jr.key(4)))
    state, info = run(update.init(conv, jr.key(3)))
    # A convex problem of ten unknowns with a solution of zero loss.
    assert float(info["loss"][-1]) < 1e-4 * float(info["loss"][0])
    save(tmp_path / "conv", state.unknowns)
    np.testing.assert_array_equal(load(tmp_path / "conv")(x[0]), state.unknowns(x[0]))


def test_float32_stays_float32():
    conv = jax.tree.map(lambda a: a.astype(jnp.float32), Conv(2, 3, stride=2, key=jr.key(0)))
    x = jr.normal(jr.key(1), (4, 4, 2), jnp.float32)
    value, grads = eqx.filter_value_and_grad(lambda c: jnp.sum(c(x) ** 2))(conv)
    assert value.dtype == grads.weight.dtype == jnp.float32


@pytest.mark.parametrize(
    ("do", "message"),
    [
        (lambda: Conv(0, 1, key=jr.key(0)), "in_channels=0"),
        (lambda: Conv(1, 1, spatial_axes=4, key=jr.key(0)), "spatial_axes=4"),
        (lambda: Conv(1, 1, (3, 0), key=jr.key(0)), r"kernel=\(3, 0\)"),
        (lambda: Conv(1, 1, stride=(1, 1, 1), key=jr.key(0)), "stride=.*each of 2 spatial axes"),
        (lambda: Conv(1, 1, padding=((1, 1),), key=jr.key(0)), r"pair \(low, high\) for each of 2"),
        (lambda: Conv(1, 1, key=jr.key(0))(jnp.zeros((1, 4, 4))), "2 spatial axes and then 1 channels"),
        (lambda: Conv(1, 1, 5, padding=Padding.valid, key=jr.key(0))(jnp.zeros((4, 4, 1))), "shorter than the kernel"),
        (lambda: Conv(1, 1, 9, boundary=Boundary.circular, key=jr.key(0))(jnp.zeros((3, 3, 1))), "too small"),
        (lambda: Conv(1, 1, 9, boundary=Boundary.reflect, key=jr.key(0))(jnp.zeros((4, 4, 1))), "too small"),
        (lambda: ConvTranspose(1, 1, stride=2, key=jr.key(0))(jnp.zeros((4, 4, 1)), size=(5, 8)), "would be .8, 8."),
    ],
)
def test_refusals(do, message):
    with pytest.raises(ValueError, match=message):
        do()
