"""The verdicts of adjoint-dpm on made-up tables."""

import numpy as np
import pytest

from cadlag.recipes import Verdict
from cadlag.recipes.adjoint_dpm import AdjointDPMRecipe

SEEDS = (0, 1, 2)
GOOD = {"continuous": 0.9, "unguided": 0.1, "one_step": 0.6, "best_of": 0.7}
BAD = {"continuous": 0.2, "unguided": 0.4, "one_step": 0.6, "best_of": 0.7}


def figures(ratio, time, growth, cosine, hits):
    """Figures of three seeds with a spread of a thousandth."""
    rng = np.random.default_rng(0)
    near = lambda v: v * (1 + 1e-3 * rng.standard_normal())
    table = {"exact": {}, "digits": {}}
    for seed in SEEDS:
        error = {"mixture": {v: {"euler": {"continuous": near(e)}} for v, e in (("ratio", ratio), ("time", time))}}
        table["exact"][seed] = {"error": error, "memory": {"continuous": {"growth": growth}}}
        table["digits"][seed] = {"cosine": near(cosine), "hits": {name: near(h) for name, h in hits.items()}}
    return table


@pytest.mark.parametrize(
    ("table", "verdict"),
    [
        (figures(0.1, 0.3, 1.01, 0.97, GOOD), Verdict.HOLDS),
        (figures(0.9, 0.3, 9.0, 0.5, BAD), Verdict.FAILS),
        ({}, Verdict.NOT_MEASURED),
    ],
    ids=["holds", "fails", "nothing"],
)
def test_every_claim_can_come_out_either_way(table, verdict):
    claims = AdjointDPMRecipe().judge(table)
    assert len(claims) == 7
    assert {c.verdict for c in claims} == {verdict}


def test_equal_rates_are_undecided():
    same = dict.fromkeys(GOOD, 0.6)
    found = {c.id: c.verdict for c in AdjointDPMRecipe().judge(figures(0.3, 0.3, 1.0, 0.95, same))}
    assert found["above-best-of"] is Verdict.UNDECIDED
    assert found["reparametrisation"] is Verdict.UNDECIDED
