"""Adaptive, stiff and continuous-adjoint solves, and events, through Diffrax."""

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from cadlag.solve._adjoint import AbstractAdjoint, Backsolve, Checkpointed, Direct, Interpolated
from cadlag.solve._checks import equal_width
from cadlag.solve._interpolated import interpolated_diffrax
from cadlag.solve._one_step import Tolerance, one_step
from cadlag.solve._process import AbstractProcess, NoiseKind
from cadlag.solve._runge_kutta import RungeKutta
from cadlag.solve._solution import RESULTS, Solution, Stats, all_finite
from cadlag.solve._steps import AdaptiveSteps, FixedSteps
from cadlag.solve._terms import Paired, make_terms
from cadlag.solve._watch import Several, WatchedSolver, check_watchable, watch_controller


def solve_diffrax(
    process: AbstractProcess,
    y0: PyTree[Array],
    ts: Array,
    args: Any,
    drivers: tuple,
    steps: AdaptiveSteps | FixedSteps,
    solver: Any,
    adjoint: AbstractAdjoint,
    event: diffrax.Event | None,
    stats: Tolerance | None,
    watcher: Several,
) -> tuple[Solution, tuple]:
    """Integrate with `diffrax.diffeqsolve`, never raising, and what the watchers remember; `solve` raises if asked."""
    controller, dt0, max_steps = _stepping(steps, ts, adjoint)
    if isinstance(adjoint, Interpolated):
        if watcher.watchers:
            raise ValueError("Interpolated() keeps no penalties of the solver's steps; use Checkpointed() or Direct().")
        ys, counts, result = interpolated_diffrax(process, args, y0, ts, solver, (controller, dt0, max_steps))
        return _solution(process, args, y0, ts, [ts], [ys], counts, result, solver, stats), ()
    used, start = solver, y0
    if watcher.watchers:
        check_watchable(solver, watcher)
        controller, used, start = (
            watch_controller(controller),
            WatchedSolver(solver, watcher),
            Paired(y0, watcher.start(y0, ts[0])),
        )
    made = diffrax.diffeqsolve(
        make_terms(process, drivers, ts, solver),
        used,
        ts[0],
        ts[-1],
        dt0,
        start,
        args,
        saveat=_save_at(ts, adjoint, stats),
        stepsize_controller=controller,
        adjoint=_diffrax_adjoint(adjoint),
        event=event,
        max_steps=max_steps,
        throw=False,
    )
    made_ts, made_ys, memory = _subs(made.ts), _subs(made.ys), ()
    if watcher.watchers:
        memory = jax.tree.map(lambda x: x[-1], made_ys[1].memory)
        made_ys = [saved.y for saved in made_ys]
    return _solution(process, args, y0, ts, made_ts, made_ys, made.stats, made.result, solver, stats), memory


def _solution(
    process: AbstractProcess,
    args: Any,
    y0: PyTree[Array],
    ts: Array,
    made_ts: list,
    made_ys: list,
    counts: dict,
    reason: Any,
    solver: Any,
    stats: Tolerance | None,
) -> Solution:
    last = jax.lax.stop_gradient(_last_finite(ts, y0, made_ts, made_ys))
    end = made_ys[min(1, len(made_ys) - 1)]
    finite = all_finite(jax.tree.map(lambda y: jax.lax.stop_gradient(y[-1]), end))
    result: Any = RESULTS.promote(reason)
    result = RESULTS.where(finite | (result != RESULTS.successful), result, RESULTS.nonfinite_state)
    statistics = None
    if stats is not None:
        statistics = _statistics(process, args, made_ts, made_ys, counts, solver, stats)
    return Solution(ts, made_ys[0], statistics, result, last)


def _stepping(steps: AdaptiveSteps | FixedSteps, ts: Array, adjoint: AbstractAdjoint) -> tuple[Any, Any, int]:
    """Controller, first step and the cap on steps, as Diffrax wants them."""
    if isinstance(steps, AdaptiveSteps):
        if steps.dt0 is None:
            return steps.as_diffrax(), None, steps.max_steps
        dt0 = jnp.asarray(steps.dt0, ts.dtype)
        return steps.as_diffrax(), jnp.where(ts[-1] >= ts[0], dt0, -dt0), steps.max_steps
    count = steps.grid.shape[0] - 1
    if not isinstance(adjoint, Backsolve):
        return diffrax.StepTo(steps.grid), None, count + 1
    # The adjoint equation runs the other way, which a list of times cannot.
    return diffrax.ConstantStepSize(), equal_width(steps.grid), 2 * count + 2


def _save_at(ts: Array, adjoint: AbstractAdjoint, stats: Tolerance | None) -> diffrax.SaveAt:
    if isinstance(adjoint, Backsolve):
        return diffrax.SaveAt(ts=ts)
    subs = [diffrax.SubSaveAt(ts=ts), diffrax.SubSaveAt(t1=True)]
    if stats is not None:
        subs.append(diffrax.SubSaveAt(t0=True, steps=1))
    return diffrax.SaveAt(subs=subs)


def _subs(saved: Any) -> list:
    return saved if isinstance(saved, list) else [saved]


def _last_finite(ts: Array, y0: PyTree[Array], made_ts: list, made_ys: list) -> tuple[Array, PyTree[Array]]:
    """Where the solve stopped, or the last output before the state ceased to be finite."""
    times = jnp.concatenate([ts[:1], made_ts[0], *made_ts[1:2]])
    states = jax.tree.map(lambda a, *bs: jnp.concatenate([a[None], *bs]), y0, *made_ys[:2])
    good = jax.vmap(all_finite)(states) & jnp.isfinite(times)
    best = times.shape[0] - 1 - jnp.argmax(good[::-1])
    return times[best], jax.tree.map(lambda y: y[best], states)


def _diffrax_adjoint(adjoint: AbstractAdjoint) -> diffrax.AbstractAdjoint:
    if isinstance(adjoint, Backsolve):
        return diffrax.BacksolveAdjoint()
    if isinstance(adjoint, Checkpointed):
        return diffrax.RecursiveCheckpointAdjoint(checkpoints=adjoint.segments)
    if isinstance(adjoint, Direct) and adjoint.store_intermediates:
        return diffrax.DirectAdjoint()
    return diffrax.RecursiveCheckpointAdjoint()


def _statistics(
    process: AbstractProcess, args: Any, made_ts: list, made_ys: list, counts: dict, solver: Any, tolerance: Tolerance
) -> Stats:
    """Counts from Diffrax; error and stiffness by one more step from every accepted state."""
    tableau: Any = getattr(solver, "tableau", None)
    stages = len(tableau.b_sol) if hasattr(tableau, "b_sol") else 1
    fsal = int(bool(getattr(tableau, "fsal", False)))
    evaluations = counts["num_steps"] * (stages - fsal) + fsal
    error = stiffness = sizes = None
    if isinstance(solver, diffrax.AbstractERK) and process.noise is NoiseKind.none and len(made_ts) == 3:
        times, states = made_ts[2], made_ys[2]
        here, there = times[:-1], times[1:]
        real = jnp.isfinite(there)
        h = jnp.where(real, there - here, jnp.zeros_like(here))
        start = jnp.where(jnp.isfinite(here), here, jnp.zeros_like(here))
        safe = jax.tree.map(lambda y: _where_rows(jnp.isfinite(here), y[:-1], y[0]), states)
        estimate = jax.vmap(
            lambda t, y, step: one_step(process, t, y, step, args=args, stepper=RungeKutta(solver), tolerance=tolerance)
        )(start, safe, h)
        mask = lambda x: None if x is None else jnp.where(real, x, jnp.zeros_like(x))  # noqa: E731
        error, stiffness, sizes = mask(estimate.error), mask(estimate.stiffness), jnp.abs(h)
    return Stats(evaluations, counts["num_steps"], counts["num_rejected_steps"], error, stiffness, sizes)


def _where_rows(keep: Array, rows: Array, other: Array) -> Array:
    return jnp.where(keep.reshape(-1, *[1] * (rows.ndim - 1)), rows, jnp.broadcast_to(other[None], rows.shape))
