"""Collocation without a prior: least squares on a grid (Chebyshev), or over the coefficients of given features.

The baselines that any solver for smooth solutions on boxes has to face: for a linear equation both are one
least-squares problem.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.equations import AbstractEquation
from cadlag.equations._symbol import is_linear
from cadlag.fields import AbstractField, AbstractScheme, CallableField, Chebyshev, Grid, GridField
from cadlag.physics._grid_problem import GridProblem


def solve_collocation(
    equation: AbstractEquation, grid: Grid, scheme: AbstractScheme = Chebyshev(), *, newton: int = 12
) -> GridField:
    """The values on a grid whose residual vanishes at its points, and whose conditions hold on the faces.

    At points where a condition holds the equation is left out, as usual. Dense: M³ for M points.

    **Arguments:**

    - `equation`: for one unknown.
    - `grid`, `scheme`: such as a grid of `Nodes.chebyshev` with `Chebyshev()`.
    - `newton`: Gauss-Newton steps of an equation that is not linear, from zero.

    **Returns:** the solution on the grid, which interpolates.
    """
    problem = GridProblem(equation, grid)
    inside = np.ones(grid.shape)
    for face in problem.faces:
        inside[tuple(slice(None) if i is None else i for i in face)] = 0

    def residual(flat: Float[Array, " m"]) -> Float[Array, " rows"]:
        f, b = problem.residuals(flat.reshape(grid.shape), scheme)
        mask = jnp.tile(jnp.asarray(inside.ravel(), f.dtype), f.size // inside.size)
        return jnp.concatenate([f * mask, b])

    zero = jnp.zeros(int(np.prod(grid.shape)))
    probe = GridField(grid, jnp.asarray(np.random.default_rng(0).standard_normal(grid.shape), zero.dtype), scheme)
    steps = 1 if is_linear(equation.residual, probe) else newton
    return GridField(grid, _gauss_newton(residual, zero, steps).reshape(grid.shape), scheme)


def solve_features(
    equation: AbstractEquation,
    features: Callable[[Float[Array, " d"]], Float[Array, " k"]],
    points: Float[Array, "n d"],
    *,
    newton: int = 12,
) -> CallableField:
    """u = Σ_k c_k φ_k(x), the c_k that make the equation's residual at `points` least, the conditions with it.

    Conditions are asked for at the points' projections to their faces. Rows are scaled to equal norm.

    **Arguments:**

    - `features`: a point → (K,), such as random Fourier features; differentiated in forward mode.
    - `points`: collocation points.
    - `newton`: Gauss-Newton steps of an equation that is not linear, from zero.

    **Returns:** the sum as a field.
    """
    count = jax.eval_shape(features, jax.ShapeDtypeStruct(points.shape[1:], points.dtype)).shape[0]
    domain = equation.domain

    def field(c: Float[Array, " k"]) -> CallableField:
        return CallableField(domain=domain, f=lambda p: jnp.dot(features(p), c, precision="highest"))

    def residual(c: Float[Array, " k"]) -> Float[Array, " rows"]:
        rows = [_everywhere(equation.residual(field(c)), points)]
        for condition in equation.conditions():
            face = points
            for name, value in condition.at:
                face = face.at[:, domain.axis(name)].set(value)
            rows.append(_everywhere(condition.residual(field(c)), face))
        return jnp.concatenate(rows)

    zero = jnp.zeros(count, points.dtype)
    sample = jax.random.normal(jax.random.key(0), (count,), points.dtype)
    both = eqx.filter_jit(lambda a, b: (residual(a) + residual(b) - residual(a + b), residual(a)))
    rest, size = both(sample, -2 * sample)
    affine = jnp.max(jnp.abs(rest - residual(zero))) < 1e-6 * jnp.max(jnp.abs(size))
    return field(_gauss_newton(residual, zero, 1 if bool(affine) else newton))


def _everywhere(out: AbstractField | tuple[AbstractField, ...], points: Float[Array, "n d"]) -> Float[Array, " rows"]:
    fields = out if isinstance(out, tuple) else (out,)
    return jnp.concatenate([jax.vmap(f)(points).reshape(-1) for f in fields])


def _gauss_newton(residual: Callable, start: Float[Array, " k"], steps: int) -> Float[Array, " k"]:
    @eqx.filter_jit
    def step(c: Float[Array, " k"]) -> Float[Array, " k"]:
        r, push = jax.linearize(residual, c)
        A = jax.vmap(push)(jnp.eye(len(c), dtype=c.dtype)).T
        norms = jnp.sqrt(jnp.sum(A**2, axis=1))
        weights = jnp.where(norms > 0, 1 / jnp.where(norms > 0, norms, 1), 0)
        return c - jnp.linalg.lstsq(A * weights[:, None], r * weights)[0]

    for _ in range(steps):
        start = step(start)
    return start
