"""Functions of symmetric matrices through their eigenvalues."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def symmetric_sqrt(a: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """The symmetric root S of a positive semidefinite matrix, S S = A.

    Only the symmetric part of A is read, and eigenvalues that rounding made negative count as zero. The derivative is
    not defined where eigenvalues coincide or vanish.
    """
    values, vectors = jnp.linalg.eigh(a)
    roots = jnp.sqrt(jnp.maximum(values, 0))
    return jnp.matmul(vectors * roots[..., None, :], jnp.swapaxes(vectors, -1, -2), precision="highest")
