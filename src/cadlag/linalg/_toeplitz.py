"""Toeplitz matrices from their first column and row: a function of the lag, evaluated once for each lag."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def toeplitz(column: Float[Array, " n"], row: Float[Array, " m"] | None = None) -> Float[Array, "n m"]:
    """T[i, k] = column[i - k] on and below the diagonal, row[k - i] above it; by default the symmetric one.

    Made by copying and reshaping, so its gradient is a sum and no scatter. An antisymmetric matrix is
    `toeplitz(column, -column)`. `row[0]` is not read.
    """
    row = column if row is None else row
    n, m = len(column), len(row)
    # Columns of the matrix are windows of one period (column, a filler, row backwards), each starting one earlier:
    # lines one entry shorter than the period shift by that.
    period = jnp.concatenate([column, jnp.zeros(1, column.dtype), row[:0:-1]])
    lines = jnp.tile(period, m)[: m * (n + m - 1)].reshape(m, n + m - 1)
    return lines[:, :n].T
