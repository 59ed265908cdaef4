"""`cadlag lens` on folders that the library's own fits left."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import pytest

from cadlag.cli import main
from cadlag.data import Batches
from cadlag.nn import MLP
from cadlag.train import fit, gradient


def squares(net, batch, key):
    """Cross-entropy of two classes."""
    logits = jax.vmap(net)(batch[0])
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), batch[1][:, None], axis=1)), {}


@pytest.fixture(scope="module")
def series_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lens")
    rng = np.random.default_rng(0)
    rows = [(i, t, np.sin(3 * t + i % 2) + 0.1 * rng.normal(), i % 2) for i in range(12) for t in range(6)]
    pd.DataFrame(rows, columns=["id", "time", "x", "class"]).to_csv(folder / "waves.csv", index=False)
    out = folder / "run"
    data = str(folder / "waves.csv")
    code = main(["fit", "series", data, "--id", "id", "--time", "time", "--label", "class", "--model", "gru", "--steps",
                 "20", "--out", str(out)])  # fmt: skip
    assert code == 0
    return out


def test_a_fit_of_series_is_looked_into(series_run, capsys):
    assert main(["lens", "curvature", str(series_run), "--steps", "8", "--probes", "2"]) == 0
    assert "stable below a rate" in capsys.readouterr().out
    assert main(["lens", "information", str(series_run), "--width", "0.1"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"layer 2: \d+\.\d\d bits of the input", text)
    assert main(["lens", "oscillation", str(series_run)]) == 0
    page = (series_run / "lens" / "report.html").read_text()
    assert all(f"<h2>{name}</h2>" in page for name in ("Curvature", "Information", "Oscillation"))
    assert page.count("<svg") == 3
    seen = json.loads((series_run / "lens" / "curvature.json").read_text())
    assert np.isfinite([row[1] for row in seen["tables"][0]["rows"]]).all()


def test_a_loss_of_one_s_own_is_named(tmp_path, capsys):
    key = jax.random.key(0)
    x = jax.random.normal(key, (32, 2))
    source = Batches((x, (x[:, 0] > 0).astype(jnp.int32)), 32)

    fit(gradient(squares, optax.sgd(0.1)), MLP(2, 2, 3, 1, key=key), source, steps=8, key=key, run=tmp_path)
    # The loss is this test's own, so that the folder alone does not suffice.
    assert main(["lens", "curvature", str(tmp_path)]) == 2
    assert "squares" in capsys.readouterr().err


def test_folders_that_cannot_be_looked_into(tmp_path, capsys):
    assert main(["lens", "curvature", str(tmp_path / "none")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert main(["lens", "curvature", str(tmp_path)]) == 2
    assert "not the folder of a run" in capsys.readouterr().err
    (tmp_path / "units").mkdir()
    assert main(["lens", "information", str(tmp_path)]) == 2
    assert "recipe" in capsys.readouterr().err


def test_runs_without_classes_say_so(tmp_path, capsys):
    np.savez(tmp_path / "points.npz", x=np.random.default_rng(0).normal(size=(40, 2)))
    out = tmp_path / "run"
    assert main(["fit", "generate", str(tmp_path / "points.npz"), "--steps", "2", "--out", str(out)]) == 0
    capsys.readouterr()
    assert main(["lens", "information", str(out)]) == 2
    assert "carry no classes" in capsys.readouterr().err
