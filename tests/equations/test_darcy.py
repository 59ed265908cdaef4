"""Darcy's flow: the solver against a sparse direct one, closed forms and its order; random permeabilities."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from scipy.sparse.linalg import spsolve

from cadlag.equations import Darcy, MultiscaleField, ThresholdedField, solve_darcy
from cadlag.fields import Box, CallableField, Differences, Grid, GridField, Nodes

SQUARE = Box({"x": (0.0, 1.0), "y": (0.0, 1.0)})
KINDS = (Nodes.ends, Nodes.centres, Nodes.interior)


def smooth(x, y):
    return 2 + jnp.sin(2 * np.pi * x) * jnp.cos(2 * np.pi * y)


def bubble(x, y):
    return jnp.sin(np.pi * x) * jnp.sin(np.pi * y)


def source(x, y):
    """-div(a ∇u) of the two above, by hand."""
    k, p = 2 * np.pi, np.pi
    ax, ay = k * jnp.cos(k * x) * jnp.cos(k * y), -k * jnp.sin(k * x) * jnp.sin(k * y)
    ux, uy = p * jnp.cos(p * x) * jnp.sin(p * y), p * jnp.sin(p * x) * jnp.cos(p * y)
    return 2 * p**2 * smooth(x, y) * bubble(x, y) - ax * ux - ay * uy


MANUFACTURED = Darcy(smooth, source=source, solution=bubble)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_on_smooth_coefficients(kind):
    """2 in the largest error. With nodes at the ends the errors are known: 6.5e-3 on 15 points inside, 1.6e-3 on 31.

    With interior nodes a at the walls is that of the first points, which takes longer to become small.
    """
    errors = []
    for n in (17, 33) if kind is Nodes.ends else (32, 64):
        u = MANUFACTURED.solve(Grid(SQUARE, n, nodes=(kind, kind)))
        errors.append(float(jnp.max(jnp.abs(u.values - u.function(bubble).values))))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.2)
    if kind is Nodes.ends:
        np.testing.assert_allclose(errors, [6.5e-3, 1.62e-3], rtol=0.05)


def test_the_residual_vanishes_on_the_solution():
    """For a function to rounding; on a grid to the order of the differences; conditions on all faces."""
    exact = CallableField(domain=SQUARE, f=lambda p: bubble(*p))
    points = jax.random.uniform(jax.random.key(0), (20, 2))
    residual = eqx.filter_jit(jax.vmap(MANUFACTURED.residual(exact)))(points)
    np.testing.assert_allclose(residual, 0, atol=1e-12)
    errors = []
    for n in (32, 64):
        u = GridField(Grid(SQUARE, n), jnp.zeros((n, n)), Differences(4)).function(bubble)
        errors.append(float(jnp.max(jnp.abs(MANUFACTURED.residual(u).values))))
    assert np.log2(errors[0] / errors[1]) > 3.5
    assert [dict(c.at) for c in MANUFACTURED.conditions()] == [{"x": 0}, {"x": 1}, {"y": 0}, {"y": 1}]
    # A field as the coefficient, its values as they are.
    a = u.function(smooth)
    other = eqx.tree_at(lambda e: e.coefficient, MANUFACTURED, a, is_leaf=callable)
    np.testing.assert_array_equal(other.residual(u).values, MANUFACTURED.residual(u).values)


def direct(a, grid):
    """The five-point system by loops over cells, solved by LU."""
    n, kind, h = grid.shape[0], grid.nodes[0], grid.spacing("x")
    inner = range(1, n - 1) if kind is Nodes.ends else range(n)
    number = {cell: k for k, cell in enumerate((i, j) for i in inner for j in inner)}
    matrix = scipy.sparse.lil_matrix((len(number),) * 2)
    for (i, j), k in number.items():
        for neighbour in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
            weight = a[i, j] * (2 if kind is Nodes.centres else 1)  # a wall
            if all(0 <= m < n for m in neighbour):
                weight = 2 / (1 / a[i, j] + 1 / a[neighbour])
            matrix[k, k] += weight / h**2
            if neighbour in number:
                matrix[k, number[neighbour]] = -weight / h**2
    u = np.zeros(a.shape)
    for cell, value in zip(number, spsolve(matrix.tocsc(), np.ones(len(number))), strict=True):
        u[cell] = value
    return u


@pytest.mark.parametrize("kind", KINDS)
def test_against_a_direct_solver_with_jumps_of_four(kind):
    grid = Grid(SQUARE, 18, nodes=(kind, kind))
    keys = jax.random.split(jax.random.key(0), 2)
    a = jax.vmap(lambda k: ThresholdedField(grid).sample(k).values)(keys)
    u = eqx.filter_jit(jax.vmap(lambda a: solve_darcy(a, grid)))(a)
    for k in range(2):
        known = direct(np.asarray(a[k]), grid)
        # The residual is 1e-10 in the energy norm.
        np.testing.assert_allclose(u[k], known, atol=1e-9 * known.max())
    assert np.all(u >= 0)
    if kind is Nodes.ends:
        assert np.all(u[:, 0] == 0)
    single = eqx.filter_jit(jax.vmap(lambda a: solve_darcy(a, grid)))(a.astype(jnp.float32))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, u, atol=2e-5 * float(u.max()))


def test_closed_forms():
    """a = 1, f = 1: the known value in the middle; a = c divides by c; one axis: x (1 - x) / 2, and two layers."""
    grid = Grid(SQUARE, 129)
    u = solve_darcy(jnp.ones(grid.shape), grid)
    assert float(u[64, 64]) == pytest.approx(0.0736678, abs=5e-8)
    np.testing.assert_allclose(solve_darcy(jnp.full(grid.shape, 4.0), grid, 2.0), u / 2, rtol=1e-8, atol=1e-12)
    line = Grid(Box({"x": (0.0, 1.0)}), 65)
    x = line.points("x")
    np.testing.assert_allclose(solve_darcy(jnp.ones(65), line), x * (1 - x) / 2, atol=1e-12)
    # a = 1 left and 4 right of the middle of an interval: (a u')' = -1 with continuous flux q = c - x.
    cells = Grid(Box({"x": (0.0, 1.0)}), 64, nodes=(Nodes.centres,))
    x = cells.points("x")
    c = (1 / 8 + 3 / 32) / (1 / 2 + 1 / 8)
    known = np.where(x < 0.5, c * x - x**2 / 2, (c * (x - 1) - (x**2 - 1) / 2) / 4)
    found = solve_darcy(jnp.where(x < 0.5, 1.0, 4.0), cells)
    np.testing.assert_allclose(found, known, atol=1 / 64**2)  # order 2 in spite of the jump


def test_energy_and_gradient():
    """<a ∇u, ∇u> = <f, u>, and a derivative with respect to a against a difference."""
    grid = Grid(SQUARE, 10)
    a = ThresholdedField(grid).sample(jax.random.key(1)).values

    def mean(s):
        return jnp.sum(solve_darcy(a * s, grid))

    # u scales as 1 / s, so the derivative at 1 is minus the sum.
    np.testing.assert_allclose(jax.jit(jax.grad(mean))(1.0), -mean(1.0), rtol=1e-8)
    u = solve_darcy(a, grid)
    h = grid.spacing("x")
    energy = 0.0
    for axis in (0, 1):
        b, v = np.moveaxis(a, axis, 0), np.moveaxis(u, axis, 0)
        energy += np.sum(2 / (1 / b[1:] + 1 / b[:-1]) * np.diff(v, axis=0) ** 2 / h**2)
    np.testing.assert_allclose(energy, np.sum(u), rtol=1e-9)


def test_the_gaussian_field_has_its_covariance_and_no_grid():
    """The variance of cosine coefficients over 400 draws, for 8 modes, within 4.5 of its standard errors sqrt(2 / 400).

    That is a false alarm rate below 1e-4.
    """
    grid = Grid(SQUARE, 16, nodes=(Nodes.centres,) * 2)
    law = ThresholdedField(grid, modes=8)
    draws = np.asarray(jax.jit(jax.vmap(lambda k: law.gaussian(k).values))(jax.random.split(jax.random.key(2), 400)))
    assert np.max(np.abs(draws.mean((1, 2)))) < 1e-15
    x = grid.points("x")
    for i, j in ((1, 0), (0, 1), (1, 1), (2, 1), (3, 0), (0, 4), (5, 5), (7, 2)):
        wave = np.cos(np.pi * i * x)[:, None] * np.cos(np.pi * j * x)
        wave = wave / np.sqrt(np.mean(wave**2))
        variance = np.mean(np.mean(draws * wave, axis=(1, 2)) ** 2)
        assert abs(variance * (np.pi**2 * (i**2 + j**2) + 9) ** 2 - 1) < 4.5 * np.sqrt(2 / 400)
    key = jax.random.key(3)
    fine = ThresholdedField(Grid(SQUARE, 33), modes=8).gaussian(key).values
    coarse = ThresholdedField(Grid(SQUARE, 17), modes=8).gaussian(key).values
    np.testing.assert_allclose(fine[::2, ::2], coarse, atol=1e-14)
    phases = ThresholdedField(Grid(SQUARE, 33), values=(1, 7)).sample(key, dtype=jnp.float32).values
    assert set(np.unique(phases)) == {1.0, 7.0}
    assert phases.dtype == jnp.float32


def test_the_multiscale_field():
    """Longer products begin as shorter ones; each factor lies in (1/4, 9/4); too fine waves are refused."""
    grid, key = Grid(SQUARE, 65), jax.random.key(4)
    assert MultiscaleField.most(grid) == 3
    one, two = (MultiscaleField(grid, factors=k).sample(key).values for k in (1, 2))
    assert np.all((two / one > 0.25) & (two / one < 2.25))
    # x + y = 1 and y - 3 x = 1 meet at (0, 1), where the first factor is (1 + cos(a pi)/2) (1 + sin(a pi)/2).
    a = np.linspace(1, 1.5, 100001)
    reachable = (1 + np.cos(a * np.pi) / 2) * (1 + np.sin(a * np.pi) / 2)
    assert np.min(np.abs(reachable - float(one[0, -1]))) < 1e-4
    with pytest.raises(ValueError, match=r"factors=6 .* carries 3: take so many, or 290 points"):
        MultiscaleField(grid)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Darcy(smooth, space=Box({"x": (0, 1)}, periodic="x")), r"axes \('x',\) are periodic"),
        (lambda: solve_darcy(jnp.ones((4, 5)), Grid(SQUARE, 4)), r"a of shape \(4, 5\) on a grid of shape \(4, 4\)"),
        (lambda: ThresholdedField(Grid(SQUARE, 4), values=(0, 1)), "a permeability is positive"),
        (lambda: MultiscaleField(Grid(Box({"x": (0, 1)}), 9), factors=1), "1 axes and factors=1; expected 2"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_failure_is_an_error_or_nan():
    grid = Grid(SQUARE, 10)
    a = ThresholdedField(grid, values=(1, 1000)).sample(jax.random.key(0)).values
    with pytest.raises(Exception, match="no convergence in 2 steps"):
        solve_darcy(a, grid, max_steps=2)
    assert np.all(np.isnan(solve_darcy(a, grid, max_steps=2, throw=False)[1:-1, 1:-1]))
