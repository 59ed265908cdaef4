"""The continuous adjoint of an ODE on a fixed grid: integrated backwards by the method that went forwards.

With a = ∂L/∂y and θ the arrays of the process and of `args`,

    dy/dt = f,   da/dt = -aᵀ ∂f/∂y,   dG/dt = -aᵀ ∂f/∂θ,

from the end of the grid to its start: ∂L/∂y_0 = a, ∂L/∂θ = G (Chen et al., NeurIPS 2018, algorithm 1).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from cadlag.solve._process import AbstractProcess, Calculus, NoiseKind
from cadlag.solve._stepper import Field, Step, add
from cadlag.solve._tabulate import refuse_tables


class _Augmented(AbstractProcess):
    """(y, a, G) of a process whose arrays are `args`."""

    static: Any
    noise: NoiseKind = eqx.field(static=True, default=NoiseKind.none)
    calculus: Calculus = eqx.field(static=True, default=Calculus.ito)

    def drift(self, t: Any, y: Any, args: Any) -> Any:
        """Right-hand sides; one evaluation and one vector-Jacobian product."""
        state, a, _ = y

        def f(state_: Any, params: Any) -> Any:
            process, inner = eqx.combine(params, *self.static)
            return process.drift(t, state_, inner)

        value, pull = jax.vjp(f, state, args)
        return (value, *jax.tree.map(jnp.negative, pull(a)))

    def diffusion(self, t: Any, y: Any, args: Any) -> None:
        """There is none."""
        return None


def backsolve_loop(problem: Any, emit: bool) -> tuple[Any, Any]:
    """State at the end and, with `emit`, after each step."""
    refuse_tables((problem.process, problem.args))
    grid = eqx.internal.nondifferentiable(problem.grid, name="`ts` or the grid of steps under Backsolve()")
    params, static = eqx.partition((problem.process, problem.args), eqx.is_inexact_array)
    # A Python number under `jax.grad` is an array on the way there only; the copy is one on the way back too.
    params = jax.tree.map(jnp.array, params)
    return _loop((problem.y0, params), grid, static, problem.stepper, emit, problem.adjoint.store)


def _forward(vjp_arg: Any, grid: Array, static: Any, stepper: Any, emit: bool, store: bool) -> Any:
    y0, params = vjp_arg
    field = Field(*eqx.combine(params, static))

    def body(carry: Any, ends: Any) -> Any:
        y, memory = carry
        y1, memory, _ = stepper.step(field, y, memory, _step(*ends))
        return (y1, memory), (y1 if emit or store else None)

    carry = (y0, stepper.init(field, grid[0], y0))
    (y1, _), states = jax.lax.scan(body, carry, (grid[:-1], grid[1:]))
    return (y1, states if emit else None), (y1, states if store else None)


def _step(t0: Array, t1: Array) -> Step:
    return Step(t0, t1, t1 - t0, None, None)


@eqx.filter_custom_vjp
def _loop(vjp_arg: Any, grid: Any, static: Any, stepper: Any, emit: Any, store: Any) -> Any:
    return _forward(vjp_arg, grid, static, stepper, emit, store)[0]


@_loop.def_fwd
def _loop_fwd(perturbed: Any, vjp_arg: Any, grid: Any, static: Any, stepper: Any, emit: Any, store: Any) -> Any:
    return _forward(vjp_arg, grid, static, stepper, emit, store)


@_loop.def_bwd
def _loop_bwd(
    residuals: Any,
    grad_out: Any,
    perturbed: Any,
    vjp_arg: Any,
    grid: Any,
    static: Any,
    stepper: Any,
    emit: Any,
    store: Any,
) -> Any:
    (_, params), (y1, kept), (grad_y1, grad_ys) = vjp_arg, residuals, grad_out
    # Only what is differentiated is integrated: for a loss in y0 alone not the weights of a network.
    params, frozen = eqx.partition(params, perturbed[1])
    field = Field(_Augmented((frozen, static)), params)
    # Where y is put back or a jumps, what a stepper remembers of the step before is no longer true.
    fresh = emit or store
    start = (y1, filled(grad_y1, y1), jax.tree.map(jnp.zeros_like, params))
    seen = None
    if emit:
        like = jax.tree.map(lambda y: jnp.zeros((grid.shape[0] - 1, *y.shape), y.dtype), y1)
        seen = filled(grad_ys, like)

    def body(carry: Any, row: Any) -> Any:
        (y, a, grads), memory = carry
        t0, t1, state, more = row
        here = (state if store else y, add(a, more), grads)
        memory = stepper.init(field, t1, here) if fresh else memory
        there, memory, _ = stepper.step(field, here, memory, _step(t1, t0))
        return (there, None if fresh else memory), None

    memory = None if fresh else stepper.init(field, grid[-1], start)
    ((_, a, grads), _), _ = jax.lax.scan(body, (start, memory), (grid[:-1], grid[1:], kept, seen), reverse=True)
    return a, grads


def filled(grad: PyTree, like: PyTree) -> PyTree:
    """A gradient with zeros where nothing depends on an output."""
    if grad is None:
        return jax.tree.map(jnp.zeros_like, like)
    return jax.tree.map(lambda d, x: jnp.zeros_like(x) if d is None else d, grad, like, is_leaf=lambda d: d is None)
