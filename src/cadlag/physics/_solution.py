"""What solving returns: the solution as a field, and how good it is."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from cadlag.equations import AbstractEquation
from cadlag.fields import AbstractField, CallableField
from cadlag.physics._collocation import PRECISION, Collocation, Unknowns, sum_squares
from cadlag.physics._sampling import face_points, into, sobol
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
    - `residual`: root mean square of the equation's residual at 4096 Sobol points of the box, a number, or a tuple
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
        return _in_chunks(jax.jit(jax.vmap(self.field)), self._points(points))

    def plot(self, path: Any = None, *, reference: Callable | None = None) -> Any:
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
    problem: Collocation,
    unknowns: Unknowns,
    history: dict[str, np.ndarray],
    result: Ending,
    reference: Callable | AbstractField | None = None,
) -> Solution:
    """The solution that the unknowns stand for, with its figures."""
    equation, field = problem.equation(unknowns), problem.field(unknowns)
    points = into(problem.domain, jnp.asarray(sobol(problem.domain.dimension, POINTS), problem.dtype))
    residuals = eqx.filter_jit(problem.residual)(unknowns, points)
    sizes = tuple(_rms(r) for r in residuals)
    truth = equation.exact if reference is None else reference
    return Solution(
        field, equation, sizes[0] if len(sizes) == 1 else sizes, _condition_norms(problem, unknowns),
        None if truth is None else _relative_error(field, truth, points),
        None if problem.observations is None else _rms(eqx.filter_jit(problem.misfit)(unknowns)),
        history, result, problem.dtype,
    )  # fmt: skip


def _condition_norms(problem: Collocation, unknowns: Unknowns) -> dict[str, float]:
    whole = eqx.tree_at(lambda p: p.ansatz, problem, ())
    every = Collocation(whole.known, (), (), whole.observations, whole.dtype)
    faces, u = every.faces(unknowns), problem.field(unknowns)
    squares: dict[str, list[np.ndarray]] = {}
    for number, face in enumerate(faces):
        points = face_points(every, face, FACE_POINTS, jax.random.key(number))
        off = jax.jit(jax.vmap(face.residual(u)))(points)
        squares.setdefault(face.kind, []).append(np.asarray(sum_squares(off)))
    return {kind: float(np.sqrt(np.mean(np.concatenate(parts)))) for kind, parts in squares.items()}


def _relative_error(field: CallableField, truth: Callable | AbstractField, points: Any) -> float:
    at = truth if isinstance(truth, AbstractField) else (lambda p: truth(*p))
    ours, theirs = (_in_chunks(jax.jit(jax.vmap(f)), np.asarray(points)).astype(float) for f in (field, at))
    if ours.shape != theirs.shape:
        raise ValueError(f"reference: it has shape {theirs.shape} where the solution has {ours.shape}.")
    return float(np.linalg.norm(ours - theirs) / max(np.linalg.norm(theirs), np.finfo(float).tiny))


def _in_chunks(f: Any, points: np.ndarray) -> np.ndarray:
    with jax.default_matmul_precision(PRECISION):
        parts = [np.asarray(f(jnp.asarray(points[i : i + CHUNK]))) for i in range(0, len(points), CHUNK)]
    return np.concatenate(parts) if parts else np.zeros((0,), points.dtype)


def _rms(r: PyTree) -> float:
    return float(np.sqrt(np.mean(np.asarray(sum_squares(r), float))))


def _short(residual: float | tuple[float, ...]) -> str:
    return ", ".join(f"{r:.2e}" for r in residual) if isinstance(residual, tuple) else f"{residual:.2e}"
