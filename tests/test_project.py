"""The project around the library: README, docs, versions, CI and what an import costs agree with one another."""

import pathlib
import re
import runpy
import subprocess
import sys
import tomllib

import jax
import pytest

import cadlag
from cadlag.cli import main

ROOT = pathlib.Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.S | re.M)


def read(path):
    return path.read_text(encoding="utf8")


def two_commands():
    section = read(README).split("## Two commands\n")[1].split("\n## ")[0]
    return re.findall(r"^```(?:sh|bash)\n(.*?)^```", section, re.S | re.M)


@pytest.mark.parametrize("path", [p for p in PAGES if BLOCK.search(read(p))], ids=lambda p: p.stem)
def test_python_blocks_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall(read(path))
    script = tmp_path / f"{path.stem}.py"
    script.write_text("\n\n".join(blocks), encoding="utf8")
    # In the reader's precision and with the reader's promotion rules.
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        runpy.run_path(str(script), run_name="__main__")
    assert all(len(block.strip().splitlines()) < 25 or path is not README for block in blocks)


def test_blocks_of_write_your_own_are_short():
    blocks = BLOCK.findall(read(ROOT / "docs" / "write-your-own.md"))
    assert len(blocks) == 4
    assert (
        max(len([x for x in block.splitlines() if x and not x.startswith(("import", "from"))]) for block in blocks) < 25
    )


def test_readme_has_exactly_two_one_line_commands():
    commands = two_commands()
    assert len(commands) == 2
    assert all(command.count("\n") == 1 for command in commands)
    first, second = commands
    assert first.startswith("python3 -m venv ")
    assert ".[series]" in first
    assert first.strip().endswith("cadlag run stable-sde --preset quick")
    assert second.startswith("python3 -m venv ")
    assert "test" in second
    assert second.strip().endswith("-m pytest")


def test_ci_runs_the_commands_of_the_readme():
    # The script's own way of reading them, by awk, gives the same two lines.
    script = read(ROOT / ".ci" / "run")
    (program,) = re.findall(r"<\(awk '(.*?)' README\.md\)", script)
    found = subprocess.run(["awk", program, str(README)], capture_output=True, text=True, check=True).stdout
    assert found == "".join(two_commands())
    assert 'eval "${commands[1]}"' in script
    assert script.rstrip().endswith('eval "${commands[1]}"'), "pytest's closing line must come last"
    assert "install=${commands[0]%% && .venv/bin/cadlag *}" in script


def test_ci_is_valid_bash_and_executable():
    path = ROOT / ".ci" / "run"
    assert path.stat().st_mode & 0o111
    assert "set -euo pipefail" in read(path)
    subprocess.run(["bash", "-n", str(path)], check=True)


def test_versions_agree():
    with open(ROOT / "pyproject.toml", "rb") as file:
        version = tomllib.load(file)["project"]["version"]
    assert cadlag.__version__ == version
    assert re.findall(r"^## (\S+)", read(ROOT / "CHANGELOG.md"), re.M)[0] == version
    assert f"version = {{{version}}}" in read(README)


def test_readme_table_is_what_the_command_writes(capsys):
    assert main(["list", "--markdown", "--results", str(ROOT / "results")]) == 0
    table = capsys.readouterr().out
    (shown,) = re.findall(r"<!-- table: begin[^\n]*-->\n(.*?)<!-- table: end -->", read(README), re.S)
    assert shown == table, "run: python docs/update_readme.py"
    assert len(re.findall(r"^\| \d\d \|", shown, re.M)) == 43


def test_api_pages_are_what_the_rooms_export():
    write = runpy.run_path(str(ROOT / "docs" / "update_api.py"))
    for room in write["ROOMS"]:
        assert read(ROOT / "docs" / "api" / f"{room}.md") == write["page"](room), "run: python docs/update_api.py"
        names = [n for n in write["public_names"](room) if not n.startswith("_")]
        assert names
        assert len(set(names)) == len(names)


def test_every_page_is_in_the_navigation():
    text = read(ROOT / "mkdocs.yml")
    assert {str(p.relative_to(ROOT / "docs")) for p in PAGES[1:]} == set(re.findall(r"[\w/-]+\.md", text))


def test_files_that_readme_names_exist():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", read(README)) if "://" not in link]
    assert links
    assert all((ROOT / link).exists() for link in links), links


@pytest.mark.parametrize("code", ["import cadlag", "import cadlag.recipes", "import cadlag.cli"])
def test_import_brings_no_jax(code):
    check = f"{code}; import sys; sys.exit('jax' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0


def test_package_says_that_it_is_typed():
    assert (ROOT / "src" / "cadlag" / "py.typed").exists()


def files_of_the_project():
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0 and done.stdout:
        return [ROOT / name for name in done.stdout.splitlines()]
    folders = ("src", "tests", "docs", "examples", "benchmarks", "results", ".ci")
    found = [p for folder in folders for p in (ROOT / folder).rglob("*") if "__pycache__" not in p.parts]
    return [*found, *ROOT.glob("*.md"), *ROOT.glob("*.toml"), *ROOT.glob("*.yml")]


def test_no_machine_paths():
    # Put together here, so that this file passes its own test.
    words = ["/" + "work/", "/" + "root/", "/" + "home/", "/opt/" + "wheels", "C:" + "\\Users"]
    suffixes = {".py", ".md", ".toml", ".yml", ".yaml", ".json", ".svg", ".html", ".txt", ".sh", ""}
    for path in files_of_the_project():
        if path.is_file() and path.suffix in suffixes:
            content = path.read_text(encoding="utf8", errors="replace")
            assert not [word for word in words if word in content], path
