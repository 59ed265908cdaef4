"""The runner with a recipe that trains nothing: resuming, crashes, kills, refusals."""

import concurrent.futures
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import types
from typing import ClassVar

import pytest
from tiny_recipe import Tiny

from cadlag.recipes import Preset, Verdict, check_claims, compare_paired, judge, load_recipe, run

SOURCE = "tiny_recipe:Tiny"


def verdicts(report):
    return {claim.id: str(claim.verdict) for claim in report.claims}


def made_up(good, bad):
    return {
        "good": {s: {"accuracy": v, "nested": {"error": 0.001}} for s, v in enumerate(good)},
        "bad": {s: {"accuracy": v, "nested": {"error": 0.001}} for s, v in enumerate(bad)},
    }


def test_judge_on_made_up_tables():
    first = judge(Tiny(), made_up((0.9, 0.91, 0.92), (0.5, 0.52, 0.5)), {}, Preset.SMOKE)
    assert [c.verdict for c in first] == ["holds", "fails", "holds", "not measured"]
    turned = judge(Tiny(), made_up((0.5, 0.52, 0.5), (0.9, 0.91, 0.92)), {}, Preset.SMOKE)
    assert [c.verdict for c in turned[:2]] == ["fails", "holds"]
    assert first[3].outcome.reason == "the preset smoke does not measure it"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run(SOURCE, preset="quick", out=tmp_path_factory.mktemp("run") / "tiny")


def test_run_folder(finished):
    out = finished.out
    assert verdicts(finished) == {"better": "holds", "worse": "fails", "near": "undecided", "part": "holds"}
    assert finished.exit_code == 0
    claims = json.loads((out / "claims.json").read_text())
    assert set(claims) == {"recipe", "preset", "seeds", "wall_seconds", "versions", "claims"}
    assert (claims["recipe"], claims["preset"], claims["seeds"]) == ("tiny", "quick", [0, 1, 2])
    assert "jax" in claims["versions"]
    config = json.loads((out / "config.json").read_text())
    assert config["settings"]["rates"] == [0.0, 0.3, 0.5, 0.7]
    assert config["machine"]["cores"] >= 1
    assert len(list((out / "units").glob("*/*.json"))) == 12
    events = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [e["event"] for e in events] == ["start", *["unit"] * 12, "end"]


def test_workers_get_their_precision_before_anything_is_imported(finished):
    unit = json.loads((finished.out / "units" / "good" / "0.json").read_text())
    assert unit["figures"]["environment"]["JAX_ENABLE_X64"] == "1"
    assert unit["figures"]["environment"]["NPROC"] is not None


def test_running_again_measures_nothing_and_judges_the_same(finished):
    before = {p: p.stat().st_mtime_ns for p in (finished.out / "units").glob("*/*.json")}
    events = []
    again = run(SOURCE, preset="quick", out=finished.out, progress=events.append)
    assert {p: p.stat().st_mtime_ns for p in (finished.out / "units").glob("*/*.json")} == before
    assert events[0]["done"] == 12
    assert again.claims == finished.claims
    assert again.wall_seconds >= finished.wall_seconds


def test_a_recipe_with_one_subject_takes_no_equation(tmp_path):
    with pytest.raises(ValueError, match="--equation heat is not known to tiny"):
        run(SOURCE, preset="smoke", out=tmp_path / "r", equation="heat")


def test_more_seeds_are_added_to_a_finished_run(tmp_path):
    run(SOURCE, preset="smoke", out=tmp_path / "r", seeds=1)
    events = []
    more = run(SOURCE, preset="smoke", out=tmp_path / "r", seeds=4, progress=events.append)
    assert (events[0]["units"], events[0]["done"]) == (8, 2)
    assert more.seeds == (0, 1, 2, 3)
    assert {c.id: len(c.outcome.per_seed) for c in more.claims}["better"] == 4


def test_same_answer_with_one_worker_or_two(finished, tmp_path):
    alone = run(SOURCE, preset="quick", out=tmp_path / "r", workers=1)
    assert alone.claims == finished.claims


def test_a_damaged_unit_is_measured_again(tmp_path):
    first = run(SOURCE, preset="smoke", out=tmp_path / "r")
    (first.out / "units" / "good" / "1.json").write_text('{"arm": "go')
    assert run(SOURCE, preset="smoke", out=tmp_path / "r").claims == first.claims


@pytest.mark.parametrize(
    ("fault", "text"),
    [("TINY_CRASH", "FloatingPointError: loss is not finite"), ("TINY_KILL", "exit code 9")],
)
def test_a_crash_leaves_the_others_and_can_be_repaired(tmp_path, monkeypatch, fault, text):
    monkeypatch.setenv(fault, "half/1")
    broken = run(SOURCE, preset="quick", out=tmp_path / "r")
    assert broken.exit_code == 2
    assert [(u.arm, u.seed) for u in broken.failed] == [("half", 1)]
    assert verdicts(broken) == {
        "better": "holds",
        "worse": "fails",
        "near": "undecided",
        "part": "not measured",
    }
    assert text in broken.claims[3].outcome.reason
    assert (tmp_path / "r" / "units" / "half" / "2.json").exists()
    monkeypatch.delenv(fault)
    events = []
    repaired = run(SOURCE, preset="quick", out=tmp_path / "r", progress=events.append)
    assert events[0]["done"] == 11
    assert (repaired.exit_code, verdicts(repaired)["part"]) == (0, "holds")


def start(out, **extra):
    # Where the tests run in the background SIGINT may be ignored, and children inherit that.
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{listen}; from cadlag.recipes import run; run({SOURCE!r}, preset='quick', out={str(out)!r}, workers=2)"
    path = os.pathsep.join(p for p in sys.path if p)
    env = {**os.environ, "PYTHONPATH": path, "TINY_SLEEP": "0.4", **extra}
    return subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.PIPE, text=True)


def wait_for_units(out, count, seconds=120):
    end = time.monotonic() + seconds
    while len(list((out / "units").glob("*/*.json"))) < count:
        assert time.monotonic() < end, "no unit was finished in time"
        time.sleep(0.02)


def test_killed_at_any_moment_it_goes_on(finished, tmp_path):
    out = tmp_path / "r"
    process = start(out)
    wait_for_units(out, 2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    time.sleep(1.0)  # two units' time: workers that outlived the run would add results
    kept = {p: p.stat().st_mtime_ns for p in (out / "units").glob("*/*.json")}
    time.sleep(0.6)
    assert {p: p.stat().st_mtime_ns for p in (out / "units").glob("*/*.json")} == kept
    assert 2 <= len(kept) < 12
    with (out / "metrics.jsonl").open("a") as file:
        file.write('{"event": "un')  # a line torn by the kill
    resumed = run(SOURCE, preset="quick", out=out)
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    assert resumed.claims == finished.claims


def test_ctrl_c_says_how_to_go_on(tmp_path):
    out = tmp_path / "r"
    process = start(out, TINY_SLEEP="2")  # long enough for a busy machine to interrupt it
    wait_for_units(out, 1)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode != 0
    assert f"to go on: cadlag run {SOURCE} --preset quick --out {out}" in error


def test_other_settings_are_refused(finished, monkeypatch, tmp_path):
    monkeypatch.setenv("TINY_SCALE", "3")
    with pytest.raises(ValueError, match=r"differs in settings .*another --out"):
        run(SOURCE, preset="quick", out=finished.out)
    with pytest.raises(ValueError, match="differs in preset"):
        run(SOURCE, preset="smoke", out=finished.out)
    (tmp_path / "holiday.txt").touch()
    with pytest.raises(ValueError, match="is not empty and holds no run"):
        run(SOURCE, preset="smoke", out=tmp_path)


def test_a_damaged_config_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        run(SOURCE, preset="smoke", out=tmp_path)
    (tmp_path / "config.json").write_text('{"format": 0}')
    with pytest.raises(ValueError, match="another version"):
        run(SOURCE, preset="smoke", out=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"preset": "huge"}, "no preset 'huge'.*smoke, quick"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"data": "nowhere.npy"}, "nowhere.npy, which does not exist"),
        ({"seeds": (1, 1)}, "a seed was given twice"),
        ({"cluster": "tcp://127.0.0.1:1"}, "dask.distributed, which is not installed|No Dask scheduler"),
    ],
)
def test_bad_arguments(tmp_path, arguments, text):
    with pytest.raises(ValueError, match=text):
        run(SOURCE, out=tmp_path / "r", **{"preset": "smoke", **arguments})


def test_names_that_lead_nowhere():
    with pytest.raises(ValueError, match="Did you mean 'pde-refiner'"):
        load_recipe("pde-refinr")
    with pytest.raises(ValueError, match="no module 'not_there'"):
        load_recipe("not_there:Thing")
    with pytest.raises(ValueError, match="has no 'Thing'"):
        load_recipe("tiny_recipe:Thing")
    with pytest.raises(TypeError, match="not a subclass"):
        load_recipe("tiny_recipe:RATES")


def test_a_recipe_whose_judge_cannot_be_trusted_is_refused():
    class Blind(Tiny):
        def judge(self, figures):
            claim = super().judge(figures)[0]
            return [type(claim)("a", "s", "c", 0.0, claim.outcome, ("good", "blind"))]

    class Eager(Tiny):
        def judge(self, figures):
            claim = super().judge(figures)[0]
            return [type(claim)("a", "s", "c", 0.0, compare_paired({0: 1.0}, {0: 0.0}))]

    with pytest.raises(ValueError, match="rests on the blind arm 'blind'"):
        check_claims(Blind(), Preset.QUICK)
    with pytest.raises(ValueError, match="without any figures"):
        check_claims(Eager(), Preset.QUICK)


def test_an_instance_runs_too_if_a_worker_can_find_its_class(tmp_path):
    assert run(Tiny(), preset="smoke", out=tmp_path / "r").claims[0].verdict is Verdict.HOLDS

    class Local(Tiny):
        pass

    with pytest.raises(ValueError, match="no worker process finds it"):
        run(Local(), preset="smoke", out=tmp_path / "s")


class FakeClient:
    """A scheduler that runs a task at once; what is used of `dask.distributed.Client`."""

    submitted: ClassVar[list] = []

    def __init__(self, address, timeout):
        self.address = address

    def submit(self, function, task, pure):
        json.dumps(task)  # it must travel
        self.submitted.append(task)
        future = concurrent.futures.Future()
        future.set_result(function(task))
        return future

    def cancel(self, futures):
        assert futures == []

    def close(self):
        pass


def test_a_cluster_gives_the_same_figures(tmp_path, monkeypatch, finished):
    modules = {"dask": types.ModuleType("dask"), "dask.distributed": types.ModuleType("dask.distributed")}
    modules["dask.distributed"].Client = FakeClient
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(p for p in sys.path if p))
    away = run(SOURCE, preset="quick", out=tmp_path / "r", cluster="tcp://somewhere:8786")
    assert away.claims == finished.claims
    assert [len(task["units"]) for task in FakeClient.submitted] == [3, 3, 3, 3]


def test_two_runs_on_one_folder_are_kept_apart(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    out = tmp_path / "r"
    run(SOURCE, preset="smoke", out=out)
    with (out / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="Another run is writing"):
            run(SOURCE, preset="smoke", out=pathlib.Path(out))
