"""Large steps: the map of one example, the testbed against NumPy, and a detector on traces that are known."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cadlag.data import Batches
from cadlag.lens import (
    Course,
    FeatureNoise,
    PatchNetwork,
    alignments,
    oscillation,
    oscillation_window,
    sign_accuracy,
    squared_loss,
    toy_end,
    toy_path,
)
from cadlag.train import fit, gradient, minimise

KEY = jax.random.key(0)
LAW = FeatureNoise(30, weak=0.2)


def by_hand(kappa, kappa_u, a, b, steps):
    rows = []
    for _ in range(steps):
        s = 1 - a**2 - b**2
        rows.append((a**2, b**2, s))
        a, b = a * (1 + kappa * s), b * (1 + kappa_u * s)
    return np.array(rows).T


def test_the_map_is_that_of_the_formula_and_small_steps_leave_the_weak_feature_where_it_is():
    found = toy_path(0.5, 0.005, 0.05, 0.01, 20_000)
    np.testing.assert_allclose(np.stack(found)[:, :300], by_hand(0.5, 0.005, 0.05, 0.01, 300), rtol=1e-9, atol=1e-12)
    assert abs(found.residual[-1]) < 1e-9
    np.testing.assert_allclose([found.strong[-1], found.weak[-1]], [0.99989, 0.00011], atol=1e-5)


@pytest.mark.parametrize(("kappa", "mean"), [(1.1, 0.0454), (1.3, 0.1041), (1.5, 0.2113)])
def test_oscillation_drives_and_ends_at_the_edge_of_stability(kappa, mean):
    alone = toy_path(kappa, 0.0, 0.05, 0.0, 20_000)
    assert abs(np.mean(alone.residual[200:]) / mean - 1) < 0.05
    # On a bounded orbit the logarithm of the factor averages to zero.
    assert abs(np.mean(np.log1p(kappa * alone.residual[200:]))) < 1e-3
    both = toy_path(kappa, kappa / 100, 0.05, 0.01, 20_000)
    assert abs(both.weak[-1] / toy_end(kappa, kappa / 100) - 1) < 0.01
    assert both.weak[-1] > toy_end(kappa, kappa / 100)
    reached = int(np.argmax(both.weak > 0.9 * both.weak[-1]))
    assert abs(reached / {1.1: 9000, 1.3: 3500, 1.5: 1900}[kappa] - 1) < 0.1


def test_inside_the_window_signs_are_kept_and_beyond_orbits_diverge():
    assert abs(np.mean(toy_path(0.9, 0.0, 0.05, 0.0, 2000).residual[1000:])) < 1e-9
    for a in (0.05, 0.3, 0.77):
        # f stays below 1 + 1/kappa, so that a keeps its sign ...
        inside = toy_path(1.59, 0.0, a, 0.0, 20_000)
        assert np.max(inside.strong) < 1 + 1 / 1.59
        # ... which beyond the window it does not; from kappa = 2 on orbits are unbounded.
        assert np.max(toy_path(1.7, 0.0, a, 0.0, 20_000).strong) > 1 + 1 / 1.7
        assert not np.isfinite(toy_path(2.1, 0.0, a, 0.0, 20_000).residual[-1])
    np.testing.assert_allclose(oscillation_window(1.0, 4), (2.0, 2 * 1.598), rtol=1e-4)
    assert toy_end(0.7, 0.0) == 0


def test_examples_have_their_patches_and_noise_is_orthogonal():
    data = FeatureNoise(50, weak=0.3, strong=2.0, share=0.25, noise=0.7).sample(4000, key=KEY)
    patches, y = np.asarray(data.patches), np.asarray(data.y)
    assert set(y) == {-1.0, 1.0}
    np.testing.assert_allclose(patches[:, 0, 0], 0.3 * y)
    strong = patches[:, 1, 1] != 0
    np.testing.assert_allclose(patches[strong, 1, 1], 2 * y[strong])
    assert abs(strong.mean() - 0.25) < 4 * (0.25 * 0.75 / 4000) ** 0.5
    assert np.all(patches[:, 2, :2] == 0)
    assert np.all(patches[:, :2, 2:] == 0)
    # 48 Gaussian coordinates of deviation 0.7/sqrt(50): the mean square within four standard errors.
    square = np.sum(patches[:, 2] ** 2, axis=1).mean()
    assert abs(square / (0.49 * 48 / 50) - 1) < 4 * (2 / 48 / 4000) ** 0.5


def numpy_step(filters, patches, y, rate):
    """The rule of the paper, one example."""
    new, m = filters.copy(), filters.shape[1]
    inner = np.einsum("jrd,pd->jrp", filters, patches)
    f = (np.maximum(inner[0], 0) ** 2).sum() / m - (np.maximum(inner[1], 0) ** 2).sum() / m
    for j, sign in enumerate((1, -1)):
        for r in range(m):
            push = sum(2 * max(inner[j, r, p], 0) * patches[p] for p in range(len(patches)))
            new[j, r] = filters[j, r] - rate * (f - y) * sign / m * push
    return new


def test_sgd_of_the_library_is_the_rule_and_stays_in_the_span_of_the_data():
    data, network = LAW.sample(5, key=KEY), PatchNetwork(30, 2, key=jax.random.key(1))
    source = Batches(data, 1)
    update = gradient(squared_loss, optax.sgd(0.3))
    state, _ = minimise(update, update.init(network, KEY), source, 5, key=KEY)
    expected = np.asarray(network.filters)
    # The order in which the source shows them, told by a number of their noise.
    look = gradient(lambda n, b, k: (squared_loss(n, b, k)[0], {"first": b.patches[0, 2, 2]}), optax.sgd(0.3))
    _, info = minimise(look, look.init(network, KEY), source, 5, key=KEY)
    for value in np.asarray(info["first"]):
        i = int(np.argmin(np.abs(np.asarray(data.patches[:, 2, 2]) - value)))
        expected = numpy_step(expected, np.asarray(data.patches[i]), float(data.y[i]), 0.3)
    np.testing.assert_allclose(state.unknowns.filters, expected, atol=1e-12)
    span = np.concatenate([np.asarray(data.patches).reshape(-1, 30)])
    moved = (expected - np.asarray(network.filters)).reshape(-1, 30)
    rest = moved - (np.linalg.pinv(span) @ span @ moved.T).T
    assert np.abs(rest).max() < 1e-12


def test_signs_are_a_symmetry():
    network, data = PatchNetwork(30, 3, key=KEY), LAW.sample(6, key=jax.random.key(2))
    swapped = eqx.tree_at(lambda n: n.filters, network, network.filters[::-1])
    f = jax.vmap(network)(data.patches)
    np.testing.assert_allclose(jax.vmap(swapped)(data.patches), -f, atol=1e-14)
    assert 0 <= float(sign_accuracy(network, data)) <= 1
    u, v = alignments(network)
    np.testing.assert_allclose([u, v], np.asarray(network.filters[0, :, :2]).max(0))


@eqx.filter_jit
def trained(law, key, rate, steps=1500, n=20, width=2):
    k1, k2, k3, k4 = jax.random.split(key, 4)
    update = gradient(squared_loss, optax.sgd(rate))
    state = update.init(PatchNetwork(law.dimension, width, key=k2), k3)
    state, info = minimise(update, state, Batches(law.sample(n, key=k1), 1), steps, key=k3)
    return sign_accuracy(state.unknowns, law.sample(500, key=k4, share=0.0)), info["residual"], info["loss"]


def test_without_a_strong_feature_any_step_learns_and_with_one_everywhere_small_steps_do_not():
    # No memorising: without noise the weak feature is all there is.
    plain = FeatureNoise(40, weak=0.5, share=0.0, noise=0.0)
    for rate in (0.2, 1.0):
        assert float(trained(plain, KEY, jnp.asarray(rate), width=8)[0]) > 0.95
    everywhere = FeatureNoise(400, weak=0.1, share=1.0)
    assert float(trained(everywhere, KEY, jnp.asarray(0.2))[0]) < 0.75


def test_large_steps_oscillate_with_a_positive_residual_and_small_ones_do_not():
    law = FeatureNoise(400, share=1.0)
    _, residual, _ = trained(law, KEY, jnp.asarray(1.2))
    large = oscillation(residual[:600])
    _, residual, _ = trained(law, KEY, jnp.asarray(0.1))
    small = oscillation(residual)
    assert large.course in (Course.oscillating, Course.fluctuating)
    assert large.mean > 0
    assert large.amplitude > 5 * small.amplitude


def test_full_batches_end_at_the_edge_of_stability():
    """The largest eigenvalue of the loss's Hessian times the step is at most two, up to the last steps' wobble."""
    law = FeatureNoise(12, weak=0.6)
    data, network, rate = law.sample(6, key=KEY), PatchNetwork(12, 1, key=jax.random.key(3)), 0.8
    update = gradient(squared_loss, optax.sgd(rate))
    state, info = jax.jit(lambda s: minimise(update, s, Batches(data, 6), 4000, key=KEY))(update.init(network, KEY))
    assert oscillation(info["loss"], window=200).course is Course.converged

    def loss(flat):
        return squared_loss(network_of(flat.reshape(2, 1, 12)), data, KEY)[0]

    sharpness = np.linalg.eigvalsh(jax.hessian(loss)(state.unknowns.filters.reshape(-1)))[-1]
    assert 0 < sharpness < 2 / rate * 1.01


def network_of(filters):
    return eqx.tree_at(lambda n: n.filters, PatchNetwork(12, 1, key=KEY), filters)


T = np.arange(400)


@pytest.mark.parametrize(
    ("trace", "course"),
    [
        (1 + np.exp(-T / 10.0), Course.converged),
        (np.full(400, 3.0), Course.converged),
        (np.full(400, 0.1), Course.converged),
        (np.full(400, 0.3), Course.converged),
        (np.zeros(400), Course.converged),
        (np.r_[1000.0, 1 + 0.5 * (-1.0) ** np.arange(399)], Course.oscillating),
        (np.geomspace(1, 1e30, 400), Course.diverged),
        (5 - 0.01 * T + 0.01 * np.cos(np.pi * T), Course.drifting),
        (1 + 0.3 * (-1.0) ** T, Course.oscillating),
        (np.random.default_rng(0).normal(size=400), Course.fluctuating),
        (np.sin(T / 5.0), Course.fluctuating),
        (np.where(T > 300, np.nan, 1.0), Course.diverged),
        (np.where(T > 350, np.inf, 2.0 ** np.minimum(T, 350)), Course.diverged),
    ],
)
def test_courses_of_known_traces(trace, course):
    found = oscillation(trace)
    assert found.course is course
    if course is Course.oscillating and trace[0] < 10:
        np.testing.assert_allclose([found.amplitude, found.mean], [0.3, 1.0], rtol=1e-2)
        assert found.alternation > 0.99
    if course is Course.diverged:
        assert found.first == int(np.argmax(~(np.abs(trace) <= 1e12 * max(1, np.abs(trace[:8]).max()))))


def test_any_training_run_of_the_library(tmp_path):
    """Gradient descent beyond 2/curvature alternates in a quartic; the folder of its run says so."""

    def quartic(w, batch, key):
        return jnp.sum((w**2 - 1) ** 2), {}

    for rate, course in ((0.02, Course.converged), (0.26, Course.oscillating)):
        folder = tmp_path / str(rate)
        fit(gradient(quartic, optax.sgd(rate)), jnp.asarray([0.9]), None, steps=400, key=KEY, run=folder)
        assert oscillation(folder).course is course


def test_a_composition_an_operator_trained_with_too_large_a_step(tmp_path):
    """Nobody's combination: the detector on the fit of a Fourier neural operator."""
    from cadlag.operators import FNO, OperatorRegressor

    x = np.random.default_rng(0).normal(size=(12, 1, 16))
    network = partial(FNO, width=4, modes=4, layers=1)
    model = OperatorRegressor(network, steps=60, batch_size=12, learning_rate=0.3, validation_fraction=0.0)
    found = oscillation(model.fit(x, np.roll(x, 1, -1)).history_["loss"])
    assert found.course in (Course.fluctuating, Course.oscillating, Course.drifting)
    assert found.amplitude > 0


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda p: FeatureNoise(share=1.2), "share=1.2"),
        (lambda p: FeatureNoise(2), "dimension=2"),
        (lambda p: FeatureNoise(weak=0.0), "weak=0.0"),
        (lambda p: PatchNetwork(10, 0, key=KEY), "width=0"),
        (lambda p: toy_path(0.0, 0.0, 0.1, 0.1, 5), "kappa=0.0"),
        (lambda p: toy_end(1.7, 0.1), "1.598"),
        (lambda p: oscillation_window(0.0, 4), "strong=0.0"),
        (lambda p: oscillation(np.ones(6)), "at least 8"),
        (lambda p: oscillation(np.ones((20, 2))), "one value a step"),
        (lambda p: oscillation(p), "no config.json"),
        (lambda p: oscillation(np.ones(20), least=float("nan")), "least=nan"),
    ],
)
def test_bad_input(make, text, tmp_path):
    with pytest.raises(ValueError, match=text):
        make(tmp_path)
