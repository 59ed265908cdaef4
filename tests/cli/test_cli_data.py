"""`cadlag data`: a file that reads back, and errors of one line before any work."""

import numpy as np
import pytest

from cadlag.cli import main
from cadlag.data import read_fields


def test_a_data_set_in_a_file(tmp_path, capsys):
    path = tmp_path / "heat.nc"
    options = ["data", "heat", "-n", "3", "--resolution", "8", "--frames", "2", "--nu", "0.01", "--seed", "5"]
    assert main([*options, "-o", str(path)]) == 0
    shown = capsys.readouterr()
    assert f"{path}: 3 examples, 2 frames of u on (8,)" in shown.out
    assert shown.err == "3/3\n"
    d = read_fields(path)
    assert (d.values.dtype, d.values.shape, d.periodic) == (np.float32, (3, 2, 1, 8), ("x",))
    assert d.metadata["equation"] == "Heat"
    assert main([*options, "--double", "-o", str(tmp_path / "double.npz")]) == 0
    double = read_fields(tmp_path / "double.npz")
    assert double.values.dtype == np.float64


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["weather"], "there is no data set 'weather'; there are navier-stokes,"),
        (["heat", "-o", "heat.csv"], "the suffix '.csv' is not one of .nc"),
        (["heat", "-o", "nowhere/heat.nc"], "there is no folder nowhere"),
        (["kdv", "--nu", "1"], "kdv has no nu"),
        (["heat", "-n", "0"], "expected at least 1 example"),
    ],
)
def test_errors_are_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["data", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
