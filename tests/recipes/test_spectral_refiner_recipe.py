"""The verdicts of spectral-refiner on made-up tables, and a smallest run of its studies."""

import numpy as np
import pytest

from cadlag.recipes import Preset, Verdict
from cadlag.recipes import _spectral_refiner_studies as studies
from cadlag.recipes.spectral_refiner import ARMS, SpectralRefinerRecipe

SEEDS = (0, 1, 2)


def figures(good: bool):
    """Figures under which every claim holds, or under which every claim fails."""
    image = [[[0.0, 0.5]]] * 6
    error = {"negative": 0.1, "l2": 0.2, "increment": 0.41} if good else {"negative": 0.3, "l2": 0.2, "increment": 0.2}
    others = {"longer": 0.3, "fno": 0.25, "solver": 0.2} if good else {"longer": 0.1, "fno": 0.1, "solver": 0.01}

    def refined(seed):
        noise = 1 + 1e-3 * seed
        ways = {
            key: {"error": e * noise, "ratio": 0.4 / e * noise, "case_seconds": 0.5, "curve": [1.0, 0.1]}
            for key, e in error.items()
        }
        return {"before": 0.4 * noise, "parameters": 10, "train_seconds": 3.0, "case": image,
                "correlation": (0.9 if good else 0.1) * noise, **ways}  # fmt: skip

    row = {"parameters": 10, "train_seconds": 3.0, "case_seconds": 0.1}
    made = {arm: {s: {"error": e * (1 + 1e-3 * s), **row} for s in SEEDS} for arm, e in others.items()}
    return {"refined": {s: refined(s) for s in SEEDS}, **made}


@pytest.mark.parametrize(("good", "verdict"), [(True, Verdict.HOLDS), (False, Verdict.FAILS)])
def test_every_claim_can_hold_and_can_fail(good, verdict):
    claims = SpectralRefinerRecipe().judge(figures(good))
    assert len(claims) == 7
    assert {c.id: c.verdict for c in claims if c.verdict is not verdict} == {}


def test_tables_and_pictures(tmp_path):
    recipe = SpectralRefinerRecipe()
    assert [len(table.rows) for table in recipe.tables(figures(True))] == [7]
    assert [p.name for p in recipe.pictures(figures(True), tmp_path)] == ["case", "errors", "estimates"]
    assert all(c.verdict is Verdict.NOT_MEASURED for c in recipe.judge({}))
    assert (recipe.tables({}), recipe.pictures({}, tmp_path)) == ([], [])


@pytest.mark.slow  # half a minute of compiling; the parts are tested with the operators
def test_a_smallest_run():
    recipe = SpectralRefinerRecipe()
    settings = recipe.settings(Preset.SMOKE)
    found = studies.refined(settings, 100)
    assert found["before"] == pytest.approx(np.mean(found["errors_before"]))
    for way in ("negative", "l2", "increment"):
        assert len(found[way]["estimates"]) == settings["test"]
        assert found[way]["ratio"] == pytest.approx(found["before"] / found[way]["error"])
    exact = studies.solver(settings)
    # The truth is on this very grid, so that the solver repeats it up to single precision.
    assert exact["error"] < 1e-4
    assert {arm.name for arm in recipe.arms(Preset.SMOKE)} == {arm.name for arm in ARMS}
