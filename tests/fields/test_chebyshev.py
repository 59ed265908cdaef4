"""Chebyshev's nodes: derivatives, values between, integrals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.fields import Box, Chebyshev, Grid, GridField, Nodes

BOX = Box({"x": (0.0, 2.0), "y": (-1.0, 0.5)})


def field(n=24, f=lambda x, y: jnp.exp(-x) * jnp.sin(3 * y)):
    grid = Grid(BOX, (n, n), nodes=(Nodes.chebyshev,) * 2)
    return GridField(grid, f(*map(jnp.asarray, grid.mesh())), Chebyshev())


def test_derivatives_of_a_smooth_function():
    u = field()
    # Rounding n^4 u = 4e5 · 1e-16 for second derivatives.
    np.testing.assert_allclose(u.d("x").values, -u.values, atol=1e-11)
    np.testing.assert_allclose(u.d("y", 2).values, -9 * u.values, atol=1e-8)


def test_values_between_and_at_nodes():
    u = field()
    points = jnp.asarray([[0.3, -0.77], [0.0, -1.0], [2.0, 0.1]])
    expected = np.exp(-np.asarray(points[:, 0])) * np.sin(3 * np.asarray(points[:, 1]))
    np.testing.assert_allclose(jax.vmap(u)(points), expected, atol=1e-12)


@pytest.mark.parametrize("n", [2, 3, 6, 7])
def test_integrals_are_exact_for_polynomials(n):
    grid = Grid(Box({"x": (0.0, 2.0)}), n, nodes=(Nodes.chebyshev,))
    for k in range(n):
        np.testing.assert_allclose(grid.weights("x") @ grid.points("x") ** k, 2.0 ** (k + 1) / (k + 1), rtol=1e-12)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"Nodes\.chebyshev"):
        GridField(Grid(BOX, 5), jnp.zeros((5, 5)), Chebyshev()).d("x")
    with pytest.raises(ValueError, match="no one spacing"):
        field().grid.spacing("x")
    with pytest.raises(ValueError, match="periodic"):
        Grid(Box({"x": (0.0, 1.0)}, periodic="x"), 5, nodes=(Nodes.chebyshev,))
