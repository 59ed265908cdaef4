import json

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cadlag.nn import Conv
from cadlag.train import (
    Bar,
    EarlyStopping,
    Lines,
    NonFiniteLoss,
    Outcome,
    Recorder,
    ReduceOnPlateau,
    Silent,
    Stop,
    fit,
    gradient,
    minimise,
    progress,
    steps_within,
)

from .problems import KEY, UPDATE, Pairs, arrays, model, same_bits, squared, train


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
    result = fit(update, model(), Pairs(), steps=50, key=KEY, block=10, hooks=hooks, validate=lambda s, k: {"v": 1.0})
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
    recorder = Recorder(lambda state, key: {"w": state.unknowns.layers[0].weight, "n": state.step}, (0, 7, 60))
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


def test_a_convolution_of_unusual_layout_is_measured_and_nothing_else_is(tmp_path):
    conv = eqx.nn.Conv1d(1, 1, 3, key=KEY)
    update = gradient(lambda u, batch, key: (jnp.mean(u(jnp.ones((1, 8))) ** 2), {}), optax.sgd(1e-2))
    fit(update, conv, None, steps=60, key=KEY, run=tmp_path / "conv")
    ours = Conv(1, 1, 3, spatial_axes=1, key=KEY)
    update = gradient(lambda u, batch, key: (jnp.mean(u(jnp.ones((8, 1))) ** 2), {}), optax.sgd(1e-2))
    fit(update, ours, None, steps=60, key=KEY, run=tmp_path / "ours")
    train(60, run=tmp_path / "mlp")
    names = ("conv", "ours", "mlp")
    chosen = [json.loads((tmp_path / n / "config.json").read_text())["choices"]["block"] for n in names]
    assert ["seconds_per_single_step" in c for c in chosen] == [True, False, False]


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
