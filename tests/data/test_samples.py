"""The record of samples: checks, indexing, splitting, the bundled digits."""

import jax
import numpy as np
import pytest

from cadlag.data import Batches, Samples, digits, digits_split, split

RNG = np.random.default_rng(0)


def labelled(n=10):
    return Samples.from_arrays(RNG.normal(size=(n, 2)), labels=np.arange(n) % 2, conditions=RNG.normal(size=(n, 3)))


def test_fields_and_names():
    s = Samples.from_arrays([[1, 2], [3, 4]], labels=["b", "a"], columns=["u", "v"])
    assert s.values.dtype == np.float64
    assert s.columns == ("u", "v")
    assert s.classes == ("a", "b")
    assert s.labels.tolist() == [1, 0]
    assert s.shape == (2,)
    assert len(s) == 2
    assert labelled().columns == ("x0", "x1")
    image = Samples.from_arrays(RNG.normal(size=(3, 1, 2, 2)).astype(np.float32), labels=[0.5, 1.5, 2.5])
    assert image.columns == ()
    assert image.labels.shape == (3, 1)
    assert image.values.dtype == np.float32


def test_indexing_takes_everything_along():
    s = labelled()
    np.testing.assert_array_equal(s[2:5].conditions, s.conditions[2:5])
    np.testing.assert_array_equal(s.take([7, 1]).labels, s.labels[[7, 1]])
    np.testing.assert_array_equal(s[s.labels == 1].values, s.values[1::2])
    assert s[-1].values.shape == (2,)
    traced = jax.jit(lambda index: s.take(index).values)(np.array([3, 0]))
    np.testing.assert_array_equal(traced, s.values[[3, 0]])
    assert s.astype(np.float32).labels.dtype == np.int32
    assert s.astype(np.float32).values.dtype == np.float32
    with pytest.raises(IndexError, match="10 is out of range for 10"):
        s[10]
    with pytest.raises(ValueError, match=r"boolean index must have shape \(10,\)"):
        s[np.array([True])]


def test_batches_of_samples():
    source = Batches(labelled(), 4)
    state = source.init(jax.random.key(0))
    batch = source.draw(state, None, jax.random.key(1))[1]
    assert isinstance(batch, Samples)
    assert batch.values.shape == (4, 2)


def test_constant_columns_and_too_few():
    values = np.stack([np.arange(4.0), np.full(4, 7.0)], axis=1)
    s = Samples.from_arrays(values, columns=["a", "b"])
    assert s.constant_columns() == ("b",)
    assert Samples.from_arrays(values.reshape(4, 1, 2, 1)).constant_columns() == ("0,1,0",)
    s.require(4, "This")
    with pytest.raises(ValueError, match="A density needs at least 2 samples, but got 1"):
        s[:1].require(2, "A density")


def test_split_of_samples():
    s = Samples.from_arrays(np.arange(100.0)[:, None], labels=np.repeat([0, 1], [80, 20]))
    train, test = split(s, (0.75, 0.25), seed=0)
    assert np.bincount(test.labels).tolist() == [20, 5]
    assert sorted([*train.values[:, 0], *test.values[:, 0]]) == list(range(100))
    with pytest.raises(ValueError, match=r"1 samples are too few .*part 1 is empty"):
        split(s[:1], (0.5, 0.5), seed=0)


def test_digits():
    s = digits()
    assert s.values.shape == (1797, 1, 8, 8)
    assert s.classes == tuple(range(10))
    levels = np.unique((s.values + 1) * 8)
    np.testing.assert_array_equal(levels, np.arange(17))
    assert len(s.constant_columns()) == 3  # three corners are always empty
    train, test = digits_split(seed=1)
    assert (len(train), len(test)) == (1437, 360)
    assert np.any(digits_split(seed=2)[1].labels != test.labels)
    np.testing.assert_array_equal(digits_split(seed=1)[1].values, test.values)
    both = np.concatenate([train.values, test.values]).reshape(1797, 64)
    np.testing.assert_array_equal(np.sort(both.sum(1)), np.sort(s.values.reshape(1797, 64).sum(1)))


BAD = np.array([[1.0, 2.0], [3.0, np.nan], [np.inf, 1.0]])


@pytest.mark.parametrize(
    ("values", "options", "error", "words"),
    [
        (np.ones(3), {}, ValueError, r"must have shape \(samples, ...\), .* `values\[:, None\]`"),
        (np.ones((0, 2)), {}, ValueError, r"got \(0, 2\)"),
        (BAD, {}, ValueError, r"2 NaN or infinite value\(s\), the first \(nan\) in sample 1, column 'x1'"),
        (BAD[::-1], {"columns": ["a", "b"]}, ValueError, r"the first \(inf\) in sample 0, column 'a'. Leave those"),
        (BAD.reshape(3, 1, 2), {}, ValueError, "in sample 1, column '0,1'"),
        ([["a", "b"]], {}, TypeError, "`values` must be real numbers"),
        (np.ones((3, 2)), {"columns": ["a"]}, ValueError, r"got 1 \(a\) for shape \(3, 2\)"),
        (np.ones((3, 2)), {"columns": ["a", "a"]}, ValueError, "must be different names"),
        (np.ones((3, 2)), {"labels": [0, 1]}, ValueError, r"`labels` must have shape \(3,\)"),
        (np.ones((3, 2)), {"labels": [0.0, np.nan, 1.0]}, ValueError, "`labels` hold NaN .*leave those out"),
        (np.ones((3, 2)), {"labels": [0, 1, 2], "classes": ["a", "b"]}, ValueError, "codes into 2 `classes`"),
        (np.ones((3, 2)), {"conditions": np.ones(2)}, ValueError, "one entry for each of 3 samples"),
        (np.ones((3, 2)), {"conditions": BAD}, ValueError, "`conditions` holds 2 NaN .* sample 1, column '1'"),
    ],
)
def test_refusals(values, options, error, words):
    with pytest.raises(error, match=words):
        Samples.from_arrays(values, **options)
