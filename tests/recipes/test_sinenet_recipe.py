"""The verdicts of sinenet on made-up tables."""

import pytest

from cadlag.recipes import Preset, Verdict
from cadlag.recipes._sinenet_studies import network
from cadlag.recipes.sinenet import ARMS, BASELINES, SineNetRecipe

SEEDS = (0, 1, 2)
IMAGE = [[[0.0, 0.1]]]
GOOD = {"sinenet-4": 0.1, "sinenet-2": 0.15, "sinenet-1": 0.2, "sinenet-4-zero": 0.2, "fno": 0.3, "unet": 0.25}
BAD = {"sinenet-4": 0.3, "sinenet-2": 0.25, "sinenet-1": 0.2, "sinenet-4-zero": 0.3, "fno": 0.1, "unet": 0.1}


def row(error, seed, steps=400):
    error = error * (1 + 1e-3 * seed)
    return {
        "parameters": 1000, "seconds": 20.0, "steps": steps, "ms": 1.0, "curve": [1.0, 0.1],
        "one_step": error / 5, "rollout": error, "last": 2 * error, "by_step": [error / 5, 2 * error],
        "spectrum": {"k": [1.0, 2.0], "error": [1e-3, 1e-4], "truth": [1.0, 0.1]},
        "case": {"truth": IMAGE, "prediction": IMAGE, "error": IMAGE},
    }  # fmt: skip


def figures(good):
    """Figures under which every claim holds, or under which every claim fails: slow flows gain nothing."""
    made = {}
    for arm, error in (GOOD if good else BAD).items():
        made[arm] = {
            s: {
                "fast": {"steps": row(error, s), "time": row(error, s + s**2, 2000)},
                # The same for all arms, but for a spread between seeds.
                "slow": {"steps": row(0.05, s**2 if arm == "sinenet-1" else s), "time": row(0.05, s)},
            }
            for s in SEEDS
        }
    return made


@pytest.mark.parametrize(("good", "verdict"), [(True, Verdict.HOLDS), (False, Verdict.FAILS)])
def test_every_claim_can_hold_and_can_fail(good, verdict):
    claims = SineNetRecipe().judge(figures(good))
    assert len(claims) == 9
    assert {c.id: c.verdict for c in claims if c.verdict is not verdict} == {}


def test_a_gain_that_does_not_grow_with_the_speed_is_no_gain_of_alignment():
    made = figures(True)
    for s in SEEDS:
        made["sinenet-4"][s]["slow"]["steps"] = row(0.02, s)
        made["sinenet-1"][s]["slow"]["steps"] = row(0.05, s)
    verdicts = {c.id: c.verdict for c in SineNetRecipe().judge(made)}
    assert [name for name, verdict in verdicts.items() if verdict is not Verdict.HOLDS] == ["displacement"]


def test_tables_and_pictures(tmp_path):
    recipe = SineNetRecipe()
    assert [len(t.rows) for t in recipe.tables(figures(True))] == 4 * [len(ARMS)]
    names = [p.name for p in recipe.pictures(figures(True), tmp_path)]
    assert names == ["scalar", "rollout", "spectra", "loss"]


def test_nothing_measured_lists_every_claim(tmp_path):
    recipe = SineNetRecipe()
    assert all(c.verdict is Verdict.NOT_MEASURED for c in recipe.judge({}))
    assert recipe.tables({}) == []
    assert recipe.pictures({}, tmp_path) == []


def test_settings_name_every_arm():
    for preset in Preset:
        settings = SineNetRecipe().settings(preset)
        assert set(settings["learning_rate"]) == {a.name for a in ARMS}
        assert set(settings["equal_time"]) <= set(BASELINES)
        assert all(network(a.name, settings) is network(a.name, settings) for a in ARMS)
