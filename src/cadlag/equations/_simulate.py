"""Trusted solutions of evolution equations: one entry, one record."""

import math
from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.equations._equation import AbstractEquation
from cadlag.equations._evolution import (
    AbstractEvolution,
    AbstractSemilinear,
    check_space,
    fourier_state,
    fourier_values,
)
from cadlag.fields import AbstractField, CallableField, FourierField, Grid, GridField, Spectral
from cadlag.solve import ETDRK4, ODE, RESULTS, AbstractAdjoint, AbstractExponential, RungeKutta, solve


class Simulation(eqx.Module):
    """Frames of a solution.

    `ts` (times,), the first of which is that of the initial state; `grid`, None for an ordinary equation; `values`
    (times, *components, *grid.shape); `result` as in `solve`; `error`, where asked for, how far the frames are from
    those at half the step, relative to the largest frame (root mean square), shape (times,).

    Called at a point (t, x, …) it interpolates: the trigonometric polynomial in space, the cubic through the four
    nearest frames in t.
    """

    ts: Float[Array, " times"]
    grid: Grid | None
    values: Float[Array, "times ..."]
    result: RESULTS
    error: Float[Array, " times"] | None = None

    def frame(self, index: int) -> GridField:
        """One frame as a field on the grid."""
        if self.grid is None:
            raise ValueError("an ordinary equation has no grid; its states are `values`.")
        return GridField(self.grid, self.values[index], Spectral())

    def points(self) -> Float[Array, "points d"]:
        """All points (t, x, …) of the frames, in the order of `values` flattened over frames and grid."""
        space = () if self.grid is None else tuple(self.grid.points(name) for name in self.grid.domain.names)
        axes = [self.ts, *(jnp.asarray(x, self.ts.dtype) for x in space)]
        return jnp.stack([a.ravel() for a in jnp.meshgrid(*axes, indexing="ij")], axis=-1)

    def relative_error(self, u: AbstractField | Callable) -> Float[Array, ""]:
        """Relative L2 distance of a function of a point (t, x, …) from the frames, over all of their points."""
        d = 0 if self.grid is None else len(self.grid.shape)
        frames = self.points().reshape(len(self.ts), -1, d + 1)
        guess = jax.lax.map(jax.vmap(u), frames)
        # (times, points, components) against (times, components, *grid).
        truth = jnp.moveaxis(self.values.reshape(len(self.ts), -1, frames.shape[1]), 1, 2)
        return jnp.linalg.norm(guess.reshape(truth.shape) - truth) / jnp.linalg.norm(truth)

    def __call__(self, point: Float[Array, " d"]) -> Float[Array, "..."]:
        """The value at (t, x, …), shape (*components,)."""
        count = min(4, len(self.ts))
        first = jnp.clip(jnp.searchsorted(self.ts, point[0]) - count // 2, 0, len(self.ts) - count)
        weights = _lagrange(jax.lax.dynamic_slice_in_dim(self.ts, first, count), point[0])
        if self.grid is None:
            near = jax.lax.dynamic_slice_in_dim(self.values, first, count)
        else:
            # Transformed before the choice of frames, so once for all points under vmap.
            hat = FourierField(self.grid, values=self.values).coefficients()
            near = _evaluate(self.grid, jax.lax.dynamic_slice_in_dim(hat, first, count), point[1:])
        return jnp.tensordot(weights, near, axes=1)


def simulate(
    equation: AbstractEquation,
    grid: Grid | None,
    ts: Any,
    *,
    u0: Any = None,
    key: PRNGKeyArray | None = None,
    step: float | int | None = None,
    stepper: Any = None,
    adjoint: AbstractAdjoint | None = None,
    estimate: bool = False,
    throw: bool = True,
) -> Simulation:
    """Solve an evolution equation on a grid, by Fourier coefficients and `ETDRK4`; differentiable, and `vmap`s over u0.

    Products are dealiased and so is the initial state: the frame at `ts[0]` is u0 without the modes that the grid
    cannot carry through a product. Ordinary equations (`grid=None`) are solved by Dormand and Prince's method of
    order 8.

    **Arguments:**

    - `equation`: an `AbstractSemilinear` on a periodic space, or an ordinary equation such as `Lorenz`.
    - `grid`: on `equation.space`.
    - `ts`: times of the frames, ascending, numbers (not traced); the first is that of the initial state, which is kept
      as the first frame.
    - `u0`: the initial state: values (*components, *grid.shape), a `GridField`, or a function of the coordinates of
      space; by default the equation's.
    - `key`: draw the initial state from `equation.random_state` instead.
    - `step`: the largest step in time; every interval between frames has equally many. By default a thousandth of the
      time from the first frame to the last. Ask for an `estimate` when you do not know.
    - `stepper`, `adjoint`: as for `solve`.
    - `estimate`: run at half the step as well and keep the difference as `error`.
    - `throw`: raise at run time when the solution becomes infinite; otherwise see `result`.

    **Raises:** `ValueError` or `TypeError` for an equation without a simulator and for parts that do not fit.
    """
    times = _check_times(ts)
    process, y0 = _problem(equation, grid, times, u0, key, _dtype(ts, u0))
    if stepper is None:
        stepper = RungeKutta(diffrax.Dopri8()) if grid is None else ETDRK4()
    count = _steps_between(times, step)

    def run(steps: int) -> tuple[Array, RESULTS]:
        made = _prepared(stepper, process, times, steps, y0)
        ys, result = _solve(process, y0, times, steps, made, adjoint, throw)
        return (ys if grid is None else fourier_values(grid, ys)), result

    values, result = run(count)
    error = _distance(values, run(2 * count)[0]) if estimate else None
    return Simulation(jnp.asarray(times, values.dtype), grid, values, result, error)


@eqx.filter_jit
def _solve(process: Any, y0: Any, times: Any, steps: int, stepper: Any, adjoint: Any, throw: bool) -> tuple:
    """Compiled once for all parameters, states and times of the same shapes."""
    solution = solve(process, y0, times, steps=steps, stepper=stepper, adjoint=adjoint, throw=throw)
    return solution.ys, solution.result


def _prepared(stepper: Any, process: Any, times: np.ndarray, steps: int, y0: Array) -> Any:
    """An exponential stepper with its coefficients found in float64, before anything is compiled."""
    if not isinstance(stepper, AbstractExponential):
        return stepper
    parts = np.linspace(times[:-1], times[1:], steps, endpoint=False, axis=-1)
    return stepper.prepared(process, np.append(parts.ravel(), times[-1]), y0)


def _problem(equation: Any, grid: Grid | None, times: np.ndarray, u0: Any, key: Any, dtype: Any) -> tuple:
    """The process and its first state."""
    name = type(equation).__name__
    if not isinstance(equation, AbstractEvolution):
        known = " Its `exact` is known." if getattr(equation, "exact", None) is not None else ""
        raise ValueError(f"{name} has no simulator; it gives no rate u_t.{known}")
    if u0 is None and key is None and not math.isclose(times[0], equation.time[0], abs_tol=1e-12):
        raise ValueError(f"ts starts at {times[0]}, {name} at {equation.time[0]}; begin there, or give u0.")
    if equation.domain.names == ("t",):
        if grid is not None or key is not None:
            raise ValueError(f"{name} is an ordinary equation: grid must be None, and it has no random states.")
        state = jnp.asarray(equation.u0() if u0 is None else u0).astype(dtype)
        return ODE(_Ordinary(equation)), state
    if grid is None:
        raise ValueError(f"{name} lives in space: give Grid(equation.space, shape), not None.")
    check_space(equation, grid)
    if not isinstance(equation, AbstractSemilinear) or grid.domain.periodic != grid.domain.names:
        raise ValueError(
            f"{name} has no simulator on {grid.domain.names} with the periodic axes {grid.domain.periodic}; that takes "
            "an AbstractSemilinear equation on a periodic space. Use `exact` where it is known, the same equation on a "
            "periodic space, or `solve` on `equation.on(grid, scheme=...)`."
        )
    values = _initial(equation, grid, u0, key, dtype)
    return equation.on(grid), fourier_state(equation, grid, values)


class _Ordinary(eqx.Module):
    """The rate of an ordinary equation at a state: that of a field with this value."""

    equation: AbstractEvolution

    def __call__(self, t: Any, y: Array, args: Any) -> Array:
        state = CallableField(domain=self.equation.domain, f=lambda point: y)
        return self.equation.rate(state)(jnp.reshape(t, (1,)))


def _initial(equation: AbstractSemilinear, grid: Grid, u0: Any, key: Any, dtype: Any) -> Array:
    if u0 is not None and key is not None:
        raise ValueError("simulate: give u0 or key, not both.")
    if key is not None:
        u0 = equation.random_state(grid, key=key)
    u0 = equation.u0 if u0 is None else u0
    if isinstance(u0, GridField):
        u0 = u0.values
    elif callable(u0):
        u0 = u0(*(jnp.asarray(x, dtype) for x in grid.mesh()))
    values = jnp.asarray(u0)
    shape = grid.shape if equation.components == 1 else (equation.components, *grid.shape)
    if values.shape != shape:
        raise ValueError(f"u0 has shape {values.shape}; expected {shape} for {type(equation).__name__} on this grid.")
    return values.astype(dtype)


def _check_times(ts: Any) -> np.ndarray:
    if isinstance(ts, jax.core.Tracer):
        raise TypeError("simulate: ts is traced, but decides how many steps are taken; give numbers.")
    times = np.asarray(ts, np.float64)
    if times.ndim != 1 or len(times) < 2 or not np.all(np.diff(times) > 0):
        raise ValueError(f"simulate: ts of shape {times.shape}; expected two ascending times or more.")
    return times


def _dtype(ts: Any, u0: Any) -> Any:
    """That of u0, or else of ts, where they are arrays of floats."""
    for given in (getattr(u0, "values", u0), ts):
        dtype = getattr(given, "dtype", None)
        if dtype is not None and jnp.issubdtype(dtype, jnp.floating):
            return jax.dtypes.canonicalize_dtype(dtype)
    return jnp.result_type(float)


def _steps_between(times: np.ndarray, step: float | int | None) -> int:
    longest = float((times[-1] - times[0]) / 1000) if step is None else float(step)
    if not longest > 0:
        raise ValueError(f"simulate: step={step}; expected a positive length of time.")
    return max(1, math.ceil(float(np.max(np.diff(times))) / longest - 1e-6))


def _distance(a: Array, b: Array) -> Array:
    axes = tuple(range(1, a.ndim))
    square = lambda x: jnp.sum(jnp.square(x), axis=axes)  # noqa: E731
    return jnp.sqrt(square(a - b) / jnp.max(square(b)))


def _lagrange(nodes: Array, t: Array) -> Array:
    """Weights of the polynomial through the nodes."""
    n = nodes.shape[0]
    rows = []
    for i in range(n):
        others = [j for j in range(n) if j != i]
        factors = [(t - nodes[j]) / (nodes[i] - nodes[j]) for j in others]
        rows.append(jnp.prod(jnp.stack(factors)) if factors else jnp.ones_like(t))
    return jnp.stack(rows)


def _evaluate(grid: Grid, hat: Array, x: Array) -> Array:
    """A field with coefficients `hat` of `rfftn` at one point; leading axes stay."""
    d = len(grid.shape)
    for i in reversed(range(d)):
        name = grid.domain.names[i]
        k = grid.wavenumbers(name, real=i == d - 1)
        weight = np.ones(len(k))
        if i == d - 1:
            weight[1 : (grid.shape[i] + 1) // 2] = 2
        phase = jnp.asarray(k, x.dtype) * (x[i] - float(grid.points(name)[0]))
        turn = jax.lax.complex(jnp.cos(phase), jnp.sin(phase)) * jnp.asarray(weight / grid.shape[i], hat.dtype)
        hat = jnp.tensordot(hat, turn, axes=1)
    return hat.real
