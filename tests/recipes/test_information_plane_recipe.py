"""The verdicts of information-plane on made-up tables, and its parts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.recipes import Preset, Verdict
from cadlag.recipes._information_plane_references import _channel
from cadlag.recipes._information_plane_studies import cross_entropy, group, group_loss, one_of, snapshot_epochs, task
from cadlag.recipes._picture import picture_json
from cadlag.recipes.information_plane import ARMS, InformationPlaneRecipe
from cadlag.report import plots

SEEDS = (0, 1, 2)


def figures(good):
    """Figures under which every claim holds, or under which every claim fails."""
    rng = np.random.default_rng(0)

    def at(if_good, if_bad):
        return (if_good if good else if_bad) * (1 + 1e-3 * rng.standard_normal())

    def each(make):
        return {seed: make() for seed in SEEDS}

    return {
        "tanh": each(
            lambda: {
                "drops": {"edges": {"T5": at(6, 0.5)}},
                "final_label": {"T5": at(0.99, 0.5)},
                "noisy": {"changes": {"upper": {"T5": at(-3, 1)}}},
                "switch": {"T1": at(50, 400)},
                "test_accuracy": 0.97,
            }
        ),
        "relu": each(
            lambda: {
                "changes": {
                    "width": {"T3": at(1, -1), "T4": at(2, -0.9)},
                    "range": {"T3": at(-1, 1), "T4": at(-1, 1)},
                },
                "test_accuracy": at(0.96, 0.6),
            }
        ),
        "full-batch": each(lambda: {"drops": {"edges": {"T5": at(5, 0.5)}}}),
        "random-labels": each(lambda: {"drops": {"edges": {"T5": at(0.5, 4)}}}),
        "untrained": each(lambda: {"tanh": {"label": {"T5": at(0.2, 0.5)}}}),
        "bottleneck": each(lambda: {"channel_error": at(1e-9, 1e-3)}),
    }


@pytest.mark.parametrize(("good", "verdict"), [(True, Verdict.HOLDS), (False, Verdict.FAILS)])
def test_every_claim_can_hold_and_can_fail(good, verdict):
    claims = InformationPlaneRecipe().judge(figures(good))
    assert len(claims) == 12
    assert {c.id: c.verdict for c in claims if c.verdict is not verdict} == {}


def test_nothing_measured_lists_every_claim(tmp_path):
    recipe = InformationPlaneRecipe()
    assert all(c.verdict is Verdict.NOT_MEASURED for c in recipe.judge({}))
    assert recipe.tables({}) == []
    assert recipe.pictures({}, tmp_path) == []


def test_a_group_learns_as_if_each_network_were_alone():
    models = group(jnp.tanh, 2, 3)
    x, y, order = task({}, 0)
    assert sorted(order) == list(range(4096))
    rows = np.stack([order[:7], order[7:14]], axis=1)
    whole = group_loss(models, (x[rows], y[rows]), None)[0]
    each = []
    for net in range(2):
        model, xs, ys = one_of(models, net), x[rows[:, net]], y[rows[:, net]]
        logits = jax.nn.log_softmax(jax.vmap(model)(xs))
        each.append(-np.mean(np.asarray(logits)[np.arange(7), np.asarray(ys)]))
        np.testing.assert_allclose(cross_entropy(model, (xs, ys), None)[0], each[-1], rtol=1e-5)
    np.testing.assert_allclose(whole, sum(each), rtol=1e-5)
    assert models.layers[0].weight.dtype == jnp.float32


def test_shuffled_labels_keep_their_number_and_snapshots_their_marks():
    labels = [np.asarray(task({}, 0, random_labels=r)[1]) for r in (False, True)]
    assert labels[0].sum() == labels[1].sum() == 2118
    assert 0.4 < np.mean(labels[0] == labels[1]) < 0.6
    epochs = snapshot_epochs(4000, 40)
    assert {0, 1, 63, 4000} <= set(epochs)
    assert snapshot_epochs(10, 3)[-1] == 10
    # the card's figures for a flip in one case of ten
    np.testing.assert_allclose(_channel(np.array([0.696433, 0.948951]), 0.1), [0.407234, 0.516595], atol=2e-6)


def test_the_smallest_run_and_its_page(tmp_path):
    recipe = InformationPlaneRecipe()
    found = {}
    for arm in ARMS:
        if arm.name in ("tanh", "bottleneck"):
            found[arm.name] = {0: recipe.measure(arm, Preset.SMOKE, 100, tmp_path)}
    tanh = found["tanh"][0]
    assert 0.5 < tanh["test_accuracy"] <= 1
    assert tanh["planes"]["edges"]["input"][0][0] == pytest.approx(12, abs=0.05)
    assert tanh["epochs"][-1] == 80
    assert {table.title for table in recipe.tables(found)} >= {"Learning", "Layers against the bottleneck's equations"}
    pictures = recipe.pictures(found, tmp_path)
    assert [p.name for p in pictures] == ["planes", "noise-tanh", "counted", "bottleneck"]
    assert "<svg" in plots.draw(picture_json(pictures[0]))
    assert all(c.verdict in (Verdict.UNDECIDED, Verdict.NOT_MEASURED, Verdict.HOLDS) for c in recipe.judge(found))
