"""The verdicts of stable-sde on made-up tables, and the pieces of its studies that need no training."""

import numpy as np
import pytest

from cadlag.recipes import Preset, Verdict
from cadlag.recipes._stable_sde_studies import ou_paths
from cadlag.recipes.stable_sde import ARMS, StableSDERecipe

SEEDS = (0, 1, 2)


def figures(accuracy, mse, spread=0.001):
    """Made-up figures: accuracy[arm] at the high rates, mse[arm] in the OU study."""
    rng = np.random.default_rng(0)
    table = {}
    for arm, share in accuracy.items():
        table[arm] = {}
        for seed in SEEDS:
            hits = {r: (np.arange(100) < 100 * share).astype(int).tolist() for r in ("0.5", "0.7")}
            hits["0.0"] = [1] * 100
            mean = {"0": 1.0, "50": share, "70": share + spread * rng.standard_normal()}
            table[arm][seed] = {
                "real": {"cases": {"A": hits}, "mean": mean, "curves": {}, "ms_per_step": {}, "parameters": 1}
            }
            if arm in mse:
                table[arm][seed]["ou"] = {"mse": mse[arm] * (1 + spread * rng.standard_normal())}
    return table


def verdicts(table):
    return {c.id: c.verdict for c in StableSDERecipe().judge(table)}


def test_claims_hold_where_the_figures_say_so():
    found = verdicts(
        figures(
            {"lnsde": 0.9, "cde": 0.6, "gru-d": 0.5, "minirocket": 0.4, "lnsde-no-noise": 0.7},
            {"lnsde": 0.003, "cde": 0.018},
        )
    )
    for claim in ("ou-lnsde", "ou-cde", "robust-cde", "robust-gru-d", "robust-minirocket", "noise-adds", "small-drop"):
        assert found[claim] is Verdict.HOLDS, claim
    assert found["ou-gsde"] is Verdict.NOT_MEASURED
    assert found["hopper"] is Verdict.NOT_MEASURED


def test_claims_fail_where_the_figures_say_so():
    found = verdicts(
        figures(
            {"lnsde": 0.6, "cde": 0.9, "gru-d": 0.95, "minirocket": 0.99, "lnsde-no-noise": 0.8},
            {"lnsde": 0.006, "cde": 1e-5},
        )
    )
    for claim in ("ou-lnsde", "ou-cde", "robust-cde", "robust-gru-d", "robust-minirocket", "noise-adds", "small-drop"):
        assert found[claim] is Verdict.FAILS, claim


def test_equal_arms_are_undecided():
    found = verdicts(figures({"lnsde": 0.8, "cde": 0.8}, {}))
    assert found["robust-cde"] is Verdict.UNDECIDED


def test_no_verdict_rests_on_a_blind_arm():
    blind = {a.name for a in ARMS if a.kind == "blind"}
    assert blind == {"ode", "naive-sde"}
    assert all(not blind & set(c.needs) for c in StableSDERecipe().judge({}))


def test_nothing_measured_lists_every_claim():
    claims = StableSDERecipe().judge({})
    assert len(claims) == 10
    assert all(c.verdict is Verdict.NOT_MEASURED for c in claims)


def test_ou_paths_have_the_law_the_floor_is_computed_from():
    """Mean variance over the 20 points: 0.005 (1 - 0.81^n) / 0.19 averaged is 0.0195."""
    expected = np.mean(0.005 * (1 - 0.81 ** np.arange(20)) / 0.19)
    assert expected == pytest.approx(0.0195, abs=5e-5)
    paths = ou_paths(20_000, 0)
    # Relative standard error of the pooled variance is below 1 % (about 4,000 independent points a path set).
    assert np.mean(paths.var(axis=0)) == pytest.approx(expected, rel=0.04)
    np.testing.assert_allclose(paths.mean(0), 0.9 ** np.arange(20), atol=0.005)


def test_settings_name_what_a_preset_measures():
    recipe = StableSDERecipe()
    assert recipe.settings(Preset.QUICK)["sets"] == ["BasicMotions", "JapaneseVowels"]
    assert len(recipe.settings(Preset.STANDARD)["sets"]) == 5
    assert len(recipe.arms(Preset.SMOKE)) == 2
