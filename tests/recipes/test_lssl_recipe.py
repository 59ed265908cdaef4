"""Every claim of `lssl` can hold and can fail; every arm runs at smoke."""

import numpy as np
import pytest

from cadlag.recipes import Preset, Verdict
from cadlag.recipes._lssl_studies import digits_as_series, every_other
from cadlag.recipes.lssl import ARMS, MORE, LSSLRecipe

RECIPE = LSSLRecipe()
GOOD = {
    "lssl": {"accuracy": 0.95, "half": 0.5, "half_doubled": 0.94}, "lssl-f": {"accuracy": 0.9}, "gru": {
        "accuracy": 0.8, "half": 0.4}, "random-a": {"accuracy": 0.3}, "cde": {"accuracy": 0.5},
    "convolution": {"accuracy": 0.9}, "cost": {"difference": 1e-6, "slope": 1.0, "log_ratio": -1.0},
}  # fmt: skip
BAD = {
    "lssl": {"accuracy": 0.6, "half": 0.5, "half_doubled": 0.3}, "lssl-f": {"accuracy": 0.7}, "gru": {
        "accuracy": 0.8, "half": 0.6}, "random-a": {"accuracy": 0.9}, "cde": {"accuracy": 0.8},
    "convolution": {"accuracy": 0.9}, "cost": {"difference": 1e-2, "slope": 2.0, "log_ratio": 1.0},
}  # fmt: skip


def over_seeds(table):
    return {arm: {seed: {k: v + 1e-7 * seed for k, v in f.items()} for seed in range(3)} for arm, f in table.items()}


@pytest.mark.parametrize(("table", "verdict"), [(GOOD, Verdict.HOLDS), (BAD, Verdict.FAILS)])
def test_every_claim_can_hold_and_can_fail(table, verdict):
    claims = RECIPE.judge(over_seeds(table))
    assert {c.id: c.verdict for c in claims} == dict.fromkeys((c.id for c in claims), verdict)
    assert len(claims) == 11


def test_nothing_measured_is_no_verdict():
    assert {c.verdict for c in RECIPE.judge({})} == {Verdict.NOT_MEASURED}


def test_digits_become_long_sequences_and_half_of_them():
    train, test = digits_as_series(16, 0)
    assert (len(train), len(test)) == (1437, 360)
    assert test.values.shape == (360, 256, 1)
    np.testing.assert_array_equal(every_other(test).values, np.asarray(test.values)[:, 1::2])
    # Enlarging keeps the mean brightness up to the corners.
    small, _ = digits_as_series(8, 0)
    assert abs(np.mean(train.values) - np.mean(small.values)) < 0.05


def test_smoke_measures_a_model_and_the_costs(tmp_path):
    found = RECIPE.measure(ARMS[0], Preset.SMOKE, 0, tmp_path)
    assert set(found) >= {"accuracy", "half", "half_doubled", "curve"}
    assert RECIPE.measure(ARMS[-1], Preset.SMOKE, 0, tmp_path)["difference"] < 1e-8


@pytest.mark.slow
def test_smoke_measures_every_arm_and_the_page_shows_it(tmp_path):
    figures = {arm.name: {0: RECIPE.measure(arm, Preset.SMOKE, 0, tmp_path)} for arm in ARMS + MORE}
    assert all(c.verdict is not Verdict.NOT_MEASURED for c in RECIPE.judge(figures))
    assert len(RECIPE.tables(figures)) == 2
    assert {p.name for p in RECIPE.pictures(figures, tmp_path)} == {"half-rate", "loss", "cost"}
    for arm in ARMS[:-1] + MORE:
        assert 0 <= figures[arm.name][0]["accuracy"] <= 1
        assert ("half_doubled" in figures[arm.name][0]) == (arm.name in ("lssl", "lssl-f", "random-a"))
