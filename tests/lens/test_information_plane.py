"""The plane recorded along a training: it changes nothing there; phases of gradients; models of other rooms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cadlag.data.sources import Batches
from cadlag.lens import (
    Binned,
    FixedWidth,
    PairwiseUpper,
    compression,
    gradient_noise,
    gradient_phases,
    information,
    layer_information,
    layers_of,
    phase_switch,
)
from cadlag.nn import MLP, SpectralConv
from cadlag.train import SWA, Recorder, fit, gradient

RNG = np.random.default_rng(5)
X = RNG.normal(size=(48, 3))
Y = (X[:, 0] > 0).astype(int)
MODEL = MLP(3, 2, 4, 2, activation=jnp.tanh, key=jax.random.key(1))
LAYERS = layers_of(MODEL, final=jax.nn.softmax)
BINS = Binned(FixedWidth(0.2))
AT = (0, 3, 10)


def loss(model, batch, key):
    x, y = batch
    logits = jax.nn.log_softmax(jax.vmap(model)(x))
    return -jnp.mean(jnp.take_along_axis(logits, y[:, None], axis=1)), {}


@pytest.fixture(scope="module")
def runs():
    """One training without a look, one that records everything, of averaged weights too."""
    update = gradient(loss, optax.adam(0.05), average=SWA(4))
    plane = information(LAYERS, X, Y, {"bins": BINS, "pairs": PairwiseUpper(0.01)})
    average = information(LAYERS, X, Y, {"bins": BINS}, model=lambda state: state.averaged)
    phases = gradient_phases(loss, (X, Y), batch_size=12)

    def observe(state, key):
        return {"plane": plane(state, key), "average": average(state, key), "phases": phases(state, key)}

    source = Batches((X, Y), 12)
    arguments = {"steps": 10, "key": jax.random.key(2), "block": 5}
    return [fit(update, MODEL, source, recorder=r, **arguments) for r in (None, Recorder(observe, AT))]


def test_looking_leaves_the_weights_as_they_are_to_the_last_bit(runs):
    a, b = (jax.tree.leaves(eqx.filter(r.state.unknowns, eqx.is_array)) for r in runs)
    for u, v in zip(a, b, strict=True):
        np.testing.assert_array_equal(u, v)
    assert not np.array_equal(a[0], MODEL.layers[0].weight)


def test_rows_are_the_figures_of_the_model_at_that_moment(runs):
    state, records = runs[1].state, runs[1].records
    assert records["plane"]["bins"].input.shape == records["plane"]["pairs"].label.shape == (3, 3)
    for row, model in ((0, MODEL), (2, state.unknowns)):
        found = layer_information(LAYERS, model, X, Y, BINS)
        np.testing.assert_allclose(records["plane"]["bins"].input[row], found.input, atol=1e-12)
        np.testing.assert_allclose(records["plane"]["bins"].label[row], found.label, atol=1e-12)
    found = layer_information(LAYERS, state.averaged, X, Y, BINS)
    np.testing.assert_allclose(records["average"]["bins"].input[2], found.input, atol=1e-12)
    assert not np.allclose(records["average"]["bins"].input[2], records["plane"]["bins"].input[2])
    noise = runs[1].records["phases"]
    assert noise.ratio.shape == (3, 3)
    np.testing.assert_allclose(noise.ratio, noise.mean / noise.std, rtol=1e-12)


def test_a_bare_observer_is_a_recorder_and_reads_the_examples_in_parts():
    update = gradient(loss, optax.sgd(0.1))
    plane = information(LAYERS, X, Y, {"bins": BINS}, batch=10)
    result = fit(update, MODEL, Batches((X, Y), 12), steps=2, key=jax.random.key(0), block=2,
                 recorder=Recorder(plane, (0, 2)))  # fmt: skip
    found = layer_information(LAYERS, MODEL, X, Y, BINS)
    np.testing.assert_allclose(result.records["bins"].input[0], found.input, atol=1e-12)


def test_a_broken_model_gives_nan_in_a_recorder():
    broken = eqx.tree_at(lambda m: m.layers[1].bias, MODEL, jnp.full(4, jnp.nan))
    state = gradient(loss, optax.sgd(0.1)).init(broken, jax.random.key(0))
    found = eqx.filter_jit(information(LAYERS, X, Y, {"bins": BINS}))(state, jax.random.key(0))["bins"]
    np.testing.assert_array_equal(np.isnan(found.input), [False, True, True])


def test_signal_and_noise_are_those_of_numpy():
    """The gradient of w·x is x: batch means of the data, one group of one row."""
    linear = eqx.nn.Linear(3, 1, use_bias=False, key=jax.random.key(0))
    value = lambda model, batch, key: (jnp.mean(jax.vmap(model)(batch)), {})
    noise = gradient_noise(value, linear, X, batch_size=1, key=jax.random.key(0))
    np.testing.assert_allclose(noise.mean[0], np.linalg.norm(X.mean(0)), rtol=1e-12)
    np.testing.assert_allclose(noise.std[0], np.sqrt(np.trace(np.cov(X.T))), rtol=1e-12)
    same = gradient_noise(value, linear, np.ones((8, 3)), batch_size=2, key=jax.random.key(0))
    np.testing.assert_allclose(same.ratio, 3**0.5 / 1e-12)


def test_pure_noise_has_a_ratio_of_one_over_the_root_of_batches():
    """400 batches of zero mean in 300 dimensions: relative error of the norm of the mean some 1/sqrt(600)."""
    x = np.random.default_rng(1).normal(size=(400, 300))
    linear = eqx.nn.Linear(300, 1, use_bias=False, key=jax.random.key(0))
    value = lambda model, batch, key: jnp.mean(jax.vmap(model)(batch))
    noise = gradient_noise(value, linear, x, batch_size=1, key=jax.random.key(0))
    np.testing.assert_allclose(noise.ratio[0], 1 / 20, rtol=0.15)


def test_switch_and_compression():
    at = [1, 5, 9, 20]
    ratio = np.array([[0.5, 2, 0.5, 3], [1.5, 2, 0.5, 0.9], [0.9, 0.5, 0.5, 2], [2, 0.1, 0.2, 2]])
    np.testing.assert_array_equal(phase_switch(ratio, at), [9, 9, np.nan, 5])
    np.testing.assert_array_equal(compression(np.array([[1.0, 5.0], [4.0, 3.0], [2.0, 1.0]])), [2, 4])
    with pytest.raises(ValueError, match="one figure for each step"):
        phase_switch(ratio, at[:2])


def test_a_spectral_layer_forgets_what_lies_above_its_modes():
    """Five slow fields, each with four fast parts. A Fourier layer of three modes is left with log2 5 of log2 20 bits,
    and of the fast part, which is the label, with none."""
    t = np.arange(32) / 32 * 2 * np.pi
    slow, fast = np.divmod(np.arange(20), 4)
    x = (np.sin(t) * slow[:, None] + np.cos(7 * t) * fast[:, None])[:, :, None]
    layer = SpectralConv(1, 2, 3, spatial_axes=1, key=jax.random.key(0))
    layers = lambda model, field: (field, jnp.tanh(model(field)))
    found = layer_information(layers, layer, x, fast, PairwiseUpper(1e-6))
    # distances of 64 values by a product of matrices are rounded by some 1e-14, over twice the variance
    np.testing.assert_allclose(found.input, [np.log2(20), np.log2(5)], atol=1e-6)
    np.testing.assert_allclose(found.label, [2, 0], atol=1e-6)


def test_refusals():
    with pytest.raises(TypeError, match="expected a dict with a name for each"):
        information(LAYERS, X, Y, {})
    with pytest.raises(ValueError, match="expected at least two whole batches"):
        gradient_phases(loss, (X, Y), batch_size=48)
    with pytest.raises(ValueError, match="expected a scalar"):
        gradient_noise(lambda m, b, k: jax.vmap(m)(b[0]), MODEL, (X, Y), batch_size=12, key=jax.random.key(0))
    with pytest.raises(ValueError, match="found no weights"):
        gradient_noise(loss, jnp.ones(3), (X, Y), batch_size=12, key=jax.random.key(0))
    with pytest.raises(ValueError, match=r"first axes of \[47, 48\]"):
        gradient_noise(loss, MODEL, (X, Y[1:]), batch_size=12, key=jax.random.key(0))
