import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import jax
import numpy as np
import optax
import pytest

from cadlag.train import (
    Interrupted,
    RunDir,
    fit,
    gradient,
)

from .problems import CACHE, KEY, UPDATE, Pairs, model, same_bits, squared, train


def lines(folder):
    return (folder / "metrics.jsonl").read_text()


def test_a_finished_run_is_read_back_and_can_be_extended(tmp_path):
    first = train(40, run=tmp_path / "a", block=20)
    again = train(40, run=tmp_path / "a")
    assert same_bits(first.state, again.state)
    assert again.history["loss"].tolist() == first.history["loss"].tolist()
    longer = train(80, run=tmp_path / "a")
    whole = train(80, run=tmp_path / "b", block=20)
    assert same_bits(longer.state, whole.state)
    assert lines(tmp_path / "a") == lines(tmp_path / "b")
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    assert config["choices"]["block"] == {"loop": True, "size": 20}
    assert config["versions"]["jax"] == jax.__version__


def test_only_the_last_two_checkpoints_and_the_best_are_kept(tmp_path):
    train(60, run=tmp_path, block=10, monitor="loss")
    names = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert names == ["best.npz", "step-0000000050.npz", "step-0000000060.npz"]


@pytest.mark.parametrize("block", [20, "step"])
def test_interrupted_in_the_middle_it_goes_on_with_the_same_bits(tmp_path, block):
    class Break:
        def __call__(self, state, info):
            if info["step"] == 40:
                raise KeyboardInterrupt
            return state

    options = {
        "block": block,
        "checkpoint_every": 20,
        "validate_every": 20,
        "validate": lambda s, k: {"v": 1.0},
    }
    quiet = lambda state, info: state
    with pytest.raises(Interrupted, match=r"saved at step 20 of 90.*run the same call again with run="):
        train(90, run=tmp_path / "a", hooks=[Break()], **options)
    resumed = train(90, run=tmp_path / "a", hooks=[quiet], **options)
    whole = train(90, run=tmp_path / "b", hooks=[quiet], **options)
    assert same_bits(resumed.state, whole.state)
    assert int(resumed.source_state) == 90
    assert lines(tmp_path / "a") == lines(tmp_path / "b")


SCRIPT = """
import sys, time
sys.path.insert(0, {tests!r})
import jax
jax.config.update("jax_enable_x64", True)
import optax
from cadlag.train import EMA, EarlyStopping, Recorder, fit, gradient
from problems import Pairs, model, squared
def slow(state, info):
    time.sleep(0.02)
    return state
fit(gradient(squared, optax.adam(1e-2), average=EMA(0.9)), model(), Pairs(), steps=240, key=jax.random.key(5),
    run=sys.argv[1], block=5, checkpoint_every=15, hooks=[slow, EarlyStopping("loss", 1000)],
    recorder=Recorder(lambda s, k: s.averaged.layers[0].bias, (0, 100, 203)))
"""


def start(folder):
    script = textwrap.dedent(SCRIPT.format(tests=os.path.dirname(__file__)))
    env = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)} | CACHE
    return subprocess.Popen([sys.executable, "-c", script, str(folder)], env=env)


def test_killed_again_and_again_it_ends_with_the_same_bits(tmp_path):
    whole = start(tmp_path / "whole")
    kills = 0
    for lines_seen in (20, 120):
        process = start(tmp_path / "killed")
        metrics = tmp_path / "killed" / "metrics.jsonl"
        while process.poll() is None:
            if metrics.exists() and metrics.read_text().count("\n") > lines_seen:
                process.send_signal(signal.SIGKILL)
                kills += process.wait() == -signal.SIGKILL
            time.sleep(0.01)
    assert start(tmp_path / "killed").wait() == 0
    assert whole.wait() == 0
    assert kills == 2
    assert lines(tmp_path / "killed") == lines(tmp_path / "whole")
    for name in ("checkpoints/step-0000000240.npz", "records.npz"):
        with np.load(tmp_path / "killed" / name) as a, np.load(tmp_path / "whole" / name) as b:
            assert set(a.files) == set(b.files)
            for key in a.files:
                np.testing.assert_array_equal(a[key], b[key])


def test_folders_of_other_runs_are_refused(tmp_path):
    train(20, run=tmp_path / "a")
    with pytest.raises(ValueError, match="Resume with the same key"):
        fit(UPDATE, model(), Pairs(), steps=20, key=jax.random.key(99), run=tmp_path / "a")
    with pytest.raises(ValueError, match="another model, optimiser"):
        fit(gradient(squared, optax.sgd(0.1)), model(), Pairs(), steps=20, key=KEY, run=tmp_path / "a")
    with pytest.raises(ValueError, match="resume=False"):
        train(20, run=tmp_path / "a", resume=False)


def test_damaged_folders_are_named(tmp_path):
    train(40, run=tmp_path / "a", block=10, checkpoint_every=10)
    newest = tmp_path / "a" / "checkpoints" / "step-0000000040.npz"
    newest.write_bytes(newest.read_bytes()[:200])
    resumed = train(40, run=tmp_path / "a")  # the one before it still serves
    assert resumed.history["step"].tolist() == list(range(1, 41))
    for path in (tmp_path / "a" / "checkpoints").iterdir():
        path.write_bytes(b"junk")
    with pytest.raises(ValueError, match="no checkpoint can be read"):
        train(40, run=tmp_path / "a")
    config = tmp_path / "a" / "config.json"
    config.write_text(config.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(ValueError, match="format version 99"):
        train(40, run=tmp_path / "a")
    config.write_text("{")
    with pytest.raises(ValueError, match="not readable JSON"):
        train(40, run=tmp_path / "a")
    config.unlink()
    with pytest.raises(ValueError, match=r"without its config\.json"):
        train(40, run=tmp_path / "a")


def test_a_folder_left_by_a_kill_at_the_very_start_can_be_used(tmp_path):
    (tmp_path / ".config.json.partial").write_text('{"form')
    train(20, run=tmp_path)
    (tmp_path / "metrics.jsonl").unlink()
    for path in (tmp_path / "checkpoints").iterdir():
        path.unlink()
    (tmp_path / "checkpoints").rmdir()
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    train(20, run=tmp_path)
    train(20, run=tmp_path / "whole")
    assert lines(tmp_path) == lines(tmp_path / "whole")


def test_lost_metrics_are_named(tmp_path):
    train(20, run=tmp_path)
    (tmp_path / "metrics.jsonl").unlink()
    with pytest.raises(ValueError, match=r"checkpoints but no metrics\.jsonl"):
        train(20, run=tmp_path)


def test_rows_with_nan_and_infinity_come_back(tmp_path):
    folder = RunDir(tmp_path)
    folder.append([{"step": 1, "x": float("nan"), "y": float("-inf"), "z": 0.1}])
    (row,) = folder.rows()
    assert np.isnan(row["x"])
    assert (row["y"], row["z"], row["step"]) == (float("-inf"), 0.1, 1)
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["x"] == "nan"
