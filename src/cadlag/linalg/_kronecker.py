"""Kronecker products A_1 ⊗ … ⊗ A_d of one matrix for each axis, applied to arrays; the product is never formed."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def apply_along(matrix: Float[Array, "rows columns"], u: Float[Array, "..."], axis: int) -> Float[Array, "..."]:
    """The matrix times every line of u along one axis (counted from either end)."""
    if u.shape[axis] != matrix.shape[1]:
        raise ValueError(
            f"apply_along: a matrix of shape {matrix.shape} and an axis {axis} of length {u.shape[axis]} of an array "
            f"of shape {u.shape}; expected as many columns as points."
        )
    lines = jnp.moveaxis(u, axis, 0).reshape(u.shape[axis], -1)
    out = jnp.matmul(matrix, lines, precision="highest")
    rest = u.shape[: axis % u.ndim] + u.shape[axis % u.ndim + 1 :]
    return jnp.moveaxis(out.reshape(matrix.shape[0], *rest), 0, axis)


def kronecker_apply(matrices: Sequence[Float[Array, "..."]], u: Float[Array, "..."]) -> Float[Array, "..."]:
    """(A_1 ⊗ … ⊗ A_d) u for u of shape (*batch, n_1, …, n_d): Σ n_j times the size of u in all."""
    _check_axes("kronecker_apply", len(matrices), u)
    for place, matrix in zip(range(-len(matrices), 0), matrices, strict=True):
        u = apply_along(matrix, u, place)
    return u


def kronecker_logdet(factors: Sequence[Float[Array, "..."]]) -> Float[Array, ""]:
    """log det (C_1 ⊗ … ⊗ C_d) = Σ_j (M / n_j) log det C_j from Cholesky factors L_j of the C_j; M = ∏ n_j."""
    size = 1
    for factor in factors:
        size *= check_square("kronecker_logdet", factor)
    each = [2 * (size // len(L)) * jnp.sum(jnp.log(jnp.diagonal(L))) for L in factors]
    return sum(each[1:], each[0])


def kronecker_whiten(factors: Sequence[Float[Array, "..."]], u: Float[Array, "..."]) -> Float[Array, "..."]:
    """(L_1 ⊗ … ⊗ L_d)⁻¹ u, which has unit covariance where u ~ N(0, C_1 ⊗ … ⊗ C_d)."""
    _check_axes("kronecker_whiten", len(factors), u)
    for place, factor in zip(range(-len(factors), 0), factors, strict=True):
        lines = jnp.moveaxis(u, place, 0)
        out = jax.scipy.linalg.solve_triangular(factor, lines.reshape(len(factor), -1), lower=True)
        u = jnp.moveaxis(out.reshape(lines.shape), 0, place)
    return u


def kronecker_quadratic(factors: Sequence[Float[Array, "..."]], u: Float[Array, "..."]) -> Float[Array, ""]:
    """uᵀ (C_1 ⊗ … ⊗ C_d)⁻¹ u from Cholesky factors, summed over the batch axes of u."""
    return jnp.sum(jnp.square(kronecker_whiten(factors, u)))


def check_square(name: str, matrix: Float[Array, "..."]) -> int:
    """The side of a square matrix."""
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name}: a matrix of shape {matrix.shape}; expected a square one.")
    return matrix.shape[0]


def _check_axes(name: str, count: int, u: Float[Array, "..."]) -> None:
    if not 1 <= count <= u.ndim:
        raise ValueError(f"{name}: {count} matrices for an array of shape {u.shape}; expected one for each last axis.")
