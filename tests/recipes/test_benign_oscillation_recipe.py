"""Every claim of `benign-oscillation` can hold and can fail; every arm runs at smoke."""

import pytest

from cadlag.recipes import Preset, Verdict
from cadlag.recipes.benign_oscillation import ARMS, BenignOscillationRecipe

RECIPE = BenignOscillationRecipe()
GOOD = {
    "large": {"weak": 1.0, "loss": 0.001, "residual": 0.08}, "edge": {"weak": 0.99}, "beyond": {"weak": 0.5},
    "below": {"weak": 0.6}, "decayed": {"weak": 0.9}, "small": {"weak": 0.55, "loss": 0.001},
    "longer": {"weak": 0.56}, "label-noise": {"weak": 0.55}, "wider": {"weak": 0.52}, "full-batch": {"weak": 0.55},
    "full-batch-large": {"weak": 0.98}, "theory": {"worst": 0.003},
}  # fmt: skip
BAD = {
    "large": {"weak": 0.6, "loss": 0.5, "residual": 0.0}, "edge": {"weak": 0.7}, "beyond": {"weak": 0.5},
    "below": {"weak": 0.6}, "decayed": {"weak": 0.9}, "small": {"weak": 0.95, "loss": 0.001},
    "longer": {"weak": 0.96}, "label-noise": {"weak": 0.95}, "wider": {"weak": 0.92}, "full-batch": {"weak": 0.95},
    "full-batch-large": {"weak": 0.6}, "theory": {"worst": 0.2},
}  # fmt: skip


def over_seeds(table):
    return {arm: {seed: {k: v + 1e-4 * seed for k, v in f.items()} for seed in range(3)} for arm, f in table.items()}


@pytest.mark.parametrize(("table", "verdict"), [(GOOD, Verdict.HOLDS), (BAD, Verdict.FAILS)])
def test_every_claim_can_hold_and_can_fail(table, verdict):
    claims = RECIPE.judge(over_seeds(table))
    assert {c.id: c.verdict for c in claims} == dict.fromkeys((c.id for c in claims), verdict)
    assert len(claims) == 11


def test_nothing_measured_is_no_verdict():
    assert {c.verdict for c in RECIPE.judge({})} == {Verdict.NOT_MEASURED}


def test_smoke_measures_every_arm_and_the_page_shows_it(tmp_path):
    figures = {arm.name: {0: RECIPE.measure(arm, Preset.SMOKE, 0, tmp_path)} for arm in ARMS}
    assert all(c.verdict is not Verdict.NOT_MEASURED for c in RECIPE.judge(figures))
    assert len(RECIPE.tables(figures)) == 2
    assert {p.name for p in RECIPE.pictures(figures, tmp_path)} == {"accuracy", "residual", "map"}
    for arm in ARMS[:-1]:
        found = figures[arm.name][0]
        assert 0 <= found["weak"] <= 1
        assert found["diverged"] + len(found["by_run"]) >= 2
