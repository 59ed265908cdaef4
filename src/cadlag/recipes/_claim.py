"""Claims: one sentence of a paper made measurable, and how it comes out."""

import dataclasses
import enum
import math
import statistics
from collections.abc import Mapping
from typing import Any, Literal

Real = float | int
"""A plain number; run-time type checks do not take an `int` for a `float`."""


class Verdict(enum.StrEnum):
    """How a claim ends."""

    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"
    NOT_MEASURED = "not measured"


@dataclasses.dataclass(frozen=True)
class Paper:
    """The paper's own figure. `source`: "seen" (read in the source) or "recalled" (not checked)."""

    value: Real | str
    source: str

    def __post_init__(self):
        if self.source not in ("seen", "recalled"):
            raise ValueError(f"Paper(source=...) must be 'seen' or 'recalled', got {self.source!r}.")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What was measured for one claim, and the verdict that follows.

    `ours` and `baseline` are means over the paired seeds, `difference` is what the threshold is compared
    with, `standard_error` belongs to `difference`; `per_seed` lists the values behind them. Fields that were
    not measured are `None`; `reason` then says why. `against` is the threshold, or the
    limit that `ours` alone was held against.
    """

    verdict: Verdict
    ours: Real | None = None
    baseline: Real | None = None
    difference: Real | None = None
    standard_error: Real | None = None
    per_seed: tuple[Mapping[str, Any], ...] = ()
    reason: str = ""
    against: Real | None = None

    @classmethod
    def not_measured(cls, reason: str) -> "Outcome":
        """An outcome without figures, and why there are none."""
        return cls(Verdict.NOT_MEASURED, reason=reason)


@dataclasses.dataclass(frozen=True)
class Claim:
    """One sentence of the paper (`statement`), its test (`criterion`, `threshold`) and the `outcome`.

    `needs` names the arms the claim rests on: if a run of one of them crashes, the claim becomes "not
    measured". An empty `needs` means all arms of the recipe. `criterion` is the condition under which the
    claim holds, in words a reader can check: the page shows it after "Holds if".
    """

    id: str
    statement: str
    criterion: str
    threshold: Real
    outcome: Outcome
    needs: tuple[str, ...] = ()
    paper: Paper | None = None

    @property
    def verdict(self) -> Verdict:
        """The verdict of `outcome`."""
        return self.outcome.verdict

    def not_measured(self, reason: str) -> "Claim":
        """The same claim, left open because of `reason`."""
        return dataclasses.replace(self, outcome=Outcome.not_measured(reason))

    def to_json(self) -> dict[str, Any]:
        """The entry of `claims.json`."""
        o = self.outcome
        paper = None if self.paper is None else {"value": self.paper.value, "source": self.paper.source}
        return {
            "id": self.id,
            "statement": self.statement,
            "criterion": self.criterion,
            "verdict": str(o.verdict),
            "per_seed": [dict(row) for row in o.per_seed],
            "ours": o.ours,
            "baseline": o.baseline,
            "difference": o.difference,
            "standard_error": o.standard_error,
            "paper": paper,
        }


Better = Literal["higher", "lower"]


def decide(difference: Real, threshold: Real, standard_error: Real | None, better: Better) -> Verdict:
    """Holds or fails when `difference` is more than two standard errors from `threshold`, else undecided.

    `better="higher"`: the claim says that the difference is above the threshold; `"lower"`: below. A standard
    error of `None` (one seed) leaves the claim undecided; a negative or non-finite one is refused.
    """
    if better not in ("higher", "lower"):
        raise ValueError(f"better must be 'higher' or 'lower', got {better!r}.")
    if standard_error is None:
        return Verdict.UNDECIDED
    if not (math.isfinite(standard_error) and standard_error >= 0):
        raise ValueError(f"standard_error must be finite and at least 0, got {standard_error}.")
    margin = difference - threshold if better == "higher" else threshold - difference
    if abs(margin) <= 2 * standard_error:
        return Verdict.UNDECIDED
    return Verdict.HOLDS if margin > 0 else Verdict.FAILS


def standard_error(values: list[float]) -> float | None:
    """Standard error of the mean of `values`; `None` for fewer than two, where it is unknown."""
    if len(values) < 2:
        return None
    return statistics.stdev(values) / math.sqrt(len(values))


def compare_paired(
    ours: Mapping[int, Real],
    baseline: Mapping[int, Real],
    threshold: Real = 0.0,
    *,
    better: Better = "higher",
    standard_error: Real | None = None,
) -> Outcome:
    """Judge `ours - baseline`, paired by seed, against `threshold`.

    `ours` and `baseline` map a seed to a figure; only seeds that both have are used. With `better="higher"`
    the claim is `mean(ours - baseline) > threshold`, with `"lower"` it is `< threshold`. The standard error
    is that of the mean paired difference unless given (from `paired_bootstrap`, say). A figure of ours that
    is not finite makes the claim fail; one of the baseline's leaves it not measured, since nothing was
    beaten.
    """
    seeds = sorted(ours.keys() & baseline.keys())
    if not seeds:
        return Outcome.not_measured("no seed was measured for both sides")
    rows = tuple({"seed": s, "ours": float(ours[s]), "baseline": float(baseline[s])} for s in seeds)
    bad = _not_finite(rows, "ours")
    if bad:
        return Outcome(Verdict.FAILS, per_seed=rows, reason=f"ours is not finite at seed {bad}")
    bad = _not_finite(rows, "baseline")
    if bad:
        return dataclasses.replace(Outcome.not_measured(f"the baseline is not finite at seed {bad}"), per_seed=rows)
    return _outcome(rows, threshold, better, standard_error)


def below(values: Mapping[int, Real], limit: Real, *, standard_error: Real | None = None) -> Outcome:
    """Judge whether the mean of `values` (seed to figure) lies below `limit`. `difference` is mean - limit.

    A figure without randomness (an identity's error) is judged with `standard_error=0.0`.
    """
    return _against(values, limit, "lower", standard_error)


def above(values: Mapping[int, Real], limit: Real, *, standard_error: Real | None = None) -> Outcome:
    """Judge whether the mean of `values` (seed to figure) lies above `limit`; see `below`."""
    return _against(values, limit, "higher", standard_error)


def _against(values: Mapping[int, Real], limit: Real, better: Better, error: Real | None) -> Outcome:
    if not values:
        return Outcome.not_measured("no seed was measured")
    rows = tuple({"seed": s, "ours": float(values[s])} for s in sorted(values))
    bad = _not_finite(rows, "ours")
    if bad:
        return Outcome(Verdict.FAILS, per_seed=rows, reason=f"ours is not finite at seed {bad}")
    mean = statistics.fmean(row["ours"] for row in rows)
    if error is None:
        error = standard_error([row["ours"] for row in rows])
    return Outcome(
        decide(mean - limit, 0.0, error, better),
        ours=mean,
        difference=mean - limit,
        standard_error=error,
        per_seed=rows,
        reason=_one_seed(error),
        against=limit,
    )


def _outcome(rows: tuple[dict[str, Any], ...], threshold: Real, better: Better, error: Real | None) -> Outcome:
    differences = [row["ours"] - row["baseline"] for row in rows]
    difference = statistics.fmean(differences)
    if error is None:
        error = standard_error(differences)
    return Outcome(
        decide(difference, threshold, error, better),
        ours=statistics.fmean(row["ours"] for row in rows),
        baseline=statistics.fmean(row["baseline"] for row in rows),
        difference=difference,
        standard_error=error,
        per_seed=rows,
        reason=_one_seed(error),
        against=threshold,
    )


def _one_seed(error: Real | None) -> str:
    return "one seed: its standard error is unknown" if error is None else ""


def _not_finite(rows: tuple[dict[str, Any], ...], side: str) -> str:
    return ", ".join(str(row["seed"]) for row in rows if not math.isfinite(row[side]))
