"""The verdicts of interpolants on made-up tables, and the solver that its study B rests on."""

import numpy as np
import pytest

from cadlag.recipes import Preset, Verdict
from cadlag.recipes._interpolants_laws import (
    bridge,
    fokker_planck,
    kl_on_grid,
    kolmogorov,
    mixture_cdf,
    mixture_quantiles,
    stage_times,
)
from cadlag.recipes._interpolants_page import pictures, tables
from cadlag.recipes.interpolants import ARMS, InterpolantsRecipe

SEEDS = (0, 1, 2)
GOOD = {
    "exact": {"worst": 0.008, "distance": {"200": {"0": 1e-4, "2": 0.008}}},
    "brownian": {"kl_star": 0.007, "kl_ode": 0.03, "star_over_best": 1.2, "ratio": 0.2, "b_error": 0.004},
    "quadratic": {"ratio": 0.3},
    "sine": {"ratio": 0.4},
    "trig": {"ratio": 0.4},
    "no-gamma": {"kl_ode": 0.08, "b_error": 0.006},
    "one-sided": {
        "inside": {"sde-50": 0.9, "ode": 0.8},
        "sliced": {"sde-50": 0.01},
        "sliced_error": {"sde-50": 1e-3},
        "samples": 4000,
        "nll_gap": 0.2,
    },
    "flow-matching": {"inside": {"ode": 0.8}, "sliced": {"ode": 0.05}, "sliced_error": {"ode": 1e-3}},
    "bridge": {"covariance_error": 0.01, "variance_error": 0.01},
    "bridge-independent": {"covariance_error": 0.1, "variance_error": 0.01},
}
BAD = {
    "exact": {"worst": 0.05},
    "brownian": {"kl_star": 0.09, "kl_ode": 0.03, "star_over_best": 2.0, "ratio": 1.4, "b_error": 0.009},
    "quadratic": {"ratio": 1.3},
    "sine": {"ratio": 1.4},
    "trig": {"ratio": 1.2},
    "no-gamma": {"kl_ode": 0.08, "b_error": 0.006},
    "one-sided": {
        "inside": {"sde-50": 0.7, "ode": 0.8},
        "sliced": {"sde-50": 0.09},
        "sliced_error": {"sde-50": 1e-3},
        "samples": 4000,
        "nll_gap": 0.4,
    },
    "flow-matching": {"inside": {"ode": 0.8}, "sliced": {"ode": 0.05}, "sliced_error": {"ode": 1e-3}},
    "bridge": {"covariance_error": 0.2, "variance_error": 0.1},
    "bridge-independent": {"covariance_error": 0.1, "variance_error": 0.01},
}


def spread(table):
    """Three seeds whose figures differ by a thousandth."""
    scale = lambda value, s: (
        {k: scale(v, s) for k, v in value.items()} if isinstance(value, dict) else value * (1 + 1e-3 * s)
    )
    return {arm: {s: scale(figures, s) for s in SEEDS} for arm, figures in table.items()}


def verdicts(table):
    return {claim.id: claim.verdict for claim in InterpolantsRecipe().judge(table)}


def test_every_claim_holds_where_the_figures_say_so():
    assert set(verdicts(spread(GOOD)).values()) == {Verdict.HOLDS}


def test_every_claim_fails_where_the_figures_say_so():
    assert set(verdicts(spread(BAD)).values()) == {Verdict.FAILS}


def test_equal_samplers_are_undecided():
    same = {**GOOD, "one-sided": {"inside": {"sde-50": 0.8, "ode": 0.8}, "samples": 4000}}
    assert verdicts(spread(same))["fewer-strays"] is Verdict.UNDECIDED


def test_differences_within_the_estimates_own_error_are_undecided():
    """Seeds that happen to agree do not make an estimate exact."""
    noisy = spread(GOOD)
    for seed in SEEDS:
        noisy["one-sided"][seed]["sliced_error"] = {"sde-50": 0.05}
        noisy["one-sided"][seed]["samples"] = 20
    found = verdicts(noisy)
    assert found["flow-matching"] is Verdict.UNDECIDED
    assert found["fewer-strays"] is Verdict.UNDECIDED


def test_nothing_measured_lists_every_claim():
    claims = InterpolantsRecipe().judge({})
    assert len(claims) == 15
    assert all(claim.verdict is Verdict.NOT_MEASURED for claim in claims)
    assert {name for claim in claims for name in claim.needs} <= {arm.name for arm in ARMS}


def test_quick_measures_the_arms_of_most_claims():
    recipe = InterpolantsRecipe()
    quick = {arm.name for arm in recipe.arms(Preset.QUICK)}
    unmeasured = {c.id for c in recipe.judge({}) if not set(c.needs) <= quick}
    assert unmeasured == {"bound-quadratic", "bound-sine", "bound-trig"}
    assert recipe.settings(Preset.QUICK)["likelihoods"] == 0
    assert len(recipe.arms(Preset.STANDARD)) == len(ARMS)


def test_study_b_measures_what_the_claims_and_the_page_ask_for(tmp_path):
    """The smallest size: figures of every kind, none of them a verdict's business with one seed."""
    recipe = InterpolantsRecipe()
    arm = next(a for a in recipe.arms(Preset.SMOKE) if a.name == "brownian")
    figures = {"brownian": {0: recipe.measure(arm, Preset.SMOKE, 0, tmp_path)}}
    assert {c.id for c in recipe.judge(figures) if c.verdict is Verdict.UNDECIDED} == {
        "bound-brownian",
        "sde-below-ode",
        "best-epsilon",
    }
    assert [len(table.rows) for table in recipe.tables(figures)] == [1]
    assert {p.name for p in recipe.pictures(figures, tmp_path)} == {"kl-brownian", "density", "training"}


def test_the_page_shows_the_other_studies():
    made_up = {
        arm: {0: {**GOOD[arm], **more}}
        for arm, more in {
            "exact": {},
            "one-sided": {"points": {"ode": [[0, 0]], "sde-50": [[1, 1]]}, "curve": [2.0, 1.0], "inside": {"ode": 0.8},
                          "sliced": {"ode": 0.1}},
            "bridge": {"covariance": 1.5, "exact": 1.56, "curve": [0.1, -0.2]},
        }.items()
    }  # fmt: skip
    assert [len(t.rows) for t in tables(made_up)] == [1, 1, 1]
    assert {p.name for p in pictures(made_up)} == {"board", "training", "training-board"}


def gaussian(x, mean, variance):
    return np.exp(-0.5 * (x - mean) ** 2 / variance) / np.sqrt(2 * np.pi * variance)


def solved(cells, steps, epsilon=0.4):
    """dX = (1 - 1.5X + 2t) dt + sqrt(2ε) dW from N(-1, 0.2): mean and variance follow linear equations."""
    width = 14 / cells
    x = -7 + width * (np.arange(cells) + 0.5)
    drift = 1 - 1.5 * x + 2 * stage_times(steps)[..., None]
    end = fokker_planck(gaussian(x, -1.0, 0.2), drift, epsilon, width)
    decay = np.exp(-1.5)
    # m' = 1 - 1.5m + 2t with particular solution (4t)/3 - 2/9; v' = -3v + 2ε.
    mean, variance = 4 / 3 - 2 / 9 + (-1 + 2 / 9) * decay, epsilon / 1.5 + (0.2 - epsilon / 1.5) * decay**2
    return x, width, end, gaussian(x, mean, variance)


def test_fokker_planck_reproduces_a_gaussian_with_second_order():
    errors = []
    for n in (1, 2, 4):
        _, width, end, truth = solved(350 * n, 25 * n)
        assert np.sum(end) * width == pytest.approx(1, abs=1e-9), "mass is kept"
        assert end.min() > -1e-9
        errors.append(np.sum(np.abs(end - truth)) * width)
    assert -np.polyfit(np.log([1, 2, 4]), np.log(errors), 1)[0] == pytest.approx(2, abs=0.25)
    assert errors[-1] < 1e-3
    assert kl_on_grid(np.log(truth), np.log(np.maximum(end, 1e-30)), width) < 1e-5


def test_fokker_planck_stays_positive_where_the_drift_rules():
    """A cell Péclet number of 14: no oscillation, at the price of more spread."""
    _, width, end, _ = solved(70, 50, epsilon=0.01)
    assert end.min() > -1e-4 * end.max()
    assert np.sum(end) * width == pytest.approx(1, abs=1e-9)


def test_kl_on_a_grid_is_that_of_gaussians():
    x = np.linspace(-12, 12, 2401)
    kl = kl_on_grid(np.log(gaussian(x, 0, 1)), np.log(gaussian(x, 1, 2)), x[1] - x[0])
    assert kl == pytest.approx(0.5 * (np.log(2) + 1 / 2 + 1 / 2 - 1), rel=1e-9)


def test_quantiles_and_distance_of_a_mixture():
    law = ((0.3, 0.7), (-2.0, 1.0), (0.5, 0.8))
    q = mixture_quantiles(1000, *law)
    np.testing.assert_allclose(mixture_cdf(q, *law), (np.arange(1000) + 0.5) / 1000, atol=1e-4)
    assert kolmogorov(q, *law) == pytest.approx(0.0005, abs=1e-4)
    assert kolmogorov(q + 0.2, *law) > 0.05


def test_bridge_covariance_solves_its_equation_and_has_its_limits():
    """The ends' precision is that of the reference's off-diagonal: c/(AB - c²) = 1/r."""
    a, b, epsilon = 1.0, 4.0, 0.5
    c, half = bridge(a, b, epsilon)
    assert c / (a * b - c**2) == pytest.approx(1 / (2 * epsilon), rel=1e-12)
    assert half == pytest.approx(0.25 * (a + b) + 0.5 * c + 0.25 * 2 * epsilon, rel=1e-12)
    assert bridge(a, b, 1e-9)[0] == pytest.approx(2.0, rel=1e-6)
    assert bridge(a, b, 1e5)[0] == pytest.approx(0.0, abs=1e-4)
