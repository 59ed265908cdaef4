"""Every claim of `batch-size-rmt` can hold and can fail; every arm runs at smoke."""

import pytest

from cadlag.recipes import Preset, Verdict
from cadlag.recipes.batch_size_rmt import ARMS, BATCHES, BatchSizeRMTRecipe

RECIPE = BatchSizeRMTRecipe()


def table(spread, directional, isotropic, slope, saturated, factor, ours, sweep):
    one = {
        "logistic": {"spread": spread, "directional": directional, "isotropic": isotropic},
        "linear": {"slope": slope, "saturated": saturated, "factor": factor},
        "learner": {str(b): {"accuracy": ours} for b in BATCHES},
        "sweep": {str(b): {"accuracy": sweep} for b in BATCHES},
    }
    return {arm: dict.fromkeys(range(3), figures) for arm, figures in one.items()}


GOOD = table(0.1, 1.05, 0.05, 0.9, 0.98, 0.3, 0.98, 0.981)
BAD = table(0.9, 3.0, 0.9, 0.1, 2.0, 1.5, 0.90, 0.98)


@pytest.mark.parametrize(("figures", "verdict"), [(GOOD, Verdict.HOLDS), (BAD, Verdict.FAILS)])
def test_every_claim_can_hold_and_can_fail(figures, verdict):
    claims = RECIPE.judge(figures)
    assert {c.id: c.verdict for c in claims} == dict.fromkeys((c.id for c in claims), verdict)
    assert len(claims) == 9


def test_smoke_measures_every_arm_and_the_page_shows_it(tmp_path):
    figures = {arm.name: {0: RECIPE.measure(arm, Preset.SMOKE, 0, tmp_path)} for arm in ARMS}
    measured = {c.id for c in RECIPE.judge(figures) if c.verdict is not Verdict.NOT_MEASURED}
    # Smoke trains at one batch size alone.
    assert measured >= {"one-over-b", "directional", "isotropic", "linear", "predicted", "learner-512"}
    assert len(RECIPE.tables(figures)) == 4
    assert {p.name for p in RECIPE.pictures(figures, tmp_path)} == {"linear", "digits", "curvature"}
