"""The verdicts of causal-pinn on made-up tables, and its placebo."""

import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.recipes import Preset, Verdict
from cadlag.recipes._causal_pinn_studies import point_weights
from cadlag.recipes.causal_pinn import CausalPINNRecipe

SEEDS = (0, 1, 2)


def figures(good: bool):
    """Figures under which every claim holds, or under which every claim fails."""
    errors = {"causal": 0.05, "plain": 0.9, "placebo": 0.9, "heavier-start": 0.6, "adaptive": 0.7}
    if not good:
        errors = {"causal": 0.35, "plain": 0.3, "placebo": 0.1, "heavier-start": 0.3, "adaptive": 0.3}

    def found(arm, seed):
        row = {"error": errors[arm] * (1 + 1e-3 * seed), "seconds": 8.0, "steps": 100, "curve": [1.0, 0.5],
               "least_weight": 0.99 if good else 0.1, "path": [1.0, 2.0], "truth": [1.0, 2.0],
               "classical": {"error": 1e-9, "seconds": 0.1}}  # fmt: skip
        return {"lorenz": row, "allen-cahn": row, "convection": row}

    return {arm: {s: found(arm, s) for s in SEEDS} for arm in errors}


@pytest.mark.parametrize(("good", "verdict"), [(True, Verdict.HOLDS), (False, Verdict.FAILS)])
def test_every_claim_can_hold_and_can_fail(good, verdict):
    claims = CausalPINNRecipe().judge(figures(good))
    assert len(claims) == 10
    assert {c.id: c.verdict for c in claims if c.verdict is not verdict} == {}


def test_tables_and_pictures(tmp_path):
    recipe = CausalPINNRecipe()
    assert [len(table.rows) for table in recipe.tables(figures(True))] == [6, 6, 6]
    assert len(recipe.pictures(figures(True), tmp_path)) == 2
    assert all(c.verdict is Verdict.NOT_MEASURED for c in recipe.judge({}))
    assert (recipe.tables({}), recipe.pictures({}, tmp_path)) == ([], [])


def test_one_equation_alone(tmp_path):
    recipe = CausalPINNRecipe(equation="allen-cahn")
    assert set(recipe.settings(Preset.QUICK)["problems"]) == {"allen-cahn"}
    assert {arm.name for arm in recipe.arms(Preset.QUICK)} == set(figures(True))
    alone = {a: {s: {"allen-cahn": f["allen-cahn"]} for s, f in by.items()} for a, by in figures(True).items()}
    measured = {c.id for c in recipe.judge(alone) if c.verdict is not Verdict.NOT_MEASURED}
    assert measured == {"allen-cahn", *(f"allen-cahn-{a}" for a in ("plain", "heavier-start", "adaptive"))}
    assert [p.name for p in recipe.pictures(alone, tmp_path)] == ["loss"]
    with pytest.raises(ValueError, match="one of lorenz, allen-cahn, convection"):
        CausalPINNRecipe(equation="heat")


def test_the_placebo_has_the_weights_of_another_order():
    """The same numbers, but the weights fall along shuffled time: some slice outweighs an earlier one."""
    size = {"tolerances": (1.0,), "times": 8, "steps": 10}
    points = jnp.stack([jnp.repeat(jnp.linspace(0, 1, 8), 2)], axis=1)
    squared = jnp.repeat(jnp.linspace(0.5, 1.0, 8), 2)
    found = {}
    for arm in ("causal", "placebo"):
        weights = point_weights(arm, size, seed=0)
        from cadlag.equations import Lorenz
        from cadlag.physics import Collocation

        state = weights.init(Collocation(Lorenz(), (), (), None, "float64"), 16)
        found[arm] = np.asarray(weights.weigh(state, points, squared, jnp.zeros(()))[0])[::2]
    assert np.all(np.diff(found["causal"]) < 0)
    assert np.any(np.diff(found["placebo"]) > 0)
    assert found["placebo"].max() == 1.0
    assert point_weights("plain", size, seed=0) is None
