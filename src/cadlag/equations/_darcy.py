"""Darcy's flow -div(a ∇u) = f with u = 0 on the walls, and its solver by finite volumes."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.equations._condition import Condition, dirichlet
from cadlag.equations._elliptic import SQUARE
from cadlag.equations._equation import AbstractEquation
from cadlag.fields import AbstractField, Box, Differences, Grid, GridField, Nodes, Wall


class Darcy(AbstractEquation):
    """-div(a ∇u) = f in a box, u = 0 on its faces: pressure u in a medium of permeability a.

    **Arguments:**

    - `coefficient`: a > 0, a function of the coordinates, or a field such as a draw of `ThresholdedField`.
    - `source`: f, a function of the coordinates or a number.
    - `space`: the box.
    - `solution`: the exact solution, where it is known.

    For a coefficient with jumps the residual is a distribution: trust `solve`, which needs no derivative of a, and not
    the residual at points.
    """

    domain: Box
    coefficient: Callable | AbstractField
    source: Callable | float
    solution: Callable | None
    components: int = eqx.field(static=True, default=1)

    def __init__(
        self,
        coefficient: Callable | AbstractField,
        *,
        source: Callable | float | int = 1.0,
        space: Box = SQUARE,
        solution: Callable | None = None,
    ) -> None:
        if space.periodic:
            raise ValueError(f"Darcy: the axes {space.periodic} are periodic; it has u = 0 on all faces.")
        self.domain, self.coefficient, self.components = space, coefficient, 1
        self.source = source if callable(source) else float(source)
        self.solution = solution

    @property
    def exact(self) -> Callable | None:
        """The solution, where it is known."""
        return self.solution

    def residual(self, u: AbstractField) -> AbstractField:
        """-div(a ∇u) - f, the divergence written as a Δu + ∇a · ∇u."""
        a = self.permeability(u)
        slopes = [a.d(name) * u.d(name) for name in self.domain.names]
        spread = a * u.laplacian(self.domain.names)
        for term in slopes:
            spread = spread + term
        return -spread - (u.function(self.source) if callable(self.source) else self.source)

    def conditions(self) -> tuple[Condition, ...]:
        """Zero on the faces."""
        return dirichlet(self.domain)

    def permeability(self, like: AbstractField) -> AbstractField:
        """a in the representation of another field; differentiated without conditions at the walls."""
        a = self.coefficient
        if not isinstance(like, GridField):
            return a if isinstance(a, AbstractField) else like.function(a)
        values = a.values if isinstance(a, GridField) else like.function(a).values
        accuracy = like.scheme.accuracy if isinstance(like.scheme, Differences) else 2
        return GridField(like.grid, values, Differences(accuracy))

    def solve(self, grid: Grid, *, rtol: float | None = None, dtype: Any = None) -> GridField:
        """The solution on a grid by `solve_darcy`, with second-order differences and zero on the walls."""
        dtype = jnp.result_type(float) if dtype is None else dtype
        like = GridField(grid, jnp.zeros(grid.shape, dtype), Differences(2, walls=Wall.dirichlet))
        a = self.permeability(like)
        f = like.function(self.source) if callable(self.source) else like + self.source
        assert isinstance(a, GridField)
        assert isinstance(f, GridField)
        return like.like(solve_darcy(a.values, grid, f.values, rtol=rtol))


def solve_darcy(
    a: Float[Array, "..."],
    grid: Grid,
    source: Float[Array, "..."] | float | int = 1.0,
    *,
    rtol: float | None = None,
    max_steps: int = 500,
    throw: bool = True,
) -> Float[Array, "..."]:
    """u with -div(a ∇u) = source and u = 0 on the walls, at the points of a grid; one example, use `jax.vmap` for more.

    Finite volumes about the points: the flux between neighbours is the harmonic mean of their a times the difference of
    their u, which is exact for layers. Order 2 where a is smooth, about 1 where it jumps. Solved by conjugate gradients
    in sines scaled to make a = 1 the identity: the number of iterations grows as the root of max a / min a and not with
    the grid. Differentiable in a and in the source.

    **Arguments:**

    - `a`: positive, of the grid's shape.
    - `grid`: of any dimension; axes with `Nodes.ends` (whose outer points get u = 0), `interior` or `centres`.
    - `source`: a number, or of the grid's shape.
    - `rtol`: of the residual in the energy norm; by default 1e-10 in float64 and 1e-6 in float32.
    - `throw`: raise where the iteration fails; otherwise the result is NaN there.

    **Raises:** ValueError for a periodic axis and for shapes that do not fit.
    """
    a = jnp.asarray(a)
    if grid.domain.periodic or a.shape != grid.shape:
        raise ValueError(
            f"solve_darcy: a of shape {a.shape} on a grid of shape {grid.shape}, periodic in {grid.domain.periodic}; "
            "expected the same shape and no periodic axis."
        )
    tolerance = max(1e-10, 10 * float(jnp.finfo(a.dtype).eps)) if rtol is None else rtol
    return _solve(a, jnp.broadcast_to(jnp.asarray(source, a.dtype), grid.shape), grid, tolerance, max_steps, throw)


@eqx.filter_jit
def _solve(a: Array, f: Array, grid: Grid, tolerance: float, max_steps: int, throw: bool) -> Array:
    inside = tuple(slice(1, -1) if kind is Nodes.ends else slice(None) for kind in grid.nodes)
    faces = [_faces(a, grid, axis, inside) for axis in range(a.ndim)]
    to_sines, from_sines = _sine_transforms(grid, a.dtype)
    # A constant source would have its transforms done by the compiler, slowly.
    right = to_sines(jax.lax.optimization_barrier(f[inside]))

    def apply(w: Array) -> Array:
        return to_sines(_divergence(faces, from_sines(w)))

    w, _ = jax.scipy.sparse.linalg.cg(apply, right, tol=tolerance, maxiter=max_steps)
    # The recursion's residual may go on falling where the true one has met the rounding: half the digits must be there.
    left = _two_norm(right - apply(jax.lax.stop_gradient(w)))
    failed = ~(left <= max(10 * tolerance, float(jnp.finfo(a.dtype).eps) ** 0.5) * _two_norm(right))
    if throw:
        w = eqx.error_if(w, failed, f"solve_darcy: no convergence in {max_steps} steps; is a positive? Or more steps.")
    u = jnp.where(failed, jnp.nan, from_sines(w))
    return jnp.zeros_like(a).at[inside].set(u)


def _two_norm(x: Array) -> Array:
    return jnp.sqrt(jnp.sum(jnp.square(x)))


def _faces(a: Array, grid: Grid, axis: int, inside: tuple[slice, ...]) -> Array:
    """a / h² between neighbours along an axis, walls included: one more than unknowns there."""
    kind, name = grid.nodes[axis], grid.domain.names[axis]
    others = tuple(slice(None) if i == axis else s for i, s in enumerate(inside))
    a = jnp.moveaxis(a[others], axis, 0)
    between = 2 * a[:-1] * a[1:] / (a[:-1] + a[1:])
    if kind is not Nodes.ends:
        # A wall half a cell from a centre has twice the slope.
        weight = 2 if kind is Nodes.centres else 1
        between = jnp.concatenate([weight * a[:1], between, weight * a[-1:]])
    return jnp.moveaxis(between, 0, axis) / grid.spacing(name) ** 2


def _divergence(faces: list[Array], u: Array) -> Array:
    """-div(a ∇u) with zero on the walls."""
    total = jnp.zeros_like(u)
    for axis, conductance in enumerate(faces):
        width = [(1, 1) if i == axis else (0, 0) for i in range(u.ndim)]
        total = total - jnp.diff(conductance * jnp.diff(jnp.pad(u, width), axis=axis), axis=axis)
    return total


def _sine_transforms(grid: Grid, dtype: Any) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Λ^-1/2 Sᵀ and S Λ^-1/2, with S the orthonormal sines and Λ the eigenvalues of -Δ_h with zero on the walls.

    Between the two the problem has a condition number of at most max a / min a; as a change of variables, and not as a
    preconditioner, because residuals are then measured as energies, which float32 can make small.
    """
    sines, spectra = zip(*(_sines(grid, axis) for axis in range(len(grid.shape))), strict=True)
    total = sum(np.reshape(s, [-1 if i == k else 1 for i in range(len(spectra))]) for k, s in enumerate(spectra))
    bases, scale = [jnp.asarray(s, dtype) for s in sines], jnp.asarray(total**-0.5, dtype)

    def to_sines(v: Array) -> Array:
        for axis, basis in enumerate(bases):
            v = jnp.moveaxis(jnp.tensordot(basis, v, axes=(0, axis)), 0, axis)
        return v * scale

    def from_sines(w: Array) -> Array:
        w = w * scale
        for axis, basis in enumerate(bases):
            w = jnp.moveaxis(jnp.tensordot(basis, w, axes=(1, axis)), 0, axis)
        return w

    return to_sines, from_sines


def _sines(grid: Grid, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvectors in columns and eigenvalues of minus the second difference along an axis."""
    kind, h = grid.nodes[axis], grid.spacing(grid.domain.names[axis])
    n = grid.shape[axis] - (2 if kind is Nodes.ends else 0)
    places, period = (np.arange(n) + 0.5, n) if kind is Nodes.centres else (np.arange(n) + 1, n + 1)
    numbers = np.arange(n) + 1
    basis = np.sin(np.pi * np.outer(places, numbers) / period)
    return basis / np.linalg.norm(basis, axis=0), (2 - 2 * np.cos(np.pi * numbers / period)) / h**2
