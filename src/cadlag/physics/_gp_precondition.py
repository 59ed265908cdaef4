"""A preconditioner for the inner problem on a tensor grid: a diagonal, in a basis of each axis.

The Hessian C⁻¹ + v FᵀF + kappa BᵀB is a sum of Kronecker products once the residual's coefficients are replaced by
their means. The basis of axis j is that of the eigenvectors of the part that acts along j alone,
C_j⁻¹ + v Σ_α mean(c_α²) D_jᵅᵀ D_jᵅ + kappa (its faces); there, the other parts are nearly diagonal too.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.equations._symbol import Terms, linear_terms
from cadlag.fields import GridField
from cadlag.kernels import KernelScheme
from cadlag.linalg import kronecker_apply
from cadlag.physics._gp_objective import GPState, LogJoint
from cadlag.physics._grid_problem import at_face

Face = tuple[int | None, ...]


def preconditioner(
    joint: LogJoint, state: GPState, scheme: KernelScheme, inverses: list[Array], u: Float[Array, "..."]
) -> Callable[[Float[Array, "..."]], Float[Array, "..."]]:
    """x → an approximation of the inverse Hessian at u, times x."""
    parts = _weighted_parts(joint, state, GridField(joint.problem.grid, u, scheme))
    names = joint.problem.grid.domain.names
    bases = [_basis(j, parts, scheme, joint, inverse) for j, inverse in enumerate(inverses)]
    rotated = [
        {k: scheme.matrix(joint.problem.grid, name, k) @ X for k in _orders(j, parts)}
        for j, (name, X) in enumerate(zip(names, bases, strict=True))
    ]
    diagonal = _outer([jnp.sum(X * (inverse @ X), axis=0) for X, inverse in zip(bases, inverses, strict=True)])
    for weight, terms, face in parts:
        diagonal = diagonal + weight * _diagonal(terms, face, rotated)
    back = [X.T for X in bases]
    return lambda x: kronecker_apply(bases, kronecker_apply(back, x) / diagonal)


def _weighted_parts(joint: LogJoint, state: GPState, u: GridField) -> list[tuple[Array, Terms, Face]]:
    """(weight, coefficients, face) of every residual; no face for the equation's own."""
    v, kappa = joint.weights(state)
    problem = joint.problem
    everywhere: Face = (None,) * len(u.grid.shape)
    parts: list[tuple[Array, Terms, Face]] = [
        (v, terms, everywhere) for terms in linear_terms(problem.equation.residual, u)
    ]
    for condition, face in zip(problem.equation.conditions(), problem.faces, strict=True):
        parts += [(kappa, terms, face) for terms in linear_terms(condition.residual, u)]
    return parts


def _orders(axis: int, parts: list[tuple[Array, Terms, Face]]) -> set[int]:
    return {0} | {alpha[axis] for _, terms, _ in parts for alpha in terms}


def _basis(
    axis: int, parts: list[tuple[Array, Terms, Face]], scheme: KernelScheme, joint: LogJoint, inverse: Array
) -> Float[Array, "n n"]:
    grid = joint.problem.grid
    total = inverse
    for weight, terms, face in parts:
        for alpha, c in terms.items():
            if face[axis] is None and (alpha[axis] == 0 or any(i is not None for i in face)):
                continue
            rows = scheme.matrix(grid, grid.domain.names[axis], alpha[axis])
            rows = rows if face[axis] is None else rows[face[axis]][None]
            total = total + weight * jnp.mean(at_face(c, face) ** 2) * rows.T @ rows
    return jnp.linalg.eigh((total + total.T) / 2)[1]


def _diagonal(terms: Terms, face: Face, rotated: list[dict[int, Array]]) -> Float[Array, "..."]:
    """The diagonal of (Σ_α c_α ∂^α)ᵀ (Σ_α c_α ∂^α) in the bases, coefficients averaged."""
    total = jnp.zeros((1,) * len(rotated), rotated[0][0].dtype)
    for alpha, a in terms.items():
        for beta, b in terms.items():
            each = [_columns(r[alpha[j]], r[beta[j]], face[j]) for j, r in enumerate(rotated)]
            total = total + jnp.mean(at_face(a, face) * at_face(b, face)) * _outer(each)
    return total


def _columns(left: Float[Array, "n n"], right: Float[Array, "n n"], row: int | None) -> Float[Array, " n"]:
    return jnp.sum(left * right, axis=0) if row is None else left[row] * right[row]


def _outer(vectors: list[Float[Array, " _"]]) -> Float[Array, "..."]:
    product = vectors[0]
    for vector in vectors[1:]:
        product = product[..., None] * vector.reshape((1,) * product.ndim + (-1,))
    return product
