"""Sources of batches, bundled data and simulated spirals."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.data import BUNDLED, Batches, FromFunction, FullBatch, IrregularSeries, bundled, spirals


@eqx.filter_jit
def draws(source, key, steps):
    init, *keys = jax.random.split(key, steps + 1)
    state, batches = source.init(init), []
    for k in keys:
        state, batch = source.draw(state, None, k)
        batches.append(batch)
    return state, jnp.stack(batches)


def test_an_epoch_is_a_permutation_without_the_remainder(getkey):
    source = Batches(np.arange(11), 3)
    assert source.batches_per_epoch == 3
    state, batches = draws(source, getkey(), 6)
    assert batches.shape == (6, 3)
    for epoch in (batches[:3], batches[3:]):
        assert len(set(epoch.ravel().tolist())) == 9
    assert batches[:3].ravel().tolist() != batches[3:].ravel().tolist()
    assert int(state.epoch) == 1


def test_every_example_turns_up(getkey):
    _, batches = draws(Batches(np.arange(5), 3), getkey(), 20)
    counts = np.bincount(batches.ravel(), minlength=5)
    # 60 draws over 5: 12 each on average; an example misses an epoch with chance 2/5, all 20 with 1e-8.
    assert counts.min() > 0


def test_same_key_same_batches_and_scan_equals_loop(getkey):
    source, key = Batches(np.arange(7), 2), getkey()
    _, loop = draws(source, key, 8)

    def step(state, k):
        return source.draw(state, None, k)

    init, *keys = jax.random.split(key, 9)
    _, scanned = jax.lax.scan(step, source.init(init), jnp.stack(keys))
    np.testing.assert_array_equal(loop, scanned)


def test_large_batches_are_clipped(getkey):
    _, batches = draws(Batches(np.arange(4), 10), getkey(), 2)
    assert [sorted(b.tolist()) for b in batches] == [[0, 1, 2, 3]] * 2


def test_batches_of_series_drop_the_ids(getkey):
    series = IrregularSeries.from_arrays(
        np.arange(3.0), np.arange(12.0).reshape(4, 3, 1), labels=[0, 1, 2, 3], ids="abcd"
    )
    source = Batches((series, np.arange(4)), 2)
    _, (batch, index) = source.draw(source.init(getkey()), None, getkey())
    assert batch.ids is None
    assert batch.values.shape == (2, 3, 1)
    np.testing.assert_array_equal(batch.values, series.values[np.asarray(index)])
    np.testing.assert_array_equal(batch.labels, index)


def test_full_batch_and_function(getkey):
    full = FullBatch({"x": np.arange(3)})
    assert full.draw(full.init(getkey()), None, getkey())[1]["x"].tolist() == [0, 1, 2]
    fresh, key = FromFunction(lambda key: jax.random.normal(key, (2,))), getkey()
    np.testing.assert_array_equal(fresh.draw(fresh.init(getkey()), None, key)[1], jax.random.normal(key, (2,)))


@pytest.mark.parametrize(
    ("data", "size", "words"),
    [
        (np.arange(3), 0, "`batch_size` must be at least 1"),
        ((np.arange(3), np.arange(4)), 1, r"equal length >= 1 first, got \[\(3,\), \(4,\)\]"),
        (np.zeros((0, 2)), 1, "equal length >= 1"),
        ((), 1, "equal length >= 1"),
    ],
)
def test_bad_data_for_batches(data, size, words):
    with pytest.raises(ValueError, match=words):
        Batches(data, size)


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [
        ("BasicMotions", (80, 100, 6), 4),
        ("JapaneseVowels", (640, 29, 12), 9),
        ("GunPoint", (200, 150, 1), 2),
        ("ArrowHead", (211, 251, 1), 3),
        ("ItalyPowerDemand", (1096, 24, 1), 2),
        ("digits", (1797, 8, 8), 10),
    ],
)
def test_bundled(name, shape, classes):
    if name != "digits":
        pytest.importorskip("aeon")
    s = bundled(name)
    assert name in BUNDLED
    assert s.values.shape == shape
    assert len(s.classes) == classes
    assert (s.times.min(), s.times.max()) == (0.0, 1.0)
    assert (s.lengths.min(), s.lengths.max()) == ((7, 29) if name == "JapaneseVowels" else (shape[1],) * 2)


def test_bundled_refusals(monkeypatch):
    with pytest.raises(ValueError, match="no bundled data set 'Iris'; there are BasicMotions"):
        bundled("Iris")
    monkeypatch.setitem(__import__("sys").modules, "aeon.datasets", None)
    with pytest.raises(ImportError, match="aeon is needed"):
        bundled("GunPoint")


def test_spirals_solve_their_equation(getkey):
    s = spirals(6, key=getkey(), steps=400)
    assert s.labels.tolist() == [1, 1, 1, 0, 0, 0]
    A = np.array([[-0.3, 2.0], [-2.0, -0.3]])
    mirror = np.diag([-1.0, 1.0])
    slope = np.gradient(s.values, s.times[0], axis=1)[:, 1:-1]
    for i, one in enumerate(np.asarray(s.values)[:, 1:-1]):
        M = mirror @ A @ mirror if s.labels[i] else A
        # Central differences, step 0.03, third derivatives below 10.
        np.testing.assert_allclose(slope[i], one @ M.T, atol=3e-3)
    np.testing.assert_allclose(np.linalg.norm(s.values[:, 0], axis=-1), 1.0, atol=1e-12)
    noisy = spirals(4, key=getkey(), steps=100, noise=0.1)
    late = np.asarray(noisy.values)[:, -30:]  # the decay has left at most exp(-2.6) here
    assert 0.08 < late.std() < 0.14
    with pytest.raises(ValueError, match="at least 2"):
        spirals(1, key=getkey())
