"""The bottleneck: closed forms of channels and Gaussians, inequalities, the beta of a layer; the twelve-bit task."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.lens import (
    encoder_information,
    entropy,
    icosahedral_task,
    icosahedron,
    information_bottleneck,
    layer_beta,
    merge_inputs,
)
from cadlag.lens._bottleneck import bottleneck_turn

CHANNEL = np.array([[0.45, 0.05], [0.05, 0.45]])  # a uniform bit, flipped in one case of ten


def test_binary_symmetric_channel():
    """Known to six digits; below beta 1 / (1 - 0.2)² = 1.5625 nothing is kept, but convergence slows towards it."""
    curve = information_bottleneck(CHANNEL, np.array([1.6, 3.0, 2.0, 1.45]))
    np.testing.assert_array_equal(curve.beta, [3, 2, 1.6, 1.45])
    np.testing.assert_allclose(curve.input[:3], [0.948951, 0.696433, 0.128723], atol=2e-6)
    np.testing.assert_allclose(curve.label[:3], [0.516595, 0.407234, 0.081446], atol=2e-6)
    np.testing.assert_allclose([curve.input[3], curve.label[3]], 0, atol=1e-6)
    assert curve.encoder.shape == (4, 2, 2)
    assert np.all(np.asarray(curve.change) < 1e-9)


def test_certain_labels_give_the_corner_at_once():
    joint = np.array([[0.1, 0], [0.2, 0], [0.3, 0], [0, 0.4]])
    h = -0.6 * np.log2(0.6) - 0.4 * np.log2(0.4)
    curve = information_bottleneck(joint, np.array([1.1, 2.0, 50.0]))
    np.testing.assert_allclose(curve.input, h, atol=1e-6)
    np.testing.assert_allclose(curve.label, h, atol=1e-6)
    # the curve itself is I_Y = min(I_X, H(Y))
    np.testing.assert_allclose(curve.at(jnp.array([0.0, 0.5, 3.0])), [0, 0.5, h], atol=1e-6)


@pytest.fixture(scope="module")
def table():
    joint = np.random.default_rng(3).dirichlet(np.full(3, 0.3), 6) / 6
    return joint, information_bottleneck(joint, np.geomspace(1.5, 60, 80))


def test_no_turn_raises_the_objective(table):
    joint, _ = table
    joint = jnp.asarray(joint)
    encoder = jnp.asarray(np.random.default_rng(0).dirichlet(np.ones(7), 6))
    turn, bits = jax.jit(lambda e: bottleneck_turn(joint, e, 5.0)), jax.jit(lambda e: encoder_information(joint, e))
    values = []
    for _ in range(40):
        a, b = bits(encoder)
        values.append(float(a - 5.0 * b))
        encoder = turn(encoder)
        np.testing.assert_allclose(encoder.sum(axis=1), 1, atol=1e-12)
    assert np.all(np.diff(values) <= 1e-10)
    assert values[-1] < values[0] - 0.1


def test_the_curve_is_concave_of_slope_one_over_beta_and_ends_at_the_whole(table):
    joint, curve = table
    x, y, beta = (np.asarray(a) for a in (curve.input, curve.label, curve.beta))
    assert np.all(np.diff(x) < 1e-9)
    assert np.all(np.diff(y) < 1e-9)
    moved = np.diff(x) < -1e-4
    slope = (np.diff(y) / np.diff(x))[moved]
    # between two neighbours the slope lies between their 1/beta
    assert np.all(slope > 1 / beta[:-1][moved] - 1e-4)
    assert np.all(slope < 1 / beta[1:][moved] + 1e-4)
    assert moved.sum() > 10
    whole = encoder_information(jnp.asarray(joint), jnp.eye(6))
    assert float(curve.label[0]) <= float(whole[1]) + 1e-9
    np.testing.assert_allclose(curve.label[0], whole[1], atol=2e-3)
    assert np.all(np.asarray(curve.at(curve.input)) >= y - 1e-9)


def test_gaussians():
    """Correlation 0.8, cut into 25 bins of ±3: I_Y = -log2(1 - r² (1 - 2^{-2 I_X})) / 2 within the cutting's error."""
    rho, grid = 0.8, np.linspace(-3, 3, 25)
    x, y = np.meshgrid(grid, grid, indexing="ij")
    joint = np.exp(-(x**2 - 2 * rho * x * y + y**2) / (2 * (1 - rho**2)))
    curve = information_bottleneck(joint / joint.sum(), np.array([5.0, 3.0, 2.2, 1.3]), tolerance=1e-6)
    bits = np.asarray(curve.input)
    expected = -0.5 * np.log2(1 - rho**2 * (1 - 2 ** (-2 * bits)))
    np.testing.assert_allclose(curve.label[:3], expected[:3], atol=0.02)
    assert bits[0] > bits[1] > bits[2] > 0.3
    # below 1 / r² = 1.5625
    assert bits[3] < 1e-3


def test_equal_inputs_may_be_merged():
    joint = np.array([[0.1, 0.1], [0.05, 0.15], [0.2, 0.2], [0.05, 0.15]])
    merged, place = merge_inputs(joint)
    assert merged.shape == (2, 2)
    assert place[0] == place[2] != place[1] == place[3]
    a, b = (information_bottleneck(t, np.array([20.0, 30.0])) for t in (joint, merged))
    np.testing.assert_allclose(a.input, b.input, atol=1e-7)
    np.testing.assert_allclose(a.label, b.label, atol=1e-7)


def test_beta_of_a_layer_makes_the_divergence_least():
    joint = np.random.default_rng(1).dirichlet([0.5, 0.5], 12) / 12
    symbols = np.array([0, 0, 1, 1, 2, 2, 0, 1, 2, 0, 1, 2])
    beta, divergence = layer_beta(joint, symbols)

    def by_hand(b):
        prior = np.bincount(symbols) / 12
        decoder = np.stack([joint[symbols == t].sum(0) for t in range(3)]) / prior[:, None]
        given = joint * 12
        distance = (given[:, None] * np.log(given[:, None] / decoder[None])).sum(-1)
        weights = prior * np.exp(-b * distance)
        return -np.mean(np.log2(weights[np.arange(12), symbols] / weights.sum(1)))

    np.testing.assert_allclose(divergence, by_hand(beta), rtol=1e-9)
    assert by_hand(beta) <= min(by_hand(b) for b in (0, 0.9 * beta, 1.1 * beta + 0.01, 10.0)) + 1e-12
    # sorted by label: every input is with its nearest symbol
    assert layer_beta(joint, (joint[:, 0] * 12 > 0.5).astype(int))[0] == float("inf")


def test_float32_stays():
    curve = information_bottleneck(CHANNEL.astype(np.float32), np.array([2.0]), tolerance=1e-6)
    assert curve.input.dtype == curve.encoder.dtype == jnp.float32
    np.testing.assert_allclose(curve.input, 0.696433, atol=1e-4)


@pytest.mark.parametrize(
    ("joint", "betas", "message"),
    [
        (CHANNEL, [0.0, 1.0], "`betas` must be positive"),
        (CHANNEL, [], "`betas` must be positive"),
        (2 * CHANNEL, [1.0], "must sum to one"),
        (np.array([[1.0, 0.0], [0.0, 0.0]]), [1.0], "no row of zeros"),
        (np.array([[1.5, -0.5]]), [1.0], "floats >= 0"),
    ],
)
def test_refusals(joint, betas, message):
    with pytest.raises(ValueError, match=message):
        information_bottleneck(joint, np.array(betas))


def test_refusals_of_encoders_and_symbols():
    with pytest.raises(ValueError, match="2 rows that sum to one"):
        information_bottleneck(CHANNEL, np.array([1.0]), encoder=jnp.ones((2, 2)))
    with pytest.raises(ValueError, match="one for each of the 2 inputs"):
        layer_beta(CHANNEL, np.array([0, 1, 1]))


def test_labels_of_twelve_bits():
    task = icosahedral_task()
    labels, weight = np.asarray(task.labels), np.asarray(task.values).sum(axis=1)
    assert labels.sum() == 2118
    np.testing.assert_allclose(entropy(jnp.array([2118 / 4096, 1978 / 4096])), 0.999157, atol=5e-7)
    assert [int(labels[weight == w].sum()) for w in range(13)] == [0, 0, 0, 0, 0, 60, 532, 732, 495, 220, 66, 12, 1]


def test_labels_do_not_see_rotations_and_the_antipodal_map():
    task, vertices = icosahedral_task(), icosahedron()
    axis = vertices[0]
    turn = 2 * np.pi / 5
    cross = np.cross(np.eye(3), axis)
    five = np.cos(turn) * np.eye(3) + np.sin(turn) * cross + (1 - np.cos(turn)) * np.outer(axis, axis)
    for matrix in (five, -np.eye(3)):
        moved = vertices @ matrix
        order = np.argmin(((moved[:, None] - vertices[None]) ** 2).sum(-1), axis=1)
        assert sorted(order) == list(range(12))
        assert not np.array_equal(order, np.arange(12))
        # pattern -> number: bit i has the value 2^i
        number = (np.asarray(task.values)[:, order] @ 2 ** np.arange(12)).astype(int)
        np.testing.assert_array_equal(np.asarray(task.labels)[number], task.labels)


def test_soft_labels():
    """Published figures of the card; the sign of the margin is the label."""
    hard = np.asarray(icosahedral_task().labels)
    for gamma, bits in ((9.64, 0.990), (1.0, 0.719), (2.0, 0.840), (4.0, 0.924)):
        soft = np.asarray(icosahedral_task(gamma=gamma).labels)
        np.testing.assert_array_equal(soft[:, 1] > 0.5, hard == 1)
        found = encoder_information(
            jnp.asarray(merge_inputs(soft / 4096)[0]), jnp.eye(len(merge_inputs(soft / 4096)[0]))
        )
        np.testing.assert_allclose(found[1], bits, atol=6e-4)
    assert np.all(np.isfinite(icosahedral_task(gamma=1e4).labels))
    with pytest.raises(ValueError, match="`gamma` must be a positive"):
        icosahedral_task(gamma=0.0)
