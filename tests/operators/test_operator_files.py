"""From a file of fields to a model, pictures and predictions, by the command line."""

import functools
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.cli import main
from cadlag.data import FieldDataset, read_fields, write_fields
from cadlag.operators import FNO, Direct, OperatorRegressor, Refined, Task, _files
from cadlag.operators._files import MODELS, fit_file
from cadlag.report.fields import field_panels, save_field_animation

from .small import travelling


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    """A network that compiles in seconds, under the name of one that does not."""
    tiny = functools.partial(FNO, modes=3, layers=1, project=4)
    monkeypatch.setitem(_files.MODELS, "fno", tiny)


def write(path, n=12, frames=8, **options):
    data = FieldDataset.from_arrays(
        travelling(n, frames).astype(np.float32), ts=0.5 * np.arange(frames), periodic="x", **options
    )
    write_fields(path, data)
    return data


def test_fit_and_predict(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = write(tmp_path / "waves.nc")
    few = ["--steps", "3", "--width", "4"]
    assert main(["fit", "operator", "waves.nc", *few, "--history", "2", "--residual"]) == 0
    shown = capsys.readouterr().out
    assert "12 examples, 8 frames of u on 16." in shown
    assert "after 6 steps" in shown
    assert "on 1 examples" in shown
    run = tmp_path / "runs" / "operator-waves"
    figures = {p.name for p in (run / "figures").iterdir()}
    assert figures == {"u.svg", "u.gif"}
    assert main(["predict", str(run), "waves.nc", "--steps", "3"]) == 0
    found = read_fields("predictions.nc")
    assert found.values.shape == (12, 3, 1, 16)
    np.testing.assert_allclose(found.ts, [4, 4.5, 5])
    assert found.periodic == ("x",)
    model = OperatorRegressor.load(run / "model")
    np.testing.assert_allclose(found.values, model.rollout(data, 3), rtol=1e-4, atol=1e-5)
    # Fitting again resumes: nothing is left to do, and the model is the same.
    assert main(["fit", "operator", "waves.nc", *few, "--history", "2", "--residual"]) == 0
    again = OperatorRegressor.load(run / "model")
    np.testing.assert_array_equal(again.predict(data), model.predict(data))


def test_steady_maps(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    a = np.random.default_rng(0).normal(size=(4, 1, 1, 8, 8))
    write_fields("darcy.npz", FieldDataset.from_arrays(np.concatenate([a, 2 * a], axis=2), channels=("a", "u")))
    command = ["fit", "operator", "darcy.npz", "--width", "2", "--steps", "2", "--out", "run"]
    assert main(command) == 2
    assert "inputs and outputs must be named" in capsys.readouterr().err
    assert main([*command, "--inputs", "a", "--outputs", "u"]) == 0
    assert "too few to hold any out" in capsys.readouterr().out
    assert main(["predict", "run", "darcy.npz", "-o", "u.npz"]) == 0
    assert read_fields("u.npz").values.shape == (4, 1, 1, 8, 8)
    assert main(["predict", "run", "darcy.npz", "--steps", "2"]) == 2
    assert "operator of fields in time" in capsys.readouterr().err


def test_options_and_refusals(tmp_path, capsys):
    write(tmp_path / "w.nc", 2, 4)
    made = fit_file(data=tmp_path / "w.nc", width=2, refine=1, steps=1, out=tmp_path / "r")
    model = OperatorRegressor.load(made.out / "model")
    assert model.model_.stochastic
    assert made.truth.shape == made.prediction.shape == (3, 1, 16)
    for options, text in (
        ({"model": "resnet"}, "--model resnet"),
        ({"objective": "x"}, "--objective x"),
        ({"steps": 0}, "--steps 0"),
    ):
        with pytest.raises(ValueError, match=text):
            fit_file(**({"data": tmp_path / "w.nc"} | options))
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "fit.json").write_text(json.dumps({"task": "classify"}))
    assert main(["predict", str(tmp_path / "s"), str(tmp_path / "w.nc"), "--steps", "2"]) == 2
    assert "are for operators" in capsys.readouterr().err


@pytest.mark.parametrize("shape", [(5, 16), (3, 8, 6), (1, 8, 6), (2, 4, 6, 8)])
def test_pictures(shape, tmp_path):
    from PIL import Image

    truth = np.random.default_rng(0).normal(size=shape)
    prediction = truth + 0.1
    prediction[-1, 0] = np.inf
    svg = field_panels(truth, prediction, ts=np.arange(shape[0]))
    assert svg.startswith("<svg")
    assert svg.count("<image") >= 3 * min(shape[0], 4) if len(shape) > 2 else 3
    path = save_field_animation(tmp_path / "a.gif", truth, prediction, ts=np.arange(shape[0]))
    with Image.open(path) as image:
        assert getattr(image, "n_frames", 1) == shape[0]
    with pytest.raises(ValueError, match="expected one"):
        field_panels(truth, truth[:1, :2])


@pytest.mark.parametrize("name", [*MODELS])
def test_every_model_builds_as_an_operator(name):
    """Shapes alone: history 2, a forcing beside what is predicted, a condition."""
    whole = name == "spatiotemporal-fno"
    task = Task(2, 3, 2 if whole else 3, 2, 2, 1, (0.5, 2.0))
    network = functools.partial(MODELS[name], **({"modes": (4, 4, 2)} if whole else {"width": 8}))
    u = jax.ShapeDtypeStruct((2, task.channels, 32, 32), jnp.float64)
    # Tracing eight waves takes seconds; they see the same channels and conditions as the others.
    forms = (Direct(residual=not whole),) if whole or name == "sinenet" else (Direct(residual=True), Refined())
    for form in forms:
        operator = eqx.filter_eval_shape(lambda k, f=form: f.build(network, task, key=k), jr.key(0))
        assert (operator.history, operator.horizon, operator.conditions) == (2, 3, 1)
        call = lambda o, x, c, k: o(x, cond=c, key=k if o.stochastic else None)
        out = eqx.filter_eval_shape(call, operator, u, jax.ShapeDtypeStruct((1,), jnp.float64), jr.key(1))
        assert out.shape == (3, 2, 32, 32)
    if whole:
        with pytest.raises(ValueError, match="predicts all of its channels"):
            Direct().build(network, task._replace(out_channels=1), key=jr.key(0))
        with pytest.raises(ValueError, match="refine a network"):
            Refined().build(network, task, key=jr.key(0))
