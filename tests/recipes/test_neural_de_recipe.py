"""Every claim of `neural-de` can hold and can fail; parts; arms at smoke, which compile long."""

import numpy as np
import pytest
from scipy.linalg import expm

from cadlag.recipes import Preset, Verdict
from cadlag.recipes._neural_de_studies import diffusions, oscillators
from cadlag.recipes.neural_de import MORE, QUICK, NeuralDERecipe

RECIPE = NeuralDERecipe()
GOOD = {
    "cde": {"accuracy": 0.999}, "gru-classifier": {"accuracy": 0.98}, "latent-ode": {"error": 0.05},
    "gru-forecaster": {"error": 0.2}, "signature": {"log_noise_ratio": 0.02, "marginal": 0.02},
    "gan": {"log_noise_ratio": 0.02}, "latent-sde": {"log_noise_ratio": 0.02}, "untrained": {"marginal": 2.0},
    "flow": {"gain": 0.6}, "symbolic": {"error": 0.001}, "equilibrium": {"accuracy": 0.97},
    "adjoints": {"reversible_error": 1e-6, "reversible_growth": 1.0},
}  # fmt: skip
BAD = {
    "cde": {"accuracy": 0.9}, "gru-classifier": {"accuracy": 0.98}, "latent-ode": {"error": 0.3},
    "gru-forecaster": {"error": 0.2}, "signature": {"log_noise_ratio": 0.3, "marginal": 3.0},
    "gan": {"log_noise_ratio": 0.3}, "latent-sde": {"log_noise_ratio": 0.3}, "untrained": {"marginal": 2.0},
    "flow": {"gain": 0.1}, "symbolic": {"error": 0.1}, "equilibrium": {"accuracy": 0.9},
    "adjoints": {"reversible_error": 1e-2, "reversible_growth": 9.0},
}  # fmt: skip


def over_seeds(table):
    return {arm: {seed: {k: v + 1e-6 * seed for k, v in f.items()} for seed in range(3)} for arm, f in table.items()}


@pytest.mark.parametrize(("table", "verdict"), [(GOOD, Verdict.HOLDS), (BAD, Verdict.FAILS)])
def test_every_claim_can_hold_and_can_fail(table, verdict):
    claims = RECIPE.judge(over_seeds(table))
    assert {c.id: c.verdict for c in claims} == dict.fromkeys((c.id for c in claims), verdict)
    assert len(claims) == 13


def test_nothing_measured_is_no_verdict():
    assert {c.verdict for c in RECIPE.judge({})} == {Verdict.NOT_MEASURED}


def test_a_part_is_measured_alone():
    one = NeuralDERecipe(part="flow")
    assert [arm.name for arm in one.arms(Preset.QUICK)] == ["flow"]
    assert {arm.name for arm in RECIPE.arms(Preset.STANDARD)} == {arm.name for arm in QUICK + MORE}
    with pytest.raises(ValueError, match="--part adjoint is not known to neural-de; expected one of spirals"):
        NeuralDERecipe(part="adjoint")


def test_oscillators_follow_their_equation():
    times, values = oscillators(3, 5, 0)
    field = np.array([[-0.1, 1.3], [-1.0, -0.1]])
    np.testing.assert_allclose(values[1, 3], expm(times[1, 3] * field) @ values[1, 0], rtol=1e-10)
    assert np.all(times[:, 0] == 0)


def test_diffusions_have_the_noise_they_say():
    ou = {"train": 4000, "rows": 129, "end": 4.0, "pull": 1.0, "noise": 0.5}
    paths = np.asarray(diffusions({"ou": ou}, 1).values)[:, :, 0]
    found = np.sqrt(np.mean(np.sum(np.diff(paths, axis=1) ** 2, axis=1)) / 4.0)
    assert abs(found - 0.5) < 0.01
    assert abs(paths[:, -1].std() - np.sqrt(0.125 + np.exp(-8) / 3)) < 0.02


@pytest.mark.slow
def test_smoke_measures_every_arm_and_the_page_shows_it(tmp_path):
    figures = {arm.name: {0: RECIPE.measure(arm, Preset.SMOKE, 0, tmp_path)} for arm in QUICK + MORE}
    assert all(c.verdict is not Verdict.NOT_MEASURED for c in RECIPE.judge(figures))
    assert len(RECIPE.tables(figures)) == 7
    assert {p.name for p in RECIPE.pictures(figures, tmp_path)} == {"paths", "deviations"}
