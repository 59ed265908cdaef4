"""What a stepper is, and what it sees of a process during one step."""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax
from jaxtyping import Array, PyTree

from cadlag.solve._process import AbstractProcess, Calculus, NoiseKind, contract


class Field(eqx.Module):
    """A process with its arguments: the coefficients as a stepper asks for them."""

    process: AbstractProcess
    args: Any

    def f(self, t: Any, y: PyTree[Array]) -> PyTree[Array] | None:
        """Drift at (t, y); None where the process has none."""
        return self.process.drift(t, y, self.args)

    def g(self, t: Any, y: PyTree[Array]) -> Any:
        """Diffusion at (t, y); None for noise of kind none."""
        if self.process.noise is NoiseKind.none:
            return None
        return self.process.diffusion(t, y, self.args)

    def mul(self, g: Any, dx: Any, y: PyTree[Array]) -> PyTree[Array] | None:
        """g dX, like y; with a tuple of drivers the sum over them."""
        kinds = self.process.noise
        if kinds is NoiseKind.none:
            return None
        if not isinstance(kinds, tuple):
            return contract(kinds, g, dx, y)
        parts = [contract(k, gi, di, y) for k, gi, di in zip(kinds, g, dx, strict=True)]
        return jax.tree.map(lambda *xs: sum(xs[1:], xs[0]), *parts)

    def increment(self, f: Any, g: Any, h: Array, dx: Any, y: PyTree[Array]) -> PyTree[Array] | None:
        """f h + g dX."""
        return add(scale(h, f), self.mul(g, dx, y))


class Step(eqx.Module):
    """One step from t0 to t1 = t0 + h with the driver's increment dx and Lévy area."""

    t0: Array
    t1: Array
    h: Array
    dx: Any
    area: Any


class AbstractStepper(eqx.Module):
    """Advances a process by one step.

    To write your own: declare `noises` (kinds it converges for), `calculus` (the calculus it converges in;
    None for either), `nodes` (where in a step, as fractions, it evaluates the coefficients), `evaluations` a
    step, `needs_area`, `estimates_error`, `takes_paths` (drivers that are paths, or several), `backwards` (in time),
    `processes` (the class of process it takes), and give `init` (memory carried between steps, for one evaluation; or
    None) and `step(field, y, state, step) → (y1, state1, error)`, with error like y or None.
    """

    noises: ClassVar[frozenset[NoiseKind]]
    calculus: ClassVar[Calculus | None]
    needs_area: ClassVar[bool] = False
    estimates_error: ClassVar[bool] = True
    takes_paths: ClassVar[bool] = True
    backwards: ClassVar[bool] = True
    processes: ClassVar[type[AbstractProcess]] = AbstractProcess

    @property
    @abc.abstractmethod
    def nodes(self) -> tuple[float, ...]:
        """Fractions of a step at which coefficients are evaluated."""

    @property
    @abc.abstractmethod
    def evaluations(self) -> int:
        """Evaluations of the coefficients in one step."""

    @abc.abstractmethod
    def init(self, field: Field, t0: Array, y0: PyTree[Array]) -> Any:
        """Memory at the start, None for a one-step method."""

    @abc.abstractmethod
    def step(self, field: Field, y: PyTree[Array], state: Any, step: Step) -> tuple[Any, Any, Any]:
        """One step: the new state of the process, the stepper's memory, a local error estimate or None."""


EVERY_KIND = frozenset(NoiseKind)


def add(*trees: Any) -> Any:
    """Sum of PyTrees, None counting as zero."""
    present = [t for t in trees if t is not None]
    if not present:
        return None
    return jax.tree.map(lambda *xs: sum(xs[1:], xs[0]), *present)


def scale(a: Any, tree: Any) -> Any:
    """a times a PyTree in the tree's own dtypes; None stays None."""
    if tree is None:
        return None
    return jax.tree.map(lambda x: (a.astype(x.dtype) if hasattr(a, "astype") else a) * x, tree)


def minus(a: PyTree[Array], b: PyTree[Array]) -> PyTree[Array]:
    """a - b on PyTrees."""
    return jax.tree.map(lambda x, y: x - y, a, b)
