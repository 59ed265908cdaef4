"""Bits of layers: closed forms, counting by NumPy, limits of the bounds by pairs, refusals."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.lens import (
    Binned,
    CurrentRange,
    Exact,
    FixedEdges,
    FixedWidth,
    PairwiseLower,
    PairwiseUpper,
    Quantiles,
    activations,
    discrete_information,
    icosahedral_task,
    layer_information,
    layers_of,
    row_symbols,
    training_range,
)
from cadlag.nn import MLP

RNG = np.random.default_rng(7)
N = 64
itself = lambda model, x: (x,)  # the input is the layer


def bits(values, y, estimator):
    """Input and label bits of a layer whose activations are given."""
    found = layer_information(itself, None, jnp.asarray(values), y, estimator)
    return float(found.input[0]), float(found.label[0])


def counted(codes, y):
    """H(T) and I(T;Y) by counting rows with NumPy."""
    h = lambda counts: -sum(c / sum(counts) * np.log2(c / sum(counts)) for c in counts)
    count = lambda rows: h(np.unique(rows, axis=0, return_counts=True)[1])
    whole = count(codes)
    return whole, whole - sum(np.mean(y == c) * count(codes[y == c]) for c in np.unique(y))


def test_the_input_itself_has_twelve_bits_and_all_of_the_label():
    task = icosahedral_task()
    for estimator in (Binned(FixedWidth(0.9)), Exact()):
        found = bits(task.values, task.labels, estimator)
        np.testing.assert_allclose(found, (12, 0.999157), atol=5e-7)


@pytest.mark.parametrize("kind", [FixedWidth(0.3), FixedEdges(np.linspace(-1, 1, 9)), CurrentRange(5), Quantiles(4)])
def test_bins_are_those_of_numpy(kind):
    values, y = RNG.normal(size=(N, 2)), RNG.integers(0, 3, N)
    low, high = values.min(), values.max()
    codes = {
        FixedWidth: lambda: np.floor(values / 0.3),
        FixedEdges: lambda: np.digitize(values, np.linspace(-1, 1, 9)),
        CurrentRange: lambda: np.digitize(values, np.linspace(low, high, 6)[1:-1]),
        # 128 values in four bins of 32
        Quantiles: lambda: np.argsort(np.argsort(values.ravel())).reshape(values.shape) // 32,
    }[type(kind)]()
    np.testing.assert_allclose(bits(values, y, Binned(kind)), counted(codes, y), atol=1e-12)


def test_resolution_goes_with_the_figure():
    values = jnp.asarray([[0.0], [0.5], [2.0]])
    width = lambda e: float(layer_information(itself, None, values, np.array([0, 1, 0]), e).resolution[0])
    assert width(Binned(FixedWidth(0.07))) == pytest.approx(0.07)
    assert width(Binned(FixedEdges(np.linspace(-1, 1, 30)))) == pytest.approx(2 / 29)
    assert width(Binned(CurrentRange(4))) == width(Binned(Quantiles(4))) == pytest.approx(0.5)
    assert width(PairwiseUpper(1e-3)) == pytest.approx(1e-3**0.5)
    assert width(Exact()) == 0


def test_soft_labels_are_averages():
    """Two symbols; p(y | t) is the mean of p(y | x): I(T;Y) = H(Y) - mean H(Y|T)."""
    h = lambda p: -p * np.log2(p) - (1 - p) * np.log2(1 - p)
    one = np.array([0.1, 0.3, 0.6, 0.8])
    values = np.array([[0.0], [0.0], [1.0], [1.0]])
    got = bits(values, np.stack([1 - one, one], 1), Binned(FixedWidth(0.5)))
    np.testing.assert_allclose(got, (1, h(0.45) - (h(0.2) + h(0.7)) / 2), atol=1e-12)


ESTIMATORS = [Binned(FixedWidth(0.1)), Binned(CurrentRange(9)), Binned(Quantiles(3)), Exact(), PairwiseUpper(1e-3),
              PairwiseLower(1e-3)]  # fmt: skip


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_a_constant_layer_knows_nothing_and_a_copy_of_the_label_all_of_it(estimator):
    y = (np.arange(N) < 20).astype(int)
    p = 20 / N
    entropy = -p * np.log2(p) - (1 - p) * np.log2(1 - p)
    np.testing.assert_allclose(bits(np.full((N, 3), 0.4), y, estimator), (0, 0), atol=1e-12)
    np.testing.assert_allclose(bits(20.0 * y[:, None], y, estimator), (entropy, entropy), atol=1e-9)


def test_merged_bins_lose_bits():
    values, y = np.tanh(RNG.normal(size=(4 * N, 2))), RNG.integers(0, 2, 4 * N)
    coarse = bits(values, y, Binned(FixedEdges(np.linspace(-1, 1, 15))))
    fine = bits(values, y, Binned(FixedEdges(np.linspace(-1, 1, 29))))
    assert coarse[0] < fine[0]
    assert coarse[1] <= fine[1]


@pytest.mark.parametrize("kind", [PairwiseUpper, PairwiseLower])
def test_far_points_are_counted(kind):
    """Points 20 deviations apart are distinct; clusters that far apart have the entropy of their weights."""
    y = np.zeros(N, int)
    apart = 20 * 0.1 * np.arange(N)[:, None] * np.ones((1, 3))
    np.testing.assert_allclose(bits(apart, y, kind(0.01))[0], np.log2(N), atol=1e-9)
    weights = np.array([0.5, 0.25, 0.125, 0.125])
    clusters = np.repeat(np.arange(4), (weights * N).astype(int))[:, None] * 5.0
    np.testing.assert_allclose(bits(clusters, y, kind(0.01))[0], 1.75, atol=1e-9)


def test_wide_layers_in_single_precision_have_no_more_bits_than_examples():
    values = np.random.default_rng(0).normal(size=(300, 200)).astype(np.float32)
    np.testing.assert_allclose(bits(values, np.zeros(300, int), PairwiseUpper(1e-3))[0], np.log2(300), rtol=1e-6)


def test_bounds_enclose_the_gaussian_channel():
    """T ~ N(0, 1) seen through N(0, 0.1): I = log2(1 + 10) / 2. 2000 points move a bound by some 0.02 bits."""
    values, y = np.random.default_rng(0).normal(size=(2000, 1)), np.zeros(2000, int)
    upper, lower = (bits(values, y, kind(0.1))[0] for kind in (PairwiseUpper, PairwiseLower))
    true = 0.5 * np.log2(11)
    assert lower - 0.03 < true < upper + 0.03
    assert lower < upper


def test_pairs_by_hand_in_blocks_that_do_not_divide():
    values, y = RNG.normal(size=(N, 2)), RNG.integers(0, 3, N)

    def bound(rows, scale):
        squares = ((rows[:, None] - rows[None]) ** 2).sum(-1)
        return -np.mean(np.log2(np.mean(np.exp(-squares / scale), axis=1)))

    for kind, scale in ((PairwiseUpper, 2 * 0.05), (PairwiseLower, 8 * 0.05)):
        whole = bound(values, scale)
        label = whole - sum(np.mean(y == c) * bound(values[y == c], scale) for c in range(3))
        np.testing.assert_allclose(bits(values, y, kind(0.05, block=27)), (whole, label), atol=1e-10)


def test_pairs_do_not_see_order_and_signs_of_units():
    values, y = np.tanh(RNG.normal(size=(N, 5))), RNG.integers(0, 2, N)
    turned = values[:, [3, 0, 4, 1, 2]] * np.array([1, -1, -1, 1, -1])
    estimator = PairwiseUpper(0.01)
    np.testing.assert_allclose(bits(turned, y, estimator), bits(values, y, estimator), atol=1e-12)


def test_discrete_layers_are_exact():
    """A channel that flips a bit in one case of four: 1 - h(1/4)."""
    a, b = np.repeat([0, 1], 4), np.array([0, 0, 0, 1, 1, 1, 1, 0])
    h = -0.25 * np.log2(0.25) - 0.75 * np.log2(0.75)
    np.testing.assert_allclose(discrete_information(jnp.asarray(a), jnp.asarray(b)), 1 - h, atol=1e-12)
    with pytest.raises(ValueError, match="8 rows and `b` has 7"):
        discrete_information(jnp.asarray(a), jnp.asarray(b[1:]))
    minus = np.array([[0.0], [-0.0], [1.0], [1.0]])
    assert bits(minus, np.zeros(4, int), Exact())[0] == 1


def test_symbols_of_wide_rows_are_those_of_numpy():
    rows = RNG.integers(-3, 3, size=(500, 40))[RNG.integers(0, 100, 800) % 500]
    symbols = np.asarray(row_symbols(jnp.asarray(rows)))
    _, expected = np.unique(rows, axis=0, return_inverse=True)
    pairs = set(zip(symbols.tolist(), expected.ravel().tolist(), strict=True))
    assert len(pairs) == len(set(symbols.tolist())) == expected.max() + 1


def test_layers_of_stacks_end_with_the_output():
    key, x = jax.random.key(0), jnp.arange(3.0)
    sequential = eqx.nn.Sequential(
        [eqx.nn.Linear(3, 4, key=key), eqx.nn.Lambda(jnp.tanh), eqx.nn.LayerNorm(4), eqx.nn.Linear(4, 2, key=key)]
    )
    models = [
        (eqx.nn.MLP(3, 2, 4, 2, activation=jnp.tanh, key=key), (4, 4, 2)),
        (MLP(3, 2, 5, 1, key=key), (5, 2)),
        (sequential, (4, 4, 2)),
    ]
    for model, sizes in models:
        seen = layers_of(model)(model, x)
        assert tuple(len(a) for a in seen) == sizes
        np.testing.assert_allclose(seen[-1], model(x), rtol=1e-12)
        soft = layers_of(model, final=jax.nn.softmax)(model, x)[-1]
        np.testing.assert_allclose(soft, np.exp(model(x)) / np.exp(model(x)).sum(), rtol=1e-12)
    model = models[0][0]
    np.testing.assert_allclose(
        layers_of(model)(model, x)[0], np.tanh(model.layers[0].weight @ x + model.layers[0].bias), rtol=1e-12
    )
    with pytest.raises(TypeError, match="Linear is not a stack of layers it knows"):
        layers_of(eqx.nn.Linear(3, 2, key=key))


def test_layers_of_any_shape_are_flattened_and_the_range_of_a_training_is_of_all_snapshots():
    layers = lambda scale, x: (jnp.outer(x, x) * scale, jnp.sum(x))
    x = jnp.asarray(RNG.normal(size=(5, 3)))
    whole = activations(layers, 1.0, x)
    assert [a.shape for a in whole] == [(5, 9), (5, 1)]
    for a, b in zip(whole, activations(layers, 1.0, x, batch=2), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    first, second = training_range(layers, [1.0, 3.0], x, count=4)
    np.testing.assert_allclose(
        np.asarray(first.binning.edges)[[0, -1]], [3 * min(whole[0].min(), 0), 3 * whole[0].max()]
    )
    assert second.binning.edges.shape == (5,)
    found = layer_information(layers, 1.0, x, np.array([0, 1, 0, 1, 1]), (first, second))
    assert found.input.shape == (2,)


@pytest.mark.parametrize(
    ("x", "y", "estimator", "message"),
    [
        (np.ones((1, 2)), [0], Exact(), "expected at least two"),
        (np.ones((3, 2)), [0, 1], Exact(), r"`y`: got shape \(2,\)"),
        (np.ones((3, 2)), [0, 1, 7], Exact(), r"\[0, 7\]"),
        (np.ones((3, 2)), [0, 1, -1], Exact(), r"\[-1, 1\]"),
        (np.ones((3, 2)), [[0.5, 0.6]] * 3, Exact(), "rows sum to one"),
        (np.array([[1.0], [np.nan]]), [0, 1], Exact(), "layer 0 are NaN or infinite"),
        (np.ones((3, 2)), [0, 1, 1], (Exact(), Exact()), "got 2, expected one, or one for each of the 1"),
    ],
)
def test_refusals(x, y, estimator, message):
    with pytest.raises(ValueError, match=message):
        layer_information(itself, None, jnp.asarray(x), np.asarray(y), estimator)


def test_refusals_of_parts_and_types():
    with pytest.raises(ValueError, match="`width` of a bin must be a positive"):
        FixedWidth(0.0)
    with pytest.raises(ValueError, match="`count` of bins must be at least 1"):
        CurrentRange(0)
    with pytest.raises(ValueError, match="two rising finite numbers"):
        FixedEdges([1.0, 0.0])
    with pytest.raises(ValueError, match="`variance` of the noise must be a positive"):
        PairwiseUpper(-1.0)
    with pytest.raises(ValueError, match="`block` must be at least 1"):
        PairwiseLower(1.0, block=0)
    x = jnp.ones((3, 2))
    with pytest.raises(TypeError, match="labels have dtype float64"):
        layer_information(itself, None, x, np.ones(3), Exact())
    with pytest.raises(TypeError, match="expected a tuple with the array of each layer"):
        layer_information(lambda m, v: v, None, x, np.array([0, 1, 0]), Exact())
    with pytest.raises(TypeError, match="layer 0 has dtype int64"):
        layer_information(lambda m, v: (v.astype(int),), None, x, np.array([0, 1, 0]), Exact())
    with pytest.raises(ValueError, match="`models`: got none"):
        training_range(itself, [], x, count=3)
