"""GP-HM: equations with high frequencies, by Gaussian processes that find them (Fang et al., ICLR 2024).

The solution has a Gaussian-process prior whose power spectrum is a mixture of bumps at learnable frequencies,
k(tau) = Σ_q w_q m(rho_q tau) cos(2 pi mu_q tau) on each axis. Unknown are its values u on a tensor grid; the mean of
the process gives derivatives, K^(k) C⁻¹ u, and the values between. Values, kernels and noise precisions maximise one
log-joint density (`_gp_objective`). On a grid of M = ∏ n_j points it costs Σ n_j³ + M Σ n_j: no M x M matrix.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.equations import AbstractEquation
from cadlag.equations._symbol import is_linear
from cadlag.fields import AbstractField, AbstractSmooth, Box, CallableField, Grid, GridField
from cadlag.kernels import (
    AbstractMixture,
    AbstractStationary,
    Components,
    KernelExpansion,
    Periodised,
    StudentTMixture,
    spread_components,
)
from cadlag.physics._collocation import Unknowns
from cadlag.physics._gp_fit import AbstractGPFit, VariableProjection
from cadlag.physics._gp_objective import GPState, LogJoint
from cadlag.physics._grid_problem import GridProblem
from cadlag.physics._method import AbstractMethod, Task, Trained, collocate
from cadlag.train import Ending, Outcome, require_x64


class GPSpectral(AbstractMethod):
    """The method GP-HM with its settings: `EquationSolver(equation, GPSpectral(points=400)).solve()`.

    `solve_spectral(equation, grid, method)` does the same on a grid of your own and returns the process itself.

    **Arguments:**

    - `kernel`: one stationary kernel for all axes, or a tuple of one for each: where fitting starts. By default thirty
        Student-t bumps at frequencies from 0 to 20 cycles per unit, `StudentTMixture(*spread_components(30, 20.0))`.
        The top of the range must lie above the solution's frequencies; on periodic axes it is made periodic.
    - `points`: of each axis, an integer for all; both ends are points of axes that are not periodic. At least two for
        each period of the highest frequency.
    - `fit`: `VariableProjection()`, or the published `JointAdam()`.
    - `nugget`: on the diagonal of each axis' covariance.
    - `boundary_weight`: lambda_b, the weight of the conditions' likelihood (the paper: 200, for advection 500).
    """

    kernel: AbstractStationary | tuple[AbstractStationary, ...] | None = None
    points: int | tuple[int, ...] = eqx.field(static=True, default=100)
    fit: AbstractGPFit = VariableProjection()
    nugget: float = eqx.field(static=True, default=1e-6)
    boundary_weight: float = eqx.field(static=True, default=200.0)

    def __check_init__(self) -> None:
        if not self.nugget > 0 or not self.boundary_weight > 0:
            raise ValueError(
                f"GPSpectral: nugget={self.nugget}, boundary_weight={self.boundary_weight}; expected both positive."
            )

    def check(self, task: Task) -> None:
        """Raise `ValueError` for what only networks do: systems, observations, unknown coefficients, float32."""
        if task.observations is not None or task.learn:
            raise ValueError("GPSpectral: it takes no observations and learns no coefficients; use `PINN()` for those.")
        if task.dtype != "float64":
            raise ValueError("GPSpectral: its covariances need dtype='float64'.")
        GridProblem(task.equation, Grid(task.equation.domain, self.points))

    def solve(self, task: Task) -> Trained:
        """Solve for `EquationSolver`: the kernel expansion takes the place of the network."""
        problem, _ = collocate(task, ())
        found = solve_spectral(task.equation, Grid(task.equation.domain, self.points), self)
        return Trained(
            Unknowns(ClosedForm(found.field)), problem, found.history, Ending(Outcome.finished, self.fit.steps)
        )

    def start(self, grid: Grid) -> GPState:
        """Kernels and precisions before fitting, in float64."""
        given = StudentTMixture(*spread_components()) if self.kernel is None else self.kernel
        each = given if isinstance(given, tuple) else (given,) * grid.domain.dimension
        if len(each) != grid.domain.dimension:
            raise ValueError(f"kernel: {len(each)} for the axes {grid.domain.names}; expected one, or one for each.")
        wrapped = tuple(_wrap(k, grid, name) for k, name in zip(each, grid.domain.names, strict=True))
        wrapped = jax.tree.map(lambda x: jnp.asarray(x, float) if eqx.is_inexact_array(x) else x, wrapped)
        return GPState(kernels=wrapped, log_tau=jnp.zeros(()), log_v=jnp.zeros(()))


class ClosedForm(AbstractSmooth):
    """A kernel expansion where a network is expected, with the derivatives it knows."""

    field: KernelExpansion

    def __call__(self, point: Float[Array, " d"]) -> Float[Array, ""]:
        """The value."""
        return self.field(point)

    def along(self, point: Float[Array, " d"], place: int, order: int) -> Float[Array, ""]:
        """A derivative along one axis."""
        return self.field.d(self.field.domain.names[place], order)(point)

    def laplacian(self, point: Float[Array, " d"], places: tuple[int, ...]) -> Float[Array, ""]:
        """The sum of second derivatives."""
        return jnp.sum(jnp.stack([self.along(point, place, 2) for place in places]))


class GPSolution(AbstractField):
    """The fitted mean of the Gaussian process: a field, anywhere in the box, with derivatives in closed form.

    `on(*coordinates)` evaluates it on a tensor grid; `spectrum()` reads off its frequencies.

    **Arguments:**

    - `field`: the kernel expansion.
    - `values`: at the points of `grid`; `state`: fitted kernels and log-precisions.
    - `history`: rows of figures, one for each step: loss, residual, boundary (root mean squares), jitter.
    """

    field: KernelExpansion
    grid: Grid
    values: Float[Array, "..."]
    state: GPState
    history: dict[str, np.ndarray]

    @property
    def domain(self) -> Box:  # type: ignore[override]
        """The equation's box."""
        return self.grid.domain

    def spectrum(self) -> dict[str, Components]:
        """Axis → weights, frequencies and widths in cycles per unit, the heaviest component first."""
        found = {}
        for name, kernel in zip(self.domain.names, self.state.kernels, strict=True):
            inner = kernel.kernel if isinstance(kernel, Periodised) else kernel
            if isinstance(inner, AbstractMixture):
                found[name] = inner.components()
        return found

    def on(self, *coordinates: Float[Array, " _"]) -> Float[Array, "..."]:
        """The values on the tensor grid of these coordinates, one array for each axis."""
        return self.field.on(*coordinates)

    def d(self, axis: str, order: int = 1) -> KernelExpansion:
        """The derivative along an axis."""
        return self.field.d(axis, order)

    def map(self, function: Callable, *others: AbstractField) -> CallableField:
        """function(u, *others), a function of a point."""
        return self.field.map(function, *others)

    def function(self, f: Callable) -> CallableField:
        """f of the coordinates."""
        return self.field.function(f)

    def __call__(self, point: Float[Array, " d"]) -> Float[Array, ""]:
        """The value at a point."""
        return self.field(point)


def solve_spectral(
    equation: AbstractEquation,
    grid: Grid,
    method: GPSpectral | None = None,
    *,
    watch: Callable[[int, GPSolution], Any] | None = None,
) -> GPSolution:
    """Solve an equation for one unknown on a box by GP-HM.

    **Arguments:**

    - `equation`: any residual; conditions on faces where the grid has points. Linear ones take one linear solve for
        each evaluation, others Gauss-Newton steps.
    - `grid`: its points are the collocation points.
    - `method`: settings, but for its `points`; `GPSpectral()` by default.
    - `watch`: called with (step, solution) after each of the fit's `stages`.

    **Returns:** the solution as a field.

    **Raises:** ValueError in single precision, for systems, and for conditions off the grid; FloatingPointError where
    the density becomes infinite or NaN.
    """
    require_x64("a Gaussian process on a grid, whose covariance has a condition number of 1e8 and more,")
    method = GPSpectral() if method is None else method
    problem, state = GridProblem(equation, grid), method.start(grid)
    joint = LogJoint(problem=problem, nugget=method.nugget, boundary_weight=method.boundary_weight)
    zero = jnp.zeros(grid.shape)
    seen = None if watch is None else lambda step, *fitted: watch(step, _solution(joint, *fitted, {}))
    (state, values), history = method.fit.run(joint, state, zero, linear=_is_linear(joint, state), watch=seen)
    return _solution(joint, state, values, history)


def _is_linear(joint: LogJoint, state: GPState) -> bool:
    grid, problem = joint.problem.grid, joint.problem
    u = GridField(grid, jax.random.normal(jax.random.key(0), grid.shape, state.log_v.dtype), joint.scheme(state))
    return all(
        is_linear(r, u) for r in [problem.equation.residual, *(c.residual for c in problem.equation.conditions())]
    )


@eqx.filter_jit
def _expand(joint: LogJoint, state: GPState, values: Float[Array, "..."]) -> KernelExpansion:
    return joint.scheme(state).expansion(values, joint.problem.grid)


def _solution(joint: LogJoint, state: GPState, values: Float[Array, "..."], history: dict) -> GPSolution:
    grid = joint.problem.grid
    return GPSolution(field=_expand(joint, state, values), grid=grid, values=values, state=state, history=history)


def _wrap(kernel: AbstractStationary, grid: Grid, axis: str) -> AbstractStationary:
    place = grid.domain.axis(axis)
    if axis not in grid.domain.periodic or isinstance(kernel, Periodised):
        return kernel
    return Periodised(kernel, grid.domain.lengths[place], modes=grid.shape[place] // 2)
