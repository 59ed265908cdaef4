"""The same process, as Diffrax calls it: terms, and the solver that fits where none was chosen."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, PyTree

from cadlag.paths import AbstractPath
from cadlag.paths.noise import BrownianTree
from cadlag.solve._convert import to_stratonovich
from cadlag.solve._process import AbstractProcess, Calculus, NoiseKind, elementwise, kinds_of


class _Control(diffrax.AbstractPath):
    """One of our paths, as Diffrax calls it."""

    path: AbstractPath
    t0: Any
    t1: Any

    def evaluate(self, t0: Any, t1: Any = None, left: bool = True, use_levy: bool = False) -> Any:
        if t1 is None:
            return self.path.evaluate(t0)
        return self.path.increment(t0, t1)

    def derivative(self, t: Any, left: bool = True) -> Any:
        return self.path.derivative(t)


class Paired(eqx.Module):
    """A state and what a watcher remembers beside it; the coefficients see the state alone."""

    y: PyTree[Array]
    memory: PyTree[Array]


# Modules, not closures: the continuous adjoint only sees parameters that are leaves of the terms.
class _Drift(eqx.Module):
    process: AbstractProcess

    def __call__(self, t: Any, y: PyTree[Array], args: Any) -> PyTree[Array]:
        if isinstance(y, Paired):
            return Paired(self(t, y.y, args), jax.tree.map(jnp.zeros_like, y.memory))
        f = self.process.drift(t, y, args)
        return jax.tree.map(jnp.zeros_like, y) if f is None else f


class _Diffusion(eqx.Module):
    process: AbstractProcess
    kind: NoiseKind = eqx.field(static=True)
    index: int | None = eqx.field(static=True)

    def __call__(self, t: Any, y: PyTree[Array], args: Any) -> Any:
        y = y.y if isinstance(y, Paired) else y
        g = self.process.diffusion(t, y, args)
        g = g if self.index is None else g[self.index]
        if elementwise(self.kind, g, y):
            return lx.DiagonalLinearOperator(g)
        if self.kind is NoiseKind.scalar and not isinstance(g, jax.Array):
            one = jax.ShapeDtypeStruct((), jax.tree.leaves(y)[0].dtype)
            return lx.FunctionLinearOperator(lambda dw: jax.tree.map(lambda gi: gi * dw, g), one)
        return g


class _Controlled(eqx.Module):
    """A diffusion times the derivative of its path, as a vector field."""

    term: diffrax.ControlTerm

    def __call__(self, t: Any, y: PyTree[Array], args: Any) -> PyTree[Array]:
        if isinstance(y, Paired):
            return Paired(self(t, y.y, args), jax.tree.map(jnp.zeros_like, y.memory))
        control: Any = self.term.control
        return self.term.vf_prod(t, y, args, control.derivative(t))


def make_terms(process: AbstractProcess, drivers: tuple, ts: Array, solver: Any) -> Any:
    """Diffrax terms of a process with its drivers."""
    terms: list = [diffrax.ODETerm(_Drift(process))]
    many = isinstance(process.noise, tuple)
    for i, (kind, driver) in enumerate(zip(kinds_of(process), drivers, strict=False)):
        field = _Diffusion(process, kind, i if many else None)
        if isinstance(driver, BrownianTree):
            terms.append(diffrax.ControlTerm(field, driver.as_diffrax(_levy_area(solver))))
        else:
            control = diffrax.ControlTerm(field, _Control(driver, ts[0], ts[-1]))
            terms.append(diffrax.ODETerm(_Controlled(control)))
    return terms[0] if len(terms) == 1 else diffrax.MultiTerm(*terms)


def _levy_area(solver: Any) -> Any:
    """The least that a Diffrax solver needs to know of the Brownian motion; it states an abstract class."""
    wanted = getattr(solver, "minimal_levy_area", diffrax.BrownianIncrement)
    for concrete in (diffrax.BrownianIncrement, diffrax.SpaceTimeLevyArea, diffrax.SpaceTimeTimeLevyArea):
        if issubclass(concrete, wanted):
            return concrete
    raise ValueError(f"{type(solver).__name__} needs {wanted.__name__}, which no Brownian path here can give.")


def default_solver(process: AbstractProcess, random: bool, adaptive: bool) -> Any:
    """Tsit5 without randomness; ShARK for additive noise on fixed steps, which tells no error; SPaRK for the rest.

    SPaRK takes the Stratonovich form, which for additive noise is Itô's.
    """
    if not random:
        return diffrax.Tsit5()
    additive = process.noise is NoiseKind.additive
    return diffrax.ShARK() if additive and not adaptive else diffrax.SPaRK()


def default_form(process: AbstractProcess) -> AbstractProcess:
    """The process in the calculus of the default solvers, or a ValueError where that takes more than a product."""
    if process.calculus is Calculus.stratonovich or process.noise is NoiseKind.additive:
        return process
    return to_stratonovich(process)


def check_diffrax_solver(process: AbstractProcess, solver: Any, multiplicative: bool, random: bool) -> None:
    """Refuse a Diffrax solver that converges to something else than the process means."""
    if not random:
        return
    name = type(solver).__name__
    ito = isinstance(solver, diffrax.AbstractItoSolver)
    stratonovich = isinstance(solver, diffrax.AbstractStratonovichSolver)
    if not (ito or stratonovich):
        raise ValueError(
            f"{name} is not a solver for stochastic equations. Leave `stepper` out, or pass e.g. diffrax.SPaRK()."
        )
    fits = ito if process.calculus is Calculus.ito else stratonovich
    if multiplicative and not fits:
        other = "Stratonovich" if stratonovich else "Itô"
        raise ValueError(
            f"{name} converges to the {other} solution, but the process is meant in the sense of "
            f"{process.calculus.value}. Leave `stepper` out, or change the process with to_ito or to_stratonovich."
        )
