"""The table of the forty-three, and the state written from recorded verdicts."""

import json

import pytest

from cadlag.recipes import TABLE, Verdict, find_system, markdown_table, read_recorded, worse


def test_numbers_and_names():
    assert [system.number for system in TABLE] == list(range(1, 44))
    assert len({system.name for system in TABLE}) == 43
    assert find_system("stable-sde").number == 1
    assert {s.wing for s in TABLE} == {"series", "generate", "operators", "physics", "limits", "lens"}


def write(folder, name, preset, *verdicts):
    claims = [{"id": f"c{i}", "verdict": verdict} for i, verdict in enumerate(verdicts)]
    content = {"recipe": name, "preset": preset, "seeds": [0, 1, 2], "claims": claims}
    (folder / f"{name}-{preset}.json").write_text(json.dumps(content))


def test_markdown_shows_the_largest_recorded_preset(tmp_path):
    write(tmp_path, "ntk", "quick", "holds", "holds")
    write(tmp_path, "ntk", "standard", "holds", "fails", "undecided", "not measured")
    (tmp_path / "speed.json").write_text("[1, 2]")
    lines = markdown_table(read_recorded(tmp_path)).splitlines()
    assert len(lines) == 45
    row = next(line for line in lines if "`ntk`" in line)
    assert "1 holds, 1 fails, 1 undecided, 1 not measured (standard, 3 seeds)" in row
    assert all(line.count(" | ") == 4 for line in lines[2:])


def test_recorded_folder_must_exist(tmp_path):
    with pytest.raises(ValueError, match="not a folder"):
        read_recorded(tmp_path / "none")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ValueError, match=r"bad\.json is damaged"):
        read_recorded(tmp_path)


@pytest.mark.parametrize(
    ("now", "before", "plain", "strict"),
    [
        ("holds", None, False, False),
        ("fails", None, True, True),
        ("undecided", None, False, True),
        ("not measured", None, False, False),
        ("fails", "fails", False, False),
        ("fails", "undecided", True, True),
        ("fails", "not measured", True, True),
        ("undecided", "holds", False, True),
        ("undecided", "undecided", False, False),
        ("undecided", "fails", False, False),
        ("holds", "fails", False, False),
    ],
)
def test_worse(now, before, plain, strict):
    recorded = None if before is None else Verdict(before)
    assert worse(Verdict(now), recorded) is plain
    assert worse(Verdict(now), recorded, strict=True) is strict
