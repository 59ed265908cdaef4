"""Finite differences: exact on polynomials, of the stated order up to the walls, and periodic ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.fields import Box, Differences, Grid, GridField, Nodes, Wall, to_nodes

LINE = Box({"x": (0.0, 2.0)})
RING = Box({"x": (0.0, 2.0)}, periodic="x")
BOTH = Box({"x": (0.0, 1.0), "y": (0.0, 2.0)}, periodic="y")
OPEN = (Nodes.ends, Nodes.centres, Nodes.interior)


def field(grid, values, **options):
    return GridField(grid, jnp.asarray(values), Differences(**options))


def slopes(errors, sizes):
    return -np.polyfit(np.log(sizes), np.log(errors), 1)[0]


@pytest.mark.parametrize("nodes", OPEN)
@pytest.mark.parametrize("accuracy", [2, 4])
def test_polynomials_are_differentiated_exactly_up_to_free_walls(nodes, accuracy):
    """Degree `order + accuracy - 1`, which is what the stated order asks for; rounding is about eps / h^order."""
    grid = Grid(LINE, 12, nodes=(nodes,))
    x = grid.points("x")
    for order in (1, 2, 3):
        p = np.polynomial.Polynomial(1 + np.arange(order + accuracy))
        d = field(grid, p(x), accuracy=accuracy).d("x", order)
        np.testing.assert_allclose(d.values, p.deriv(order)(x), rtol=1e-9)


P = np.polynomial.Polynomial([0, 0, 2, -2, 0.5])  # x² (2 - x)² / 2, flat at both walls
# Each meets its condition and nothing more: higher derivatives do not vanish at the walls. With two derivatives.
MEETS = {
    Wall.free: (np.exp, np.exp, np.exp),
    Wall.dirichlet: tuple(
        lambda x, c=c: np.polynomial.Polynomial(c)(x) * np.exp(x) for c in ((0, 2, -1), (2, 0, -1), (2, -2, -1))
    ),
    Wall.neumann: (
        lambda x: np.exp(P(x)),
        lambda x: P.deriv()(x) * np.exp(P(x)),
        lambda x: (P.deriv(2)(x) + P.deriv()(x) ** 2) * np.exp(P(x)),
    ),
}


@pytest.mark.parametrize("wall", list(Wall))
@pytest.mark.parametrize("nodes", OPEN)
@pytest.mark.parametrize("accuracy", [2, 4])
def test_orders_up_to_the_walls(wall, nodes, accuracy):
    """The largest error over all points. What is known at the wall replaces a point, so orders do not fall there."""
    errors, sizes = [], np.asarray([128, 256] if accuracy == 2 else [96, 192])
    for n in sizes:
        grid = Grid(LINE, int(n), nodes=(nodes,))
        u, *known = (f(grid.points("x")) for f in MEETS[wall])
        both = jax.jit(lambda v, g=grid: [field(g, v, accuracy=accuracy, walls=wall).d("x", k).values for k in (1, 2)])
        errors.append([np.max(np.abs(ours - f)) for ours, f in zip(both(u), known, strict=True)])
    for column in np.transpose(errors):
        assert slopes(column, sizes) > accuracy - 0.3


def test_a_wall_is_what_makes_the_usual_stencil():
    """With u = 0 beside the first point the second difference there is (-2, 1), and the matrix is symmetric."""
    grid = Grid(LINE, 8, nodes=(Nodes.interior,))
    rows = field(grid, np.eye(8), walls=Wall.dirichlet).d("x", 2).values * grid.spacing("x") ** 2
    usual = np.diag(np.full(8, -2.0)) + np.diag(np.ones(7), 1) + np.diag(np.ones(7), -1)
    np.testing.assert_allclose(rows, usual, atol=1e-12)


@pytest.mark.parametrize(("accuracy", "error"), [(2, 2.6e-2), (4, 7.8e-4)])
def test_periodic_axes(accuracy, error):
    """sin on 16 points: the modified wavenumbers are sin(kh)/h and (8 sin(kh) - sin(2kh))/(6h)."""
    grid, k = Grid(RING, 16), np.pi
    u = field(grid, np.sin(k * grid.points("x")), accuracy=accuracy).d("x")
    kh = k * grid.spacing("x")
    symbol = np.sin(kh) if accuracy == 2 else (8 * np.sin(kh) - np.sin(2 * kh)) / 6
    np.testing.assert_allclose(u.values, symbol / grid.spacing("x") * np.cos(k * grid.points("x")), atol=1e-14)
    assert abs(symbol / kh - 1) == pytest.approx(error, rel=0.1)


def test_two_axes_components_and_dtypes():
    """Walls that differ from end to end, a periodic axis beside them, and one pass under jit."""
    grid = Grid(BOTH, (24, 32))
    x, y = grid.mesh()
    u = np.stack([x * np.exp(x) * np.sin(np.pi * y), np.cos(np.pi * y) + 0 * x])
    scheme = Differences(4, walls={"x": (Wall.dirichlet, Wall.free)})
    d = jax.jit(lambda v: GridField(grid, v, scheme).laplacian().values)
    known = np.stack([(2 + x - np.pi**2 * x) * np.exp(x) * np.sin(np.pi * y), -(np.pi**2) * np.cos(np.pi * y) + 0 * x])
    np.testing.assert_allclose(d(jnp.asarray(u)), known, atol=5e-3)
    assert d(jnp.asarray(u, jnp.float32)).dtype == jnp.float32


@pytest.mark.parametrize("accuracy", [2, 4])
def test_interpolation_is_exact_on_polynomials(accuracy):
    grid = Grid(Box({"x": (0.0, 2.0), "y": (-1.0, 1.0)}), (9, 7), nodes=(Nodes.ends, Nodes.centres))
    p, q = (np.polynomial.Polynomial(c[:accuracy]) for c in ([1, -2, 0.5, 3], [2, 1, -1, 0.3]))
    x, y = grid.mesh()
    u = field(grid, np.stack([p(x) * q(y), p(x)]), accuracy=accuracy)
    for point in ((0.0, -1.0), (1.03, 0.4), (2.0, 1.0)):
        known = [p(point[0]) * q(point[1]), p(point[0])]
        np.testing.assert_allclose(u(jnp.asarray(point)), known, rtol=1e-12)
    ring = Grid(RING, 64)
    wave = field(ring, np.cos(np.pi * ring.points("x")), accuracy=4)
    assert abs(float(wave(jnp.asarray([1.99]))) - np.cos(np.pi * 1.99)) < 2e-6  # (k h)^4 / 43 at worst


def test_to_other_nodes_and_back():
    """Cubics exactly between walls; on a ring the factor (9 cos(kh/2) - cos(3kh/2)) / 8 of a wave in closed form."""
    grid = Grid(LINE, 9)
    p = np.polynomial.Polynomial([1, -2, 0.5, 3])
    u = field(grid, p(grid.points("x")))
    centres = to_nodes(u, Nodes.centres)
    assert centres.grid.shape == (8,)
    np.testing.assert_allclose(centres.values, p(centres.grid.points("x")), rtol=1e-12)
    np.testing.assert_allclose(to_nodes(centres, Nodes.ends).values, u.values, rtol=1e-11)
    ring = Grid(RING, 16)
    k, h = np.pi, ring.spacing("x")
    wave = field(ring, np.sin(k * ring.points("x")))
    moved = to_nodes(wave, Nodes.centres)
    factor = (9 * np.cos(k * h / 2) - np.cos(3 * k * h / 2)) / 8
    np.testing.assert_allclose(moved.values, factor * np.sin(k * moved.grid.points("x")), atol=1e-14)
    np.testing.assert_allclose(to_nodes(moved, Nodes.start).values, factor**2 * wave.values, atol=1e-14)
    with pytest.raises(ValueError, match="axis 'x' goes from ends to interior"):
        to_nodes(u, Nodes.interior)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Differences(3), "accuracy=3; expected 2 or 4"),
        (lambda: field(Grid(RING, 8), np.zeros(8), walls={"x": Wall.neumann}).d("x"), r"walls on \['x'\]"),
        (lambda: field(Grid(LINE, 8), np.zeros(8), walls={"z": Wall.neumann}).d("x"), r"walls on \['z'\]"),
        (
            lambda: field(Grid(LINE, 4), np.zeros(4), accuracy=4).d("x", 2),
            "4 points along 'x'; order 2 takes 7 or more",
        ),
    ],
)
def test_what_differences_refuse(make, message):
    with pytest.raises(ValueError, match=message):
        make()
