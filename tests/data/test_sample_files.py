"""Samples to files and back; the messages are part of what is tested."""

import numpy as np
import pandas as pd
import pytest

from cadlag.data import Samples, read_samples, write_samples

RNG = np.random.default_rng(0)


@pytest.fixture
def file(tmp_path):
    def write(text, name="data.csv"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_rows_of_a_table(file):
    path = file("a,kind,b,t\n1,yes,2,0.5\n\n3,no,4.25,1\n")
    s = read_samples(path, label="kind", conditions=["t"])
    assert s.columns == ("a", "b")
    assert s.values.tolist() == [[1, 2], [3, 4.25]]
    assert s.classes == ("no", "yes")
    assert s.labels.tolist() == [1, 0]
    assert s.conditions.tolist() == [[0.5], [1]]
    chosen = read_samples(path, columns=["t", "a"])
    assert chosen.values.tolist() == [[0.5, 1], [1, 3]]
    assert chosen.labels is None


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".npz"])
def test_everything_comes_back(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    kept = Samples.from_arrays(RNG.normal(size=(4, 2)), labels=["x", "y", "x", "x"], columns=["a", "b"])
    assert write_samples(path, kept) == path
    found = read_samples(path, label=None if suffix == ".npz" else "label")
    np.testing.assert_allclose(found.values, kept.values, rtol=4e-16)  # text is read to the last digit or so
    np.testing.assert_array_equal(found.labels, kept.labels)
    assert (found.columns, found.classes) == (kept.columns, kept.classes)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_images_targets_and_conditions(tmp_path):
    values, conditions = RNG.normal(size=(3, 1, 2, 2)).astype(np.float32), RNG.normal(size=(3, 2))
    s = Samples.from_arrays(values, conditions=conditions, labels=[0.5, 1.5, 2.5])
    found = read_samples(write_samples(tmp_path / "out.npz", s))
    assert found.values.dtype == np.float32
    for name in ("values", "labels", "conditions"):
        np.testing.assert_array_equal(getattr(found, name), getattr(s, name))
    frame = pd.read_csv(write_samples(tmp_path / "out.csv", s))
    pixels = ["x_0_0_0", "x_0_0_1", "x_0_1_0", "x_0_1_1"]
    assert frame.columns.tolist() == [*pixels, "condition_0", "condition_1", "label_0"]
    np.testing.assert_allclose(frame[pixels].to_numpy(), values.reshape(3, 4), rtol=1e-6)
    write_samples(tmp_path / "out.npy", values)
    np.testing.assert_array_equal(read_samples(tmp_path / "out.npy").values, values)


def test_archives_of_others(tmp_path):
    np.savez(tmp_path / "one.npz", X=np.ones((2, 3)), y=[0, 1])
    with pytest.raises(ValueError, match=r"one.npz: there is no array 'values'; its arrays are X, y"):
        read_samples(tmp_path / "one.npz")
    assert read_samples(tmp_path / "one.npz", label="y").labels.tolist() == [0, 1]
    with pytest.raises(ValueError, match="there is no array 'z'"):
        read_samples(tmp_path / "one.npz", label="z")
    np.save(tmp_path / "bad.npy", np.array([[1.0, np.nan]]))
    with pytest.raises(ValueError, match=r"bad.npy: `values` holds 1 NaN .* in sample 0, column 'x1'"):
        read_samples(tmp_path / "bad.npy")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="not a readable NPY of plain arrays"):
        read_samples(tmp_path / "objects.npy")
    with pytest.raises(ValueError, match="choose columns of a table; here are arrays"):
        read_samples(tmp_path / "bad.npy", columns=["x0"])


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("a,b\n1,2\n3,\n", {}, "data.csv, row 3, column 'b': the field is empty"),
        ("a,b\n1,2\n\n3,nan\n", {}, "row 4, column 'b': the field is empty"),
        ("a,b\n1,inf\n", {}, "row 2, column 'b': the value is infinite"),
        ("a,b\n1,high\n", {}, "row 2, column 'b': expected a number, but got 'high'"),
        ("a,b\n1,2\n", {"label": "c"}, "there is no column 'c'; its columns are 'a', 'b'"),
        ("a,b\n1,\n", {"label": "b"}, "row 2, column 'b': the field is empty"),
        ("a,b\n1,\n", {"conditions": ["b"]}, "row 2, column 'b': the field is empty"),
        ("a\n1\n", {"label": "a"}, "no columns are left for values besides a"),
        ("a,b\n", {}, "has a header but no rows"),
        ("", {}, "the file is empty"),
    ],
)
def test_bad_tables(file, text, options, words):
    with pytest.raises(ValueError, match=words):
        read_samples(file(text), **options)


def test_bad_paths(file, tmp_path):
    for name in ("none.csv", "none.npz"):
        with pytest.raises(FileNotFoundError, match="no such file"):
            read_samples(tmp_path / name)
    with pytest.raises(
        ValueError, match=r"the suffix '.xlsx' is not one of .csv, .tsv, .txt, .parquet, .pq, .npz, .npy"
    ):
        read_samples(file("x", "a.xlsx"))


def test_what_cannot_be_written(tmp_path):
    s = Samples.from_arrays(np.ones((2, 2)), labels=[0, 1], columns=["a", "label"])
    with pytest.raises(ValueError, match=r"would lose labels or conditions; use .npz"):
        write_samples(tmp_path / "a.npy", s)
    with pytest.raises(ValueError, match=r"two columns would be called 'label'; choose another with `label=`"):
        write_samples(tmp_path / "a.csv", s)
    with pytest.raises(ValueError, match=r"the suffix '.h5' is not one of .npz, .npy, .csv, .tsv, .parquet"):
        write_samples(tmp_path / "a.h5", s)
    assert not list(tmp_path.iterdir())
    assert read_samples(write_samples(tmp_path / "a.csv", s, label="y"), label="y").columns == ("a", "label")
