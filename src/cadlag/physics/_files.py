"""From the name of an equation to a folder with its solution: what the command line calls."""

import contextlib
import functools
import json
import math
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from cadlag.equations import AbstractEquation, AbstractEvolution, AbstractSemilinear, Simulation, simulate
from cadlag.equations._named import find_equation
from cadlag.fields import Grid
from cadlag.nn import RandomFourierFeatures
from cadlag.physics._method import AbstractMethod
from cadlag.physics._networks import mlp
from cadlag.physics._phases import Adam
from cadlag.physics._pinn import PINN
from cadlag.physics._solution import Solution
from cadlag.physics.gaussians import gaussians
from cadlag.physics.gp_spectral import GPSpectral
from cadlag.physics.solver import EquationSolver
from cadlag.train import enable_x64, progress

METHODS = ("network", "fourier", "gaussians", "gp", "simulate")
DEFAULT_STEPS = 5000
# Points of each axis of a simulation, by the number of axes of space; of each axis of the file, by that of the box.
SIMULATED, WRITTEN, FRAMES = {0: None, 1: 256, 2: 64}, {1: 1001, 2: 201, 3: 41}, 101


def solve_file(
    *,
    equation: str,
    method: str = "network",
    settings: Sequence[str] = (),
    steps: int | None = None,
    points: int | None = None,
    double: bool = False,
    seed: int = 0,
    out: pathlib.Path | None = None,
) -> str:
    """Solve an equation by name and write solution, picture and figures to a folder; returns what to tell the user.

    Where there is no exact solution but a simulator, the error is the distance to a simulation.
    """
    if method not in METHODS:
        raise ValueError(f"--method {method} is not one of {', '.join(METHODS)}.")
    for name, value in (("steps", steps), ("points", points)):
        if value is not None and value < 1:
            raise ValueError(f"--{name} {value} must be at least 1.")
    out = pathlib.Path("runs") / f"solve-{pathlib.Path(equation).name.replace(':', '-')}" if out is None else out
    with enable_x64() if double or method in ("gp", "simulate") else contextlib.nullcontext():
        problem = find_equation(equation, _numbers(settings))
        out.mkdir(parents=True, exist_ok=True)
        if method == "simulate":
            return _simulated(problem, points, out)
        return _solved(problem, _method(method, steps, points, out), equation, seed, out)


def _numbers(settings: Sequence[str]) -> dict[str, float | int]:
    found: dict[str, float | int] = {}
    for text in settings:
        name, equals, value = text.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not equals or not math.isfinite(number):
            raise ValueError(f"--set {text}: expected NAME=NUMBER, such as nu=0.01.")
        found[name] = int(number) if value.lstrip("+-").isdigit() else number
    return found


def _method(name: str, steps: int | None, points: int | None, out: pathlib.Path) -> AbstractMethod:
    if name == "gp":
        given: dict[str, Any] = {} if points is None else {"points": points}
        return GPSpectral(**given)
    networks = {
        "network": mlp,
        "fourier": functools.partial(mlp, encoder=functools.partial(RandomFourierFeatures, scale=4.0)),
        "gaussians": gaussians,
    }
    schedule = Adam(DEFAULT_STEPS if steps is None else steps)
    given = {} if points is None else {"sampler": type(PINN().sampler)(points)}
    return PINN(networks[name], phases=schedule, **given)


def _solved(problem: AbstractEquation, method: AbstractMethod, name: str, seed: int, out: pathlib.Path) -> str:
    start = time.perf_counter()
    reference = _reference(problem) if problem.exact is None else None
    known = time.perf_counter() - start
    trains = isinstance(method, PINN)
    solver = EquationSolver(
        problem, method, reference=reference, seed=seed,
        run=out / "training" if trains else None, progress=progress() if trains else None,
    )  # fmt: skip
    solution = solver.solve()
    seconds = time.perf_counter() - start - known
    if trains:
        solver.run = solver.progress = None
        solver.save(out / "model")
    _write(solution, out)
    figures = {
        "equation": name, "seconds": round(seconds, 2), "residual": solution.residual,
        "conditions": solution.conditions, "error": solution.error, "steps": solution.result.step,
    }  # fmt: skip
    solution.plot(out / "solution.png", reference=reference)
    told = ""
    if reference is not None:
        change = float(np.max(np.asarray(reference.error)))
        figures["simulation"] = {"seconds": round(known, 2), "error": change}
        told = f"Error against a simulation ({known:.1f} s); half its step changes it by {change:.1e}.\n"
    (out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf8")
    return f"{solution}\n{told}{seconds:.1f} s. Values, picture and figures: {out}"


def _reference(problem: AbstractEquation) -> Simulation | None:
    """A simulation, where the equation has one that gives values between its points."""
    if not isinstance(problem, AbstractEvolution):
        return None
    axes = problem.domain.dimension - 1
    periodic = isinstance(problem, AbstractSemilinear) and problem.space.periodic == problem.space.names
    if axes and not (periodic and axes in SIMULATED):
        return None
    return _simulate(problem, SIMULATED[axes])


def _simulate(problem: Any, points: int | None) -> Simulation:
    grid = None if problem.domain.dimension == 1 else Grid(problem.space, points or 64)
    return simulate(problem, grid, np.linspace(*problem.time, FRAMES), estimate=True)


def _simulated(problem: AbstractEquation, points: int | None, out: pathlib.Path) -> str:
    if not isinstance(problem, AbstractEvolution):
        name = type(problem).__name__
        raise ValueError(f"{name} does not evolve, so it has no simulator; try --method network or gp.")
    start = time.perf_counter()
    found = _simulate(problem, points or SIMULATED.get(problem.domain.dimension - 1))
    seconds = time.perf_counter() - start
    axes: dict[str, Any] = {"t": np.asarray(found.ts)}
    if found.grid is not None:
        axes |= {name: found.grid.points(name) for name in found.grid.domain.names}
    np.savez(out / "solution.npz", u=np.asarray(found.values), **axes)
    error = float(np.max(np.asarray(found.error)))
    figures = {"seconds": round(seconds, 2), "error": error}
    (out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf8")
    shape = "x".join(map(str, found.values.shape))
    return (
        f"{len(found.ts)} frames, values of shape {shape}; half the step changes them by {error:.1e}.\n"
        f"{seconds:.1f} s. Values and figures: {out}"
    )


def _write(solution: Solution, out: pathlib.Path) -> None:
    """Values on a uniform grid of the box, axis by axis; on random points where it has more than three axes."""
    domain = solution.field.domain
    count = WRITTEN.get(domain.dimension)
    if count is None:
        random = np.random.default_rng(0).random((10_000, domain.dimension))
        points = np.asarray(domain.lower) + random * np.asarray(domain.lengths)
        np.savez(out / "solution.npz", points=points, u=solution.predict(points))
        return
    axes: dict[str, Any] = {name: np.linspace(*domain.bounds(name), count) for name in domain.names}
    points = np.stack([a.ravel() for a in np.meshgrid(*axes.values(), indexing="ij")], axis=1)
    u = solution.predict(points)
    np.savez(out / "solution.npz", u=u.reshape(*(count,) * len(axes), *u.shape[1:]), **axes)
