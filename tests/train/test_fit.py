import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cadlag.train import (
    EMA,
    Bar,
    EarlyStopping,
    Interrupted,
    Lines,
    NonFiniteLoss,
    Outcome,
    Recorder,
    ReduceOnPlateau,
    Silent,
    Stop,
    fit,
    fit_seeds,
    gradient,
    minimise,
    progress,
    steps_within,
)

from .problems import Pairs, arrays, model, same_bits, squared

KEY = jax.random.key(5)
UPDATE = gradient(squared, optax.adam(1e-2), average=EMA(0.9))


def train(steps=100, update=UPDATE, **options):
    return fit(update, model(), Pairs(), steps=steps, key=KEY, **options)


def lines(folder):
    return (folder / "metrics.jsonl").read_text()


def test_fit_equals_minimise():
    result = train(60, block=20)
    state = UPDATE.init(model(), KEY)
    state, infos = eqx.filter_jit(minimise)(UPDATE, state, Pairs(), 60, key=KEY)
    np.testing.assert_allclose(result.history["loss"], infos["loss"], rtol=1e-9)
    assert result.history["step"].tolist() == list(range(1, 61))
    assert result.result.outcome is Outcome.finished
    for a, b in zip(arrays(result.state.averaged), arrays(state.averaged), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)


def test_single_steps_equal_blocks_and_leave_the_users_arrays_alive():
    net = model()
    result = fit(UPDATE, net, Pairs(), steps=60, key=KEY, block="step")
    np.testing.assert_allclose(result.history["loss"], train(60).history["loss"], rtol=1e-9)
    assert same_bits(net, model())


@pytest.mark.parametrize("block", [None, "step"])
def test_a_thousand_steps_trace_the_loss_a_fixed_number_of_times(block):
    count = []

    def loss(u, batch, key):
        count.append(1)
        return squared(u, batch, key)

    update = gradient(loss, optax.sgd(1e-3))
    fit(update, model(), Pairs(), steps=1000, key=KEY, block=block, log_every=100)
    assert len(count) == 1
    fit(update, model(1), Pairs(), steps=75, key=KEY, block=block or 50)
    assert len(count) == 1


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
    quiet = lambda state, info: state  # noqa: E731
    with pytest.raises(Interrupted, match=r"saved at step 20 of 90.*run the same call again with run="):
        train(90, run=tmp_path / "a", hooks=[Break()], **options)
    resumed = train(90, run=tmp_path / "a", hooks=[quiet], **options)
    whole = train(90, run=tmp_path / "b", hooks=[quiet], **options)
    assert same_bits(resumed.state, whole.state)
    assert int(resumed.source_state) == 90
    assert lines(tmp_path / "a") == lines(tmp_path / "b")


CACHE = {
    "JAX_COMPILATION_CACHE_DIR": str(jax.config.jax_compilation_cache_dir),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
}
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


class Poisoned(Pairs):
    def draw(self, source_state, train_state, key):
        source_state, (x, y) = super().draw(source_state, train_state, key)
        return source_state, (x, jnp.where(source_state == 34, jnp.nan, y))


@pytest.mark.parametrize("block", [10, "step"])
def test_a_nan_stops_with_step_batch_and_checkpoint(tmp_path, block):
    options = {"steps": 60, "key": KEY, "block": block, "checkpoint_every": 10}
    with pytest.raises(NonFiniteLoss, match=r"step 33: loss = nan.*step-0000000030.npz") as caught:
        fit(UPDATE, model(), Poisoned(), run=tmp_path, **options)
    failed = caught.value.fit
    assert failed.result.outcome is Outcome.non_finite
    assert failed.result.step == 33
    assert np.isnan(failed.result.batch[1]).all()
    assert np.isfinite(failed.result.batch[0]).all()
    assert int(failed.result.source_state) == 33
    assert int(failed.state.step) == 33
    good = fit(UPDATE, model(), Pairs(), steps=33, key=KEY, block=block if block == "step" else 33)
    np.testing.assert_allclose(arrays(failed.state)[0], arrays(good.state)[0], rtol=1e-9)
    quiet = fit(UPDATE, model(), Poisoned(), throw=False, **options)
    assert quiet.result.checkpoint is None


def test_early_stopping_returns_the_best_and_a_stopped_run_stays_stopped(tmp_path):
    values = iter([3.0, 2.0, 1.0, 1.5, 1.2, 9.0, 9.0])
    hooks = [EarlyStopping("v", 2)]
    options = {"block": 10, "hooks": hooks, "run": tmp_path}
    result = train(200, validate=lambda s, k: {"v": next(values)}, **options)
    assert result.result.outcome is Outcome.stopped
    assert "v has not fallen below 1 for 2 looks" in result.result.reason
    assert result.result.step == 50
    assert int(result.state.step) == 30
    again = train(200, validate=lambda s, k: {"v": 0.0}, **options)
    assert same_bits(again.state, result.state)
    assert again.result.outcome is Outcome.stopped
    seen = result.history["v"]
    assert seen[~np.isnan(seen)].tolist() == [3.0, 2.0, 1.0, 1.5, 1.2]


def test_a_plateau_halves_the_injected_rate_without_compiling_anew():
    count = []

    def loss(u, batch, key):
        count.append(1)
        return squared(u, batch, key)

    update = gradient(loss, optax.inject_hyperparams(optax.adam)(learning_rate=1e-2))
    hooks = [ReduceOnPlateau("v", 2)]
    result = fit(
        update, model(), Pairs(), steps=50, key=KEY, block=10, hooks=hooks, validate=lambda s, k: {"v": 1.0}
    )
    # Looks: best, bad, bad -> halve, bad, bad -> halve.
    np.testing.assert_allclose(result.state.opt_state.hyperparams["learning_rate"], 2.5e-3)
    assert len(count) == 1


def test_a_plateau_hook_says_which_optimiser_it_needs():
    with pytest.raises(ValueError, match=r"optax\.inject_hyperparams"):
        train(30, block=10, hooks=[ReduceOnPlateau("v", 1)], validate=lambda s, k: {"v": 1.0})


def test_a_function_stops_the_run():
    result = train(100, block=10, hooks=[lambda s, i: Stop("enough") if i["step"] >= 30 else s])
    assert (result.result.step, result.result.reason) == (30, "enough")


@pytest.mark.parametrize("block", [None, "step"])
def test_the_recorder_sees_the_listed_steps(block):
    recorder = Recorder(
        lambda state, key: {"w": state.unknowns.layers[0].weight, "n": state.step}, (0, 7, 60)
    )
    result = train(60, recorder=recorder, block=block)
    assert result.records["n"].tolist() == [0, 7, 60]
    np.testing.assert_array_equal(result.records["w"][0], model().layers[0].weight)
    np.testing.assert_array_equal(result.records["w"][2], result.state.unknowns.layers[0].weight)


def test_measuring_records_a_choice_that_resuming_repeats(tmp_path):
    train(60, run=tmp_path, block="measure")
    before = json.loads((tmp_path / "config.json").read_text())["choices"]["block"]
    assert before["loop"] == (before["seconds_per_step_in_block"] <= before["seconds_per_single_step"])
    train(70, run=tmp_path, block="measure")
    assert json.loads((tmp_path / "config.json").read_text())["choices"]["block"] == before
    with pytest.raises(ValueError, match="a resumed run repeats the choice"):
        train(70, run=tmp_path, block=7)


def test_a_convolution_is_measured_and_nothing_else_is(tmp_path):
    conv = eqx.nn.Conv1d(1, 1, 3, key=KEY)
    update = gradient(lambda u, batch, key: (jnp.mean(u(jnp.ones((1, 8))) ** 2), {}), optax.sgd(1e-2))
    fit(update, conv, None, steps=60, key=KEY, run=tmp_path / "conv")
    train(60, run=tmp_path / "mlp")
    chosen = [
        json.loads((tmp_path / n / "config.json").read_text())["choices"]["block"] for n in ("conv", "mlp")
    ]
    assert ["seconds_per_single_step" in c for c in chosen] == [True, False]


def test_steps_within_a_time_are_measured_once(tmp_path):
    few = steps_within(1e-9, UPDATE, model(), Pairs(), key=KEY, run=tmp_path)
    many = steps_within(100.0, UPDATE, model(), Pairs(), key=KEY, run=tmp_path)
    assert few == 1 < many
    assert steps_within(100.0, UPDATE, model(), Pairs(), key=KEY, run=tmp_path) == many
    train(20, run=tmp_path)  # the folder of the measurement is that of the run


def test_info_must_be_scalar():
    update = gradient(lambda u, b, k: (squared(u, b, k)[0], {"x": b[0]}), optax.sgd(0.1))
    with pytest.raises(ValueError, match=r"info holds arrays, \{'x': \(8, 3\)\}"):
        train(update=update)


def test_the_display_is_chosen_by_the_stream():
    assert isinstance(progress(silent=True), Silent)
    assert isinstance(progress(), Lines)
    assert train(20, progress=Bar()).result.step == 20


def test_progress_writes_quiet_lines(capsys):
    train(100, progress=Lines(seconds=1e9, label="toy"))
    assert capsys.readouterr().err.startswith("toy: step 100/100  ")


def make(key):
    return eqx.nn.MLP(3, 2, 8, 1, key=key, dtype=jnp.float64)


def test_seeds_side_by_side_equal_seeds_in_turn(tmp_path):
    keys = jax.random.split(KEY, 3)
    recorder = Recorder(lambda s, k: jax.random.normal(k) + s.unknowns.layers[0].bias, (0, 20, 60))
    bias = lambda s, k: {"b": s.unknowns.layers[0].bias[0]}  # noqa: E731
    options = {"keys": keys, "steps": 60, "recorder": recorder, "validate": bias}
    together = fit_seeds(UPDATE, make, Pairs(), side_by_side=True, run=tmp_path, **options)
    in_turn = fit_seeds(UPDATE, make, Pairs(), side_by_side=False, **options)
    for a, b in zip(together, in_turn, strict=True):
        assert set(a.history) == set(b.history)
        for name in a.history:
            np.testing.assert_allclose(a.history[name], b.history[name], rtol=1e-8)
        np.testing.assert_allclose(a.records, b.records, rtol=1e-8)
        for x, y in zip(arrays(a.state), arrays(b.state), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-7, atol=1e-10)


def test_seeds_are_measured_once(tmp_path):
    options = {"keys": jax.random.split(KEY, 2), "steps": 200, "run": tmp_path}
    results = fit_seeds(UPDATE, make, Pairs(), **options)
    assert len(results) == 2
    choice = json.loads((tmp_path / "config.json").read_text())["choices"]["seeds"]
    assert choice["side_by_side"] == (
        choice["seconds_per_step_side_by_side"] < choice["seconds_per_step_in_turn"]
    )
    again = fit_seeds(UPDATE, make, Pairs(), **options)
    assert all(same_bits(a.state, b.state) for a, b in zip(results, again, strict=True))


MESH = """
import sys
sys.path.insert(0, {tests!r})
import jax, jax.numpy as jnp, numpy as np, optax
jax.config.update("jax_enable_x64", True)
from cadlag.train import fit, gradient
from problems import Pairs, arrays, model, squared
for dtype, tolerance in ((jnp.float32, 1e-5), (jnp.float64, 1e-10)):
    args = (gradient(squared, optax.sgd(0.05)), model(dtype=dtype), Pairs(size=32, dtype=dtype))
    for block in (10, "step")[: 1 if dtype == jnp.float32 else 2]:
        one = fit(*args, steps=10, key=jax.random.key(0), block=block)
        four = fit(*args, steps=10, key=jax.random.key(0), block=block, mesh="data=4")
        for a, b in zip(arrays(one.state.unknowns), arrays(four.state.unknowns), strict=True):
            assert len(b.sharding.device_set) == 4
            assert np.linalg.norm(a - np.asarray(b)) <= tolerance * np.linalg.norm(a), (dtype, a, b)
try:
    fit(*args[:2], Pairs(size=6, dtype=dtype), steps=10, key=jax.random.key(0), mesh="data=4")
except ValueError as error:
    assert "divisible by 4" in str(error)
else:
    raise AssertionError("an indivisible batch was taken")
print("equal")
"""


def test_four_devices_equal_one():
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "JAX_PLATFORMS": "cpu",
        **CACHE,
    }
    script = MESH.format(tests=os.path.dirname(__file__))
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True)
    assert done.stdout.strip() == "equal", done.stderr[-2000:]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps: got 0"),
        ({"block": "fast"}, "block: got 'fast'"),
        ({"log_every": 0}, "log_every: got 0"),
        ({"mesh": "data=999"}, "asks for 999 devices"),
        ({"mesh": "model=2"}, "expected 'data=N'"),
    ],
)
def test_wrong_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        train(**{"steps": 10, **options})


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
