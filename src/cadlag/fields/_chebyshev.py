"""Derivatives by the polynomial through Chebyshev's nodes."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.fields._grid import AbstractScheme, Grid, Nodes


class Chebyshev(AbstractScheme):
    """The polynomial through the values at `Nodes.chebyshev`, differentiated and evaluated (Trefethen 2000, ch. 6).

    Spectrally accurate for smooth functions. Rounding grows like n² for a first derivative and n⁴ for a second: work
    in float64 from a few dozen points on.
    """

    def differentiate(self, values: Float[Array, "..."], grid: Grid, axis: str, order: int) -> Float[Array, "..."]:
        """A power of the differentiation matrix."""
        place = grid.domain.axis(axis) - grid.domain.dimension
        matrix = jnp.asarray(np.linalg.matrix_power(_differentiation(_nodes(grid, axis)), order), values.dtype)
        moved = jnp.moveaxis(values, place, -1)
        return jnp.moveaxis(jnp.matmul(moved, matrix.T, precision="highest"), -1, place)

    def interpolate(self, values: Float[Array, "..."], grid: Grid, point: Float[Array, " d"]) -> Float[Array, "..."]:
        """The barycentric formula, one axis after another."""
        for i in reversed(range(grid.domain.dimension)):
            values = _barycentric(values, _nodes(grid, grid.domain.names[i]), point[i])
        return values


def _nodes(grid: Grid, axis: str) -> np.ndarray:
    if grid.nodes[grid.domain.axis(axis)] is not Nodes.chebyshev:
        raise ValueError(f"Chebyshev: axis {axis!r} has other nodes; make the grid with `Nodes.chebyshev` there.")
    return grid.points(axis)


def _weights(n: int) -> np.ndarray:
    w = (-1.0) ** np.arange(n)
    w[[0, -1]] /= 2
    return w


def _differentiation(x: np.ndarray) -> np.ndarray:
    w, n = _weights(len(x)), len(x)
    gaps = x[:, None] - x[None, :] + np.eye(n)
    matrix = w[None, :] / w[:, None] / gaps
    np.fill_diagonal(matrix, 0)
    # A constant has no slope: the diagonal that makes rows sum to zero also carries the least rounding.
    np.fill_diagonal(matrix, -matrix.sum(axis=1))
    return matrix


def _barycentric(values: Float[Array, "... n"], nodes: np.ndarray, x: Float[Array, ""]) -> Float[Array, "..."]:
    gaps = x - jnp.asarray(nodes, values.dtype)
    hit = gaps == 0
    terms = jnp.asarray(_weights(len(nodes)), values.dtype) / jnp.where(hit, 1, gaps)
    terms = jnp.where(jnp.any(hit), hit.astype(values.dtype), terms)
    return jnp.matmul(values, terms, precision="highest") / jnp.sum(terms)
