"""Processes: dy = f(t, y) dt + g(t, y) dX for one path, X being Brownian motion, a path, or both.

A process says what its noise looks like and in which calculus it is meant, so that a solver that would
converge to something else is refused before anything is computed.
"""

import abc
import enum
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import lineax as lx
from jaxtyping import Array, PyTree


class NoiseKind(enum.Enum):
    """Shape of the diffusion, and what may be assumed about it.

    `none`: no diffusion. `additive`: does not depend on y. `scalar`: one Brownian motion drives every
    component. `diagonal`: component i has its own noise, times a function of y_i. `commutative`: a matrix or
    operator whose columns' vector fields commute. `operator`: any matrix or lineax operator.
    """

    none = "none"
    additive = "additive"
    scalar = "scalar"
    diagonal = "diagonal"
    commutative = "commutative"
    operator = "operator"


class Calculus(enum.Enum):
    """How the stochastic integral is meant."""

    ito = "Itô"
    stratonovich = "Stratonovich"


class AbstractProcess(eqx.Module):
    """A differential equation for one path; batches are made by `jax.vmap`.

    To write your own: declare `noise` and `calculus`, and give `drift(t, y, args)` (like y) and
    `diffusion(t, y, args)`. The diffusion is like y for diagonal, scalar and elementwise additive noise; a
    matrix of shape (state, noise) or a lineax operator otherwise. With a tuple of drivers `noise` is a tuple
    of kinds and `diffusion` returns as many diffusions.
    """

    noise: eqx.AbstractVar[NoiseKind | tuple[NoiseKind, ...]]
    calculus: eqx.AbstractVar[Calculus]

    @abc.abstractmethod
    def drift(self, t: Any, y: PyTree[Array], args: Any) -> PyTree[Array]:
        """The drift f(t, y), like y; None where there is none."""

    @abc.abstractmethod
    def diffusion(self, t: Any, y: PyTree[Array], args: Any) -> Any:
        """The diffusion g(t, y): an array, a lineax operator, or None for noise of kind none."""


class ODE(AbstractProcess):
    """dy/dt = field(t, y, args)."""

    field: Callable
    noise: NoiseKind = eqx.field(static=True, default=NoiseKind.none)
    calculus: Calculus = eqx.field(static=True, default=Calculus.ito)

    def drift(self, t: Any, y: PyTree[Array], args: Any) -> PyTree[Array]:
        """The vector field."""
        return self.field(t, y, args)

    def diffusion(self, t: Any, y: PyTree[Array], args: Any) -> None:
        """There is none."""
        return None


class SDE(AbstractProcess):
    """dy = drift dt + diffusion dW, from two functions (t, y, args) → array or operator.

    **Arguments:**

    - `drift_field`, `diffusion_field`: the coefficients.
    - `noise`: kind of the diffusion; the default is diagonal.
    - `calculus`: Itô unless said otherwise.
    """

    drift_field: Callable
    diffusion_field: Callable
    noise: NoiseKind | tuple[NoiseKind, ...] = eqx.field(static=True, default=NoiseKind.diagonal)
    calculus: Calculus = eqx.field(static=True, default=Calculus.ito)

    def drift(self, t: Any, y: PyTree[Array], args: Any) -> PyTree[Array]:
        """The drift."""
        return self.drift_field(t, y, args)

    def diffusion(self, t: Any, y: PyTree[Array], args: Any) -> Any:
        """The diffusion."""
        return self.diffusion_field(t, y, args)


class CDE(AbstractProcess):
    """dy = field(t, y, args) dX for a control path X, the `driver` of `solve`; field has shape (state, channels)."""

    field: Callable
    noise: NoiseKind | tuple[NoiseKind, ...] = eqx.field(static=True, default=NoiseKind.operator)
    calculus: Calculus = eqx.field(static=True, default=Calculus.stratonovich)

    def drift(self, t: Any, y: PyTree[Array], args: Any) -> None:
        """None, that is zero: all change comes from the control."""
        return None

    def diffusion(self, t: Any, y: PyTree[Array], args: Any) -> Any:
        """The matrix field."""
        return self.field(t, y, args)


def contract(kind: NoiseKind, g: Any, dx: PyTree[Array], y: PyTree[Array]) -> PyTree[Array]:
    """The product g dX of a diffusion of a given kind and an increment, like y."""
    if isinstance(g, lx.AbstractLinearOperator):
        return g.mv(dx)
    if kind is NoiseKind.scalar:
        return jax.tree.map(lambda gi: gi * dx, g)
    if elementwise(kind, g, y):
        return jax.tree.map(lambda gi, di: gi * di, g, dx)
    return jax.numpy.tensordot(g, dx, axes=jax.numpy.ndim(dx))


def elementwise(kind: NoiseKind, g: Any, y: PyTree[Array]) -> bool:
    """Whether g multiplies its noise entry by entry (diagonal noise, or additive noise given like y)."""
    if isinstance(g, lx.AbstractLinearOperator):
        return False
    return kind is NoiseKind.diagonal or (kind is NoiseKind.additive and _same_shapes(g, y))


def kinds_of(process: AbstractProcess) -> tuple[NoiseKind, ...]:
    """The noise kinds, one for each driver."""
    return process.noise if isinstance(process.noise, tuple) else (process.noise,)


def diffusion_struct(kind: NoiseKind, g: Any, y0: PyTree[Array]) -> Any:
    """Shape of the increments that a diffusion of this kind multiplies."""
    like_y = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), y0)
    if isinstance(g, lx.AbstractLinearOperator):
        if g.out_structure() != like_y:
            raise ValueError(
                f"The diffusion is an operator into {g.out_structure()}, but the state is {like_y}. It must map the "
                "noise into the state."
            )
        return g.in_structure()
    if g is None:
        raise ValueError(f"The process declares noise {kind.name} but its diffusion returned None.")
    if kind is NoiseKind.scalar:
        _require_like_state(kind, g, y0)
        return jax.ShapeDtypeStruct((), jax.tree.leaves(like_y)[0].dtype)
    if elementwise(kind, g, y0):
        _require_like_state(kind, g, y0)
        return like_y
    shape, state = getattr(g, "shape", None), getattr(y0, "shape", None)
    if shape is None or state is None or len(shape) != len(state) + 1 or shape[: len(state)] != state:
        raise ValueError(
            f"The diffusion has shape {_shapes(g)} for noise of kind {kind.name}, and the state has shape "
            f"{_shapes(y0)}. Expected (state, noise), that is the state's shape with one axis more, or a lineax "
            "operator."
        )
    return jax.ShapeDtypeStruct(shape[len(state) :], g.dtype)


def _require_like_state(kind: NoiseKind, g: Any, y0: PyTree[Array]) -> None:
    if not _same_shapes(g, y0):
        raise ValueError(
            f"The diffusion has shape {_shapes(g)} for noise of kind {kind.name}, and the state has shape "
            f"{_shapes(y0)}; for this kind they must be equal. A matrix (state, noise) is noise of kind operator."
        )


def _same_shapes(a: Any, b: Any) -> bool:
    if jax.tree.structure(a) != jax.tree.structure(b):
        return False
    return all(x.shape == y.shape for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def _shapes(tree: Any) -> Any:
    return jax.tree.map(lambda a: tuple(a.shape), tree)
