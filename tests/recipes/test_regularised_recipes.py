"""The verdicts of solver-regularised and locally-regularised on made-up tables, and a smallest run of every arm."""

import numpy as np
import pytest

from cadlag.recipes import Preset, Verdict
from cadlag.recipes._regularised_studies import Clock, digits_parts
from cadlag.recipes.locally_regularised import LocallyRegularisedRecipe
from cadlag.recipes.solver_regularised import SolverRegularisedRecipe

SEEDS = (0, 1, 2)
RECIPES = {"global": SolverRegularisedRecipe, "local": LocallyRegularisedRecipe}
PLAIN = {"nfe": 91, "nfe_untrained": 31, "accuracy": 0.97, "seconds_a_step": 0.1, "seconds_of_prediction": 0.02}
GOOD = PLAIN | {"nfe": 45, "seconds_a_step": 0.06, "seconds_of_prediction": 0.012}
BAD = PLAIN | {"nfe": 130, "accuracy": 0.9, "seconds_a_step": 0.2, "seconds_of_prediction": 0.04}


def figures(recipe, good):
    """Figures under which every claim holds, or under which every claim fails."""
    rng = np.random.default_rng(0)
    baselines = {"plain": PLAIN, "steer": PLAIN, "sde-plain": PLAIN, "langevin-plain": PLAIN}
    if isinstance(recipe, LocallyRegularisedRecipe):
        baselines["error"] = GOOD
    ours = GOOD if good else BAD

    def rows(figure):
        return {s: {k: v * (1 + 1e-4 * rng.standard_normal()) for k, v in figure.items()} for s in SEEDS}

    return {arm.name: rows(baselines.get(arm.name, ours)) for arm in recipe.arms(Preset.STANDARD)}


@pytest.mark.parametrize(("good", "verdict"), [(True, Verdict.HOLDS), (False, Verdict.FAILS)])
@pytest.mark.parametrize("name", RECIPES)
def test_every_claim_can_hold_and_can_fail(name, good, verdict):
    recipe = RECIPES[name]()
    claims = recipe.judge(figures(recipe, good))
    assert len(claims) == {"global": 9, "local": 12}[name]
    assert {c.id: c.verdict for c in claims if c.verdict is not verdict} == {}


@pytest.mark.parametrize("name", RECIPES)
def test_nothing_measured_lists_every_claim(name, tmp_path):
    recipe = RECIPES[name]()
    assert all(c.verdict is Verdict.NOT_MEASURED for c in recipe.judge({}))
    assert recipe.tables({}) == []
    assert recipe.pictures({}, tmp_path) == []


def test_parts_are_disjoint_and_tuning_does_not_see_the_test_part():
    parts, tuning = digits_parts(3, False), digits_parts(3, True)
    assert (parts["train"][0].shape, parts["test"][0].shape) == ((1437, 64), (360, 64))
    rows = lambda part: {row.tobytes() for row in part[0]}
    assert not rows(parts["test"]) & (rows(tuning["train"]) | rows(tuning["test"]))
    assert not rows(tuning["test"]) & rows(tuning["train"])


def test_the_clock_counts_neither_the_first_block_nor_pauses(monkeypatch):
    now = iter([0.0, 1.0, 4.0, 5.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(now))
    clock = Clock()
    clock(None, {})
    assert clock.per_step(10) is None
    clock.pause(lambda: None)
    clock(None, {})
    assert clock.per_step(10) == pytest.approx((5.0 - 0.0 - 3.0) / 10)


@pytest.mark.parametrize(
    ("name", "arm"), [
        ("global", "error"), ("local", "local-biased"),
        *(pytest.param(*pair, marks=pytest.mark.slow) for pair in (
            ("global", "plain"), ("global", "steer"), ("global", "stiffness"), ("local", "local-unbiased"))),
    ]
)  # fmt: skip
def test_the_smallest_run_of_an_arm(name, arm, tmp_path):
    recipe = RECIPES[name]()
    (found,) = [a for a in recipe.arms(Preset.SMOKE) if a.name == arm]
    measured = recipe.measure(found, Preset.SMOKE, 100, tmp_path)
    assert measured["nfe"] >= 13
    assert (measured["nfe"] - 1) % 6 == 0
    assert 0 <= measured["accuracy"] <= 1
    assert (measured["penalty"][-1] > 0) == (arm not in ("plain", "steer"))
    assert np.isfinite(measured["loss"]).all()
    assert len(recipe.tables({arm: {100: measured}})) == 1
    assert len(recipe.pictures({arm: {100: measured}}, tmp_path)) == 1
