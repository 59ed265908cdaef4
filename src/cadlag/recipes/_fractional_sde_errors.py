"""Errors of the Markov approximation by number of terms, optimal weights against the Riemann rule."""

from typing import Any

from cadlag.paths import FractionalKind, MarkovApproximation

# Relative errors E/c at γ_max = 20, T = 1: (type, H, K, optimal, Riemann), found from the formulas by another program.
REFERENCE = (
    ("type I", 0.1, 5, 3.07e-1, 4.53e-1), ("type I", 0.3, 5, 1.66e-2, 1.97e-1), ("type I", 0.7, 5, 9.79e-2, 1.30e-1),
    ("type I", 0.9, 5, 5.10e-1, 5.48e-1), ("type I", 0.3, 10, 1.33e-2, 2.13e-1), ("type I", 0.7, 10, 7.23e-2, 1.28e-1),
    ("type II", 0.1, 5, 2.29e-1, 3.64e-1), ("type II", 0.3, 5, 7.76e-3, 1.97e-1), ("type II", 0.7, 5, 1.34e-4, 1.83e-2),
    ("type II", 0.9, 5, 5.91e-5, 2.85e-2), ("type II", 0.3, 10, 5.58e-3, 2.16e-1),
    ("type II", 0.7, 10, 6.60e-5, 1.51e-2),
)  # fmt: skip


def study(settings: dict[str, Any]) -> dict[str, Any]:
    """All errors, the worst ratio to the rule, the least gain at five terms of type II, the distance from REFERENCE."""
    rows = [
        {"kind": kind.value, "terms": k, "hurst": h, **pair(kind, k, h)}
        for kind in FractionalKind
        for k in settings["term_counts"]
        for h in settings["grid"]
    ]
    compared = [row for row in rows if row["riemann"] is not None]
    gains = [
        row["riemann"] / row["optimal"]
        for row in compared
        if row["kind"] == FractionalKind.causal.value and row["terms"] == 5 and 0.3 <= row["hurst"] <= 0.9
    ]
    off = [
        abs(found / wanted - 1)
        for kind, h, k, *both in REFERENCE
        for found, wanted in zip(pair(FractionalKind(kind), k, h).values(), both, strict=True)
    ]
    return {
        "rows": rows,
        "worst_ratio": max(row["optimal"] / row["riemann"] for row in compared),
        "least_gain": min(gains),
        "distance": max(off),
    }


def pair(kind: FractionalKind, terms: int, hurst: float) -> dict[str, Any]:
    """Relative error under optimal weights and under the rule, which has none at one half."""
    noise = MarkovApproximation(terms, kind=kind)
    rule = None if hurst == 0.5 else noise.error(hurst, noise.riemann_weights(hurst))
    return {"optimal": noise.error(hurst), "riemann": rule}
