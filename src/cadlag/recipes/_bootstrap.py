"""The paired bootstrap, for test cases pooled over data sets."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Bootstrap:
    """Mean paired difference, its bootstrap standard error, and the central 95 % interval."""

    difference: float
    standard_error: float
    low: float
    high: float


def paired_bootstrap(
    ours: Any, baseline: Any, *, groups: Any = None, resamples: int = 2000, seed: int = 0
) -> Bootstrap:
    """Bootstrap the mean of `ours - baseline` over paired test cases (and over seeds).

    **Arguments:**

    - `ours`, `baseline`: one figure per test case (1 for a right answer, 0 for a wrong one, say), of shape
        `(cases,)` or `(seeds, cases)`; entry by entry the same case under the same seed.
    - `groups`: shape `(cases,)`, the data set each case came from: cases are drawn anew within their set, so
        that every resample has the sets in their own proportions.
    - `resamples`, `seed`: how many resamples, and the seed of the drawing.

    Cases and (when there are several) seeds are resampled independently of one another, so the standard
    error covers both which cases were tested and which seeds were run. Efron and Tibshirani, An Introduction
    to the Bootstrap (1993).
    """
    import numpy as np

    a, b = np.asarray(ours, float), np.asarray(baseline, float)
    if a.shape != b.shape or a.ndim not in (1, 2) or a.size == 0:
        raise ValueError(
            "paired_bootstrap needs two arrays of one shape, (cases,) or (seeds, cases); "
            f"got {a.shape} for ours and {b.shape} for baseline."
        )
    gap = np.atleast_2d(a - b)
    if not np.isfinite(gap).all():
        raise ValueError("paired_bootstrap got figures that are not finite; leave those cases out on both sides.")
    seeds, cases = gap.shape
    labels = np.zeros(cases, int) if groups is None else np.asarray(groups)
    if labels.shape != (cases,):
        raise ValueError(f"groups must name the set of each of the {cases} cases, got shape {labels.shape}.")
    rng = np.random.default_rng(seed)
    weights = np.empty((resamples, cases))
    for label in np.unique(labels):
        where = np.flatnonzero(labels == label)
        weights[:, where] = rng.multinomial(len(where), np.full(len(where), 1 / len(where)), size=resamples)
    turns = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples)
    means = ((turns @ gap) * weights).sum(axis=1) / gap.size
    low, high = np.quantile(means, [0.025, 0.975])
    return Bootstrap(float(gap.mean()), float(means.std(ddof=1)), float(low), float(high))
