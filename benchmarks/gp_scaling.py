"""Time over points of GP-HM in the plane: one evaluation of the reduced log-joint and its gradient.

    python benchmarks/gp_scaling.py

Poisson's equation on square grids of 10^4 to 10^6 points in float64: best values by conjugate gradients, then the
gradient of the log-joint in the kernels. Compiling is not counted. The slope is that of log seconds over log points;
matrices of the axes cost M^1.5.
"""

import argparse
import json
import os
import resource
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["JAX_ENABLE_X64"] = "1"

import numpy as np
from facts import describe, load_average, machine_facts

from cadlag.recipes._gp_hm_studies import evaluation_seconds

SIDES = (100, 316, 1000)


def run(sides, repeats):
    """(points, seconds, peak memory so far in GB) of each grid, the smallest first."""
    rows = []
    for side in sorted(sides):
        seconds = evaluation_seconds(side, repeats)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        rows.append({"points": side**2, "seconds": seconds, "peak_gb": peak})
    return rows


def slope(rows):
    """Of log seconds over log points."""
    points, seconds = (np.log([row[k] for row in rows]) for k in ("points", "seconds"))
    return float(np.polyfit(points, seconds, 1)[0])


def markdown(rows, facts):
    lines = ["# Time over points of GP-HM in the plane", "", *describe(facts), ""]
    lines += ["| points | seconds | peak memory, GB |", "|--:|--:|--:|"]
    lines += [f"| {row['points']:,} | {row['seconds']:.3g} | {row['peak_gb']:.2f} |" for row in rows]
    end = f"Slope of log seconds over log points: {slope(rows):.2f}." if len(rows) > 1 else "One size: no slope."
    return "\n".join([*lines, "", end, ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=list(SIDES), help="points along each axis")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results" / "benchmarks")
    given = parser.parse_args()
    facts = machine_facts(load_average())
    facts["versions"] = {name: version(name) for name in ("jax", "jaxlib", "numpy")}
    rows = run(given.sides, given.repeats)
    given.out.mkdir(parents=True, exist_ok=True)
    found = {**facts, "rows": rows, "slope": slope(rows) if len(rows) > 1 else None}
    (given.out / "gp_scaling.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf8")
    text = markdown(rows, facts)
    (given.out / "gp_scaling.md").write_text(text, encoding="utf8")
    print(text)


if __name__ == "__main__":
    main()
