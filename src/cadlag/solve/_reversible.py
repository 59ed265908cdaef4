"""The backward pass of reversible Heun: states are recomputed by the inverse step, none is stored.

Each point of the grid is evaluated once, with one vector-Jacobian product: the coefficients F_i at point i act
over the step after it (with weight 1 on z and ½ on y) and over the step before it (½ on y).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from cadlag.paths.noise import BrownianGrid
from cadlag.solve._drivers import StepDrivers, driver_increments
from cadlag.solve._stepper import Field, Step, add, minus, scale
from cadlag.solve._tabulate import restore


def reversible_loop(problem: Any, split: Any, tables: list, emit: bool) -> tuple[Any, Any]:
    """State at the end and, with `emit`, after each step."""
    grid = eqx.internal.nondifferentiable(problem.grid, name="`ts` or the grid of steps under Reversible()")
    lazy = tuple(d if isinstance(d, BrownianGrid) else None for d in problem.drivers)
    rows = tuple(None if isinstance(d, BrownianGrid) else driver_increments(d, grid, False)[0] for d in problem.drivers)
    for noise in lazy:
        if noise is not None and noise.grid is not problem.grid:
            noise.check_steps(problem.grid)
    rest, treedef, is_path = split
    # A Python number under `jax.grad` is an array on the way there only; the copy is one on the way back too.
    rest = [jnp.array(x) if eqx.is_inexact_array(x) else x for x in rest]
    # A table's values at grid points: the left node of every step, and the right node of the last.
    points = [jax.tree.map(lambda left, right: jnp.concatenate([left, right[-1:]]), *table) for table in tables]
    differentiable = (problem.y0, rest, points, rows)
    drivers = jax.lax.stop_gradient(StepDrivers(lazy, problem.grid, problem.steps))
    return _loop(differentiable, grid, drivers, (treedef, tuple(is_path)), problem.stepper, emit)


def _field(rest: list, values: list, structure: Any, t: Array) -> Field:
    treedef, is_path = structure
    rows = [(v,) for v in values]
    return Field(*restore((rest, treedef, is_path), rows, (0.0,), t, jnp.ones_like(t)))


def _pick(tree: Any, i: Any) -> Any:
    return jax.tree.map(lambda x: x[i], tree)


def _forward(vjp_arg: Any, grid: Array, drivers: StepDrivers, structure: Any, stepper: Any, emit: bool) -> Any:
    y0, rest, points, rows = vjp_arg
    start = _field(rest, _pick(points, 0), structure, grid[0])
    state = stepper.init(start, grid[0], y0)

    def body(carry: Any, i: Array) -> Any:
        y, (z, f, g) = carry
        field = _field(rest, _pick(points, i + 1), structure, grid[i + 1])
        step = Step(grid[i], grid[i + 1], grid[i + 1] - grid[i], drivers.at(rows, i), None)
        y1, state1, _ = stepper.step(field, y, (z, f, g), step)
        return (y1, state1), (y1 if emit else None)

    (y1, state), emitted = jax.lax.scan(body, (y0, state), jnp.arange(drivers.steps))
    return (y1, emitted), (y1, state)


@eqx.filter_custom_vjp
def _loop(vjp_arg: Any, grid: Any, drivers: Any, structure: Any, stepper: Any, emit: Any) -> Any:
    return _forward(vjp_arg, grid, drivers, structure, stepper, emit)[0]


@_loop.def_fwd
def _loop_fwd(perturbed: Any, vjp_arg: Any, grid: Any, drivers: Any, structure: Any, stepper: Any, emit: Any) -> Any:
    return _forward(vjp_arg, grid, drivers, structure, stepper, emit)


@_loop.def_bwd
def _loop_bwd(
    residuals: Any,
    grad_out: Any,
    perturbed: Any,
    vjp_arg: Any,
    grid: Any,
    drivers: Any,
    structure: Any,
    stepper: Any,
    emit: Any,
) -> Any:
    _y0, rest, points, rows = vjp_arg
    y, (z, f, g) = residuals
    grad_y1, grad_ys = grad_out
    n = drivers.steps
    params, static = eqx.partition(rest, eqx.is_inexact_array)
    zeros = lambda tree: jax.tree.map(jnp.zeros_like, tree)  # noqa: E731
    fill = lambda grad, tree: jax.tree.map(  # noqa: E731
        lambda d, x: jnp.zeros_like(x) if d is None else d, grad, tree, is_leaf=lambda d: d is None
    )
    grad_y1 = fill(grad_y1, y)
    grad_ys = fill(grad_ys, jax.tree.map(lambda x: jnp.zeros((n, *x.shape), x.dtype), y)) if emit else None

    def width(i: Any) -> Array:
        # Step i, of zero width before the first and after the last.
        j = jnp.clip(i, 0, n - 1)
        return jnp.where(i == j, grid[j + 1] - grid[j], jnp.zeros_like(grid[0]))

    def point(i: Any, z_i: Any, after: Any, before: Any) -> Any:
        """Action of the coefficients at point i over the step after it, the pull-back of both actions, and them."""

        def act(params_: Any, z_: Any, values: Any, after_: Any, before_: Any) -> Any:
            field = _field(eqx.combine(params_, static), values, structure, grid[i])
            f_, g_ = field.f(grid[i], z_), field.g(grid[i], z_)
            over = lambda h, dx: field.increment(f_, g_, h, dx, z_)  # noqa: E731
            return (over(width(i), after_), over(width(i - 1), before_)), (f_, g_)

        (act_after, _act_before), pull, coefficients = jax.vjp(
            act, params, z_i, _pick(points, i), after, before, has_aux=True
        )
        return act_after, pull, coefficients

    def increments(i: Array) -> Any:
        return drivers.at(rows, i)

    # The last point only acts over the step before it.
    dx_last = increments(jnp.asarray(n - 1))
    last_zero = zeros(dx_last)
    a_y = add(grad_y1, _pick(grad_ys, n - 1)) if emit else grad_y1
    half = scale(0.5, a_y)
    _, pull, _ = point(n, z, last_zero, dx_last)
    grads, a_z, d_values, _, d_before = pull((zeros(y), half))
    start = (y, z, f, g, a_y, a_z, grads, dx_last)

    def body(carry: Any, i: Array) -> Any:
        y1, z1, f1, g1, a_y1, a_z1, grads_, dx = carry
        field1 = _field(rest, _pick(points, i + 1), structure, grid[i + 1])
        back = field1.increment(f1, g1, width(i), dx, y1)
        z_i = minus(minus(scale(2.0, y1), z1), back)
        previous = increments(i - 1)
        forth, pull_i, (f_i, g_i) = point(i, z_i, dx, previous)
        y_i = minus(y1, scale(0.5, add(forth, back)))
        a_y_i = add(a_y1, scale(2.0, a_z1))
        if emit:
            seen = _pick(grad_ys, jnp.maximum(i - 1, 0))
            a_y_i = jax.tree.map(lambda a, b: a + jnp.where(i > 0, b, jnp.zeros_like(b)), a_y_i, seen)
        more, dz, d_values_i, d_after, d_before_i = pull_i((add(a_z1, scale(0.5, a_y1)), scale(0.5, a_y_i)))
        carry = (y_i, z_i, f_i, g_i, a_y_i, minus(dz, a_z1), add(grads_, more), previous)
        return carry, (d_values_i, d_after, d_before_i)

    carry, (d_points, d_after, d_before_rest) = jax.lax.scan(body, start, jnp.arange(n), reverse=True)
    grad_y0 = add(carry[4], carry[5])
    d_points = jax.tree.map(lambda a, b: jnp.concatenate([a, b[None]]), d_points, d_values)
    # Step i is "after" for point i and "before" for point i + 1.
    shifted = jax.tree.map(lambda a, b: jnp.concatenate([a[1:], b[None]]), d_before_rest, d_before)
    d_dx = add(d_after, shifted)
    d_rows = _row_gradients(d_dx, drivers, rows)
    return grad_y0, carry[6], d_points, d_rows


def _row_gradients(d_dx: Any, drivers: StepDrivers, rows: tuple[Any, ...]) -> PyTree:
    if not rows:
        return ()
    parts = (d_dx,) if len(rows) == 1 else d_dx
    return tuple(None if noise is not None else part for noise, part in zip(drivers.noises, parts, strict=True))
