"""Scaling, deletion at a rate, splitting and windows."""

import numpy as np
import pytest

from cadlag.data import (
    IrregularSeries,
    Standardise,
    delete_observations,
    delete_time_points,
    rescale_time,
    split,
    windows,
)


def ragged(n=6, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(5, 21, n)
    series = [(np.sort(rng.uniform(0, 9, k)), 3 + 2 * rng.normal(size=(k, channels))) for k in lengths]
    return IrregularSeries.from_ragged(series, labels=np.arange(n) % 2)


def test_standardise_observed_values_only():
    train = delete_observations(ragged(40), 0.3, seed=1)
    scale = Standardise.fit(train)
    scaled = scale.apply(train)
    seen = [np.asarray(scaled.values)[..., c][train.mask[..., c]] for c in range(3)]
    np.testing.assert_allclose([x.mean() for x in seen], 0, atol=1e-12)
    np.testing.assert_allclose([x.std() for x in seen], 1, atol=1e-4)  # the 1e-5 added to the std
    assert np.all(scaled.values[~scaled.mask] == 0)
    np.testing.assert_allclose(scale.invert(scaled).values, train.values, atol=1e-12)
    forecast = np.random.default_rng(2).normal(size=(7, 3))
    np.testing.assert_allclose(scale.invert(forecast), forecast * scale.std + scale.mean)
    np.testing.assert_allclose(scale.apply(train[2]).values, scaled.values[2])


def test_standardise_channel_never_observed_and_constant_channel():
    values = np.stack([np.full((2, 4), np.nan), np.full((2, 4), 7.0)], axis=-1)
    scale = Standardise.fit(IrregularSeries.from_arrays(np.arange(4.0), values))
    np.testing.assert_allclose(scale.mean, [0, 7])
    np.testing.assert_allclose(scale.std, [1, 1e-5])
    with pytest.raises(ValueError, match="fitted on 2 channels, but got 3"):
        scale.invert(np.ones(3))


def test_standardise_in_single_precision():
    series = ragged().astype(np.float32)
    assert Standardise.fit(series).apply(series).values.dtype == np.float32


def test_rescale_time():
    s = ragged()
    whole, each = rescale_time(s), rescale_time(s, each=True, to=(0.0, 2.0))
    assert whole.times.min() == 0
    assert whole.times.max() == 1
    np.testing.assert_allclose(each.times.max(axis=1), 2)
    np.testing.assert_allclose(each.times.min(axis=1), 0)
    np.testing.assert_allclose(np.diff(whole.times) * (s.times.max() - s.times.min()), np.diff(s.times))
    one = rescale_time(IrregularSeries.from_arrays([5.0], np.ones((1, 1, 1))))
    assert one.times.tolist() == [[0.0]]


@pytest.mark.parametrize("rate", [0.3, 0.5, 0.7])
def test_deletion_is_exact_per_series_and_channel(rate):
    s = ragged()
    out = delete_observations(s, rate, seed=3)
    for i, length in enumerate(s.lengths.tolist()):
        assert out.mask[i].sum(axis=0).tolist() == [length - int(length * rate)] * 3
    np.testing.assert_array_equal(out.values, np.where(out.mask, s.values, 0))
    np.testing.assert_array_equal(delete_observations(s, rate, seed=3).mask, out.mask)
    assert np.any(delete_observations(s, rate, seed=4).mask != out.mask)
    assert np.any(out.mask[..., 0] != out.mask[..., 1])


def test_deleting_time_points_takes_all_channels():
    s = ragged()
    out = delete_time_points(s, 0.5, seed=3)
    assert np.all(out.mask.all(axis=-1) == out.mask.any(axis=-1))
    assert out.mask[..., 0].sum(axis=1).tolist() == [k - k // 2 for k in s.lengths.tolist()]


@pytest.mark.parametrize("delete", [delete_observations, delete_time_points])
def test_deletion_at_the_ends_and_refusal(delete):
    s = ragged()
    unchanged = delete(s, 0.0, seed=0)
    np.testing.assert_array_equal(unchanged.mask, s.mask)
    np.testing.assert_array_equal(unchanged.values, s.values)
    assert not delete(s, 1.0, seed=0).mask.any()
    with pytest.raises(ValueError, match=r"`rate` must lie in \[0, 1\], but got 1.5"):
        delete(s, 1.5, seed=0)
    with pytest.raises(ValueError, match=r"lost its example axis; take it with"):
        delete(s[0], 0.5, seed=0)


def test_split_is_disjoint_stratified_and_seeded():
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    s = IrregularSeries.from_arrays(np.arange(2.0), np.ones((100, 2, 1)), labels=labels, ids=np.arange(100))
    parts = split(s, (0.7, 0.2, 0.1), seed=1)
    assert [np.bincount(p.labels).tolist() for p in parts] == [[42, 21, 7], [12, 6, 2], [6, 3, 1]]
    assert sorted(sum((p.ids for p in parts), ())) == list(range(100))
    assert split(s, (0.7, 0.2, 0.1), seed=1)[0].ids == parts[0].ids
    assert split(s, (0.7, 0.2, 0.1), seed=2)[0].ids != parts[0].ids
    plain = split(s, (0.5, 0.5), seed=1, stratify=False)
    assert [len(p) for p in plain] == [50, 50]


def test_split_keeps_rare_classes_in_the_first_part():
    s = IrregularSeries.from_arrays(np.arange(2.0), np.ones((11, 2, 1)), labels=[0] * 10 + [1])
    assert 1 in split(s, (0.3, 0.7), seed=0)[0].labels


@pytest.mark.parametrize(
    ("n", "fractions", "words"),
    [
        (10, (0.5, 0.6), "sum 1"),
        (10, (1.1, -0.1), "positive"),
        (1, (0.5, 0.5), "1 series are too few .*part 1 is empty"),
    ],
)
def test_bad_splits_are_refused(n, fractions, words):
    s = IrregularSeries.from_arrays(np.arange(2.0), np.ones((n, 2, 1)))
    with pytest.raises(ValueError, match=words):
        split(s, fractions, seed=0)


def test_windows_against_slices():
    array = np.arange(2 * 10 * 3.0).reshape(2, 10, 3)
    inputs, targets = windows(array, 4, 2, stride=2)
    expected = [(array[i, j : j + 4], array[i, j + 4 : j + 6]) for i in range(2) for j in range(0, 5, 2)]
    np.testing.assert_array_equal(inputs, [x for x, _ in expected])
    np.testing.assert_array_equal(targets, [y for _, y in expected])
    assert windows(array[0], 9, 1)[0].shape == (1, 9, 3)


@pytest.mark.parametrize(
    ("shape", "sizes", "words"),
    [
        ((10,), (2, 1, 1), "must have shape"),
        ((10, 1), (9, 2, 1), "longer than the 10"),
        ((10, 1), (0, 2, 1), "at least 1"),
    ],
)
def test_bad_windows_are_refused(shape, sizes, words):
    with pytest.raises(ValueError, match=words):
        windows(np.zeros(shape), *sizes)
