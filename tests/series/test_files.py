"""From a CSV to predictions, as the command line does it."""

import csv

import numpy as np
import pytest

from cadlag.series._files import fit_file, is_law, predict_file, sample_file

STEPS = {"steps": 30}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Sixteen series of two channels with gaps; the label is the sign of the first channel's level."""
    path = tmp_path_factory.mktemp("data") / "visits.csv"
    rng = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["patient", "hours", "pulse", "pressure", "outcome", "score"])
        for i in range(16):
            level = 1.0 if i % 2 else -1.0
            for t in range(rng.integers(4, 8)):
                pulse = "" if rng.random() < 0.2 else f"{level + 0.1 * rng.standard_normal():.3f}"
                out.writerow(
                    [f"p{i}", t + 0.5, pulse, f"{rng.standard_normal():.3f}", "up" if i % 2 else "down", 3 * level]
                )
    return path


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def read_without(table, names, tmp_path):
    """A copy of the table without some columns."""
    path = tmp_path / "new.csv"
    kept = [{k: v for k, v in row.items() if k not in names} for row in rows(table)]
    with path.open("w", newline="") as file:
        out = csv.DictWriter(file, kept[0])
        out.writeheader()
        out.writerows(kept)
    return path


def test_classes_of_new_series(table, tmp_path):
    data = read_without(table, {"score"}, tmp_path)
    said = fit_file(data=data, id="patient", time="hours", label="outcome", out=tmp_path / "run", **{"steps": 150})
    assert "16 series, 2 channels (pulse, pressure)" in said
    new = read_without(table, {"score", "outcome"}, tmp_path)
    predict_file(run=tmp_path / "run", data=new, out=tmp_path / "out.csv")
    found = rows(tmp_path / "out.csv")
    assert [row["patient"] for row in found] == [f"p{i}" for i in range(16)]
    right = [row["predicted"] == ("up" if i % 2 else "down") for i, row in enumerate(found)]
    assert np.mean(right) > 0.8
    np.testing.assert_allclose([float(r["p_up"]) + float(r["p_down"]) for r in found], 1, atol=1e-5)


def test_a_label_column_in_new_data_is_no_channel(table, tmp_path):
    data = read_without(table, {"outcome"}, tmp_path)
    fit_file(data=data, id="patient", time="hours", label="score", task="regress", out=tmp_path / "run", **STEPS)
    predict_file(run=tmp_path / "run", data=data, out=tmp_path / "out.csv")
    assert len(rows(tmp_path / "out.csv")) == 16


def test_channels_of_new_data_are_found_by_name(table, tmp_path):
    data = read_without(table, {"score"}, tmp_path)
    fit_file(data=data, id="patient", time="hours", label="outcome", out=tmp_path / "run", **STEPS)
    predict_file(run=tmp_path / "run", data=data, out=tmp_path / "one.csv")
    moved = tmp_path / "moved.csv"
    with moved.open("w", newline="") as file:
        out = csv.DictWriter(file, ["pressure", "hours", "ward", "pulse", "patient"], extrasaction="ignore")
        out.writeheader()
        out.writerows({**row, "ward": 7} for row in rows(data))
    predict_file(run=tmp_path / "run", data=moved, out=tmp_path / "two.csv")
    assert (tmp_path / "one.csv").read_text() == (tmp_path / "two.csv").read_text()


def test_completions_come_one_row_a_time(table, tmp_path):
    data = read_without(table, {"score", "outcome"}, tmp_path)
    fit_file(data=data, id="patient", time="hours", task="interpolate", out=tmp_path / "run", **STEPS)
    predict_file(run=tmp_path / "run", data=data, out=tmp_path / "out.csv")
    before, after = rows(data), rows(tmp_path / "out.csv")
    assert len(before) == len(after)
    assert all(row["pulse"] for row in after)
    seen = [(float(b["pulse"]), float(a["pulse"])) for b, a in zip(before, after, strict=True) if b["pulse"]]
    np.testing.assert_allclose(*zip(*seen, strict=True), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": None}, "--label"),
        ({"label": "outcome", "model": "lstm"}, "--model lstm"),
        ({"label": "outcome", "steps": 0}, "--steps 0"),
        ({"label": "diagnosis"}, "diagnosis"),
    ],
)
def test_bad_requests_are_answered(table, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        fit_file(data=table, id="patient", time="hours", out=tmp_path / "run", **options)


def test_shuffled_and_repeated_rows_are_mended_where_asked(table, tmp_path):
    data = read_without(table, {"score", "outcome"}, tmp_path)
    lines = data.read_text().splitlines()
    data.write_text("\n".join([lines[0], *lines[:0:-1], lines[1]]) + "\n")
    task = {"id": "patient", "time": "hours", "task": "interpolate", "out": tmp_path / "run"}
    with pytest.raises(ValueError, match="goes back"):
        fit_file(data=data, **task, **STEPS)
    fit_file(data=data, sort=True, duplicates="mean", **task, **STEPS)
    predict_file(run=tmp_path / "run", data=data, out=tmp_path / "out.csv")
    assert len(rows(tmp_path / "out.csv")) == len(lines) - 1


def test_a_folder_that_is_no_run_is_refused(table, tmp_path):
    with pytest.raises(ValueError, match=r"no fit\.json"):
        predict_file(run=tmp_path, data=table)


def test_a_law_is_learnt_from_a_table_and_drawn_to_one(table, tmp_path):
    columns = read_without(table, ("outcome", "score"), tmp_path)
    told = fit_file(data=columns, id="patient", time="hours", task="generate", model="latent-ode", steps=3,
                    out=tmp_path / "law")  # fmt: skip
    assert "cadlag sample" in told
    assert "fill gaps" in told
    assert is_law(tmp_path / "law")
    sample_file(run=tmp_path / "law", n=3, out=tmp_path / "new.csv")
    drawn = rows(tmp_path / "new.csv")
    assert list(drawn[0]) == ["patient", "hours", "pulse", "pressure"]
    assert {r["patient"] for r in drawn} == {"0", "1", "2"}
    predict_file(run=tmp_path / "law", data=columns, out=tmp_path / "filled.csv")
    filled = rows(tmp_path / "filled.csv")
    assert all(r["pulse"] not in ("", "nan") for r in filled)
    with pytest.raises(ValueError, match="no --condition"):
        sample_file(run=tmp_path / "law", n=3, out=tmp_path / "new.csv", condition="up")
    with pytest.raises(ValueError, match="those for --task generate"):
        fit_file(data=columns, id="patient", time="hours", task="generate", model="lnsde", steps=3, out=tmp_path / "x")
