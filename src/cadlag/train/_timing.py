"""How long a step takes, and how many fit into a time: for comparisons at equal time."""

import time
from pathlib import Path
from typing import Any

from jaxtyping import PyTree

from ._block import Problem, run_block
from ._fit import BLOCK, as_key, choose_block, first_carry
from ._minimise import strong
from ._run import RunDir
from ._update import AbstractUpdate


def seconds_per_step(problem: Problem, unknowns: PyTree, *, block: int | str | None = BLOCK) -> float:
    """Time ten steps, compiled before, the way `fit` would take them."""
    carry = first_carry(problem, unknowns, None)
    in_loop, size = choose_block(problem, carry, block, BLOCK, 0, None)
    n = min(10, size)
    run_block(problem, in_loop, size, carry, 0, 1)
    begin = time.perf_counter()
    run_block(problem, in_loop, size, carry, 0, n)
    return (time.perf_counter() - begin) / n


def steps_within(
    seconds: float,
    update: AbstractUpdate,
    unknowns: PyTree,
    source: Any,
    *,
    key: Any,
    run: str | Path | RunDir | None = None,
) -> int:
    """How many steps of `fit`, at least one, take about `seconds` (without compiling).

    The number is written to the `config.json` of `run` and read from there the next time, so that a
    comparison at equal time is repeated with exactly the same steps.
    """
    if not seconds > 0:
        raise ValueError(f"seconds: got {seconds}, expected a positive time.")
    folder = run if run is None or isinstance(run, RunDir) else RunDir(run)
    known = {} if folder is None else folder.config["choices"].get("steps_within", {})
    if known.get("seconds") == seconds:
        return known["steps"]
    problem = Problem(update, strong(source), None, None, as_key(key))
    each = seconds_per_step(problem, unknowns, block=None)
    steps = max(1, int(seconds / each))
    if folder is not None:
        folder.record("choices", steps_within={"seconds": seconds, "seconds_per_step": each, "steps": steps})
    return steps
