"""What solving returns: the solution as a field, and how good it is."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from cadlag.equations import AbstractEquation, Simulation
from cadlag.fields import AbstractField, Box, CallableField
from cadlag.physics._collocation import PRECISION, Collocation, Face, Unknowns, sum_squares, values
from cadlag.train import Ending

POINTS = 4096
FACE_POINTS = 1024
CHUNK = 8192


@dataclasses.dataclass(frozen=True)
class Solution:
    """A solution and its figures.

    - `field`: u, callable at a point (d,) and differentiable: `solution.field.d("x")`. Points must have the
      network's dtype; `predict` takes any.
    - `equation`: with the learnt coefficients, where some were learnt.
    - `residual`: root mean square of the equation's residual at 4096 random points of the box, a number, or a tuple
      for a system.
    - `conditions`: kind → root mean square over its faces; those built into the solution are measured too.
    - `error`: relative L2 distance to the exact or reference solution at the same points; None without one.
    - `misfit`: root mean square distance to the observations; None without them.
    - `history`: name → values at each step. `result`: how training ended, `Outcome.finished` or a named failure.
    """

    field: CallableField
    equation: AbstractEquation
    residual: float | tuple[float, ...]
    conditions: dict[str, float]
    error: float | None
    misfit: float | None
    history: dict[str, np.ndarray]
    result: Ending
    dtype: str

    def predict(self, points: Any) -> np.ndarray:
        """u at points (n, d): (n,) or (n, components)."""
        return _in_chunks(partial(values, self.field), self._points(points))

    def plot(self, path: Any = None, *, reference: Any = None) -> Any:
        """A picture of u (and of the error where the exact solution or a reference is known), at most two axes.

        Other axes are cut in the middle of the box. Returns matplotlib's figure; `path` saves it.
        """
        from cadlag.physics._plot import picture

        return picture(self, path, reference)

    def __repr__(self) -> str:
        parts = [f"residual {_short(self.residual)}", *(f"{k} {v:.2e}" for k, v in self.conditions.items())]
        parts += [] if self.misfit is None else [f"misfit {self.misfit:.2e}"]
        parts += [] if self.error is None else [f"relative error {self.error:.2e}"]
        return f"Solution({self.result.outcome.value} after {self.result.step} steps; {', '.join(parts)})"

    def _points(self, points: Any) -> np.ndarray:
        array, d = np.asarray(points), self.field.domain.dimension
        if array.ndim != 2 or array.shape[1] != d:
            raise ValueError(
                f"points: got shape {array.shape}, expected (n, {d}) with the axes {list(self.field.domain.names)}."
            )
        return array.astype(self.dtype)


def measured(
    problem: Collocation, unknowns: Unknowns, history: dict[str, np.ndarray], result: Ending, reference: Any = None
) -> Solution:
    """The solution that the unknowns stand for, with its figures."""
    rng = np.random.default_rng(0)
    whole = Collocation(problem.known, (), (), problem.observations, problem.dtype)
    points = jnp.asarray(_random(problem.domain, POINTS, rng), problem.dtype)
    faces = whole.faces(unknowns)
    walls = tuple(jnp.asarray(_on_face(problem.domain, face, rng), problem.dtype) for face in faces)
    u, residuals, missed, misfit = _figures(problem, whole, unknowns, points, walls)
    squares: dict[str, list[np.ndarray]] = {}
    for face, off in zip(faces, missed, strict=True):
        squares.setdefault(face.kind, []).append(np.asarray(off))
    sizes = tuple(_rms(r) for r in residuals)
    equation = problem.equation(unknowns)
    truth = equation.exact if reference is None else reference
    return Solution(
        problem.field(unknowns), equation, sizes[0] if len(sizes) == 1 else sizes,
        {kind: _rms(np.concatenate(parts)) for kind, parts in squares.items()},
        None if truth is None else _relative_error(np.asarray(u), truth, points),
        None if misfit is None else _rms(misfit), history, result, problem.dtype,
    )  # fmt: skip


@eqx.filter_jit
def _figures(
    problem: Collocation, whole: Collocation, unknowns: Unknowns, points: Any, walls: tuple[Any, ...]
) -> tuple[Any, Any, Any, Any]:
    """u, and squares of the residuals of the equation, of all conditions (those built in too), and of the data."""
    u = problem.field(unknowns)
    residuals = tuple(sum_squares(r) for r in problem.residual(unknowns, points))
    missed = tuple(
        sum_squares(jax.vmap(face.residual(u))(x)) for face, x in zip(whole.faces(unknowns), walls, strict=True)
    )
    misfit = None if problem.observations is None else sum_squares(problem.misfit(unknowns))
    return values(u, points), residuals, missed, misfit


def _random(domain: Box, n: int, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(domain.lower) + rng.random((n, domain.dimension)) * np.asarray(domain.lengths)


def _on_face(domain: Box, face: Face, rng: np.random.Generator) -> np.ndarray:
    points = _random(domain, -(-FACE_POINTS // len(face.at)) * len(face.at), rng)
    for part, at in zip(np.split(points, len(face.at)), face.at, strict=True):
        for name, value in at:
            part[:, domain.axis(name)] = value
    return points


def _relative_error(u: np.ndarray, truth: Any, points: Any) -> float:
    """|u - truth| / |truth|; |u| where the truth is zero."""
    theirs = _in_chunks(jax.jit(jax.vmap(at_point(truth))), np.asarray(points)).astype(float)
    if u.shape != theirs.shape:
        raise ValueError(f"reference: it has shape {theirs.shape} where the solution has {u.shape}.")
    return float(np.linalg.norm(u - theirs) / (np.linalg.norm(theirs) or 1.0))


def at_point(truth: Any) -> Callable:
    """A solution as a function of a point: fields and simulations are, others take the coordinates."""
    return truth if isinstance(truth, AbstractField | Simulation) else (lambda p: truth(*p))


def _in_chunks(f: Any, points: np.ndarray) -> np.ndarray:
    with jax.default_matmul_precision(PRECISION):
        parts = [np.asarray(f(jnp.asarray(points[i : i + CHUNK]))) for i in range(0, len(points), CHUNK)]
    return np.concatenate(parts) if parts else np.zeros((0,), points.dtype)


def _rms(squares: Any) -> float:
    return float(np.sqrt(np.mean(np.asarray(squares, float))))


def _short(residual: float | tuple[float, ...]) -> str:
    return ", ".join(f"{r:.2e}" for r in residual) if isinstance(residual, tuple) else f"{residual:.2e}"
