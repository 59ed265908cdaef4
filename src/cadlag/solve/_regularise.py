"""`regularised_solve`: a solve, and what its steps say about the equation, to be added to a loss.

All steps (Pal et al., ICML 2021), differentiated through the solver, or one step at a random time (Pal, Edelman and
Rackauckas, ICML 2023), which leaves the solver closed.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from cadlag.solve._adjoint import AbstractAdjoint, Backsolve, Interpolated, Reversible
from cadlag.solve._checks import check_times
from cadlag.solve._drivers import make_drivers
from cadlag.solve._local_penalty import LocalPenalty, local_stepper, local_values
from cadlag.solve._one_step import Tolerance
from cadlag.solve._penalty import AbstractStepPenalty
from cadlag.solve._process import AbstractProcess, NoiseKind
from cadlag.solve._solution import Solution
from cadlag.solve._solve import fixed_grid, solve, solve_watched
from cadlag.solve._steps import AdaptiveSteps, FixedSteps
from cadlag.solve._tabulate import refuse_tables
from cadlag.solve._watch import Reservoir, Several, Tally

# Far from the counters that noise uses up.
_LOCAL = np.uint32(0xFFFFFFF0)


def regularised_solve(
    process: AbstractProcess,
    y0: PyTree[Array],
    ts: Any,
    *,
    penalty: Any,
    key: PRNGKeyArray | None = None,
    args: Any = None,
    driver: Any = None,
    steps: int | FixedSteps | AdaptiveSteps = 1,
    stepper: Any = None,
    adjoint: AbstractAdjoint | None = None,
    between: Callable | None = None,
    stats: bool | Tolerance = False,
    throw: bool = True,
) -> tuple[Solution, Float[Array, ""]]:
    """`solve` with the same arguments, and the penalty of its steps: train on `task + penalty`.

    States and outputs are those of `solve`. Only in training: to predict call `solve`, which costs what it costs.

    **Arguments:** those of `solve`, and

    - `penalty`: `ErrorPenalty`, `StiffnessPenalty` (on all steps; differentiated through the solver, so with
      `Direct()` or `Checkpointed()`), `LocalPenalty` (one step at a random time; any adjoint), or a tuple of them with
      at most one that is local. A weight that changes in training: pass `penalty.at(step)`.
    - `key`: of the noise, as for `solve`; a `LocalPenalty` draws from it too, and needs it for ODEs as well.

    All entries of the state share one error estimate: to treat a batch as one big equation, as published, solve it as
    one state; under `jax.vmap` each path has its own steps and its own penalty.

    **Returns:** the solution, and the weighted penalty, a scalar of the state's real dtype.

    **Raises:** `ValueError` or `TypeError` before anything is compiled, where a penalty cannot be computed.
    """
    ts, y0 = check_times(ts, y0)
    penalties = penalty if isinstance(penalty, tuple) else (penalty,)
    on_steps, local = _sorted(penalties)
    _check(process, on_steps, local, driver, key, adjoint, steps)
    own = Tolerance(steps.rtol, steps.atol) if isinstance(steps, AdaptiveSteps) else Tolerance()
    settings: dict[str, Any] = {
        "args": args, "key": key, "adjoint": adjoint, "stepper": stepper, "between": between, "stats": stats,
        "throw": throw, "driver": driver,
    }  # fmt: skip
    on_steps = tuple(p for p in on_steps if not _is_zero(p.weight))
    watchers: list[Any] = [Tally(on_steps, own)] if on_steps else []
    if local is None or _is_zero(local.weight):
        if not on_steps:
            # Weight zero is no penalty: the same loss and gradient, bit for bit.
            return solve(process, y0, ts, steps=steps, **settings), jnp.zeros((), ts.dtype)
        solution, memory = solve_watched(process, y0, ts, Several(tuple(watchers)), steps=steps, **settings)
        return solution, _total(on_steps, memory)
    assert key is not None
    refuse_tables((process, args))
    keys = jr.split(jr.fold_in(key, _LOCAL), 2)
    if isinstance(steps, AdaptiveSteps) and local.sampling.at_steps:
        watchers.append(Reservoir(keys[0], local.points))
        solution, memory = solve_watched(process, y0, ts, Several(tuple(watchers)), steps=steps, **settings)
        _, t, h, y = memory[-1]
        start = (_sign(ts) * t, h, y)
    else:
        grid, where = _times(local, ts, steps, keys[0])
        taken = _widths(grid, where) if local.sampling.at_steps else None
        rows, at, merged = _merge(ts, where)
        if isinstance(steps, AdaptiveSteps):
            # The noise of adaptive steps is made from the known ends, not from the drawn times.
            drivers = make_drivers(process, y0, args, driver, key, None, ts, steps)
            settings["driver"] = (drivers if isinstance(process.noise, tuple) else drivers[0]) if drivers else None
        inner = steps if isinstance(steps, AdaptiveSteps) else FixedSteps(grid)
        found, memory = solve_watched(process, y0, merged, Several(tuple(watchers)), steps=inner, **settings)
        pick = lambda index: jax.tree.map(lambda y: y[index], found.ys)  # noqa: E731
        solution = Solution(ts, pick(rows), found.stats, found.result, found.last)
        start = (where, taken, pick(at))
    value = local_values(local, process, args, driver, start, ts[-1], own, keys[1])
    return solution, local.weigh(value) + _total(on_steps, memory) if on_steps else local.weigh(value)


def _is_zero(weight: Any) -> bool:
    return isinstance(weight, int | float) and weight == 0


def _sorted(penalties: tuple) -> tuple[tuple[AbstractStepPenalty, ...], LocalPenalty | None]:
    on_steps, local = [], []
    for one in penalties:
        if isinstance(one, LocalPenalty):
            local.append(one)
        elif isinstance(one, AbstractStepPenalty):
            on_steps.append(one)
        else:
            raise TypeError(
                f"penalty is a {type(one).__name__}; expected ErrorPenalty, StiffnessPenalty, LocalPenalty, or a tuple "
                "of them."
            )
    if len(local) > 1:
        raise ValueError(f"penalty holds {len(local)} of LocalPenalty; give one, with more `points` if one is too few.")
    if not penalties:
        raise ValueError("penalty is an empty tuple; call solve where there is nothing to add.")
    return tuple(on_steps), local[0] if local else None


def _check(
    process: AbstractProcess, on_steps: tuple, local: Any, driver: Any, key: Any, adjoint: Any, steps: Any
) -> None:
    """What can be seen before solving."""
    for one in (*on_steps, *([] if local is None else [local])):
        if callable(one.weight):
            one.weigh(jnp.zeros(()))  # says what to do
    if on_steps and isinstance(adjoint, Backsolve | Interpolated | Reversible):
        name = type(adjoint).__name__
        raise ValueError(
            f"{name}() differentiates the solution, not the steps that led to it, so {type(on_steps[0]).__name__} "
            "would have no gradient. Use Direct() or Checkpointed(), or a LocalPenalty, which goes with any adjoint."
        )
    for one in on_steps:
        if one.needs_stiffness and process.noise is not NoiseKind.none:
            raise ValueError(
                f"{type(one).__name__} is for ODEs, but the process has noise of kind {process.noise}; use "
                "ErrorPenalty."
            )
    if local is not None:
        local_stepper(local, process, driver)
        if isinstance(steps, AdaptiveSteps) and local.sampling.at_steps and isinstance(adjoint, Backsolve):
            raise ValueError("Biased() needs the steps taken, which Backsolve() does not keep; use Unbiased().")
        if key is None:
            raise ValueError("LocalPenalty draws a time at random: pass `key`, a fresh one for each step of training.")


def _total(on_steps: tuple, memory: tuple) -> Array:
    count, totals = memory[0]
    values = [p.weigh(p.aggregate.finish(t, count)) for p, t in zip(on_steps, totals, strict=True)]
    return sum(values[1:], values[0])


def _times(local: LocalPenalty, ts: Array, steps: Any, key: PRNGKeyArray) -> tuple[Array, Array]:
    """End points of the steps (both ends where they are adaptive), and the times drawn."""
    grid = jnp.stack([ts[0], ts[-1]]) if isinstance(steps, AdaptiveSteps) else fixed_grid(ts, steps)[0]
    return grid, local.sampling.times(grid, local.points, key)


def _widths(grid: Array, where: Array) -> Array:
    """Widths of the steps that start at these points of the grid; of repeated times the last counts."""
    sign = _sign(grid)
    index = jnp.clip(jnp.searchsorted(sign * grid, sign * where, side="right"), 1, grid.shape[0] - 1)
    return jnp.abs(grid[index] - grid[index - 1])


def _merge(ts: Array, more: Array) -> tuple[Array, Array, Array]:
    """Rows of `ts` and of `more` in one monotone array of times, and that array."""
    every = jnp.concatenate([ts, more])
    order = jnp.argsort(_sign(ts) * every)
    place = jnp.argsort(order)
    return place[: ts.shape[0]], place[ts.shape[0] :], every[order]


def _sign(ts: Array) -> Array:
    return jnp.where(ts[-1] >= ts[0], jnp.ones_like(ts[0]), -jnp.ones_like(ts[0]))
