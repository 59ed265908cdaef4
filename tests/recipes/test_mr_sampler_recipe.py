"""The verdicts of mr-sampler on made-up tables, and its degradations."""

import numpy as np
import pytest

from cadlag.recipes import Preset, Verdict
from cadlag.recipes._mr_sampler_studies import degrade, samplers
from cadlag.recipes.mr_sampler import MRSamplerRecipe

SEEDS = (0, 1, 2)


def figures(good: bool):
    """Figures under which every claim holds, or under which every claim fails."""
    rng = np.random.default_rng(0)
    best, worst = (0.1, 0.3) if good else (0.3, 0.1)

    def at(distance, psnr=15.0):
        return {"distance": distance * (1 + 1e-4 * rng.standard_normal()), "psnr": psnr + 1e-4 * rng.standard_normal()}

    def task():
        return {
            "sde-2": {str(n): at(best, 15.0 if good else 10.0) for n in (5, 10, 20)},
            "posterior": {**{str(n): at(worst) for n in (5, 10, 20)}, "100": at(worst)},
            "euler": {"10": at(1.0 if good else 0.3)},
            "ode-2": {"5": at(best)},
            "ode-2-noise": {"5": at(worst)},
        }

    return {
        "exact": {s: {"ratio": 0.36 if good else 0.9} for s in SEEDS},
        "mr": {s: {"tasks": {"block": task()}} for s in SEEDS},
        "regression": {s: {"tasks": {"block": {"once": {"1": at(worst)}}}} for s in SEEDS},
    }


@pytest.mark.parametrize(("good", "verdict"), [(True, Verdict.HOLDS), (False, Verdict.FAILS)])
def test_every_claim_can_hold_and_can_fail(good, verdict):
    claims = MRSamplerRecipe().judge(figures(good))
    assert len(claims) == 10
    assert {c.id: c.verdict for c in claims if c.verdict is not verdict} == {}


def test_nothing_measured_lists_every_claim(tmp_path):
    recipe = MRSamplerRecipe()
    assert all(c.verdict is Verdict.NOT_MEASURED for c in recipe.judge({}))
    assert recipe.tables({}) == []
    assert recipe.pictures({}, tmp_path) == []


def test_degradations():
    images = np.random.default_rng(0).random((5, 1, 8, 8))
    block = degrade(images, "block", 0)
    changed = (block != images).reshape(5, -1).sum(1)
    np.testing.assert_array_equal(changed, 16)
    assert all(np.isclose(b[b != a], a.mean()).all() for a, b in zip(images, block, strict=True))
    blurred = degrade(np.ones((2, 1, 8, 8)), "blur", 0)
    # The blur leaves a constant alone; 128 values with noise of deviation 0.05, four standard errors.
    assert abs(blurred.std() - 0.05) < 4 * 0.05 / np.sqrt(256)
    assert degrade(images, "noise", 0).std() > images.std()


def test_all_samplers_have_equal_evaluations():
    for by_count in samplers([5, 10]).values():
        assert {n: s.steps for n, s in by_count.items()} == {5: 5, 10: 10}
    assert MRSamplerRecipe().settings(Preset.QUICK)["counts"] == [5, 10, 20, 100]
