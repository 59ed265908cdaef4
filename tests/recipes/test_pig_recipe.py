"""The verdicts of pig on made-up tables, and its classical solver."""

import pytest

from cadlag.recipes import Preset, Verdict
from cadlag.recipes._pig_studies import five_points
from cadlag.recipes.pig import PIGRecipe

SEEDS = (0, 1, 2)


def figures(good: bool):
    """Figures under which every claim holds, or under which every claim fails."""
    errors = {"pig": 1e-3, "frozen": 5e-3, "no-head": 4e-3, "pinn": 5e-2, "fourier": 3e-3}
    if not good:
        errors = {arm: 1e-3 if arm == "pig" else 5e-4 for arm in errors}
    image = [[[0.0, 0.1]]]

    def found(arm, seed):
        error = errors[arm] * (1 + 1e-3 * seed)
        row = {"error": error, "seconds": 20.0, "steps": 500, "curve": [1.0, 0.1], "centres": [[0.0, 0.0]],
               "images": {"solution": image, "error": image}, "classical": {"error": 1e-3, "seconds": 0.1}}  # fmt: skip
        return {"helmholtz": row, "klein-gordon": row}

    return {arm: {s: found(arm, s) for s in SEEDS} for arm in errors}


@pytest.mark.parametrize(("good", "verdict"), [(True, Verdict.HOLDS), (False, Verdict.FAILS)])
def test_every_claim_can_hold_and_can_fail(good, verdict):
    claims = PIGRecipe().judge(figures(good))
    assert len(claims) == 5
    assert {c.id: c.verdict for c in claims if c.verdict is not verdict} == {}


def test_tables_and_pictures(tmp_path):
    recipe = PIGRecipe()
    assert [len(table.rows) for table in recipe.tables(figures(True))] == [6, 6]  # five arms and the classical solver
    assert len(recipe.pictures(figures(True), tmp_path)) == 4


def test_nothing_measured_lists_every_claim(tmp_path):
    recipe = PIGRecipe()
    assert all(c.verdict is Verdict.NOT_MEASURED for c in recipe.judge({}))
    assert recipe.tables({}) == []
    assert recipe.pictures({}, tmp_path) == []
    assert {a.name for a in recipe.arms(Preset.QUICK)} >= {"pig", "frozen", "pinn", "fourier"}


def test_differences_are_of_second_order():
    """Error h² (k⁴ / 12) / k² times a constant near one: a quarter at half the step."""
    coarse, fine = (five_points(n)["error"] for n in (31, 63))
    assert 3.8 < coarse / fine < 4.3
