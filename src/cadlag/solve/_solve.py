"""The one entry to every solver."""

from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray, PyTree

from cadlag.paths import AbstractPath
from cadlag.paths.noise import AbstractNoise, BrownianGrid, BrownianTree
from cadlag.solve._adaptive import default_solver, solve_diffrax
from cadlag.solve._adjoint import AbstractAdjoint, Backsolve, Direct, Reversible
from cadlag.solve._euler import EulerMaruyama, Heun
from cadlag.solve._fixed import FixedProblem, solve_fixed
from cadlag.solve._one_step import Tolerance
from cadlag.solve._process import AbstractProcess, Calculus, NoiseKind, diffusion_struct
from cadlag.solve._reversible_heun import ReversibleHeun
from cadlag.solve._runge_kutta import RungeKutta
from cadlag.solve._solution import Solution, finish
from cadlag.solve._stepper import AbstractStepper
from cadlag.solve._steps import AdaptiveSteps, FixedSteps


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
    - `ts`: output times, shape (times,), monotone, at least two; decreasing times solve backwards. Repeated times
      are steps of zero width, so padded series need no care.
    - `args`: handed to the coefficients. Paths in `args` or in the process are tabulated before a fixed-step loop.
    - `driver`: what the diffusion multiplies: a noise, a path, or a tuple of both, one for each noise kind of the
      process. Default: Brownian motion from `key`, one cell a step.
    - `steps`: an integer, so many equal steps between each two output times; or `FixedSteps`; or `AdaptiveSteps`.
    - `stepper`: one of ours, or any Diffrax solver. Default: Euler-Maruyama (Itô) or Heun (Stratonovich, controlled
      and ordinary equations) on fixed steps; Tsit5 or a stochastic Runge-Kutta method on adaptive ones.
    - `adjoint`: `Direct()` (default), `Checkpointed()`, `Reversible()` or `Backsolve()`.
    - `between(t, y, key)`: acts on the state after each fixed step.
    - `event`: a `diffrax.Event`, for solves that go through Diffrax.
    - `stats`: True, or the tolerance that errors are measured against, to compute solver statistics.
    - `throw`: raise at run time when the solve fails; otherwise see `solution.result` and `solution.last`.

    **Returns:** a `Solution`.

    **Raises:** `ValueError` or `TypeError`, before anything is compiled, for parts that do not fit together.
    """
    ts, y0 = _check_times(ts, y0)
    adaptive = isinstance(steps, AdaptiveSteps)
    adjoint = Direct() if adjoint is None else adjoint
    stepper = _choose_stepper(process, stepper, adaptive, adjoint, event)
    tolerance = stats if isinstance(stats, Tolerance) else (Tolerance() if stats else None)
    if isinstance(stepper, AbstractStepper):
        if adaptive or event is not None or isinstance(adjoint, Backsolve):
            raise ValueError(
                f"{type(stepper).__name__} takes fixed steps without events, and is differentiated by Direct(), "
                "Checkpointed() or (ReversibleHeun) Reversible(). For adaptive steps, events or Backsolve() pass a "
                "Diffrax solver as stepper, or leave it out."
            )
        grid, every = _fixed_grid(ts, steps)
        drivers = _drivers(process, y0, args, driver, key, grid, ts)
        _check_stepper(process, stepper, adjoint, between, drivers, tolerance)
        problem = FixedProblem(
            process, args, y0, ts, grid, drivers, stepper, adjoint, between, key, every, tolerance
        )
        return finish(solve_fixed(problem), throw)
    if between is not None:
        raise ValueError("`between` acts after fixed steps of our steppers; it is not available with Diffrax solvers.")
    if isinstance(adjoint, Reversible):
        raise ValueError("Reversible() needs stepper=ReversibleHeun() and fixed steps.")
    grid_steps = steps if adaptive else FixedSteps(_fixed_grid(ts, steps)[0])
    drivers = _drivers(process, y0, args, driver, key, None, ts, steps if adaptive else None)
    solution = solve_diffrax(process, y0, ts, args, drivers, grid_steps, stepper, adjoint, event, tolerance)
    return finish(solution, throw)


def _check_times(ts: Any, y0: PyTree[Array]) -> tuple[Array, PyTree[Array]]:
    y0 = jax.tree.map(jnp.asarray, y0)
    leaves = jax.tree.leaves(y0)
    if not leaves:
        raise ValueError("y0 holds no arrays.")
    for leaf in leaves:
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            raise TypeError(f"y0 has dtype {leaf.dtype}; a state must be of floating or complex type.")
    if not isinstance(ts, jax.core.Tracer):
        times = np.asarray(ts)
        if not np.all(np.isfinite(times)):
            raise ValueError("ts holds NaN or infinite times.")
        gaps = np.diff(times) if times.ndim == 1 else np.zeros(0)
        if np.any(gaps > 0) and np.any(gaps < 0):
            raise ValueError("ts goes forwards and backwards; output times must be monotone.")
    ts = jnp.asarray(ts)
    if ts.ndim != 1 or ts.shape[0] < 2:
        raise ValueError(f"ts has shape {ts.shape}; expected (times,) with at least two. Batch `solve` with jax.vmap.")
    real = jnp.finfo(leaves[0].dtype).dtype
    return ts.astype(real), y0


def _fixed_grid(ts: Array, steps: Any) -> tuple[Array, int | None]:
    """End points of the steps, and after how many steps an output is due (None: read outputs off the states)."""
    if isinstance(steps, FixedSteps):
        grid = steps.grid.astype(ts.dtype)
        both = [x for x in (grid, ts) if isinstance(x, jax.core.Tracer)]
        if not both:
            ends = np.asarray(grid)[[0, -1]]
            if not np.allclose(ends, np.asarray(ts)[[0, -1]]):
                raise ValueError(f"FixedSteps goes from {ends[0]} to {ends[1]}, but ts from {ts[0]} to {ts[-1]}.")
        return grid, (grid.shape[0] - 1 if ts.shape[0] == 2 else None)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(
            f"steps={steps!r}; expected a positive integer (steps between two output times), FixedSteps or AdaptiveSteps."
        )
    if steps == 1:
        return ts, 1
    parts = jnp.arange(steps, dtype=ts.dtype) / steps
    inner = ts[:-1, None] + parts[None] * jnp.diff(ts)[:, None]
    return jnp.concatenate([inner.reshape(-1), ts[-1:]]), steps


def _choose_stepper(process: AbstractProcess, stepper: Any, adaptive: bool, adjoint: Any, event: Any) -> Any:
    if isinstance(stepper, AbstractStepper):
        return stepper
    through_diffrax = adaptive or event is not None or isinstance(adjoint, Backsolve)
    if stepper is None:
        if through_diffrax:
            return default_solver(process, adaptive)
        if isinstance(adjoint, Reversible):
            return ReversibleHeun()
        kinds = process.noise if isinstance(process.noise, tuple) else (process.noise,)
        noisy = any(k is not NoiseKind.none for k in kinds)
        return EulerMaruyama() if noisy and process.calculus is Calculus.ito else Heun()
    if not isinstance(stepper, diffrax.AbstractSolver):
        raise TypeError(f"stepper is a {type(stepper).__name__}; expected one of cadlag.solve's steppers or a Diffrax solver.")
    if isinstance(stepper, diffrax.AbstractERK) and not through_diffrax:
        return RungeKutta(stepper)
    return stepper


def _drivers(
    process: AbstractProcess, y0: Any, args: Any, driver: Any, key: Any, grid: Any, ts: Array, adaptive: Any = None
) -> tuple[Any, ...]:
    """One driver for each noise kind, made from `key` where none is given."""
    kinds = process.noise if isinstance(process.noise, tuple) else (process.noise,)
    if process.noise is NoiseKind.none:
        if driver is not None:
            raise ValueError("The process has noise of kind none, so it takes no driver.")
        return ()
    given = driver if isinstance(driver, tuple) else (driver,)
    if driver is not None and len(given) != len(kinds):
        raise ValueError(f"The process declares {len(kinds)} noise kinds, but {len(given)} drivers were given.")
    if driver is None:
        given = (None,) * len(kinds)
    with_paths = _abstract_diffusion(process, ts[0], y0, args)
    diffusions = with_paths if isinstance(process.noise, tuple) else (with_paths,)
    made = []
    for kind, g, one in zip(kinds, diffusions, given, strict=True):
        made.append(_one_driver(kind, g, one, y0, key, grid, ts, adaptive))
    return tuple(made)


def _abstract_diffusion(process: AbstractProcess, t: Any, y0: Any, args: Any) -> Any:
    import equinox as eqx

    return eqx.filter_eval_shape(process.diffusion, t, y0, args)


def _one_driver(kind: NoiseKind, g: Any, one: Any, y0: Any, key: Any, grid: Any, ts: Array, adaptive: Any) -> Any:
    struct = diffusion_struct(kind, g, y0)
    if one is None:
        if key is None:
            raise ValueError("The process is driven by noise: pass `key`, or a noise or a path as `driver`.")
        if grid is not None:
            return BrownianGrid(grid, struct, key=key)
        return BrownianTree(ts[0], ts[-1], struct, tol=_tree_tolerance(ts, adaptive), key=key)
    if isinstance(one, AbstractPath):
        return one
    if not isinstance(one, AbstractNoise):
        raise TypeError(f"driver is a {type(one).__name__}; expected a noise or a path of cadlag.paths.")
    if grid is None and not isinstance(one, BrownianTree):
        raise ValueError("Adaptive steps and Diffrax solvers need noise that can be asked for any interval: BrownianTree.")
    shapes = lambda s: [leaf.shape for leaf in jax.tree.leaves(s)]  # noqa: E731
    if shapes(one.shape) != shapes(struct):
        raise ValueError(
            f"The driver has shape {shapes(one.shape)}, but the diffusion (noise of kind {kind.name}, state of shape "
            f"{shapes(y0)}) multiplies noise of shape {shapes(struct)}."
        )
    return one


def _tree_tolerance(ts: Array, adaptive: Any) -> float:
    if adaptive is not None and adaptive.dt_min is not None:
        return adaptive.dt_min / 2
    if isinstance(ts, jax.core.Tracer):
        raise ValueError("AdaptiveSteps needs dt_min for an SDE whose output times are traced: it sets the noise's resolution.")
    return float(abs(ts[-1] - ts[0])) * 1e-5


def _check_stepper(
    process: AbstractProcess, stepper: AbstractStepper, adjoint: Any, between: Any, drivers: Any, tolerance: Any
) -> None:
    name = type(stepper).__name__
    kinds = process.noise if isinstance(process.noise, tuple) else (process.noise,)
    for kind in kinds:
        if kind not in stepper.noises:
            allowed = ", ".join(sorted(k.name for k in stepper.noises))
            raise ValueError(f"{name} does not converge for noise of kind {kind.name} (only {allowed}). Use EulerMaruyama or Heun.")
    random = [k for k, d in zip(kinds, drivers, strict=False) if isinstance(d, AbstractNoise)]
    multiplicative = any(k not in (NoiseKind.none, NoiseKind.additive) for k in random)
    if multiplicative and stepper.calculus not in (None, process.calculus):
        fits = "EulerMaruyama, Milstein or SRK" if process.calculus is Calculus.ito else "Heun, ReversibleHeun or Milstein"
        raise ValueError(
            f"{name} converges to the {stepper.calculus.value} solution, but the process is meant in the sense of "
            f"{process.calculus.value}. Use {fits}."
        )
    if isinstance(adjoint, Reversible):
        if not isinstance(stepper, ReversibleHeun):
            raise ValueError(f"Reversible() needs stepper=ReversibleHeun(), not {name}.")
        if tolerance is not None:
            raise ValueError("Statistics are not kept by Reversible(); use Direct() or Checkpointed().")
    if between is not None and isinstance(stepper, ReversibleHeun | RungeKutta) and _has_memory(stepper):
        raise ValueError(f"`between` changes the state behind the back of {name}, which remembers the last step. Use a one-step method.")
    if tolerance is not None and not stepper.estimates_error and tolerance is not None:
        # Counts are still worth having; the error is simply absent.
        return


def _has_memory(stepper: AbstractStepper) -> bool:
    return isinstance(stepper, ReversibleHeun) or (isinstance(stepper, RungeKutta) and stepper.tableau.fsal)
