"""The verdicts of mgno on made-up tables, and its V-cycle with known weights."""

import pytest

from cadlag.recipes import Preset, Verdict
from cadlag.recipes._mgno_studies import multigrid, network
from cadlag.recipes._operators import initial_parameters
from cadlag.recipes.mgno import ARMS, BASELINES, MgNORecipe

SEEDS = (0, 1, 2)
IMAGE = [[[0.0, 0.1]]]


def row(error, gap, seed, steps=500):
    error = error * (1 + 1e-3 * seed)
    return {
        "parameters": 1000, "seconds": 20.0, "steps": steps, "ms": 1.0, "curve": [1.0, 0.1],
        "h1": error, "l2": error / 4, "gap": gap * (1 + 1e-3 * seed**2),
        "spectrum": {"k": [1.0, 2.0], "error": [1e-3, 1e-4], "truth": [1.0, 0.1]},
        "case": {"truth": IMAGE, "prediction": IMAGE, "error": IMAGE},
    }  # fmt: skip


def figures(good):
    """Figures under which every claim holds, or under which every claim fails."""
    ours, theirs = (0.02, 0.05) if good else (0.05, 0.02)
    gap = (1.1, 1.5) if good else (1.5, 1.1)
    made = {"v-cycle": {s: {"factors": {"32": 0.58}, "largest": 0.58 if good else 0.9} for s in SEEDS}}
    for arm in (a.name for a in ARMS):
        error, g = (ours, gap[0]) if arm == "mgno" else (theirs, gap[1])
        both = {s: {"steps": row(error, g, s), "time": row(error, g, s, 2000)} for s in SEEDS}
        made[arm] = {s: dict.fromkeys(("darcy", "rough", "multiscale"), both[s]) for s in SEEDS}
    return made


@pytest.mark.parametrize(("good", "verdict"), [(True, Verdict.HOLDS), (False, Verdict.FAILS)])
def test_every_claim_can_hold_and_can_fail(good, verdict):
    claims = MgNORecipe().judge(figures(good))
    assert len(claims) == 11
    assert {c.id: c.verdict for c in claims if c.verdict is not verdict} == {}


def test_equal_time_is_judged_by_the_longer_training():
    """The baseline is worse at equal steps and better in equal time: only the claim in equal time fails."""
    made = figures(True)
    for s in SEEDS:
        made["fno"][s]["darcy"] = {"steps": row(0.05, 1.5, s), "time": row(0.01, 1.5, s, 2000)}
    verdicts = {c.id: c.verdict for c in MgNORecipe().judge(made)}
    assert [name for name, verdict in verdicts.items() if verdict is not Verdict.HOLDS] == ["equal-time"]


def test_tables_and_pictures(tmp_path):
    recipe = MgNORecipe()
    tables = recipe.tables(figures(True))
    assert [len(t.rows) for t in tables] == [1] + 6 * [len(ARMS)]
    assert [p.name for p in recipe.pictures(figures(True), tmp_path)] == ["pressure", "spectra", "loss"]


def test_nothing_measured_lists_every_claim(tmp_path):
    recipe = MgNORecipe()
    assert all(c.verdict is Verdict.NOT_MEASURED for c in recipe.judge({}))
    assert recipe.tables({}) == []
    assert recipe.pictures({}, tmp_path) == []


def test_settings_name_every_arm():
    for preset in Preset:
        settings = MgNORecipe().settings(preset)
        assert set(settings["learning_rate"]) == {a.name for a in ARMS}
        assert set(settings["equal_time"]) <= set(BASELINES)
        assert settings["train"] <= settings["pool"]
        assert all(network(a.name, settings) is network(a.name, settings) for a in ARMS)
    assert MgNORecipe().settings(Preset.STANDARD)["networks"] == MgNORecipe().settings(Preset.QUICK)["networks"]


@pytest.mark.parametrize(
    ("preset", "published", "ours"), [(Preset.QUICK, None, 42_372), (Preset.GPU, 2_365_825, 572_661)]
)
def test_equal_parameters_are_equal(preset, published, ours):
    """Ours as stated, those of its size at most 6 % larger and never smaller, and about four times as many."""
    settings = MgNORecipe().settings(preset)
    counts = {a.name: initial_parameters(network(a.name, settings), 1, 1) for a in ARMS}
    assert counts["mgno"] == counts["mgno-circular"] == ours
    for name in ("fno", "unet"):
        assert 1 <= counts[name] / ours < 1.06, name
    assert 3.9 < counts["fno-large"] / ours < 4.3
    assert published in (None, counts["fno-large"])


def test_the_weights_of_multigrid():
    """0.577 on 32 x 32 by another implementation; 0.02 for another right-hand side."""
    assert multigrid(32) == pytest.approx(0.577, abs=0.02)
