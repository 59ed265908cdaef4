"""The verdicts of pde-refiner on made-up tables, its data, and one run of its smallest size."""

import json
import types

import numpy as np
import pytest

from cadlag.metrics import error_spectrum
from cadlag.recipes import Preset, Verdict
from cadlag.recipes._pde_refiner_studies import ranking, study, trajectories
from cadlag.recipes.pde_refiner import PDERefinerRecipe

RECIPE = PDERefinerRecipe()


def figures(good: bool):
    """Figures under which every claim holds, or under which every claim fails."""
    rng = np.random.default_rng(0)

    def one(arm):
        best = (arm == "refiner") == good
        return {
            "low_energy_error": (1e-10 if best else 1e-8) * (1 + 0.01 * rng.standard_normal()),
            "horizons": {"at-80": (80.0 if best else 40.0) + rng.standard_normal()},
            "rank": (0.8 if good else 0.0) + 0.01 * rng.standard_normal(),
        }

    return {arm: {s: one(arm) for s in (0, 1, 2)} for arm in ("refiner", "mse", "mse-long")}


@pytest.mark.parametrize(("good", "verdict"), [(True, Verdict.HOLDS), (False, Verdict.FAILS)])
def test_every_claim_can_hold_and_can_fail(good, verdict):
    claims = RECIPE.judge(figures(good))
    assert len(claims) == 5
    assert {c.id: c.verdict for c in claims if c.verdict is not verdict} == {}


def test_tenfold_means_tenfold():
    made = figures(True)
    for s in (0, 1, 2):
        made["mse"][s]["low_energy_error"] = 8 * made["refiner"][s]["low_energy_error"]
        made["mse-long"][s]["low_energy_error"] = 2 * made["refiner"][s]["low_energy_error"]
    verdicts = {c.id: c.verdict for c in RECIPE.judge(made)}
    assert verdicts["low-energy-modes"] is Verdict.FAILS
    assert verdicts["low-energy-modes-long"] is Verdict.HOLDS
    made["refiner"][0]["low_energy_error"] = float("nan")
    assert {c.id: c.verdict for c in RECIPE.judge(made)}["low-energy-modes"] is Verdict.FAILS


def test_nothing_measured_lists_every_claim(tmp_path):
    assert all(c.verdict is Verdict.NOT_MEASURED for c in RECIPE.judge({}))
    assert RECIPE.tables({}) == []
    assert RECIPE.pictures({}, tmp_path) == []


def test_data_are_chaotic_states_of_the_equation():
    """Card 22, item 10, from few trajectories: mean kept, deviation about 1.3, increments over 0.8 of about 0.28."""
    settings = RECIPE.settings(Preset.QUICK)
    data = trajectories(settings, 4, 60, 100)
    u = data.values
    assert u.shape == (4, 60, 1, 64)
    assert data.periodic == ("x",)
    # Single precision: the sum of 64 numbers of order one.
    np.testing.assert_allclose(u.mean(-1), np.broadcast_to(u[:, :1].mean(-1), u.shape[:-1]), atol=1e-6)
    assert 1.1 < u.std() < 1.5
    assert 2.5 < abs(u).max() < 4.5
    assert 0.2 < (u[:, 4:] - u[:, :-4]).std() < 0.36
    spectrum = error_spectrum(u, u, spatial_axes=1).truth.mean((0, 1, 2))
    # There are modes below 1e-5 of the peak for the claim to be about, far above the rounding of single precision.
    low = np.asarray(spectrum)[1:-1] / np.max(spectrum)
    assert 2 <= np.sum(low < 1e-5) < 10
    assert low.min() > 1e-9


def test_ranking_follows_the_spread():
    """Trajectories whose samples part at other rates, ranked by when the truth is left."""
    x, t = np.linspace(0, 2 * np.pi, 16, endpoint=False), np.arange(1.0, 11)
    rates = np.array([0.05, 0.4, 0.1, 0.2])
    phase = rates[:, None, None] * t * np.random.default_rng(0).normal(size=(1, 6, 1))

    class Model:
        def rollout(self, fields, steps, *, samples, seed):
            return np.sin(x + phase[..., None, None])[:, :samples, :steps]

    class Test:
        def times(self, chosen):
            return None

    def found(rates):
        return types.SimpleNamespace(ts=t, correlations=np.clip(1 - 0.5 * rates[:, None] * t, 0, 1))

    assert ranking(Model(), Test(), found(rates), 6) > 0.9
    assert ranking(Model(), Test(), found(rates[::-1]), 6) < 0.5
    assert ranking(Model(), Test(), found(0 * rates), 6) == 0
    assert ranking(Model(), Test(), found(rates), 0) is None


@pytest.mark.slow  # half a minute of compiling; the parts are tested with the operators
def test_smallest_run(tmp_path):
    settings = RECIPE.settings(Preset.SMOKE)
    found = {"refiner": {0: json.loads(json.dumps(study("refiner", settings, 0)))}}
    assert found["refiner"][0]["low_energy_error"] > 0
    assert found["refiner"][0]["rank"] is None
    assert len(found["refiner"][0]["ts"]) == 6
    assert len(RECIPE.tables(found)[0].rows) == 1
    assert [p.name for p in RECIPE.pictures(found, tmp_path)] == ["spectra", "correlation"]
