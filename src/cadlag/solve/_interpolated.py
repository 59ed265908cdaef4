"""The interpolated adjoint of an ODE: a(t) is integrated backwards, y(t) is read from what the way there has stored.

    da/dt = -aᵀ ∂f/∂y (t, y(t)),    dG/dt = -aᵀ ∂f/∂θ (t, y(t)),    y(t) known

Unlike in `Backsolve()` the state is not solved backwards, so it cannot drift, and steps of a need not be those of y.
On fixed steps y(t) is the cubic Hermite through states and slopes, of local error O(h^4); on adaptive ones the dense
output of the Diffrax solver (Kidger 2022, section 5.1.2; Kim et al. 2021).
"""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from cadlag.solve._backsolve import filled
from cadlag.solve._process import AbstractProcess, Calculus, NoiseKind
from cadlag.solve._stepper import Field, Step, add
from cadlag.solve._tabulate import refuse_tables
from cadlag.solve._terms import make_terms


class _Adjoint(AbstractProcess):
    """(a, G) along a known y; `args` are the process's arrays and the function that gives y(t)."""

    static: Any
    noise: NoiseKind = eqx.field(static=True, default=NoiseKind.none)
    calculus: Calculus = eqx.field(static=True, default=Calculus.ito)

    def drift(self, t: Any, y: Any, args: Any) -> Any:
        """Right-hand sides: one vector-Jacobian product."""
        params, known = args

        def f(state: Any, params_: Any) -> Any:
            process, inner = eqx.combine(params_, *self.static)
            return process.drift(t, state, inner)

        return jax.tree.map(jnp.negative, jax.vjp(f, known(t), params)[1](y[0]))

    def diffusion(self, t: Any, y: Any, args: Any) -> None:
        """There is none."""
        return None


class _Hermite(eqx.Module):
    """The cubic between two states that has their slopes."""

    ends: tuple[Array, Array]
    states: tuple[Any, Any]
    slopes: tuple[Any, Any]

    def __call__(self, t: Array) -> Any:
        """The state at t."""
        width = self.ends[1] - self.ends[0]
        s = (t - self.ends[0]) / jnp.where(width == 0, jnp.ones_like(width), width)
        weights = ((1 + 2 * s) * (1 - s) ** 2, s**2 * (3 - 2 * s), width * s * (1 - s) ** 2, width * s**2 * (s - 1))

        def mix(*parts: Array) -> Array:
            return sum((w.astype(x.dtype) * x for w, x in zip(weights[1:], parts[1:], strict=True)),
                       weights[0].astype(parts[0].dtype) * parts[0])  # fmt: skip

        return jax.tree.map(mix, *self.states, *self.slopes)


def _split(process: AbstractProcess, args: Any) -> tuple[Any, Any]:
    refuse_tables((process, args))
    params, static = eqx.partition((process, args), eqx.is_inexact_array)
    # A Python number under `jax.grad` is an array on the way there only; the copy is one on the way back too.
    return jax.tree.map(jnp.array, params), static


def interpolated_loop(problem: Any, emit: bool) -> tuple[Any, Any]:
    """State at the end and, with `emit`, after each step, on a fixed grid."""
    grid = eqx.internal.nondifferentiable(problem.grid, name="`ts` or the grid of steps under Interpolated()")
    params, static = _split(problem.process, problem.args)
    states = _fixed((problem.y0, params), grid, static, problem.stepper)
    return jax.tree.map(lambda y: y[-1], states), (states if emit else None)


@eqx.filter_custom_vjp
def _fixed(vjp_arg: Any, grid: Any, static: Any, stepper: Any) -> Any:
    """States after each step."""
    y0, params = vjp_arg
    field = Field(*eqx.combine(params, static))

    def body(carry: Any, ends: Any) -> Any:
        y, memory = carry
        y1, memory, _ = stepper.step(field, y, memory, _step(*ends))
        return (y1, memory), y1

    return jax.lax.scan(body, (y0, stepper.init(field, grid[0], y0)), (grid[:-1], grid[1:]))[1]


def _step(t0: Array, t1: Array) -> Step:
    return Step(t0, t1, t1 - t0, None, None)


@_fixed.def_fwd
def _fixed_fwd(perturbed: Any, vjp_arg: Any, grid: Any, static: Any, stepper: Any) -> Any:
    states = _fixed(vjp_arg, grid, static, stepper)
    return states, states


@_fixed.def_bwd
def _fixed_bwd(states: Any, grad: Any, perturbed: Any, vjp_arg: Any, grid: Any, static: Any, stepper: Any) -> Any:
    y0, params = vjp_arg
    known = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), y0, states)
    slopes = jax.vmap(Field(*eqx.combine(params, static)).f)(grid, known)
    # Only what is differentiated is integrated: for a loss in y0 alone not the weights of a network.
    params, frozen = eqx.partition(params, perturbed[1])
    adjoint = _Adjoint((frozen, static))
    start = (jax.tree.map(jnp.zeros_like, y0), jax.tree.map(jnp.zeros_like, params))

    def body(carry: Any, row: Any) -> Any:
        a, grads = carry
        left, right, more = row
        here = (add(a, more), grads)
        between = _Hermite(*zip(left, right, strict=True))
        field = Field(adjoint, (params, between))
        memory = stepper.init(field, right[0], here)
        there, _, _ = stepper.step(field, here, memory, _step(right[0], left[0]))
        return there, None

    points = (grid, known, slopes)
    left, right = (jax.tree.map(lambda x, at=at: x[at], points) for at in (slice(None, -1), slice(1, None)))
    return jax.lax.scan(body, start, (left, right, filled(grad, states)), reverse=True)[0]


class _Dense(eqx.Module):
    """The dense output of a Diffrax solve."""

    interpolation: Any

    def __call__(self, t: Array) -> Any:
        """The state at t."""
        return self.interpolation.evaluate(t)


def interpolated_diffrax(process: AbstractProcess, args: Any, y0: Any, ts: Array, solver: Any, stepping: Any) -> Any:
    """States at `ts`, counts and result of an adaptive solve; `stepping`: controller, first step, cap on steps."""
    ts = eqx.internal.nondifferentiable(ts, name="`ts` under Interpolated()")
    params, static = _split(process, args)
    return _adaptive((y0, params), ts, static, solver, stepping)


@eqx.filter_custom_vjp
def _adaptive(vjp_arg: Any, ts: Any, static: Any, solver: Any, stepping: Any) -> Any:
    return _adaptive_forward(vjp_arg, ts, static, solver, stepping, False)[0]


def _adaptive_forward(vjp_arg: Any, ts: Any, static: Any, solver: Any, stepping: Any, dense: bool) -> Any:
    y0, params = vjp_arg
    process, args = eqx.combine(params, static)
    save = diffrax.SaveAt(ts=ts, dense=dense)
    made = _diffeqsolve(process, args, y0, (ts[0], ts[-1]), solver, stepping, save, throw=False)
    return (made.ys, made.stats, made.result), made.interpolation


def _diffeqsolve(
    process: Any, args: Any, y0: Any, ends: Any, solver: Any, stepping: Any, save: Any, throw: bool
) -> Any:
    controller, dt0, max_steps = stepping
    terms = make_terms(process, (), jnp.stack(ends), solver)
    if dt0 is not None:
        dt0 = jnp.where(ends[1] >= ends[0], jnp.abs(dt0), -jnp.abs(dt0))
    return diffrax.diffeqsolve(
        terms, solver, *ends, dt0, y0, args, saveat=save, stepsize_controller=controller, max_steps=max_steps,
        throw=throw,
    )  # fmt: skip


@_adaptive.def_fwd
def _adaptive_fwd(perturbed: Any, vjp_arg: Any, ts: Any, static: Any, solver: Any, stepping: Any) -> Any:
    return _adaptive_forward(vjp_arg, ts, static, solver, stepping, True)


@_adaptive.def_bwd
def _adaptive_bwd(
    interpolation: Any, grad: Any, perturbed: Any, vjp_arg: Any, ts: Any, static: Any, solver: Any, stepping: Any
) -> Any:
    y0, params = vjp_arg
    params, frozen = eqx.partition(params, perturbed[1])
    adjoint, args = _Adjoint((frozen, static)), (params, _Dense(interpolation))
    grad = filled(grad[0], jax.tree.map(lambda y: jnp.zeros((ts.shape[0], *y.shape), y.dtype), y0))
    # The equation is linear in a: at size one a tolerance means the same whatever the loss is averaged over.
    size = jnp.max(jnp.stack([jnp.max(jnp.abs(g)).astype(ts.dtype) for g in jax.tree.leaves(grad)]))
    size = jnp.where(size > 0, size, jnp.ones_like(size))
    rescale = lambda tree, by: jax.tree.map(lambda x: x * by.astype(x.dtype), tree)  # noqa: E731
    grad = rescale(grad, 1 / size)
    stepping = (_ignoring_parameters(stepping[0]), *stepping[1:])

    def body(carry: Any, row: Any) -> Any:
        a, grads = carry
        t0, t1, more = row
        save = diffrax.SaveAt(t1=True)
        there = _diffeqsolve(adjoint, args, (add(a, more), grads), (t1, t0), solver, stepping, save, throw=True).ys
        return jax.tree.map(lambda x: x[0], there), None

    start = (jax.tree.map(jnp.zeros_like, y0), jax.tree.map(jnp.zeros_like, params))
    rows = (ts[:-1], ts[1:], jax.tree.map(lambda g: g[1:], grad))
    (a, grads), _ = jax.lax.scan(body, start, rows, reverse=True)
    return rescale((add(a, jax.tree.map(lambda g: g[0], grad)), grads), size)


def _ignoring_parameters(controller: Any) -> Any:
    """Steps by the error of a alone: G is an integral along it, and feeds nothing back."""
    if not isinstance(controller, diffrax.PIDController):
        return controller
    norm = controller.norm
    return eqx.tree_at(lambda c: c.norm, controller, lambda pair: norm(pair[0]))
