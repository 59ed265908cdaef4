"""The verdicts of deep-kernel-machine on made-up tables, and its data."""

import numpy as np
import pytest

from cadlag.recipes import Preset, Verdict
from cadlag.recipes._deep_kernel_machine_studies import task_data
from cadlag.recipes.deep_kernel_machine import DeepKernelMachineRecipe

SEEDS = (0, 1, 2)
BASELINES = ("nngp", "sparse-gp", "ard-gp")
TASKS = ("irrelevant", "diabetes", "friedman")


def figures(good):
    """Figures under which every claim holds, or under which every claim fails."""
    rng = np.random.default_rng(0)
    near = lambda v: v * (1 + 1e-4 * rng.standard_normal())
    small = lambda: near(1e-5 if good else 0.3)
    tasks = lambda v: {"tasks": {t: {"log_prob": near(v)} for t in TASKS}}
    exact = lambda: {"linear": small(), "nngp": small(),
                     "alignment": {"1000.0": near(0.3), "1.0": near(0.7 if good else 0.3)}}  # fmt: skip
    return {
        "exact": {s: exact() for s in SEEDS},
        "dkm": {s: tasks(-0.5 if good else -1.5) for s in SEEDS},
        **{arm: {s: tasks(-1.0) for s in SEEDS} for arm in BASELINES},
        "cost": {s: {"slope": near(1.0 if good else 2.0)} for s in SEEDS},
        "digits-dkm": {s: {"accuracy": near(0.97 if good else 0.9)} for s in SEEDS},
        "digits-nngp": {s: {"accuracy": near(0.97)} for s in SEEDS},
    }


@pytest.mark.parametrize(("good", "verdict"), [(True, Verdict.HOLDS), (False, Verdict.FAILS)])
def test_every_claim_can_hold_and_can_fail(good, verdict):
    claims = DeepKernelMachineRecipe().judge(figures(good))
    assert len(claims) == 14
    assert {c.id: c.verdict for c in claims if c.verdict is not verdict} == {}


def test_nothing_measured_lists_every_claim(tmp_path):
    recipe = DeepKernelMachineRecipe()
    assert all(c.verdict is Verdict.NOT_MEASURED for c in recipe.judge({}))
    assert recipe.tables({}) == []
    assert recipe.pictures({}, tmp_path) == []


def test_parts_of_a_task_do_not_overlap():
    settings = DeepKernelMachineRecipe().settings(Preset.QUICK)
    for task, total in (("irrelevant", 800), ("diabetes", 442), ("friedman", 800)):
        parts = task_data(task, settings, 3)
        rows = np.concatenate([x for x, _ in parts])
        assert len(np.unique(rows, axis=0)) == len(rows) == total
    x, y = task_data("irrelevant", settings, 3)[0]
    # Nothing but the first column matters; 0.1 is the noise.
    assert abs(np.std(y - np.tanh(2 * x[:, 0])) - 0.1) < 4 * 0.1 / np.sqrt(2 * len(y))
