"""The verdicts of score-sde on made-up tables, and the pieces of its studies that need no training."""

import numpy as np
import pytest

from cadlag.recipes import Preset, Verdict
from cadlag.recipes._score_sde_studies import classical_digits, half_known, judge_filled
from cadlag.recipes.score_sde import ScoreSDERecipe

SEEDS = (0, 1, 2)


def figures(good: bool):
    """Figures under which every claim holds, or under which every claim fails."""
    rng = np.random.default_rng(0)
    jitter = lambda x: x * (1 + 1e-4 * rng.standard_normal())
    table = {
        "exact": {"error": 1e-5 if good else 1e-2},
        "vp": {
            "gap": 0.01 if good else -0.2, "nll": 2.5, "evaluations": 90 if good else 900,
            "distance": {"pc": 0.1 if good else 0.3, "predictor": 0.2},
        },
        "sub-vp": {"gap": 0.01 if good else 0.2, "nll": 2.4 if good else 2.6},
        "digits": {
            "bits": 2.0 if good else 4.0, "filled": {"error": 0.1 if good else 0.9, "accuracy": 0.8 if good else 0.2},
        },
        "gaussian": {"bits": 3.0, "filled": {"error": 0.2, "accuracy": 0.5}},
        "mixture": {"bits": 2.9},
        "mean": {"filled": {"error": 0.4, "accuracy": 0.4}},
    }  # fmt: skip

    def spread(tree):
        return {k: spread(v) if isinstance(v, dict) else jitter(v) for k, v in tree.items()}

    return {arm: {s: spread(f) for s in SEEDS} for arm, f in table.items()}


@pytest.mark.parametrize(("good", "verdict"), [(True, Verdict.HOLDS), (False, Verdict.FAILS)])
def test_every_claim_can_hold_and_can_fail(good, verdict):
    claims = ScoreSDERecipe().judge(figures(good))
    assert len(claims) == 11
    assert {c.id: c.verdict for c in claims if c.verdict is not verdict} == {}


def test_nothing_measured_lists_every_claim():
    assert all(c.verdict is Verdict.NOT_MEASURED for c in ScoreSDERecipe().judge({}))


def test_presets_and_page():
    recipe = ScoreSDERecipe()
    quick = {a.name for a in recipe.arms(Preset.QUICK)}
    assert {"exact", "vp", "sub-vp", "digits", "gaussian", "mixture", "mean"} == quick
    assert len(recipe.arms(Preset.STANDARD)) == 9
    assert recipe.settings(Preset.QUICK)["ring"]["modes"] == 8
    assert recipe.tables({}) == []


def test_classical_baselines_see_what_the_model_sees():
    """The Gaussian's conditional mean has a smaller error than the mean digit, which is that of the training part."""
    settings = {**ScoreSDERecipe().settings(Preset.SMOKE), "filled": 100, "tested": 50, "components": [1, 2]}
    gaussian, mean = (classical_digits(arm, settings, 0)["filled"] for arm in ("gaussian", "mean"))
    assert gaussian["error"] < mean["error"]
    assert gaussian["accuracy"] > mean["accuracy"]


def test_judging_the_filled_half():
    from cadlag.data import digits_split

    _, test = digits_split(seed=0)
    clean, known, labels = half_known(test, {"filled": 50})
    assert np.isnan(known[:, :, 4:]).all()
    np.testing.assert_array_equal(known[:, :, :4], clean[:, :, :4])
    perfect = judge_filled(clean, clean, labels, 0)
    assert perfect["error"] == 0
    assert perfect["accuracy"] > 0.9
