"""What a method of solving is given and what it returns; the door at which an equation is checked."""

import dataclasses
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree

from cadlag.equations import AbstractEquation
from cadlag.fields import AbstractField
from cadlag.physics._ansatz import AbstractAnsatz
from cadlag.physics._collocation import Collocation, Observations, Unknowns, as_parts, values
from cadlag.train import Ending


@dataclasses.dataclass(frozen=True)
class Task:
    """What `EquationSolver` hands to a method.

    `learn`: True for all floating leaves of the equation, a function equation → leaf or tuple of leaves, or None.
    `run`, `progress` and `throw` are as in `cadlag.train.fit`.
    """

    equation: AbstractEquation
    observations: Observations | None
    learn: Any
    key: PRNGKeyArray
    dtype: str
    run: Any = None
    progress: Any = None
    throw: bool = True


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a method returns: the unknowns, the problem that reads them, logged values, and how training ended."""

    unknowns: Unknowns
    problem: Collocation
    history: dict[str, np.ndarray]
    result: Ending


class AbstractMethod(eqx.Module):
    """A way of solving equations without data.

    To write your own, give `check(task)`, which raises `ValueError` before anything is computed where the method does
    not suit, and `solve(task) -> Trained`. `collocate` and `check_problem` are the usual first steps, `PINN` an
    example.
    """

    @abstractmethod
    def check(self, task: Task) -> None:
        """Refuse what this method cannot solve."""

    @abstractmethod
    def solve(self, task: Task) -> Trained:
        """Solve."""


def collocate(task: Task, ansatz: tuple[AbstractAnsatz, ...]) -> tuple[Collocation, PyTree]:
    """The problem at points, and the equation's leaves that are to be learnt (None: none)."""
    equation = task.equation
    for condition in equation.conditions():
        condition.check(equation.domain)
    coefficients, known = _split(equation, task.learn, task.dtype)
    covered = tuple(
        tuple(form.covers(c, equation.domain, equation.components) for c in equation.conditions()) for form in ansatz
    )
    for form, covers in zip(ansatz, covered, strict=True):
        if not any(covers):
            raise ValueError(f"{type(form).__name__}: the equation has no condition that this form could satisfy.")
    observations = None if task.observations is None else _checked(task.observations, equation, task.dtype)
    return Collocation(known, ansatz, covered, observations, task.dtype), coefficients


def check_problem(problem: Collocation, unknowns: Unknowns) -> int:
    """Refuse a network, residual or condition of the wrong shape; returns how many equations the residual has."""
    equation, domain = problem.equation(unknowns), problem.domain
    point = jnp.asarray([0.5 * (a + b) for a, b in zip(domain.lower, domain.upper, strict=True)], problem.dtype)
    want = () if equation.components == 1 else (equation.components,)
    u = problem.field(unknowns)
    found = eqx.filter_eval_shape(u, point).shape
    if found != want:
        raise ValueError(
            f"network: it returns {found} at a point, the equation's unknown has {equation.components} component(s); "
            f"expected {want}."
        )
    parts = as_parts(_evaluated("residual", equation, lambda: equation.residual(u), point))
    for face in problem.faces(unknowns):
        _evaluated(f"condition at {dict(face.at[0])}", equation, lambda f=face: f.residual(u), point)
    _check_ends_meet(problem, unknowns, point)
    _check_forms(problem, unknowns)
    return len(parts)


def _evaluated(what: str, equation: AbstractEquation, make: Callable, point: Any) -> Any:
    try:
        made = make()
        parts = made if isinstance(made, tuple) else (made,)
        shapes = [eqx.filter_eval_shape(part, point).shape if callable(part) else None for part in parts]
    except (IndexError, TypeError, ValueError) as error:
        raise ValueError(
            f"{what}: it does not evaluate on a field with {equation.components} component(s): {error}"
        ) from error
    if not all(isinstance(part, AbstractField) for part in parts):
        raise TypeError(f"{what}: it returned {type(made).__name__}; expected a field, or a tuple of fields.")
    if any(len(shape) > 1 for shape in shapes if shape is not None):
        raise ValueError(f"{what}: it has shape {shapes} at a point; expected a scalar or a vector of components.")
    return made


def _check_ends_meet(problem: Collocation, unknowns: Unknowns, point: Any) -> None:
    """Periodic axes have no condition, so the network must be periodic there."""
    for name in problem.domain.periodic:
        place, (low, high) = problem.domain.axis(name), problem.domain.bounds(name)
        ends = jnp.stack([point.at[place].set(low), point.at[place].set(high)])
        a, b = values(problem.field(unknowns), ends)
        if not np.allclose(a, b, rtol=1e-3, atol=1e-5):
            raise ValueError(
                f"network: axis {name!r} of the domain is periodic, but the network differs at its ends. Use "
                "encoder=PeriodicEmbedding, or partial(RandomFourierFeatures, encoder=PeriodicEmbedding)."
            )


def _check_forms(problem: Collocation, unknowns: Unknowns) -> None:
    conditions, u = problem.equation(unknowns).conditions(), problem.field(unknowns)
    rng = np.random.default_rng(0)
    for i, condition in enumerate(conditions):
        forms = [type(f).__name__ for f, c in zip(problem.ansatz, problem.covered, strict=True) if c[i]]
        if not forms:
            continue
        points = np.array(problem.domain.lower) + rng.random((4, problem.domain.dimension)) * problem.domain.lengths
        for name, value in condition.at:
            points[:, problem.domain.axis(name)] = value
        off = values(condition.residual(u), jnp.asarray(points, problem.dtype))
        if not np.max(np.abs(off)) < 1e-3:
            raise ValueError(
                f"{' and '.join(forms)}: with it the condition at {dict(condition.at)} is missed by "
                f"{np.max(np.abs(off)):.3g}. Forms apply in order; give HardDirichlet a lift with the values on the "
                "walls, or put HardInitial last and start from a state that satisfies them."
            )


def _split(equation: AbstractEquation, learn: Any, dtype: str) -> tuple[PyTree, AbstractEquation]:
    if learn is None or learn is False:
        return None, equation
    if learn is True:
        chosen = jax.tree.map(_is_number, equation)
    else:
        none = jax.tree.map(lambda x: False, equation)
        chosen = eqx.tree_at(learn, none, replace_fn=lambda sub: jax.tree.map(lambda _: True, sub))
    coefficients, known = eqx.partition(equation, chosen)
    leaves = jax.tree.leaves(coefficients)
    if not leaves or not all(_is_number(x) for x in leaves):
        raise ValueError(
            "learn: it must choose floating numbers or arrays among the equation's leaves, such as "
            "`learn=lambda equation: equation.nu` or, for an `Equation`, `lambda equation: equation.parameters`; "
            f"found {[type(x).__name__ for x in leaves]}."
        )
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), coefficients), known


def _is_number(x: Any) -> bool:
    return isinstance(x, float) or eqx.is_inexact_array_like(x)


def _checked(given: Observations, equation: AbstractEquation, dtype: str) -> Observations:
    points, values = np.asarray(given.points), np.asarray(given.values)
    d = equation.domain.dimension
    if points.ndim != 2 or points.shape[1] != d or len(points) == 0:
        raise ValueError(f"observations: points have shape {points.shape}; expected (m, {d}) with m >= 1.")
    if values.shape[:1] != points.shape[:1] or values.ndim > 2:
        raise ValueError(
            f"observations: values have shape {values.shape} for {len(points)} points; expected (m,) or (m, c)."
        )
    for name, array in (("points", points), ("values", values)):
        if not np.all(np.isfinite(array)):
            raise ValueError(f"observations: {int(np.sum(~np.isfinite(array)))} of the {name} are not finite.")
    inside = np.all((points >= equation.domain.lower) & (points <= equation.domain.upper), axis=1)
    if not np.all(inside):
        raise ValueError(f"observations: {int(np.sum(~inside))} points lie outside the domain.")
    return Observations(jnp.asarray(points, dtype), jnp.asarray(values, dtype), given.observe)
