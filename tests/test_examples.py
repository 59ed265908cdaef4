"""Every example runs, at a tiny size, in the precision and with the promotion rules of whoever copies it."""

import pathlib
import runpy
import sys

import jax
import pytest

EXAMPLES = sorted((pathlib.Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example(path, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CADLAG_TINY", "1")
    monkeypatch.setattr(sys, "argv", [str(path)])
    monkeypatch.chdir(tmp_path)
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out.strip()


def test_examples_are_short():
    assert len(EXAMPLES) >= 7
    for path in EXAMPLES:
        lines = [line for line in path.read_text(encoding="utf8").splitlines() if line.strip()]
        assert len(lines) < 40, path.name
