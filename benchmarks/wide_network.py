"""Infinitely wide networks end to end: kernels, factor and predictions of one fit, by number of points.

    python benchmarks/wide_network.py

Digits (1,000 to learn from, 797 to judge by), and 10,000 points of a function of twenty inputs with 1,000 to judge by:
`WideNetworkClassifier` and `WideNetworkRegressor` as they come, two hidden layers of ReLU, in double precision.
Compiling is counted. The peak of memory is that of the process so far.
"""

import argparse
import json
import os
import resource
import time
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import numpy as np
from facts import describe, load_average, machine_facts
from sklearn.datasets import load_digits

from cadlag.limits import WideNetworkClassifier, WideNetworkRegressor


def digits():
    """Model, and inputs and targets to learn from and to judge by."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    # Pixels that are constant in training must not be divided by their deviation.
    train, test = order[:1000], order[1000:]
    return WideNetworkClassifier(standardise=False), x[train] / 16, y[train], x[test] / 16, y[test]


def many(n=10_000):
    """The same of a smooth function of some of twenty inputs, with noise."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n + 1000, 20))
    y = np.sin(x[:, 0] + x[:, 1]) + 0.5 * x[:, 2] * x[:, 3] + 0.1 * rng.normal(size=len(x))
    return WideNetworkRegressor(ridge=1e-3), x[:n], y[:n], x[n:], y[n:]


def measure(name, model, x, y, z, truth):
    start = time.perf_counter()
    model.fit(x, y)
    fitted = time.perf_counter()
    score = model.score(z, truth)
    end = time.perf_counter()
    return {
        "data": name, "points": len(x), "fit_seconds": fitted - start, "predict_seconds": end - fitted,
        "score": float(score), "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }  # fmt: skip


def markdown(rows, facts):
    lines = ["# Infinitely wide networks, end to end", "", *describe(facts), ""]
    lines += ["| data | points | fit, s | predict, s | accuracy or R² | peak memory, GB |", "|---|--:|--:|--:|--:|--:|"]
    for row in rows:
        seconds = f"{row['fit_seconds']:.3g} | {row['predict_seconds']:.3g}"
        lines.append(f"| {row['data']} | {row['points']:,} | {seconds} | {row['score']:.4f} | {row['peak_gb']:.2f} |")
    return "\n".join([*lines, ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results" / "benchmarks")
    given = parser.parse_args()
    facts = machine_facts(load_average())
    facts["versions"] = {name: version(name) for name in ("jax", "jaxlib", "numpy", "scikit-learn")}
    rows = [measure("digits", *digits()), measure("twenty inputs", *many(given.points))]
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "wide_network.json").write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n", encoding="utf8")
    text = markdown(rows, facts)
    (given.out / "wide_network.md").write_text(text, encoding="utf8")
    print(text)


if __name__ == "__main__":
    main()
