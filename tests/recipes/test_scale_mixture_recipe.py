"""The verdicts of scale-mixture on made-up tables; its baseline against the Gaussian process it tends to."""

import numpy as np
import pytest
from scipy import stats

from cadlag.limits import condition
from cadlag.recipes import Preset, Verdict
from cadlag.recipes._scale_mixture_baselines import _bound
from cadlag.recipes.scale_mixture import ScaleMixtureRecipe

SEEDS = (0, 1, 2)


def figures(good):
    """Figures under which every claim holds, or under which every claim fails."""
    rng = np.random.default_rng(0)
    best, worst = (1.0, 2.0) if good else (2.0, 1.0)
    near = lambda v: v * (1 + 1e-4 * rng.standard_normal())
    identities = lambda: {
        "identity": 1e-13 if good else 0.1, "reaction": near(8.0 if good else 1.0),
        "student_distance": near(0.6 if good else 3.0), "gaussian_distance": near(3.0 if good else 0.6),
        "joint": near(0.09 if good else 0.001), "released": near(0.001),
    }  # fmt: skip
    regression = lambda v: {n: {d: {"nll": near(v)} for d in ("clean", "outliers")} for n in ("30", "240")}
    digits = lambda v, a: {"corrupted": {"nll": near(v)}, "clean": {"accuracy": near(a)}}
    return {
        "identities": {s: identities() for s in SEEDS},
        "t": {s: regression(best) for s in SEEDS},
        "nngp": {s: regression(worst) for s in SEEDS},
        "per-point": {s: regression(worst) for s in SEEDS},
        "svtp": {s: digits(best, 0.95 if good else 0.9) for s in SEEDS},
        "svgp": {s: digits(worst, 0.95) for s in SEEDS},
    }


@pytest.mark.parametrize(("good", "verdict"), [(True, Verdict.HOLDS), (False, Verdict.FAILS)])
def test_every_claim_can_hold_and_can_fail(good, verdict):
    claims = ScaleMixtureRecipe().judge(figures(good))
    assert len(claims) == 13
    assert {c.id: c.verdict for c in claims if c.verdict is not verdict} == {}


def test_nothing_measured_lists_every_claim(tmp_path):
    recipe = ScaleMixtureRecipe()
    assert all(c.verdict is Verdict.NOT_MEASURED for c in recipe.judge({}))
    assert recipe.tables({}) == []
    assert recipe.pictures({}, tmp_path) == []
    assert {a.name for a in recipe.arms(Preset.QUICK)} < {a.name for a in recipe.arms(Preset.STANDARD)}


def test_bound_of_the_t_likelihood_at_many_degrees_is_the_gaussian_evidence():
    import jax.numpy as jnp

    from cadlag.kernels import SquaredExponential

    x, kernel = np.linspace(0, 1, 5)[:, None], SquaredExponential(0.3)
    y, nu = np.sin(6 * x[:, 0]), 1e4
    k = np.exp(-0.5 * (x - x.T) ** 2 / 0.09)
    # q(tau) = Gamma((nu + 1)/2, (nu + E residual² / noise)/2), here with the posterior of the Gaussian process.
    process = condition(kernel, jnp.asarray(x), jnp.asarray(y)[:, None], noise=0.1)
    residual = (y - np.asarray(process.mean(jnp.asarray(x)))[:, 0]) ** 2 + np.asarray(process.variance(jnp.asarray(x)))
    rate = np.log((nu + residual / 0.1) / 2)
    found = _bound((kernel, jnp.log(jnp.asarray(0.1)), jnp.log(jnp.asarray(nu)), jnp.asarray(rate)), jnp.asarray(x),
                   jnp.asarray(y))  # fmt: skip
    expected = stats.multivariate_normal(np.zeros(5), k + 0.1 * np.eye(5)).logpdf(y)
    # The difference is of order 1 / nu, in five points.
    np.testing.assert_allclose(found, expected, atol=5e-3)
