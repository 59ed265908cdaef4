"""What recipes about equations share: solving with an `EquationSolver` and reporting it, tables, error curves."""

import time
from typing import Any

from cadlag.recipes._curve import thin
from cadlag.recipes._picture import Table
from cadlag.recipes._recipe import Figures

SLICES = 61


def solved(equation: Any, method: Any, seed: int, reference: Any = None) -> tuple[Any, dict[str, Any]]:
    """The solution, and its figures: error, residual, seconds from start to end (compiling included), steps."""
    from cadlag.physics import EquationSolver

    start = time.perf_counter()
    solution = EquationSolver(equation, method, seed=seed, reference=reference).solve()
    spent = time.perf_counter() - start
    residual = solution.residual
    return solution, {
        "error": solution.error,
        "residual": float(sum(residual)) if isinstance(residual, tuple) else residual,
        "seconds": spent,
        "steps": int(solution.result.step),
        "curve": thin(solution.history["loss"]),
    }


def by_arm(figures: Figures, labels: dict[str, str], title: str, note: str, key: str | None = None) -> Table | None:
    """Error, seconds and steps of every arm that was measured, and the classical solver's where an arm reports it."""
    rows, classical = [], None
    for arm, label in labels.items():
        seeds = [f if key is None else f.get(key) for f in figures.get(arm, {}).values()]
        seeds = [f for f in seeds if f]
        if seeds:
            rows.append([label, *([f[name] for f in seeds] for name in ("error", "seconds", "steps"))])
            classical = classical or seeds[0].get("classical")
    if not rows:
        return None
    if classical:
        rows.append(["classical solver", classical["error"], classical["seconds"], None])
    return Table(title, ("method", "relative L2 error", "seconds", "steps"), rows, note)
