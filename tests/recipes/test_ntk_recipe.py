"""The verdicts of ntk on made-up tables, and its parts."""

import jax
import numpy as np
import pytest

from cadlag.recipes import Preset, Verdict
from cadlag.recipes._ntk_digits import _tuned, digits
from cadlag.recipes._ntk_studies import circle, descend, network
from cadlag.recipes.ntk import ARMS, NTKRecipe

SEEDS = (0, 1, 2)


def figures(good):
    """Figures under which every claim holds, or under which every claim fails."""
    rng = np.random.default_rng(0)

    def at(if_good, if_bad):
        return (if_good if good else if_bad) * (1 + 1e-3 * rng.standard_normal())

    def each(**pairs):
        return {s: {name: at(*pair) for name, pair in pairs.items()} for s in SEEDS}

    return {
        "training": each(slope=(-0.52, -0.2), widest=(0.02, 0.2), drift_ratio=(0.1, 0.9)),
        "initialisation": each(slope=(-0.49, -1.0)),
        "early": each(gain=(1.4, 1.0), curve_difference=(0.02, 0.4), component_error=(0.02, 0.4)),
        "ntk": each(accuracy=(0.991, 0.94)),
        "nngp": each(accuracy=(0.992, 0.94)),
        "ridge": each(accuracy=(0.934, 0.934)),
        "rbf": each(accuracy=(0.991, 0.991)),
    }


@pytest.mark.parametrize(("good", "verdict"), [(True, Verdict.HOLDS), (False, Verdict.FAILS)])
def test_every_claim_can_hold_and_can_fail(good, verdict):
    claims = NTKRecipe().judge(figures(good))
    assert len(claims) == 10
    assert {c.id: c.verdict for c in claims if c.verdict is not verdict} == {}


def test_nothing_measured_lists_every_claim(tmp_path):
    recipe = NTKRecipe()
    assert all(c.verdict is Verdict.NOT_MEASURED for c in recipe.judge({}))
    assert recipe.tables({}) == []
    assert recipe.pictures({}, tmp_path) == []


def test_parts_do_not_share_images_and_rows_have_one_length():
    x, y, z, truth = digits(100, 50, 3)
    assert (x.shape, z.shape, y.shape, truth.shape) == ((100, 64), (50, 64), (100,), (50,))
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 8)
    assert not {row.tobytes() for row in np.asarray(x)} & {row.tobytes() for row in np.asarray(z)}
    assert _tuned("ridge", x, y) in [10.0**k for k in range(-6, 2)]


def test_descent_lowers_the_loss_and_is_watched_from_the_start():
    x, y = circle(jax.numpy.linspace(0.0, 3.0, 5))
    np.testing.assert_allclose(y[:, 0], np.sin(2 * np.linspace(0, 3, 5)) / 2, atol=1e-12)
    start = network((2,), 8, jax.random.key(0))
    loss = lambda m: jax.numpy.mean((jax.vmap(m)(x) - y) ** 2)
    end, seen = descend(start, x, y, 0.2, 20, loss)
    np.testing.assert_allclose(seen[0], loss(start), rtol=1e-12)
    assert loss(end) < seen[-1] < seen[0]


def test_settings_and_page_of_the_smallest_run(tmp_path):
    recipe = NTKRecipe()
    found = {arm.name: {0: recipe.measure(arm, Preset.SMOKE, 100, tmp_path)} for arm in ARMS if arm.kind == "baseline"}
    assert 0.5 < found["ridge"][0]["accuracy"] <= 1
    (table,) = recipe.tables(found)
    assert [row[0] for row in table.rows] == ["linear ridge, tuned", "squared exponential, tuned"]
