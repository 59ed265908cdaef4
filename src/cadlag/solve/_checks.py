"""What `solve` refuses at the door, before anything is compiled."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from cadlag.paths import AbstractPath
from cadlag.solve._adjoint import Backsolve, Interpolated, Reversible
from cadlag.solve._hypersolver import Hypersolver
from cadlag.solve._process import AbstractProcess, Calculus, NoiseKind, kinds_of
from cadlag.solve._reversible_heun import ReversibleHeun
from cadlag.solve._runge_kutta import RungeKutta
from cadlag.solve._stepper import AbstractStepper
from cadlag.solve._steps import AdaptiveSteps, concrete, known
from cadlag.solve._terms import check_diffrax_solver


def check_times(ts: Any, y0: PyTree[Array]) -> tuple[Array, PyTree[Array]]:
    """Output times and state as arrays; times in the state's real dtype."""
    y0 = jax.tree.map(jnp.asarray, y0)
    leaves = jax.tree.leaves(y0)
    if not leaves:
        raise ValueError("y0 holds no arrays.")
    for leaf in leaves:
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            raise TypeError(f"y0 has dtype {leaf.dtype}; a state must be of floating or complex type.")
    if concrete(ts):
        times = np.asarray(ts)
        if not np.all(np.isfinite(times)):
            raise ValueError("ts holds NaN or infinite times.")
        gaps = np.diff(times) if times.ndim == 1 else np.zeros(0)
        if np.any(gaps > 0) and np.any(gaps < 0):
            raise ValueError("ts goes forwards and backwards; output times must be monotone.")
    ts = known(ts) if concrete(ts) else jnp.asarray(ts)
    if ts.ndim != 1 or ts.shape[0] < 2:
        raise ValueError(f"ts has shape {ts.shape}; expected (times,) with at least two. Batch `solve` with jax.vmap.")
    real = jnp.finfo(leaves[0].dtype).dtype
    return (known(np.asarray(ts, real)) if concrete(ts) else ts.astype(real)), y0


def check_drift(process: AbstractProcess, t: Array, y0: PyTree[Array], args: Any) -> None:
    """The drift must look like the state: broadcasting would hide a mistake."""
    f = eqx.filter_eval_shape(process.drift, t, y0, args)
    if f is None:
        return
    shape = lambda tree: jax.tree.map(lambda a: tuple(jnp.shape(a)), tree)  # noqa: E731
    if jax.tree.structure(f) != jax.tree.structure(y0) or shape(f) != shape(y0):
        raise ValueError(f"The drift has shape {shape(f)}, but the state has shape {shape(y0)}; they must be equal.")


def random_kinds(process: AbstractProcess, driver: Any) -> list[NoiseKind]:
    """Kinds of those diffusions that multiply noise, not a path."""
    kinds = kinds_of(process)
    given = driver if isinstance(driver, tuple) else (driver,) * len(kinds)
    return [
        kind
        for kind, one in zip(kinds, given, strict=False)
        if kind is not NoiseKind.none and not isinstance(one, AbstractPath)
    ]


def check_interpolated(process: AbstractProcess, stepper: Any, steps: Any, event: Any) -> None:
    """`Interpolated()` knows ordinary equations, explicit fixed steps or adaptive ones."""
    if process.noise is not NoiseKind.none:
        raise ValueError(
            "Interpolated() differentiates an ODE; use Checkpointed() or Reversible(), or write a controlled equation "
            "as an ODE with path.derivative(t)."
        )
    if event is not None:
        raise ValueError("Interpolated() does not go backwards through an event; leave the adjoint out.")
    if not isinstance(steps, AdaptiveSteps) and not isinstance(stepper, AbstractStepper):
        raise ValueError(
            f"Interpolated() takes explicit methods on fixed steps; give AdaptiveSteps for {type(stepper).__name__}."
        )


def check_stepper(
    process: AbstractProcess,
    stepper: AbstractStepper,
    adjoint: Any,
    between: Any,
    random: list[NoiseKind],
    tolerance: Any,
    through_diffrax: bool,
) -> None:
    """Refuse a stepper of ours that would converge to something else, or not at all."""
    name = type(stepper).__name__
    if through_diffrax:
        raise ValueError(
            f"{name} takes fixed steps without events, and is differentiated by Direct(), Checkpointed(), "
            "(ReversibleHeun) Reversible() or (ODE) Interpolated() and Backsolve(). For adaptive steps, events or "
            "Backsolve() of other equations pass a Diffrax solver as stepper, or leave it out."
        )
    _check_class(process, stepper, adjoint)
    _check_noise(process, stepper, random)
    if isinstance(adjoint, Reversible):
        if not isinstance(stepper, ReversibleHeun):
            raise ValueError(f"Reversible() needs stepper=ReversibleHeun(), not {name}.")
        if tolerance is not None:
            raise ValueError("Statistics are not kept by Reversible(); use Direct() or Checkpointed().")
    if isinstance(adjoint, Backsolve | Interpolated) and between is not None:
        how = type(adjoint).__name__
        raise ValueError(f"{how}() solves an ODE backwards, which `between` interrupts; use Direct().")
    if between is not None and _has_memory(stepper):
        raise ValueError(
            f"`between` changes the state behind the back of {name}, which remembers the last step. Use a "
            "one-step method."
        )


def _check_class(process: AbstractProcess, stepper: AbstractStepper, adjoint: Any) -> None:
    name, wanted = type(stepper).__name__, stepper.processes
    if not isinstance(process, wanted):
        raise TypeError(
            f"{name} takes a {wanted.__name__} process, not {type(process).__name__}: write the equation as "
            f"{wanted.__name__}, or use Heun or a Diffrax Runge-Kutta method."
        )
    if not isinstance(adjoint, Backsolve | Interpolated):
        return
    how = type(adjoint).__name__
    if wanted is not AbstractProcess or isinstance(stepper, Hypersolver):
        raise ValueError(f"{how}() solves another process backwards than {name} takes; use Checkpointed().")


def _check_noise(process: AbstractProcess, stepper: AbstractStepper, random: list[NoiseKind]) -> None:
    name = type(stepper).__name__
    one_noise = bool(random) and not isinstance(process.noise, tuple)
    if not stepper.takes_paths and process.noise is not NoiseKind.none and not one_noise:
        raise ValueError(f"{name} takes one Brownian driver, not a path or several drivers. Use EulerMaruyama or Heun.")
    for kind in random:
        if kind not in stepper.noises:
            allowed = ", ".join(sorted(k.name for k in stepper.noises))
            raise ValueError(
                f"{name} does not converge for noise of kind {kind.name} (only {allowed}). Use EulerMaruyama or Heun."
            )
    multiplicative = any(kind is not NoiseKind.additive for kind in random)
    if multiplicative and stepper.calculus not in (None, process.calculus):
        ito = process.calculus is Calculus.ito
        fits = "EulerMaruyama, Milstein or SRK" if ito else "Heun, ReversibleHeun or Milstein"
        raise ValueError(
            f"{name} converges to the {_sense(stepper.calculus)} solution, but the process is meant in the sense of "
            f"{process.calculus.value}. Use {fits}."
        )


def _sense(calculus: Calculus | None) -> str:
    return "" if calculus is None else calculus.value


def _has_memory(stepper: AbstractStepper) -> bool:
    return isinstance(stepper, ReversibleHeun) or (isinstance(stepper, RungeKutta) and stepper.tableau.fsal)


def check_direction(stepper: AbstractStepper, grid: Array) -> None:
    """Some steppers only go forwards."""
    if stepper.backwards or not concrete(grid):
        return
    first, last = np.asarray(grid)[[0, -1]]
    if last < first:
        raise ValueError(
            f"{type(stepper).__name__} does not step backwards in time; use Milstein, Heun or EulerMaruyama."
        )


def check_diffrax(
    process: AbstractProcess, solver: Any, steps: Any, adjoint: Any, between: Any, random: list[NoiseKind]
) -> None:
    """Refuse what does not go together with a Diffrax solver."""
    if isinstance(adjoint, Backsolve) and adjoint.store:
        raise ValueError("Backsolve(store=True) keeps the states of explicit fixed steps of an ODE; leave store out.")
    if between is not None:
        raise ValueError("`between` acts after fixed steps of our steppers; it is not available with Diffrax solvers.")
    if isinstance(adjoint, Reversible):
        raise ValueError("Reversible() needs stepper=ReversibleHeun() and fixed steps.")
    multiplicative = any(kind is not NoiseKind.additive for kind in random)
    check_diffrax_solver(process, solver, multiplicative, bool(random))
    if random and isinstance(steps, AdaptiveSteps) and steps.dt0 is None:
        raise ValueError("AdaptiveSteps for a stochastic equation needs dt0: the first step cannot be guessed.")
    chosen_by_error = isinstance(steps, AdaptiveSteps) and steps.controller is None
    if chosen_by_error and not isinstance(solver, diffrax.AbstractAdaptiveSolver):
        raise ValueError(f"{type(solver).__name__} has no error estimate to choose steps by; use fixed steps.")


def distinct(grid: Array) -> Array:
    """The grid, which Diffrax wants without repeated times."""
    if concrete(grid) and np.any(np.diff(np.asarray(grid)) == 0):
        raise ValueError("ts repeats a time, which Diffrax's fixed steps cannot do; use one of our steppers.")
    return grid


def equal_width(grid: Array) -> Array:
    """The width of the steps of a grid that Backsolve can take: known beforehand, and all the same."""
    widths = np.diff(np.asarray(grid)) if concrete(grid) else np.zeros(0)
    if not widths.size or not np.allclose(widths, widths.mean(), rtol=1e-3):
        raise ValueError(
            "Backsolve() through Diffrax takes equal fixed steps between times known beforehand, or AdaptiveSteps."
        )
    return (grid[-1] - grid[0]) / widths.size
