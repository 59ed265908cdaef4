"""The record: what construction accepts, refuses, and keeps."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.data import IrregularSeries

GRID = np.arange(4.0)


def small():
    values = np.arange(24.0).reshape(3, 4, 2)
    values[0, 1, 0] = np.nan
    return IrregularSeries.from_arrays(
        GRID, values, lengths=[4, 2, 3], labels=["b", "a", "b"], ids=["p", "q", "r"], static=np.ones((3, 1))
    )


def test_from_arrays():
    s = small()
    assert len(s) == 3
    assert s.channels == ("x0", "x1")
    assert s.classes == ("a", "b")
    assert s.labels.tolist() == [1, 0, 1]
    assert s.values[0, 1, 0] == 0
    assert not s.mask[0, 1, 0]
    assert s.mask.sum(axis=(1, 2)).tolist() == [7, 4, 6]
    assert s.times[1].tolist() == [0, 1, 1, 1]
    assert np.all(s.values[1, 2:] == 0)


def test_from_ragged_equals_its_parts():
    parts = [(np.array([0.0, 2.0, 3.0]), np.ones((3, 2))), (np.array([1.0]), np.full((1, 2), 5.0))]
    s = IrregularSeries.from_ragged(parts)
    assert s.values.shape == (2, 3, 2)
    assert s.lengths.tolist() == [3, 1]
    for i, (times, values) in enumerate(parts):
        np.testing.assert_array_equal(s.times[i, : s.lengths[i]], times)
        np.testing.assert_array_equal(s.values[i, : s.lengths[i]], values)
    assert s.times[1].tolist() == [1, 1, 1]
    assert IrregularSeries.from_ragged([(GRID, GRID)]).values.shape == (1, 4, 1)


def test_nan_times_on_padding_are_fine():
    times = np.array([[0.0, 1.0, np.nan]])
    s = IrregularSeries.from_arrays(times, np.ones((1, 3, 1)), lengths=[2])
    assert s.times.tolist() == [[0, 1, 1]]


def test_indexing():
    s = small()
    assert s[1].values.shape == (4, 2)
    assert s[1].ids == ("q",)
    assert s[-1].labels == 1
    assert s[1:].ids == ("q", "r")
    assert s[[2, 0]].ids == ("r", "p")
    assert s[np.array([True, False, True])].lengths.tolist() == [4, 3]
    assert s.take([1]).values.shape == (1, 4, 2)
    assert len(list(s)) == 3
    assert s.without_ids().ids is None
    with pytest.raises(IndexError, match="index 3 is out of range for 3 series"):
        s[3]
    with pytest.raises(TypeError, match="one series without an example axis"):
        len(s[0])
    with pytest.raises(ValueError, match=r"boolean index must have shape \(3,\)"):
        s.take(np.array([True]))


def test_take_under_jit_and_vmap():
    s = small()
    picked = eqx.filter_jit(lambda s, i: s.take(i))(s, jnp.array([2, 1]))
    np.testing.assert_array_equal(picked.values, s.values[[2, 1]])
    assert picked.ids is None
    sums = jax.vmap(lambda one: jnp.sum(jnp.where(one.mask, one.values, 0)))(s)
    np.testing.assert_allclose(sums, np.where(s.mask, s.values, 0).sum(axis=(1, 2)))


def test_dtypes():
    s = IrregularSeries.from_arrays(GRID, np.ones((2, 4, 1), np.float32))
    assert s.times.dtype == s.values.dtype == np.float32
    assert small().astype(np.float32).times.dtype == np.float32
    assert small().astype(np.float32).labels.dtype == np.int32
    assert IrregularSeries.from_arrays([0, 1], np.ones((1, 2, 1), int)).values.dtype == np.float64


def test_targets_and_given_classes():
    ones = np.ones((2, 4, 1))
    assert IrregularSeries.from_arrays(GRID, ones, labels=[0.5, 1.5]).labels.shape == (2, 1)
    s = IrregularSeries.from_arrays(GRID, ones, labels=["x", "y"], classes=["z", "y", "x"])
    assert s.labels.tolist() == [2, 1]
    assert s.classes == ("z", "y", "x")
    one_class = IrregularSeries.from_arrays(GRID, ones, labels=[7, 7])
    assert one_class.classes == (7,)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"values": np.ones((3, 4))}, ValueError, r"`values\[\.\.\., None\]`"),
        ({"values": np.ones((0, 4, 2))}, ValueError, "none 0"),
        (
            {"values": np.full((3, 4, 2), "a")},
            TypeError,
            "`values` must be real numbers, but its dtype is <U1",
        ),
        ({"values": np.ones((3, 4, 2), complex)}, TypeError, "complex128"),
        (
            {"values": np.full((3, 4, 2), np.inf)},
            ValueError,
            r"24 infinite value\(s\), the first at index \(0, 0, 0\)",
        ),
        ({"times": np.arange(3.0)}, ValueError, r"`times` must have shape \(3, 4\) or \(4,\)"),
        ({"times": np.array([0.0, 2, 1, 3])}, ValueError, "series 0 decrease from step 1 to 2"),
        ({"times": np.array([0.0, 1, 1, 3])}, ValueError, "series 0 repeat from step 1 to 2"),
        ({"times": np.array([0.0, 1, np.nan, 3])}, ValueError, "series 0, step 2 is not"),
        ({"lengths": [4, 5, 1]}, ValueError, "series 1 has length 5"),
        ({"lengths": [4, 0, 1]}, ValueError, "series 1 has length 0"),
        ({"lengths": [4.0, 1, 1]}, ValueError, "`lengths` must be 3 integers"),
        ({"mask": np.ones((3, 4), bool)}, ValueError, r"`mask` must be boolean of shape \(3, 4, 2\)"),
        ({"static": np.ones(3)}, ValueError, r"`static` must have shape \(3, features\)"),
        ({"labels": [0, 1]}, ValueError, r"`labels` must have shape \(3,\)"),
        ({"labels": [0.0, 1.0, np.nan]}, ValueError, "`labels` hold NaN"),
        ({"labels": ["a", "b", "q"], "classes": ["a", "b"]}, ValueError, "`labels` hold q, not among"),
        ({"labels": [0, 1, 2], "classes": ["a", "b"]}, ValueError, "codes into 2 `classes`, but range to 2"),
        ({"labels": [[0], [1], [2]]}, ValueError, "must be floats"),
        ({"channels": ["a"]}, ValueError, "`channels` must have 2 entries, but got 1"),
        ({"ids": ["a", "b", "a"]}, ValueError, "'a' comes twice"),
    ],
)
def test_bad_arrays_are_refused(change, error, words):
    with pytest.raises(error, match=words):
        IrregularSeries.from_arrays(**{"times": GRID, "values": np.ones((3, 4, 2)), **change})


def test_times_that_meet_in_single_precision_are_refused():
    times = 1.7e9 + np.arange(4.0)
    with pytest.raises(ValueError, match="in float32, the dtype of `values`; subtract a common origin first"):
        IrregularSeries.from_arrays(times, np.ones((1, 4, 1), np.float32))
    assert IrregularSeries.from_arrays(times, np.ones((1, 4, 1))).times[0, 1] == 1.7e9 + 1


@pytest.mark.parametrize(
    ("series", "words"),
    [
        ([], "`series` is empty"),
        ([(GRID, np.ones((4, 1))), (GRID, np.ones((4, 2)))], r"but they have \[1, 2\]"),
        ([(GRID, np.ones((3, 1)))], r"Series 0 must be .* got shapes \(4,\) and \(3, 1\)"),
        ([(np.zeros(0), np.zeros((0, 1)))], "with T >= 1"),
    ],
)
def test_bad_ragged_lists_are_refused(series, words):
    with pytest.raises(ValueError, match=words):
        IrregularSeries.from_ragged(series)


def test_ragged_arrays_of_objects_are_refused_with_advice():
    with pytest.raises(TypeError, match=r"use `IrregularSeries.from_ragged`"):
        IrregularSeries.from_arrays(GRID, np.array([np.ones(2), np.ones(3)], dtype=object))
