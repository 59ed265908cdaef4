"""The command line: exit codes, one-line errors, and what it does not import."""

import json
import pathlib
import subprocess
import sys
import types

import pytest

from cadlag.cli import main

RECIPES = pathlib.Path(__file__).parents[1] / "recipes"
SOURCE = "tiny_recipe:Tiny"


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.syspath_prepend(str(RECIPES))


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["list", "--json"], ["run", "--help"]])
def test_help_and_list_import_nothing_heavy(arguments):
    code = (
        "import sys\nfrom cadlag.cli import main\nsys.stdout = open('/dev/null', 'w')\n"
        f"try:\n    main({arguments!r})\n"
        "except SystemExit as e:\n    assert not e.code\n"
        "heavy = {'jax', 'numpy', 'pandas', 'matplotlib', 'equinox', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_python_dash_m():
    done = subprocess.run([sys.executable, "-m", "cadlag", "list"], capture_output=True, text=True)
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("stable-sde", "score-sde", "deep-kernel-machine"))


def test_list_json_and_markdown(capsys, tmp_path):
    assert main(["list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 43
    assert {"number", "name", "wing", "title", "summary", "module"} <= rows[0].keys()
    claims = [{"id": "a", "verdict": "holds"}]
    record = {"recipe": "ntk", "preset": "quick", "seeds": [0], "claims": claims}
    (tmp_path / "ntk-quick.json").write_text(json.dumps(record))
    assert main(["list", "--markdown", "--results", str(tmp_path)]) == 0
    assert "1 holds (quick, 1 seed)" in capsys.readouterr().out


def test_run_shows_verdicts_and_leaves_a_page(tmp_path, capsys):
    assert main(["run", SOURCE, "--preset", "smoke", "--seeds", "2", "--out", str(tmp_path / "r")]) == 0
    shown = capsys.readouterr()
    assert "Good beats bad." in shown.out
    assert "report.html" in shown.out
    assert "4/4" in shown.err
    assert "Good beats bad." in (tmp_path / "r" / "report.html").read_text()
    assert main(["run", SOURCE, "--preset", "smoke", "--seeds", "2", "--out", str(tmp_path / "r"), "--json"]) == 0
    again = capsys.readouterr()
    assert json.loads(again.out)["seeds"] == [0, 1]
    assert again.err == ""


def test_a_crash_exits_with_2(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TINY_CRASH", "good/0")
    assert main(["run", SOURCE, "--preset", "smoke", "--out", str(tmp_path / "r")]) == 2
    assert "loss is not finite at step 7" in capsys.readouterr().err
    assert "Something broke" in (tmp_path / "r" / "report.html").read_text()


def record(folder, **verdicts):
    claims = [{"id": name, "verdict": verdict} for name, verdict in verdicts.items()]
    content = {"recipe": "tiny", "preset": "smoke", "seeds": [0, 1, 2], "claims": claims}
    folder.mkdir()
    (folder / "tiny-smoke.json").write_text(json.dumps(content))
    return ["--recorded", str(folder)]


def test_verify_exit_codes(tmp_path, monkeypatch, capsys):
    verify = ["verify", SOURCE, "--out", str(tmp_path / "runs")]
    assert main(verify) == 1  # the recipe has one claim that fails
    assert "claim 'worse'" in capsys.readouterr().err
    as_it_is = {"better": "holds", "worse": "fails", "near": "undecided", "part": "not measured"}
    known = record(tmp_path / "same", **as_it_is)
    assert main([*verify, *known]) == 0
    assert main([*verify, *known, "--strict"]) == 0
    fell = record(tmp_path / "fell", **{**as_it_is, "worse": "holds"})
    assert main([*verify, *fell]) == 1
    slid = record(tmp_path / "slid", **{**as_it_is, "near": "holds"})
    assert main([*verify, *slid]) == 0
    assert main([*verify, *slid, "--strict"]) == 1
    monkeypatch.setenv("TINY_SCALE", "2")
    assert main([*verify, *known]) == 2  # the kept folder is another run's
    assert main(["verify", "ntkk"]) == 2
    monkeypatch.setenv("TINY_CRASH", "good/0")
    assert main(["verify", SOURCE, *known]) == 2


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["run", "stable-sd"], "Did you mean 'stable-sde'?"),
        (["run", SOURCE, "--seeds", "0"], "seeds must be at least 1"),
        (["run", SOURCE, "--data", "nowhere.npy"], "does not exist"),
        (["list", "--markdown", "--results", "nowhere"], "nowhere is not a folder"),
        (["fit", "series", "nowhere.csv", "--label", "y"], "nowhere.csv does not exist"),
        (["predict", "nowhere", "nowhere.csv"], "nowhere.csv does not exist"),
    ],
)
def test_errors_are_one_line(arguments, text, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip()
    assert text in error
    assert "\n" not in error
    assert error.startswith("cadlag: ")


def test_debug_shows_the_traceback():
    with pytest.raises(ValueError, match="Did you mean"):
        main(["run", "stable-sd", "--debug"])


def test_unknown_options_exit_with_2():
    with pytest.raises(SystemExit) as end:
        main(["run", SOURCE, "--pesets", "smoke"])
    assert end.value.code == 2


def test_fit_and_predict_hand_their_arguments_on(tmp_path, monkeypatch, capsys):
    calls = {}

    def fit_file(**keywords):
        calls["fit"] = keywords
        return "fitted"

    def predict_file(**keywords):
        calls["predict"] = keywords
        raise ValueError("column 'x' is missing\nfrom new.csv")

    fake = types.SimpleNamespace(fit_file=fit_file, predict_file=predict_file)
    monkeypatch.setitem(sys.modules, "cadlag.series._files", fake)
    table = tmp_path / "data.csv"
    table.write_text("id,time,x,kind\n")
    arguments = ["--label", "kind", "--id", "id", "--time", "time", "--model", "gsde", "--steps", "7", "--sort"]
    assert main(["fit", "series", str(table), *arguments]) == 0
    assert capsys.readouterr().out == "fitted\n"
    assert calls["fit"] == {
        "data": table, "label": "kind", "id": "id", "time": "time", "task": "classify", "model": "gsde",
        "steps": 7, "seed": 0, "out": None, "sort": True, "duplicates": "refuse",
    }  # fmt: skip
    assert main(["predict", str(tmp_path), str(table), "-o", "p.csv"]) == 2
    assert calls["predict"] == {"run": tmp_path, "data": table, "out": pathlib.Path("p.csv")}
    assert capsys.readouterr().err == "cadlag: column 'x' is missing from new.csv\n"


def test_solve_hands_its_arguments_on(monkeypatch, capsys):
    calls = {}
    fake = types.SimpleNamespace(solve_file=lambda **keywords: calls.update(keywords))
    monkeypatch.setitem(sys.modules, "cadlag.physics._files", fake)
    assert main(["solve", "heat", "--set", "nu=0.1", "--set", "k=2", "--double", "-o", "folder"]) == 0
    assert calls == {
        "equation": "heat", "method": "network", "settings": ("nu=0.1", "k=2"), "steps": None, "points": None,
        "double": True, "seed": 0, "out": pathlib.Path("folder"),
    }  # fmt: skip


def test_fit_generate_and_sample_hand_their_arguments_on(tmp_path, monkeypatch, capsys):
    calls = {}

    def fit_file(**keywords):
        calls["fit"] = keywords

    def sample_file(**keywords):
        calls["sample"] = keywords
        return "drawn"

    fake = types.SimpleNamespace(fit_file=fit_file, sample_file=sample_file)
    monkeypatch.setitem(sys.modules, "cadlag.generate._files", fake)
    table = tmp_path / "data.csv"
    table.write_text("x,y\n")
    assert main(["fit", "generate", str(table), "--schedule", "flow", "--levels", "17"]) == 0
    assert calls["fit"] == {
        "data": table, "label": None, "schedule": "flow", "network": "mlp", "levels": 17, "steps": None, "seed": 0,
        "out": None,
    }  # fmt: skip
    assert main(["sample", str(tmp_path), "-n", "5", "-o", "s.csv"]) == 0
    assert calls["sample"] == {
        "run": tmp_path, "n": 5, "out": pathlib.Path("s.csv"), "condition": None, "guidance": 1.0, "seed": 0,
    }  # fmt: skip
    assert capsys.readouterr().out == "drawn\n"
    assert main(["sample", "nowhere", "-n", "5"]) == 2
    assert "nowhere does not exist" in capsys.readouterr().err
