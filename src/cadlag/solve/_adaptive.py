"""Adaptive, stiff and continuous-adjoint solves, and events: the same process, handed to Diffrax."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, PyTree

from cadlag.paths import AbstractPath
from cadlag.paths.noise import BrownianTree
from cadlag.solve._adjoint import AbstractAdjoint, Backsolve, Checkpointed, Direct
from cadlag.solve._one_step import Tolerance, one_step
from cadlag.solve._process import AbstractProcess, NoiseKind, elementwise
from cadlag.solve._runge_kutta import RungeKutta
from cadlag.solve._solution import RESULTS, Solution, Stats, all_finite
from cadlag.solve._steps import AdaptiveSteps, FixedSteps


class _Control(diffrax.AbstractPath):
    """One of our paths, as Diffrax calls it."""

    path: AbstractPath
    t0: Any
    t1: Any

    def evaluate(self, t0: Any, t1: Any = None, left: bool = True, use_levy: bool = False) -> Any:
        if t1 is None:
            return self.path.evaluate(t0)
        return jax.tree.map(lambda a, b: a - b, self.path.evaluate(t1), self.path.evaluate(t0))

    def derivative(self, t: Any, left: bool = True) -> Any:
        return self.path.derivative(t)


def make_terms(process: AbstractProcess, y0: PyTree[Array], drivers: tuple, ts: Array, solver: Any) -> Any:
    """Diffrax terms of a process with its drivers."""
    terms: list = [diffrax.ODETerm(lambda t, y, args: _drift(process, t, y, args))]
    kinds = process.noise if isinstance(process.noise, tuple) else (process.noise,)
    many = isinstance(process.noise, tuple)
    for i, driver in enumerate(drivers):
        terms.append(_control_term(process, y0, driver, kinds[i], i if many else None, ts, solver))
    return terms[0] if len(terms) == 1 else diffrax.MultiTerm(*terms)


def _drift(process: AbstractProcess, t: Any, y: PyTree[Array], args: Any) -> PyTree[Array]:
    f = process.drift(t, y, args)
    return jax.tree.map(jnp.zeros_like, y) if f is None else f


def _control_term(
    process: AbstractProcess, y0: Any, driver: Any, kind: NoiseKind, index: int | None, ts: Array, solver: Any
) -> Any:
    def field(t: Any, y: PyTree[Array], args: Any) -> Any:
        g = process.diffusion(t, y, args)
        g = g if index is None else g[index]
        if isinstance(driver, BrownianTree) and elementwise(kind, g, y0):
            return lx.DiagonalLinearOperator(g)
        return g

    if isinstance(driver, BrownianTree):
        area = getattr(solver, "minimal_levy_area", diffrax.BrownianIncrement)
        return diffrax.ControlTerm(field, driver.as_diffrax(area))
    return diffrax.ControlTerm(field, _Control(driver, ts[0], ts[-1])).to_ode()


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
) -> Solution:
    """Integrate with `diffrax.diffeqsolve`, never raising; `solve` raises where asked."""
    terms = make_terms(process, y0, drivers, ts, solver)
    adaptive = isinstance(steps, AdaptiveSteps)
    controller = steps.as_diffrax() if adaptive else diffrax.StepTo(steps.grid)
    max_steps = steps.max_steps if adaptive else steps.grid.shape[0]
    dt0 = steps.dt0 if adaptive else None
    if dt0 is not None:
        dt0 = jnp.where(ts[-1] >= ts[0], dt0, -dt0)
    asked = {"subs": [diffrax.SubSaveAt(ts=ts), diffrax.SubSaveAt(t1=True)]}
    if stats is not None:
        asked["subs"].append(diffrax.SubSaveAt(t0=True, steps=1))
    made = diffrax.diffeqsolve(
        terms,
        solver,
        ts[0],
        ts[-1],
        dt0,
        y0,
        args,
        saveat=diffrax.SaveAt(**asked),
        stepsize_controller=controller,
        adjoint=_diffrax_adjoint(adjoint),
        event=event,
        max_steps=max_steps,
        throw=False,
    )
    made_ts: Any = made.ts
    made_ys: Any = made.ys
    y_end = jax.tree.map(lambda y: y[0], made_ys[1])
    finite = all_finite(jax.lax.stop_gradient(y_end))
    result: Any = RESULTS.promote(made.result)
    result = RESULTS.where(finite | (result != RESULTS.successful), result, RESULTS.nonfinite_state)
    statistics = None
    if stats is not None:
        statistics = _statistics(process, args, made, solver, stats, adaptive)
    last = (made_ts[1][0], jax.tree.map(jax.lax.stop_gradient, y_end))
    return Solution(ts, made_ys[0], statistics, result, last)


def _diffrax_adjoint(adjoint: AbstractAdjoint) -> diffrax.AbstractAdjoint:
    if isinstance(adjoint, Backsolve):
        return diffrax.BacksolveAdjoint()
    if isinstance(adjoint, Checkpointed):
        return diffrax.RecursiveCheckpointAdjoint(checkpoints=adjoint.segments)
    if isinstance(adjoint, Direct) and adjoint.store_intermediates:
        return diffrax.DirectAdjoint()
    return diffrax.RecursiveCheckpointAdjoint()


def _statistics(
    process: AbstractProcess, args: Any, made: Any, solver: Any, tolerance: Tolerance, adaptive: bool
) -> Stats:
    """Counts from Diffrax; error and stiffness by one more step from every accepted state."""
    counts = made.stats
    stages = len(solver.tableau.b_sol) if hasattr(solver, "tableau") else 1
    fsal = bool(getattr(getattr(solver, "tableau", None), "fsal", False))
    evaluations = counts["num_steps"] * (stages - int(fsal)) + int(fsal)
    error = stiffness = sizes = None
    if isinstance(solver, diffrax.AbstractERK) and process.noise is NoiseKind.none:
        times, states = made.ts[2], made.ys[2]
        here, there = times[:-1], times[1:]
        real = jnp.isfinite(there)
        h = jnp.where(real, there - here, jnp.zeros_like(here))
        start = jnp.where(jnp.isfinite(here), here, jnp.zeros_like(here))
        safe = jax.tree.map(lambda y: _where_rows(jnp.isfinite(here), y[:-1], y[0]), states)
        estimate = jax.vmap(
            lambda t, y, step: one_step(
                process, t, y, step, args=args, stepper=RungeKutta(solver), tolerance=tolerance
            )
        )(start, safe, h)
        mask = lambda x: None if x is None else jnp.where(real, x, jnp.zeros_like(x))  # noqa: E731
        error, stiffness, sizes = mask(estimate.error), mask(estimate.stiffness), jnp.abs(h)
    return Stats(evaluations, counts["num_steps"], counts["num_rejected_steps"], error, stiffness, sizes)


def _where_rows(keep: Array, rows: Array, other: Array) -> Array:
    return jnp.where(keep.reshape(-1, *[1] * (rows.ndim - 1)), rows, jnp.broadcast_to(other[None], rows.shape))


def default_solver(process: AbstractProcess, adaptive: bool) -> Any:
    """Tsit5 for equations without noise; Stratonovich Heun (with its error estimate) or SPaRK's kind for SDEs."""
    kinds = process.noise if isinstance(process.noise, tuple) else (process.noise,)
    if all(kind is NoiseKind.none for kind in kinds):
        return diffrax.Tsit5()
    if kinds == (NoiseKind.additive,):
        return diffrax.ShARK()
    return diffrax.SPaRK()


def is_tree_like(x: Any) -> bool:
    """Whether `x` is a Diffrax solver."""
    return isinstance(x, diffrax.AbstractSolver) and isinstance(x, eqx.Module)
