"""Semilinear processes, and what exponential steppers have in common."""

import abc
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, PyTree

from cadlag.solve._process import AbstractProcess, Calculus, NoiseKind
from cadlag.solve._stepper import AbstractStepper, Field, Step
from cadlag.solve._steps import concrete

MOST_WIDTHS = 16


class Semilinear(AbstractProcess):
    """y' = L y + N(t, y, args) with a diagonal L: a Fourier mode's symbol, a rate of decay.

    **Arguments:**

    - `linear`: L, a PyTree of arrays like the state; complex only where the state is. NumPy arrays keep their
      precision until the coefficients of a step are known.
    - `nonlinear`: N, a function (t, y, args) → like y; None where there is none.

    `ETDRK4()` and `IFRK4()` treat L exactly. Any other stepper takes it as an ODE.
    """

    linear: PyTree
    nonlinear: Callable | None = None
    noise: NoiseKind = eqx.field(static=True, default=NoiseKind.none)
    calculus: Calculus = eqx.field(static=True, default=Calculus.ito)

    def drift(self, t: Any, y: PyTree[Array], args: Any) -> PyTree[Array]:
        """L y + N(t, y, args). Raises `ValueError` or `TypeError` where L does not look like y."""
        self._check(y)
        change = times(_cast(self.linear, y), y)
        return change if self.nonlinear is None else plus(change, self.nonlinear(t, y, args))

    def diffusion(self, t: Any, y: PyTree[Array], args: Any) -> None:
        """There is none."""
        return None

    def _check(self, y: PyTree[Array]) -> None:
        shapes = [jax.tree.map(lambda a: tuple(jnp.shape(a)), tree) for tree in (self.linear, y)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"Semilinear: linear has shape {shapes[0]}, the state {shapes[1]}; they must be equal.")
        for a, b in zip(jax.tree.leaves(self.linear), jax.tree.leaves(y), strict=True):
            if jnp.iscomplexobj(a) and not jnp.iscomplexobj(b):
                raise TypeError("Semilinear: linear is complex and the state is real; make the state complex.")


class AbstractExponential(AbstractStepper):
    """A stepper that takes the linear part of a `Semilinear` process through its exponential.

    To write your own: give `coefficients` (functions of h L, found once for each width of step before the loop) and
    `advance` (one step with them), beside `nodes`, `evaluations` and what `AbstractStepper` declares.
    """

    noises: ClassVar = frozenset({NoiseKind.none})
    calculus: ClassVar = None
    estimates_error: ClassVar = False
    processes: ClassVar = Semilinear

    @abc.abstractmethod
    def coefficients(self, linear: Any, h: Any) -> tuple:
        """Arrays like one leaf of L: in NumPy and float64 where L and h are numbers known beforehand, else traced."""

    @abc.abstractmethod
    def advance(self, coefficients: tuple, n: Callable, y: PyTree[Array], step: Step) -> PyTree[Array]:
        """One step by PyTrees of coefficients like y; n is N(t, y)."""

    def init(self, field: Field, t0: Array, y0: PyTree[Array]) -> None:
        """No memory."""
        return None

    def step(self, field: Field, y: PyTree[Array], state: Any, step: Step) -> tuple[Any, Any, Any]:
        """One step; a loop over a grid known beforehand has its coefficients made before it."""
        return advance(self, tables(self, field.process, step.h, y), field, y, step), None, None

    def prepared(self, process: AbstractProcess, grid: Any, y0: PyTree[Array]) -> AbstractStepper:
        """With the coefficients for all steps of a known grid, as `solve` does it before its loop; as it is where the
        grid has too many widths of step.
        """
        widths = distinct_widths(grid)
        if len(widths) > MOST_WIDTHS:
            return self
        return Prepared(self, widths, tuple(tables(self, process, h, y0) for h in widths))


class Prepared(AbstractStepper):
    """An exponential stepper with its coefficients for all widths of the steps to come."""

    stepper: AbstractExponential
    widths: np.ndarray
    made: tuple
    noises: ClassVar = frozenset({NoiseKind.none})
    calculus: ClassVar = None
    estimates_error: ClassVar = False

    @property
    def nodes(self) -> tuple[float, ...]:
        """Those of the stepper."""
        return self.stepper.nodes

    @property
    def evaluations(self) -> int:
        """Those of the stepper."""
        return self.stepper.evaluations

    def init(self, field: Field, t0: Array, y0: PyTree[Array]) -> None:
        """No memory."""
        return None

    def step(self, field: Field, y: PyTree[Array], state: Any, step: Step) -> tuple[Any, Any, Any]:
        """One step, with the coefficients of the nearest width."""
        if len(self.made) == 1:
            return advance(self.stepper, self.made[0], field, y, step), None, None
        nearest = jnp.argmin(jnp.abs(jnp.asarray(self.widths, step.h.dtype) - step.h))
        chosen = jax.tree.map(lambda *all_: jnp.stack(all_)[nearest], *self.made)
        return advance(self.stepper, chosen, field, y, step), None, None


def prepare(stepper: AbstractStepper, process: AbstractProcess, grid: Array, y0: PyTree[Array]) -> AbstractStepper:
    """The stepper with its coefficients, where it has any and the grid is known; else as it is."""
    exponential = isinstance(stepper, AbstractExponential) and concrete(grid)
    return stepper.prepared(process, grid, y0) if exponential else stepper


def distinct_widths(grid: Any) -> np.ndarray:
    """Widths of the steps in float64, those that differ by rounding of the grid's dtype taken as one."""
    points = np.asarray(grid)
    rounding = 4 * float(np.finfo(points.dtype).eps) * float(np.max(np.abs(points)))
    widths = np.sort(np.diff(points.astype(np.float64)))
    groups = np.split(widths, np.flatnonzero(np.diff(widths) > rounding) + 1)
    return np.asarray([group.mean() for group in groups])


def tables(stepper: AbstractExponential, process: Any, h: Any, y: PyTree[Array]) -> tuple:
    """Coefficients as PyTrees like y, real where L is."""
    leaves, structure = jax.tree.flatten(process.linear)
    rows = [stepper.coefficients(leaf, h) for leaf in leaves]
    return tuple(_cast(jax.tree.unflatten(structure, column), y) for column in zip(*rows, strict=True))


def advance(stepper: AbstractExponential, made: tuple, field: Field, y: PyTree[Array], step: Step) -> PyTree[Array]:
    """One step of a process by coefficients that are there."""
    process: Any = field.process
    nonlinear = process.nonlinear
    n = (lambda t, z: None) if nonlinear is None else (lambda t, z: nonlinear(t, z, field.args))
    return stepper.advance(made, n, y, step)


def times(c: PyTree, y: PyTree[Array] | None) -> PyTree[Array] | None:
    """Coefficients times a state, None counting as zero; a real coefficient scales both parts of a complex number."""
    return None if y is None else jax.tree.map(_times, c, y)


def plus(*states: PyTree[Array] | None) -> Any:
    """Sum of states, None counting as zero."""
    present = [y for y in states if y is not None]
    return jax.tree.map(lambda *ys: sum(ys[1:], ys[0]), *present) if present else None


def _times(c: Array, y: Array) -> Array:
    if jnp.iscomplexobj(y) and not jnp.iscomplexobj(c):
        return lax.complex(c * y.real, c * y.imag)
    return c * y


def _cast(tree: PyTree, y: PyTree[Array]) -> PyTree[Array]:
    """In the precision of the state."""

    def cast(c: Any, like: Array) -> Array:
        dtype = like.dtype if jnp.iscomplexobj(c) else jnp.finfo(like.dtype).dtype
        return jnp.asarray(c).astype(dtype)

    return jax.tree.map(cast, tree, y)
