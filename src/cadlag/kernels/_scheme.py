"""Derivatives of values on a grid by the mean of a Gaussian process."""

from collections.abc import Iterable

import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.fields import AbstractScheme, Box, Grid, Nodes
from cadlag.kernels._expansion import KernelExpansion
from cadlag.kernels._periodised import Periodised
from cadlag.kernels._stationary import AbstractStationary, lag_matrix
from cadlag.linalg import Cholesky, apply_along, safe_cholesky


class KernelScheme(AbstractScheme):
    """u ~ GP(0, ∏_j k_j) known on a grid: derivatives and values between are those of the conditional mean.

    Along axis j, ∂^k u = K_j^(k) C_j⁻¹ u with C_j = K_j + nugget max(1, k_j(0)) I; the other axes cancel. On
    uniform axes kernels are evaluated once for each lag. No matrix is larger than an axis.

    **Arguments:**

    - `grid`: where the values are.
    - `kernels`: one stationary kernel for each axis, all in the precision to work in. A periodic axis needs a
        periodic kernel, `Periodised`.
    - `nugget`: on each diagonal; relative to the variance where that is above one, so that no scale of the kernels
        leaves double precision.
    - `dtype`: of the values; by default JAX's own.
    - `explicit`: (axis, order) of the derivatives whose matrices K^(k) C⁻¹ are formed and kept, for many fields or
        tangents; others solve with C for each field.

    `jitter` of each of `factors` says what the Cholesky factorisation added to the nugget; 0 as a rule.
    """

    kernels: tuple[AbstractStationary, ...]
    factors: tuple[Cholesky, ...]
    matrices: dict[tuple[str, int], Float[Array, "_ _"]]

    def __init__(
        self,
        grid: Grid,
        kernels: tuple[AbstractStationary, ...],
        *,
        nugget: float = 1e-6,
        dtype: jnp.dtype | type | None = None,
        explicit: Iterable[tuple[str, int]] = (),
    ) -> None:
        _check(grid.domain, kernels)
        self.kernels = kernels
        dtype = jnp.result_type(float) if dtype is None else dtype
        factors = []
        for name, kernel in zip(grid.domain.names, kernels, strict=True):
            gram = axis_matrix(kernel, grid, name, 0, dtype)
            added = nugget * jnp.maximum(gram[0, 0], 1)
            factors.append(safe_cholesky(gram + added * jnp.eye(len(gram), dtype=gram.dtype)))
        self.factors, self.matrices = tuple(factors), {}
        self.matrices = {(axis, order): self.matrix(grid, axis, order) for axis, order in explicit}

    def differentiate(self, values: Float[Array, "..."], grid: Grid, axis: str, order: int) -> Float[Array, "..."]:
        """K^(order) C⁻¹ along the axis."""
        place = grid.domain.axis(axis)
        if (axis, order) in self.matrices:
            return apply_along(self.matrices[axis, order], values, place - grid.domain.dimension)
        at = place - grid.domain.dimension
        matrix = axis_matrix(self.kernels[place], grid, axis, order, values.dtype)
        return apply_along(matrix, _solve_along(self.factors[place], values, at), at)

    def matrix(self, grid: Grid, axis: str, order: int) -> Float[Array, "n n"]:
        """K^(order) C⁻¹ of an axis; the identity for order 0."""
        if (axis, order) in self.matrices:
            return self.matrices[axis, order]
        place = grid.domain.axis(axis)
        factor = self.factors[place]
        if order == 0:
            return jnp.eye(len(factor.factor), dtype=factor.factor.dtype)
        return factor.solve(axis_matrix(self.kernels[place], grid, axis, order, factor.factor.dtype).T).T

    def interpolate(self, values: Float[Array, "..."], grid: Grid, point: Float[Array, " d"]) -> Float[Array, "..."]:
        """k(point, X) C⁻¹, one axis after another."""
        for j in reversed(range(grid.domain.dimension)):
            points = jnp.asarray(grid.points(grid.domain.names[j]), values.dtype)
            row = self.factors[j].solve(self.kernels[j].lag(point[j] - points))
            values = jnp.matmul(values, row, precision="highest")
        return values

    def expansion(self, values: Float[Array, "..."], grid: Grid) -> KernelExpansion:
        """The conditional mean as a field of its own, which solves with the C_j once."""
        for j, factor in enumerate(self.factors):
            values = _solve_along(factor, values, j)
        centres = tuple(jnp.asarray(grid.points(name), values.dtype) for name in grid.domain.names)
        return KernelExpansion(grid.domain, self.kernels, centres, values)


def _solve_along(factor: Cholesky, values: Float[Array, "..."], axis: int) -> Float[Array, "..."]:
    """C⁻¹ along an axis."""
    moved = jnp.moveaxis(values, axis, 0)
    return jnp.moveaxis(factor.solve(moved.reshape(len(moved), -1)).reshape(moved.shape), 0, axis)


def axis_matrix(
    kernel: AbstractStationary, grid: Grid, axis: str, order: int, dtype: jnp.dtype | type
) -> Float[Array, "n n"]:
    """The kernel's derivative between all points of an axis; from the lags alone where the points are uniform."""
    points = grid.points(axis)
    if grid.nodes[grid.domain.axis(axis)] is Nodes.chebyshev:
        return kernel.gram(jnp.asarray(points, dtype), order=order)
    return lag_matrix(kernel, jnp.asarray(points - points[0], dtype), order)


def _check(domain: Box, kernels: tuple[AbstractStationary, ...]) -> None:
    if len(kernels) != domain.dimension:
        raise ValueError(f"kernels: {len(kernels)} for the axes {domain.names}; expected one for each.")
    for name, kernel in zip(domain.names, kernels, strict=True):
        if not isinstance(kernel, AbstractStationary):
            raise TypeError(f"kernels: axis {name!r} has a {type(kernel).__name__}; expected a stationary kernel.")
        low, high = domain.bounds(name)
        if name in domain.periodic and not (isinstance(kernel, Periodised) and abs(kernel.period - high + low) < 1e-9):
            raise ValueError(
                f"kernels: axis {name!r} is periodic with period {high - low}; wrap its kernel, "
                f"`Periodised(kernel, {high - low}, modes=…)`."
            )
