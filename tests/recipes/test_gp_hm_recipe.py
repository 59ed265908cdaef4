"""The verdicts of gp-hm on made-up tables, and its problems."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.fields import CallableField
from cadlag.recipes import Preset, Verdict
from cadlag.recipes._gp_hm_baselines import baseline
from cadlag.recipes._gp_hm_problems import SIZES, make, relative_error
from cadlag.recipes._gp_hm_studies import _kernel
from cadlag.recipes.gp_hm import ARMS, MANY, GPHMRecipe

SEEDS = (0, 1, 2)


def figures(good: bool):
    """Figures under which every claim holds, or under which every claim fails."""
    rng = np.random.default_rng(0)
    noise = lambda: 1 + 1e-3 * rng.standard_normal()
    ours = 1e-6 if good else 0.2
    errors = {
        "gp-wide": ours, "rff-pinn": 0.2, "gp-published": 0.1, "pinn": 1.0 if good else 0.1,
        "gp-matern-no-cosine": 1.0 if good else 0.1, "gp-se-no-cosine": 1.0 if good else 0.1,
        "rff-least-squares": 1e-3, "chebyshev": 1e-3,
    }  # fmt: skip

    def one():
        extra = {"frequency": 15.92 if good else 3.0, "top3": 0.99 if good else 0.3}
        extra |= {"best": ours, "trace": {"step": [1, 2], "error": [1.0, ours]}, "seconds": 1.0}
        extra |= {"spectrum": {"frequency": [15.92, 1.0], "share": [0.9, 0.1]}}
        return {"error": ours * noise(), **extra}

    made = {"gp-hm": {s: {"cases": {case: one() for case in MANY}} for s in SEEDS}}
    for arm, error in errors.items():
        case = {"seconds": 1.0, "scales": {"1.0": 1.0, "20.0": 0.5}, "trace": {"step": [1], "error": [1.0]}}
        made[arm] = {s: {"cases": {"sin100": {"error": error * noise(), **case}}} for s in SEEDS}
    slope = 1.4 if good else 2.1
    made["scaling"] = {s: {"slope": slope * noise(), "seconds": {"10000": 1.0, "100000": 30.0}} for s in SEEDS}
    return made


@pytest.mark.parametrize(("good", "verdict"), [(True, Verdict.HOLDS), (False, Verdict.FAILS)])
def test_every_claim_can_hold_and_can_fail(good, verdict):
    claims = GPHMRecipe().judge(figures(good))
    assert len(claims) == 19
    assert {c.id: c.verdict for c in claims if c.verdict is not verdict} == {}


def test_tables_and_pictures_of_made_up_figures(tmp_path):
    recipe = GPHMRecipe()
    assert {t.title for t in recipe.tables(figures(True))} >= {"Solutions: sin100", "Last error and best error: sin100"}
    assert [p.name for p in recipe.pictures(figures(True), tmp_path)] == ["steps", "spectrum"]


def test_one_equation_alone(tmp_path):
    recipe = GPHMRecipe(equation="xsin200")
    assert recipe.settings(Preset.QUICK)["cases"] == ["xsin200"]
    case = next(iter(figures(True)["gp-hm"].values()))["cases"]["xsin200"]
    alone = {"gp-hm": {s: {"cases": {"xsin200": case}} for s in SEEDS}, "chebyshev": {0: {"cases": {}}}}
    assert [c.id for c in recipe.judge(alone) if c.verdict is not Verdict.NOT_MEASURED] == ["growing"]
    assert [t.title for t in recipe.tables(alone)] == ["Solutions: xsin200", "Last error and best error: xsin200"]
    assert [p.name for p in recipe.pictures(alone, tmp_path)] == ["steps", "spectrum"]


def test_nothing_measured_lists_every_claim(tmp_path):
    recipe = GPHMRecipe()
    assert all(c.verdict is Verdict.NOT_MEASURED for c in recipe.judge({}))
    assert recipe.tables({}) == []
    assert recipe.pictures({}, tmp_path) == []


def test_presets():
    recipe = GPHMRecipe()
    assert {a.name for a in recipe.arms(Preset.STANDARD)} == {a.name for a in ARMS}
    assert "scaling" not in {a.name for a in recipe.arms(Preset.QUICK)}
    assert recipe.settings(Preset.SMOKE)["points"] == 40
    assert set(MANY) <= set(SIZES)


@pytest.mark.parametrize("name", ["sin100", "advection"])
def test_seeds_move_the_box_by_less_than_a_spacing(name):
    boxes = [make(name, seed).equation.domain for seed in (0, 1)]
    first = boxes[0].names[0]
    shifts = [box.bounds(first)[0] for box in boxes]
    assert shifts[0] != shifts[1]
    length, points, _ = SIZES[name]
    assert all(0 <= s < length / points[0] for s in shifts)
    kernels = [_kernel("gp-hm", make(name, s), {"components": 30}, s, False) for s in (0, 1)]
    assert kernels[0].frequencies[0] != kernels[1].frequencies[0]


@pytest.mark.parametrize("name", ["sin6cos100", "allen-cahn", "advection"])
def test_the_named_solution_solves_the_equation(name):
    case = make(name, 3)
    domain = case.equation.domain
    u = CallableField(domain=domain, f=lambda p: case.equation.exact(*p))
    point = jnp.asarray([domain.bounds(axis)[0] + 0.4 for axis in domain.names])
    # Second derivatives of sin(100 x) are 1e4: rounding 1e-12 relative.
    assert abs(jax.jit(case.equation.residual(u))(point)) < 1e-7


def test_relative_error_of_the_solution_and_of_zero():
    case = make("poisson-2d", 0)
    exact = lambda *axes: case.equation.exact(*jnp.meshgrid(*axes, indexing="ij"))
    assert relative_error(case, exact) == 0
    np.testing.assert_allclose(relative_error(case, lambda *axes: 0 * exact(*axes)), 1.0)


def test_networks_are_trained_and_their_best_scale_counts():
    recipe = GPHMRecipe()
    settings = {**recipe.settings(Preset.SMOKE), "scales": [1.0, 5.0], "width": 8, "depth": 1, "network_features": 4}
    found = baseline("rff-pinn", settings, 100)["cases"]["sin100"]
    assert found["error"] == min(found["scales"].values()) < 3
    assert found["curve"][-1] < found["curve"][0]


def test_advection_has_values_on_all_four_sides():
    faces = {condition.at for condition in make("advection", 0).equation.conditions()}
    assert len(faces) == 4
    assert {name for ((name, _),) in faces} == {"t", "x"}
