"""The verdicts of fractional-sde on made-up tables, and its parts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.paths import FractionalKind, MarkovApproximation
from cadlag.recipes import Preset, Verdict
from cadlag.recipes._fractional_sde_bridge import approximation, evidence, exact_curve
from cadlag.recipes._fractional_sde_hurst import Model, bounds, draw_paths
from cadlag.recipes.fractional_sde import ARMS, FractionalSDERecipe

SEEDS = (0, 1, 2)


def figures(good):
    """Figures under which every claim holds, or under which every claim fails."""
    rng = np.random.default_rng(0)

    def at(if_good, if_bad):
        return (if_good if good else if_bad) * (1 + 1e-3 * rng.standard_normal())

    def each(**pairs):
        return {s: {name: at(*pair) for name, pair in pairs.items()} for s in SEEDS}

    def hurst(distance, bound):
        return {s: {h: {"distance": at(*distance), "bound": at(*bound)} for h in ("h3", "h7")} for s in SEEDS}

    return {
        "errors": each(distance=(0.005, 0.5), worst_ratio=(0.98, 1.2), least_gain=(25.0, 4.0)),
        "exact-control": each(coarse_distance=(0.02, 0.3), limit_distance=(0.01, 0.2)),
        "learnt-control": each(above=(0.2, -0.1), loss=(2.85, 3.4), curve_error=(0.02, 0.3)),
        "brownian-control": each(curve_error=(0.12, 0.12)),
        "bound": hurst((0.05, 0.2), (0.0, 0.0)),
        "tight": hurst((0.05, 0.2), (10.0, 5.0)),
        "brownian": hurst((0.0, 0.0), (8.0, 8.0)),
        "likelihood": hurst((0.01, 0.01), (0.0, 0.0)),
    }


@pytest.mark.parametrize(("good", "verdict"), [(True, Verdict.HOLDS), (False, Verdict.FAILS)])
def test_every_claim_can_hold_and_can_fail(good, verdict):
    claims = FractionalSDERecipe().judge(figures(good))
    assert len(claims) == 15
    assert {c.id: c.verdict for c in claims if c.verdict is not verdict} == {}


def test_nothing_measured_lists_every_claim(tmp_path):
    recipe = FractionalSDERecipe()
    assert all(c.verdict is Verdict.NOT_MEASURED for c in recipe.judge({}))
    assert recipe.tables({}) == []
    assert recipe.pictures({}, tmp_path) == []


def test_the_bridge_is_the_one_of_the_card():
    settings = FractionalSDERecipe().settings(Preset.QUICK)
    np.testing.assert_allclose(evidence(approximation(settings), 0.7, 2.0, 0.1), 2.7065, atol=6e-5)
    curve = exact_curve(0.7, settings)
    np.testing.assert_allclose(curve[20] ** 2, 0.3323, atol=6e-5)
    assert curve[0] == 0


def test_neither_bound_beats_the_evidence():
    noise = MarkovApproximation(2, fastest=8, kind=FractionalKind.causal, unit=True)
    settings = {"points": 4, "noise": 0.3, "substeps": 4}
    times, seen = draw_paths(0.3, settings, 0, 8)
    # The chain's own law: Euler steps of both processes, and white noise on what is seen.
    step, w, g = 1 / 16, np.asarray(noise.weights(0.5)), np.asarray(noise.rates)
    kernel = (1 - g * step) ** np.arange(16)[:, None] @ w
    made = np.array([[kernel[j - i] if j >= i else 0.0 for i in range(16)] for j in range(16)])[3::4]
    cov = step * made @ made.T + 0.09 * np.eye(4)
    solve = np.linalg.solve(cov, np.asarray(seen, float).T)
    exact = -0.5 * (np.sum(seen * solve.T, axis=1) + np.linalg.slogdet(2 * np.pi * cov)[1])
    keys = jax.random.split(jax.random.key(1), 200)
    means = {}
    for tight in (True, False):
        model = Model(noise, 4, tight, key=jax.random.key(0))
        draw = jax.jit(jax.vmap(lambda k, m=model: bounds(m, jnp.asarray(times), jnp.asarray(seen), settings, k)))
        found = np.asarray(draw(keys))
        means[tight] = found.mean(0)
        assert np.all(means[tight] < exact + 4 * found.std(0) / 200**0.5)
    # Looking at the next observation alone loses little here, and less noise in a step gains.
    assert means[False].mean() < means[True].mean()
    assert exact.mean() - means[True].mean() < 0.5


def test_page_of_the_smallest_run(tmp_path):
    recipe = FractionalSDERecipe()
    small = [arm for arm in ARMS if arm.name in ("errors", "likelihood", "learnt-control")]
    found = {arm.name: {0: recipe.measure(arm, Preset.SMOKE, 100, tmp_path)} for arm in small}
    assert [t.title for t in recipe.tables(found)] == [
        "Errors of the Markov approximation", "A bridge at H = 0.7", "Hurst index from noisy paths",
    ]  # fmt: skip
    assert [p.name for p in recipe.pictures(found, tmp_path)] == ["errors", "bridge"]
    assert found["errors"][0]["distance"] < 0.01


def test_an_index_is_learnt_in_the_smallest_run(tmp_path):
    recipe = FractionalSDERecipe()
    (arm,) = [arm for arm in ARMS if arm.name == "tight"]
    found = recipe.measure(arm, Preset.SMOKE, 100, tmp_path)
    assert all(np.isfinite(found[name]["bound"]) and 0 < found[name]["hurst"] < 1 for name in ("h3", "h7"))
    assert recipe.pictures({"tight": {0: found}}, tmp_path)[0].name == "hurst-h3"
