"""`cadlag solve`: equations by name and by file, and what lies in the folder afterwards."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.equations import Heat
from cadlag.equations._named import NAMED, find_equation
from cadlag.physics._files import solve_file

OWN = """
from cadlag.equations import Heat

ready = Heat(0.5)
number = 3

def make(nu=0.1):
    return Heat(nu)
"""


def test_every_name_makes_an_equation():
    for name in NAMED:
        equation = find_equation(name)
        assert equation.components >= 1
        assert equation.conditions()
    assert float(find_equation("heat", {"nu": 0.3}).nu) == pytest.approx(0.3)


def test_equations_of_a_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    assert float(find_equation(f"{path}:ready").nu) == 0.5
    assert float(find_equation(f"{path}:make", {"nu": 0.2}).nu) == pytest.approx(0.2)
    for name, numbers, error, text in (
        ("ready", {"nu": 1.0}, ValueError, "made already"),
        ("number", {}, TypeError, "is a int"),
        ("other", {}, ValueError, "binds no 'other'"),
    ):
        with pytest.raises(error, match=text):
            find_equation(f"{path}:{name}", numbers)
    with pytest.raises(ValueError, match="there is no file"):
        find_equation(f"{tmp_path}/none.py:x")
    with pytest.raises(ValueError, match="no module"):
        find_equation("no_such_module_at_all:x")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"equation": "heet"}, "expected one of advection"),
        ({"equation": "heat", "settings": ["mu=1"]}, "it has nu"),
        ({"equation": "heat", "settings": ["nu"]}, "NAME=NUMBER"),
        ({"equation": "heat", "settings": ["nu=nan"]}, "NAME=NUMBER"),
        ({"equation": "heat", "method": "magic"}, "--method magic"),
        ({"equation": "heat", "steps": 0}, "--steps 0"),
        ({"equation": "poisson", "method": "simulate"}, "does not evolve"),
    ],
)
def test_what_cannot_be_solved(arguments, text, tmp_path):
    with pytest.raises(ValueError, match=text):
        solve_file(**arguments, out=tmp_path)


def test_a_folder_with_values_picture_and_figures(tmp_path):
    told = solve_file(equation="heat", settings=["nu=0.3"], steps=4, points=16, out=tmp_path)
    assert "relative error" in told
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["steps"] == 4
    found = np.load(tmp_path / "solution.npz")
    assert found["u"].shape == (found["t"].size, found["x"].size) == (201, 201)
    assert (tmp_path / "solution.png").stat().st_size > 1000
    # The figure is the distance of what was written from the exact solution, at other points.
    exact = np.asarray(Heat(0.3).exact(*jnp.meshgrid(found["t"], found["x"], indexing="ij")))
    error = np.linalg.norm(found["u"] - exact) / np.linalg.norm(exact)
    assert figures["error"] == pytest.approx(error, rel=0.1)


def test_a_simulation_is_written_too(tmp_path):
    solve_file(equation="lorenz", method="simulate", out=tmp_path)
    found = np.load(tmp_path / "solution.npz")
    assert found["u"].shape == (101, 3)
    assert json.loads((tmp_path / "figures.json").read_text())["error"] < 1e-3
