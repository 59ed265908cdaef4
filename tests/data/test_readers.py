"""Reading files, good and bad; the messages are part of what is tested."""

import numpy as np
import pandas as pd
import pytest

from cadlag.data import read_long, read_npz, read_series, read_ts, read_wide, write_predictions

GOOD = "id,time,a,b,label,age\np,0,1,2,yes,30\np,1.5,,3,yes,30\nq,0,4,5,no,\n"
LONG = {"id": "id", "time": "time"}


@pytest.fixture
def file(tmp_path):
    def write(text, name="data.csv"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_long_form(file):
    s = read_long(file(GOOD), **LONG, label="label", static=["age"])
    assert s.channels == ("a", "b")
    assert s.ids == ("p", "q")
    assert s.classes == ("no", "yes")
    assert s.labels.tolist() == [1, 0]
    assert s.lengths.tolist() == [2, 1]
    assert s.times.tolist() == [[0, 1.5], [0, 0]]
    assert s.values.tolist() == [[[1, 2], [0, 3]], [[4, 5], [0, 0]]]
    assert s.mask.tolist() == [[[True, True], [False, True]], [[True, True], [False, False]]]
    np.testing.assert_array_equal(s.static, [[30], [np.nan]])


def test_long_form_options(file):
    path = file("k,t,a,y\n2,0,1,0.5\n10,0,3,1.5\n2,1,4,0.5\n")
    s = read_series(path, id="k", time="t", columns=["a"], target="y")
    assert s.ids == (2, 10)
    assert s.labels.tolist() == [[0.5], [1.5]]
    assert s.values[0, :, 0].tolist() == [1, 4]
    with pytest.raises(ValueError, match="either `label`"):
        read_long(path, id="k", time="t", label="a", target="y")


def test_parquet_is_the_same(file, tmp_path):
    pd.read_csv(file(GOOD)).to_parquet(tmp_path / "data.parquet")
    one = read_long(tmp_path / "data.csv", **LONG, label="label")
    two = read_long(tmp_path / "data.parquet", **LONG, label="label")
    np.testing.assert_array_equal(one.values, two.values)
    np.testing.assert_array_equal(one.mask, two.mask)
    assert one.classes == two.classes
    frame = pd.DataFrame({"id": ["p", "p"], "time": pd.to_datetime(["2020-01-01", "2020-01-02"]), "a": [1.0, 2.0]})
    frame.to_parquet(tmp_path / "dates.parquet")
    with pytest.raises(ValueError, match=r"column 'time': expected numbers, but got dates"):
        read_long(tmp_path / "dates.parquet", **LONG)


def test_sorting_and_duplicates(file):
    path = file("id,time,a,b\np,2,1,\np,0,2,2\np,2,3,5\n")
    with pytest.raises(ValueError, match=r"data.csv, row 3, column 'time': .* back from 2 to 0. Pass `sort=True`"):
        read_long(path, **LONG)
    with pytest.raises(ValueError, match=r"row 4, column 'time': id p already .* time 2 \(row 2\)"):
        read_long(path, **LONG, sort=True)
    # First and last are of the OBSERVED values of each channel.
    for how, row in (("first", [1, 5]), ("last", [3, 5]), ("mean", [2, 5])):
        s = read_long(path, **LONG, sort=True, duplicates=how)
        assert s.times.tolist() == [[0, 2]]
        assert s.values[0, 1].tolist() == row
    with pytest.raises(ValueError, match="`duplicates` must be 'refuse'"):
        read_long(path, **LONG, duplicates="median")


def test_interleaved_series_are_grouped(file):
    s = read_long(file("id,time,a\np,0,1\nq,5,2\np,1,3\nq,6,4\n"), **LONG)
    assert s.times.tolist() == [[0, 1], [5, 6]]
    assert s.values[..., 0].tolist() == [[1, 3], [2, 4]]


def test_one_sample_one_class_and_an_unseen_channel_can_be_read(file):
    s = read_long(file("id,time,a,b,label\np,0,1,,x\np,1,2,,x\n"), **LONG, label="label")
    assert len(s) == 1
    assert s.classes == ("x",)
    assert not s.mask[..., 1].any()
    assert np.all(s.values[..., 1] == 0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "data.csv: the file is empty"),
        ("id,time,a\n", "has a header but no rows"),
        ("\n\n", "not a readable .csv table|no rows"),
        ("id,when,a\np,0,1\n", "there is no column 'time'; its columns are 'id', 'when', 'a'"),
        ("id,time,a\np,0,1\np,1,high\n", "row 3, column 'a': expected a number, but got 'high'"),
        ("id,time,a\np,0,1\n\np,1,high\n", "row 4, column 'a'"),
        ("id,time,a\np,2020-01-01,1\n", "row 2, column 'time': .*turn dates into numbers"),
        ("id,time,a\np,0,1\np,1,-inf\n", "row 3, column 'a': the value is infinite"),
        ("id,time,a\np,inf,1\n", "row 2, column 'time': the value is infinite"),
        ("id,time,a\np,0,1\np,,1\n", "row 3, column 'time': the field is empty"),
        ("id,time,a\n,0,1\n", "row 2, column 'id': the field is empty"),
        ("id,time,a\np,0,1\np,1,2,3\n", "not a readable .csv table: .*line 3"),
        ("id,time,a\np,0,1,9\np,1,2,3\n", "more fields than its header"),
        ("id,time\np,0\n", "no columns are left for values besides id, time"),
    ],
)
def test_bad_long_files(file, text, words):
    with pytest.raises(ValueError, match=words):
        read_long(file(text), **LONG)


def test_labels_and_static_must_not_change(file):
    path = file("id,time,a,label,s\nq,0,1,x,1\np,0,1,x,1\np,1,2,y,2\n")
    with pytest.raises(ValueError, match=r"row 4, column 'label': 'y' differs from 'x' in row 3 of the same id p"):
        read_long(path, **LONG, label="label", static=["s"])
    with pytest.raises(ValueError, match=r"row 4, column 's'"):
        read_long(path, **LONG, columns=["a"], static=["s"])
    with pytest.raises(ValueError, match=r"row 3, column 'y': the field is empty"):
        read_long(file("id,time,a,y\np,0,1,0.5\nq,0,1,\n"), **LONG, target="y")
    with pytest.raises(ValueError, match=r"row 2, column 'label': the field is empty"):
        read_long(file("id,time,a,label\np,0,1,\n"), **LONG, label="label")


def test_files_that_are_not_there_or_not_tables(file, tmp_path):
    for read in (lambda p: read_long(p, **LONG), read_wide):
        with pytest.raises(FileNotFoundError, match="no such file"):
            read(tmp_path / "none.csv")
    with pytest.raises(
        ValueError, match=r"the suffix '.xlsx' is not one of .csv, .tsv, .txt, .parquet, .pq, .ts, .npz"
    ):
        read_series(file("x", "a.xlsx"))
    with pytest.raises(ValueError, match=r"the suffix '.doc' is not one of"):
        read_wide(file("x", "a.doc"))
    with pytest.raises(ValueError, match=r"not a readable .parquet table"):
        read_long(file("not parquet", "a.parquet"), **LONG)
    (tmp_path / "latin.csv").write_bytes(b"id,time,a\n\xff\xfe\xfa,0,1\n")
    with pytest.raises(ValueError, match=r"not a readable .csv table"):
        read_long(tmp_path / "latin.csv", **LONG)


def test_wide_form(file):
    path = file("name,t0,t1,t2,kind\nu,1,2,,01\nv,4,5,6,02\n")
    s = read_series(path, id="name", label="kind", times=[0, 1, 4])
    assert s.ids == ("u", "v")
    assert s.classes == ("01", "02")
    assert s.times[0].tolist() == [0, 1, 4]
    assert s.values[..., 0].tolist() == [[1, 2, 0], [4, 5, 6]]
    assert s.mask[0, :, 0].tolist() == [True, True, False]
    assert read_wide(path, columns=["t1", "t2"]).times[0].tolist() == [0, 1]
    with pytest.raises(ValueError, match="row 2, column 'name': expected a number, but got 'u'"):
        read_wide(path, label="kind")
    with pytest.raises(ValueError, match="`times` has 2 entries for 3 columns"):
        read_wide(path, id="name", label="kind", times=[0, 1])
    with pytest.raises(ValueError, match="there is no column 'class'; its columns are 'name'"):
        read_wide(path, label="class")


def test_npz(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, times=[0.0, 1.0], values=np.ones((2, 2, 1)), labels=["a", "b"], channels=["c"])
    s = read_series(path)
    assert s.channels == ("c",)
    assert s.classes == ("a", "b")
    np.savez(path, times=[0.0, 1.0])
    with pytest.raises(ValueError, match=r"data.npz: there is no array 'values'; its arrays are times"):
        read_npz(path)
    np.savez(path, times=[1.0, 0.0], values=np.ones((2, 2, 1)))
    with pytest.raises(ValueError, match=r"data.npz: `times` must increase strictly"):
        read_npz(path)
    np.savez(path, times=[0.0], values=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="not a readable NPZ of plain arrays"):
        read_npz(path)
    path.write_text("no")
    with pytest.raises(ValueError, match="not a readable NPZ"):
        read_npz(path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_npz(tmp_path / "none.npz")


def test_ts(file):
    pytest.importorskip("aeon")
    head = "@problemName x\n@timeStamps false\n@univariate true\n@equalLength {}\n@classLabel true a b\n@data\n"
    s = read_series(file(head.format("true") + "1,2,3:a\n4,?,6:b\n", "x.ts"))
    assert s.values[..., 0].tolist() == [[1, 2, 3], [4, 0, 6]]
    assert not s.mask[1, 1, 0]
    assert s.classes == ("a", "b")
    ragged = read_ts(file(head.format("false") + "1,2,3:a\n4:b\n", "x.ts"))
    assert ragged.lengths.tolist() == [3, 1]
    with pytest.raises(ValueError, match=r"bad.ts: aeon cannot read this .ts file"):
        read_ts(file("nothing of use\n", "bad.ts"))
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_ts("none.ts")


def test_ts_without_aeon_gives_advice(file, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "aeon.datasets", None)
    with pytest.raises(ImportError, match=r"pip install 'cadlag\[series\]'"):
        read_ts(file("x", "x.ts"))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_predictions_come_back(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    probability = np.array([[0.25, 0.75], [0.5, 0.5]])
    write_predictions(path, {"label": ["x", "y"], "p": probability, "f": np.ones((2, 1, 2))}, ids=["u", "v"])
    frame = (pd.read_csv if suffix == ".csv" else pd.read_parquet)(path)
    assert frame.columns.tolist() == ["id", "label", "p_0", "p_1", "f_0_0", "f_0_1"]
    assert frame["id"].tolist() == ["u", "v"]
    assert frame["label"].tolist() == ["x", "y"]
    np.testing.assert_array_equal(frame[["p_0", "p_1"]], probability)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_predictions_as_npz_and_refusals(tmp_path):
    write_predictions(tmp_path / "out.npz", {"p": np.ones((2, 3, 4))})
    with np.load(tmp_path / "out.npz") as file:
        assert file["p"].shape == (2, 3, 4)
        assert file["id"].tolist() == [0, 1]
    for arguments, words in [
        (("a.txt", {"p": [1]}), "the suffix '.txt' is not one of .csv, .parquet, .npz"),
        (("a.csv", {"p": [1], "q": [1, 2]}), "have lengths {'p': 1, 'q': 2}"),
        (("a.csv", {}), "have lengths {}"),
        (("a.csv", {"id": [1]}), "The name 'id' is that of the column of ids"),
    ]:
        with pytest.raises(ValueError, match=words):
            write_predictions(tmp_path / arguments[0], arguments[1])
    with pytest.raises(ValueError, match="`ids` has 1 entries for 2 predictions"):
        write_predictions(tmp_path / "a.csv", {"p": [1, 2]}, ids=["u"])
    assert not (tmp_path / "a.csv").exists()
