"""The one entry to every solver."""

from collections.abc import Callable
from typing import Any

import diffrax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray, PyTree

from cadlag.solve._adaptive import solve_diffrax
from cadlag.solve._adjoint import AbstractAdjoint, Backsolve, Direct, Interpolated, Reversible
from cadlag.solve._checks import (
    check_diffrax,
    check_direction,
    check_drift,
    check_interpolated,
    check_stepper,
    check_times,
    distinct,
    random_kinds,
)
from cadlag.solve._drivers import make_drivers
from cadlag.solve._euler import EulerMaruyama, Heun
from cadlag.solve._fixed import FixedProblem, solve_fixed
from cadlag.solve._one_step import Tolerance
from cadlag.solve._process import AbstractProcess, Calculus, NoiseKind
from cadlag.solve._reversible_heun import ReversibleHeun
from cadlag.solve._runge_kutta import RungeKutta
from cadlag.solve._solution import Solution, finish
from cadlag.solve._stepper import AbstractStepper
from cadlag.solve._steps import AdaptiveSteps, FixedSteps, concrete, known
from cadlag.solve._tabulate import refuse_tables
from cadlag.solve._terms import default_form, default_solver
from cadlag.solve._watch import Several


def solve(
    process: AbstractProcess,
    y0: PyTree[Array],
    ts: Any,
    *,
    args: Any = None,
    driver: Any = None,
    key: PRNGKeyArray | None = None,
    steps: int | FixedSteps | AdaptiveSteps = 1,
    stepper: Any = None,
    adjoint: AbstractAdjoint | None = None,
    between: Callable | None = None,
    event: diffrax.Event | None = None,
    stats: bool | Tolerance = False,
    throw: bool = True,
) -> Solution:
    """Solve an ODE, SDE or controlled equation for one path; batch it with `jax.vmap`.

    **Arguments:**

    - `process`: an `ODE`, `SDE`, `CDE` or any other `AbstractProcess`.
    - `y0`: state at `ts[0]`, a PyTree of inexact arrays.
    - `ts`: output times, shape (times,), monotone, at least two; repeated times are steps of zero width, so padded
      series need no care. Decreasing times solve backwards (Itô's sense then means backward integrals).
    - `args`: handed to the coefficients. Paths in `args` or in the process are tabulated before a fixed-step loop.
    - `driver`: what the diffusion multiplies: a noise, a path, or a tuple of both, one for each noise kind of the
      process. Default: Brownian motion from `key`, one cell a step (several: from split keys).
    - `steps`: an integer, so many equal steps between each two output times; or `FixedSteps`; or `AdaptiveSteps`.
    - `stepper`: one of ours, or any Diffrax solver. Default: Euler-Maruyama (Itô) or Heun (Stratonovich, controlled
      and ordinary equations) on fixed steps; Tsit5 or a stochastic Runge-Kutta method on adaptive ones.
    - `adjoint`: `Direct()` (default), `Checkpointed()`, `Reversible()`, `Interpolated()` or `Backsolve()`.
    - `between(t, y, key)`: acts on the state after each fixed step.
    - `event`: a `diffrax.Event`, for solves that go through Diffrax.
    - `stats`: True, or the tolerance that errors are measured against, to compute solver statistics.
    - `throw`: raise at run time when the solve fails; otherwise see `solution.result` and `solution.last`.

    **Returns:** a `Solution`.

    **Raises:** `ValueError` or `TypeError`, before anything is compiled, for parts that do not fit together.
    """
    settings: Any = {
        "args": args, "driver": driver, "key": key, "steps": steps, "stepper": stepper, "adjoint": adjoint,
        "between": between, "event": event, "stats": stats, "throw": throw,
    }  # fmt: skip
    return solve_watched(process, y0, ts, Several(()), **settings)[0]


def solve_watched(
    process: AbstractProcess,
    y0: PyTree[Array],
    ts: Any,
    watcher: Several,
    *,
    args: Any = None,
    driver: Any = None,
    key: PRNGKeyArray | None = None,
    steps: int | FixedSteps | AdaptiveSteps = 1,
    stepper: Any = None,
    adjoint: AbstractAdjoint | None = None,
    between: Callable | None = None,
    event: diffrax.Event | None = None,
    stats: bool | Tolerance = False,
    throw: bool = True,
) -> tuple[Solution, tuple]:
    """`solve`, and what watchers remember of the accepted steps; on fixed steps of ours they read the statistics."""
    ts, y0 = check_times(ts, y0)
    adaptive = isinstance(steps, AdaptiveSteps)
    adjoint = Direct() if adjoint is None else adjoint
    check_drift(process, ts[0], y0, args)
    random = random_kinds(process, driver)
    through_diffrax = adaptive or event is not None or _diffrax_backsolve(process, stepper, adjoint)
    tolerance = stats if isinstance(stats, Tolerance) else (Tolerance() if stats else None)
    if stepper is None and through_diffrax and random:
        process = default_form(process)
    stepper = _choose_stepper(process, stepper, through_diffrax, adjoint, random, adaptive)
    if isinstance(adjoint, Interpolated):
        check_interpolated(process, stepper, steps, event)
    if isinstance(stepper, AbstractStepper):
        tolerance = watcher.tolerance(tolerance)
        check_stepper(process, stepper, adjoint, between, random, tolerance, through_diffrax)
        grid, every = fixed_grid(ts, steps)
        check_direction(stepper, grid)
        drivers = make_drivers(process, y0, args, driver, key, grid, ts)
        problem = FixedProblem(process, args, y0, ts, grid, drivers, stepper, adjoint, between, key, every, tolerance)
        solution = solve_fixed(problem)
        return finish(solution, throw), watcher.of_stats(solution.stats, stepper)
    check_diffrax(process, stepper, steps, adjoint, between, random)
    refuse_tables((process, args))
    grid_steps = steps if adaptive else FixedSteps(distinct(fixed_grid(ts, steps)[0]))
    drivers = make_drivers(process, y0, args, driver, key, None, ts, steps if adaptive else None)
    solution, memory = solve_diffrax(
        process, y0, ts, args, drivers, grid_steps, stepper, adjoint, event, tolerance, watcher
    )
    return finish(solution, throw), memory


def _diffrax_backsolve(process: AbstractProcess, stepper: Any, adjoint: AbstractAdjoint) -> bool:
    """Whether fixed steps are differentiated by Diffrax's adjoint: all but explicit steps of an ODE."""
    explicit = stepper is None or isinstance(stepper, AbstractStepper | diffrax.AbstractERK | diffrax.Euler)
    return isinstance(adjoint, Backsolve) and not (explicit and process.noise is NoiseKind.none)


def fixed_grid(ts: Array, steps: Any) -> tuple[Array, int | None]:
    """End points of the steps, and after how many steps an output is due (None: read outputs off the states)."""
    if isinstance(steps, FixedSteps):
        given = steps.grid
        grid = known(np.asarray(given, ts.dtype)) if concrete(given) else given.astype(ts.dtype)
        if concrete(grid) and concrete(ts):
            ends = np.asarray(grid)[[0, -1]]
            if not np.allclose(ends, np.asarray(ts)[[0, -1]]):
                raise ValueError(f"FixedSteps goes from {ends[0]} to {ends[1]}, but ts from {ts[0]} to {ts[-1]}.")
        return grid, (grid.shape[0] - 1 if ts.shape[0] == 2 else None)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(
            f"steps={steps!r}; expected a positive integer (steps between two output times), FixedSteps or "
            "AdaptiveSteps."
        )
    if steps == 1:
        return ts, 1
    xp: Any = np if concrete(ts) else jnp
    times = xp.asarray(ts)
    parts = xp.arange(steps, dtype=ts.dtype) / xp.asarray(steps, ts.dtype)
    inner = times[:-1, None] + parts[None] * xp.diff(times)[:, None]
    grid = xp.concatenate([inner.reshape(-1), times[-1:]])
    return (known(grid) if concrete(ts) else grid), steps


def _choose_stepper(
    process: AbstractProcess, stepper: Any, through_diffrax: bool, adjoint: Any, random: list[NoiseKind], adaptive: bool
) -> Any:
    if isinstance(stepper, AbstractStepper):
        return stepper
    if stepper is None:
        if isinstance(adjoint, Backsolve) and random:
            return diffrax.Heun()
        if through_diffrax:
            return default_solver(process, bool(random), adaptive)
        if isinstance(adjoint, Reversible):
            return ReversibleHeun()
        return EulerMaruyama() if random and process.calculus is Calculus.ito else Heun()
    if not isinstance(stepper, diffrax.AbstractSolver):
        raise TypeError(
            f"stepper is a {type(stepper).__name__}; expected one of cadlag.solve's steppers or a Diffrax solver."
        )
    if isinstance(stepper, diffrax.AbstractERK) and not through_diffrax and not random:
        return RungeKutta(stepper)
    if isinstance(stepper, diffrax.Euler) and isinstance(adjoint, Backsolve | Interpolated) and not through_diffrax:
        return EulerMaruyama()
    return stepper
