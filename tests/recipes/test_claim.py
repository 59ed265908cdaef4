"""Verdicts on made-up figures; expectations are worked out by hand."""

import math

import numpy as np
import pytest

from cadlag.recipes import (
    Claim,
    Outcome,
    Paper,
    Verdict,
    above,
    below,
    compare_paired,
    decide,
    paired_bootstrap,
    value_per_seed,
)


@pytest.mark.parametrize(
    ("difference", "error", "better", "verdict"),
    [
        (0.30, 0.09, "higher", "holds"),  # margin 0.2 > 0.18
        (0.30, 0.11, "higher", "undecided"),  # margin 0.2 < 0.22
        (-0.30, 0.11, "higher", "fails"),
        (0.30, 0.09, "lower", "fails"),
        (-0.30, 0.09, "lower", "holds"),
        (0.30, None, "higher", "undecided"),
        (0.10, 0.0, "higher", "undecided"),
        (0.11, 0.0, "higher", "holds"),
    ],
)
def test_decide(difference, error, better, verdict):
    assert decide(difference, 0.1, error, better) == verdict


def test_decide_refuses_a_standard_error_that_is_none_at_all():
    with pytest.raises(ValueError, match="standard_error must be finite"):
        decide(0.3, 0.1, math.nan, "higher")


def test_paired_difference_uses_common_seeds_only():
    # differences 0.2, 0.3, 0.4: mean 0.3, deviation 0.1, standard error 0.1/sqrt(3) = 0.057735
    out = compare_paired({0: 0.7, 1: 0.9, 2: 0.8, 7: 0.0}, {0: 0.5, 1: 0.6, 2: 0.4, 8: 1.0}, 0.1)
    assert out.verdict is Verdict.HOLDS
    assert out.difference == pytest.approx(0.3)
    assert out.standard_error == pytest.approx(0.05773502691896)
    assert (out.ours, out.baseline) == (pytest.approx(0.8), pytest.approx(0.5))
    assert [row["seed"] for row in out.per_seed] == [0, 1, 2]


def test_pairing_removes_what_seeds_share():
    ours, baseline = {0: 0.11, 1: 0.52, 2: 0.93}, {0: 0.10, 1: 0.50, 2: 0.90}
    assert compare_paired(ours, baseline).standard_error == pytest.approx(0.01 / math.sqrt(3))


def test_one_seed_is_undecided_unless_an_error_is_supplied():
    assert compare_paired({0: 0.9}, {0: 0.1}).verdict is Verdict.UNDECIDED
    assert "one seed" in compare_paired({0: 0.9}, {0: 0.1}).reason
    assert compare_paired({0: 0.9}, {0: 0.1}, standard_error=0.1).verdict is Verdict.HOLDS


def test_nothing_in_common_is_not_measured():
    assert compare_paired({0: 0.9}, {1: 0.1}).verdict is Verdict.NOT_MEASURED
    assert below({}, 1.0).verdict is Verdict.NOT_MEASURED


def test_diverged_runs():
    ours = compare_paired({0: math.nan, 1: 1.0}, {0: 0.1, 1: 0.1})
    assert (ours.verdict, ours.difference) == (Verdict.FAILS, None)
    assert "seed 0" in ours.reason
    assert compare_paired({0: 1.0, 1: 1.0}, {0: 0.1, 1: math.inf}).verdict is Verdict.NOT_MEASURED


def test_below_and_above():
    values = {0: 0.001, 1: 0.002, 2: 0.003}  # mean 0.002, standard error 0.001/sqrt(3)
    assert below(values, 0.005).verdict is Verdict.HOLDS
    assert below(values, 0.005).difference == pytest.approx(-0.003)
    assert below(values, 0.0025).verdict is Verdict.UNDECIDED
    assert below(values, 0.0001).verdict is Verdict.FAILS
    assert above(values, 0.0001).verdict is Verdict.HOLDS
    assert below({0: 1e-12}, 1e-10, standard_error=0.0).verdict is Verdict.HOLDS


def test_json_has_exactly_the_promised_keys():
    claim = Claim("a", "s", "c", 0.1, Outcome.not_measured("why"), paper=Paper(0.5, "recalled"))
    assert set(claim.to_json()) == {
        "id", "statement", "criterion", "verdict", "per_seed",
        "ours", "baseline", "difference", "standard_error", "paper",
    }  # fmt: skip
    assert claim.to_json()["verdict"] == "not measured"
    assert claim.to_json()["paper"] == {"value": 0.5, "source": "recalled"}
    with pytest.raises(ValueError, match="'seen' or 'recalled'"):
        Paper(0.5, "memory")


def test_bootstrap_error_matches_the_formula_for_one_set():
    rng = np.random.default_rng(3)
    ours, baseline = rng.integers(0, 2, 400), rng.integers(0, 2, 400)
    gap = ours - baseline
    found = paired_bootstrap(ours, baseline, resamples=4000)
    assert found.difference == pytest.approx(gap.mean())
    # relative error of a standard deviation from 4000 resamples is about 1/sqrt(8000) = 1.1 %
    assert found.standard_error == pytest.approx(gap.std() / np.sqrt(400), rel=0.05)
    assert found.low < found.difference < found.high


def test_bootstrap_keeps_sets_in_proportion():
    """Two sets with constant differences: resampling within sets has no spread, across sets it has."""
    ours = np.array([1.0] * 10 + [0.0] * 30)
    groups = np.array(["a"] * 10 + ["b"] * 30)
    assert paired_bootstrap(ours, np.zeros(40), groups=groups).standard_error == pytest.approx(0.0, abs=1e-12)
    assert paired_bootstrap(ours, np.zeros(40)).standard_error > 0.05


def test_bootstrap_over_seeds_counts_their_spread():
    one_seed_lucky = np.stack([np.ones(50), np.zeros(50)])
    found = paired_bootstrap(one_seed_lucky, np.zeros((2, 50)), resamples=4000)
    # the mean of two seeds drawn with replacement from {0, 1} has standard deviation sqrt(1/8)
    assert found.standard_error == pytest.approx(math.sqrt(1 / 8), rel=0.05)


def test_bootstrap_refuses_unpaired_cases():
    with pytest.raises(ValueError, match=r"\(3,\) for ours and \(4,\) for baseline"):
        paired_bootstrap(np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match="set of each of the 3 cases"):
        paired_bootstrap(np.zeros(3), np.zeros(3), groups=np.zeros(2))


def test_value_per_seed_follows_a_path():
    figures = {"ours": {0: {"sets": {"GunPoint": 0.8}}, 1: {"sets": {}}}}
    assert value_per_seed(figures, "ours", "sets.GunPoint") == {0: 0.8}
    assert value_per_seed(figures, "absent", "sets.GunPoint") == {}
