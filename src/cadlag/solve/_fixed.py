"""Fixed steps: one `lax.scan` that costs what a hand-written one costs."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, PRNGKeyArray, PyTree

from cadlag.solve._adjoint import AbstractAdjoint, Backsolve, Interpolated, Reversible
from cadlag.solve._backsolve import backsolve_loop
from cadlag.solve._drivers import driver_increments, join
from cadlag.solve._interpolated import interpolated_loop
from cadlag.solve._one_step import Tolerance, scaled_error, step_with_stiffness
from cadlag.solve._process import AbstractProcess
from cadlag.solve._reversible import reversible_loop
from cadlag.solve._semilinear import prepare
from cadlag.solve._solution import RESULTS, Solution, Stats, all_finite
from cadlag.solve._stepper import AbstractStepper, Field, Step
from cadlag.solve._tabulate import restore, tabulate

# No cell of a noise has this index.
_BETWEEN = np.uint32(0xFFFFFFFF)


class FixedProblem(eqx.Module):
    """Everything a fixed-step solve needs, checked beforehand.

    `every`: outputs after each so many steps, or None when outputs are read off all states at `ts`.
    """

    process: AbstractProcess
    args: Any
    y0: PyTree[Array]
    ts: Array
    grid: Array
    drivers: tuple[Any, ...]
    stepper: AbstractStepper
    adjoint: AbstractAdjoint
    between: Callable | None
    key: PRNGKeyArray | None
    every: int | None = eqx.field(static=True)
    tolerance: Tolerance | None

    @property
    def steps(self) -> int:
        """Number of steps."""
        return self.grid.shape[0] - 1


def solve_fixed(problem: FixedProblem) -> Solution:
    """Integrate, then arrange outputs, statistics and the result."""
    emit = problem.every != problem.steps
    if isinstance(problem.adjoint, Backsolve):
        return _solve_own_way(problem, *backsolve_loop(problem, emit))
    if isinstance(problem.adjoint, Interpolated):
        return _solve_own_way(problem, *interpolated_loop(problem, emit))
    # What depends on the widths of the steps alone leaves the loop.
    stepper = prepare(problem.stepper, problem.process, problem.grid, problem.y0)
    problem = dataclasses.replace(problem, stepper=stepper)
    split, tables = tabulate((problem.process, problem.args), problem.grid, problem.stepper.nodes)
    if isinstance(problem.adjoint, Reversible):
        return _solve_own_way(problem, *reversible_loop(problem, split, tables, emit))
    body = _make_body(problem, split)
    first_row = jax.tree.map(lambda x: x[0], tables)
    field = _field(problem, split, first_row, problem.grid[0], problem.grid[1] - problem.grid[0])
    state = problem.stepper.init(field, problem.grid[0], problem.y0)
    carry = (problem.y0, state, problem.grid[0], problem.y0)
    rows = _rows(problem, tables)
    carry, emitted, stats = _run(problem, body, carry, rows)
    y1, _, t_last, y_last = carry
    ys = _outputs(problem, y1, emitted)
    # The memory of a stepper starts with one evaluation.
    start_up = 0 if state is None else 1
    return _solution(problem, ys, stats, (t_last, y_last), start_up)


def _field(problem: FixedProblem, split: Any, row: Any, t0: Array, h: Array) -> Field:
    process, args = restore(split, row, problem.stepper.nodes, t0, h)
    return Field(process, args)


def _rows(problem: FixedProblem, tables: list) -> Any:
    grid = problem.grid
    drawn = [driver_increments(d, grid, problem.stepper.needs_area) for d in problem.drivers]
    dx, area = join([d for d, _ in drawn]), join([a for _, a in drawn])
    keys = None if problem.between is None else jr.split(jr.fold_in(_key(problem), _BETWEEN), problem.steps)
    return grid[:-1], grid[1:], tables, dx, area, keys


def _key(problem: FixedProblem) -> PRNGKeyArray:
    return jr.key(0) if problem.key is None else problem.key


def _make_body(problem: FixedProblem, split: Any) -> Callable:
    def body(carry: Any, row: Any) -> tuple[Any, Any]:
        y, state, t_last, y_last = carry
        t0, t1, tables, dx, area, key = row
        field = _field(problem, split, tables, t0, t1 - t0)
        step = Step(t0, t1, t1 - t0, dx, area)
        stiff = error = None
        if problem.tolerance is None:
            y1, state1, _ = problem.stepper.step(field, y, state, step)
        else:
            y1, state1, error, stiff = step_with_stiffness(problem.stepper, field, y, state, step)
        if problem.between is not None:
            y1 = problem.between(t1, y1, key)
        stats = None
        if problem.tolerance is not None:
            stats = (scaled_error(error, y, y1, problem.tolerance), stiff)
        state = state1
        ok = all_finite(jax.lax.stop_gradient(y1))
        keep = lambda new, old: jnp.where(ok, jax.lax.stop_gradient(new), old)  # noqa: E731
        return (y1, state, keep(t1, t_last), jax.tree.map(keep, y1, y_last)), stats

    return body


def _run(problem: FixedProblem, body: Callable, carry: Any, rows: Any) -> tuple[Any, Any, Any]:
    """Loop over the steps; emit states after every `every` of them."""
    every, steps, loop = problem.every or 1, problem.steps, problem.adjoint.loop
    if every == steps:
        carry, stats = loop(body, carry, rows, steps)
        return carry, None, stats
    if every == 1:

        def emitting(state: Any, row: Any) -> Any:
            state, stats = body(state, row)
            return state, (state[0], stats)

        carry, (emitted, stats) = loop(emitting, carry, rows, steps)
        return carry, emitted, stats

    def interval(state: Any, rows_: Any) -> Any:
        state, stats = loop(body, state, rows_, every)
        return state, (state[0], stats)

    fold = lambda x: x.reshape(steps // every, every, *x.shape[1:])  # noqa: E731
    carry, (emitted, stats) = jax.lax.scan(interval, carry, jax.tree.map(fold, rows))
    return carry, emitted, jax.tree.map(lambda x: x.reshape(steps, *x.shape[2:]), stats)


def _outputs(problem: FixedProblem, y1: PyTree[Array], emitted: Any) -> PyTree[Array]:
    if emitted is None:
        return jax.tree.map(lambda a, b: jnp.stack([a, b]), problem.y0, y1)
    states = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), problem.y0, emitted)
    if problem.every is not None:
        return states
    return jax.vmap(lambda t: _between_points(problem.grid, states, t))(problem.ts)


def _between_points(grid: Array, states: PyTree[Array], t: Array) -> PyTree[Array]:
    """Linear interpolation of the states at t, exact at grid points."""
    ascending = grid[-1] >= grid[0]
    sign = jnp.where(ascending, jnp.ones_like(t), -jnp.ones_like(t))
    right = jnp.clip(jnp.searchsorted(sign * grid, sign * t), 1, grid.shape[0] - 1)
    width = grid[right] - grid[right - 1]
    weight = jnp.where(width == 0, jnp.ones_like(t), (t - grid[right - 1]) / jnp.where(width == 0, 1, width))

    def mix(y: Array) -> Array:
        w = weight.astype(y.dtype)
        inner = y[right - 1] + w * (y[right] - y[right - 1])
        return jnp.where(w == 1, y[right], inner)

    return jax.tree.map(mix, states)


def _solution(problem: FixedProblem, ys: Any, estimates: Any, last: Any, start_up: int) -> Solution:
    end = jax.tree.map(lambda y: jax.lax.stop_gradient(y[-1]), ys)
    # The time alone does not tell: a padded grid repeats its last time.
    reached = (last[0] == problem.grid[-1]) & all_finite(end)
    result = RESULTS.where(reached, RESULTS.successful, RESULTS.nonfinite_state)  # pyright: ignore[reportArgumentType]
    stats = None
    if problem.tolerance is not None:
        count = problem.steps * problem.stepper.evaluations + start_up
        stats = Stats(
            evaluations=jnp.asarray(count),
            steps=jnp.asarray(problem.steps),
            rejections=jnp.asarray(0),
            error=estimates[0],
            stiffness=estimates[1],
            sizes=jnp.abs(jnp.diff(problem.grid)),
        )
    return Solution(problem.ts, ys, stats, result, last)


def _solve_own_way(problem: FixedProblem, y1: PyTree[Array], emitted: Any) -> Solution:
    """From the last state and those after each step, where a loop has a backward pass of its own."""
    every = problem.every or 1
    if emitted is not None and every > 1:
        emitted = jax.tree.map(lambda y: y[every - 1 :: every], emitted)
    ys = _outputs(problem, y1, emitted)
    ok = all_finite(jax.lax.stop_gradient(y1))
    keep = lambda new, old: jax.lax.stop_gradient(jnp.where(ok, new, old))  # noqa: E731
    last = (jnp.where(ok, problem.grid[-1], problem.grid[0]), jax.tree.map(keep, y1, problem.y0))
    return _solution(problem, ys, (None, None), last, _start_up(problem))


def _start_up(problem: FixedProblem) -> int:
    """Evaluations before the first step: one where the stepper has a memory."""
    field = Field(problem.process, problem.args)
    init = lambda: problem.stepper.init(field, problem.grid[0], problem.y0)  # noqa: E731
    return 0 if problem.tolerance is None or jax.eval_shape(init) is None else 1
