"""One residual in two representations, spectral derivatives, boxes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.equations import Equation, dirichlet, initial, manufactured
from cadlag.fields import Box, CallableField, Grid, GridField, Nodes, Spectral, divergence, stack

SPACE = Box({"x": (0.0, 2.0), "y": (-1.0, 2.0)}, periodic=("x", "y"))


def wave(x, y):
    return jnp.sin(np.pi * x) * jnp.exp(jnp.cos(2 * np.pi * (y + 1) / 3))


def on_grid(shape=(24, 32), f=wave):
    grid = Grid(SPACE, shape)
    return GridField(grid, f(*map(jnp.asarray, grid.mesh())), Spectral())


def called(f=wave):
    return CallableField(domain=SPACE, f=lambda p: f(*p))


def at_points(field, grid):
    points = jnp.stack([jnp.asarray(x).ravel() for x in grid.mesh()], axis=-1)
    return jax.vmap(field)(points).reshape(grid.shape)


def expression(u):
    x = u.coordinate("x")
    return u.laplacian() - 0.3 * u * u.d("y", 3) + (1 - u) ** 2 / 2 + x * u.d("x")


def test_one_residual_on_a_grid_and_on_a_callable():
    u = on_grid()
    ours, theirs = expression(u).values, at_points(expression(called()), u.grid)
    # Modes above the 16th of exp(cos) are below 1e-14; the third derivative multiplies rounding by k³ ~ 4e4.
    np.testing.assert_allclose(ours, theirs, atol=1e-8)


def test_spectral_interpolation_is_the_function():
    u = on_grid()
    points = jnp.asarray([[0.123, 1.7], [1.9, -0.95], [0.0, 0.0]])
    np.testing.assert_allclose(jax.vmap(u)(points), jax.vmap(called())(points), atol=1e-12)


def test_integral_and_norm_against_closed_forms():
    u = on_grid(f=lambda x, y: 1 + jnp.sin(np.pi * x) + 0 * y)
    np.testing.assert_allclose(u.integral(), 6.0, rtol=1e-13)
    np.testing.assert_allclose(u.norm() ** 2, 9.0, rtol=1e-13)
    grid = Grid(Box({"x": (0.0, 1.0)}), 11)
    line = GridField(grid, jnp.asarray(grid.points("x")), Spectral())
    np.testing.assert_allclose(line.integral(), 0.5, rtol=1e-13)  # trapezoids are exact for lines


def test_vector_fields_stack_and_divergence():
    u = on_grid()
    v = stack([u.d("x"), u.d("y")])
    assert v.values.shape == (2, *u.grid.shape)
    np.testing.assert_allclose(divergence(v).values, u.laplacian().values, atol=1e-9)
    w = stack([called().d("x"), called().d("y")])
    point = jnp.asarray([0.3, 0.4])
    np.testing.assert_allclose(divergence(w)(point), called().laplacian()(point), rtol=1e-12)


def test_the_nodes_of_a_grid():
    box = Box({"x": (0.0, 1.0)})
    np.testing.assert_allclose(Grid(box, 3).points("x"), [0, 0.5, 1])
    np.testing.assert_allclose(Grid(box, 2, nodes=(Nodes.centres,)).points("x"), [0.25, 0.75])
    np.testing.assert_allclose(Grid(box, 3, nodes=(Nodes.interior,)).points("x"), [0.25, 0.5, 0.75])
    np.testing.assert_allclose(Grid(Box({"x": (0.0, 1.0)}, periodic="x"), 4).points("x"), [0, 0.25, 0.5, 0.75])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Box({}), "no axis"),
        (lambda: Box({"x": (1.0, 1.0)}), "lower < upper"),
        (lambda: Box({"x": (0.0, float("inf"))}), "finite"),
        (lambda: Box({"x": (0.0, 1.0)}, periodic="y"), "no axes of it"),
        (lambda: SPACE.axis("z"), "this box has the axes"),
        (lambda: Grid(SPACE, (4,)), "two points or more"),
        (lambda: Grid(Box({"x": (0.0, 1.0)}), 4, nodes=(Nodes.start,)), "not periodic"),
        (lambda: GridField(Grid(SPACE, 4), jnp.ones((4, 5)), Spectral()), "on a grid of shape"),
        (lambda: on_grid() + on_grid((4, 4)), "same grid"),
        (lambda: on_grid() + called(), "same grid"),
        (lambda: on_grid() + jnp.ones(3), "do not combine"),
        (lambda: on_grid().d("x", -1), "integer >= 0"),
        (lambda: called().d("z"), "this box has the axes"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_an_equation_of_ones_own_and_its_manufactured_solution():
    box = Box({"t": (0.0, 1.0), "x": (-1.0, 1.0)})
    heat = Equation(
        domain=box,
        residual_of=lambda u, nu: u.d("t") - nu * u.d("x", 2),
        given=(initial(lambda t, x: jnp.sin(np.pi * x)), *dirichlet(box)),
        parameters=jnp.asarray(0.1),
        exact=lambda t, x: jnp.exp(-0.1 * np.pi**2 * t) * jnp.sin(np.pi * x),
    )
    points = jnp.asarray([[0.0, 0.3], [0.7, -0.2]])
    known = CallableField(domain=box, f=lambda p: heat.exact(*p))
    np.testing.assert_allclose(jax.vmap(heat.residual(known))(points), 0, atol=1e-14)
    np.testing.assert_allclose(heat.conditions()[0].residual(known)(points[0]), 0, atol=1e-14)

    other = manufactured(heat, lambda t, x: jnp.cos(t) * x**2)
    u = CallableField(domain=box, f=lambda p: other.exact(*p))
    wrong = CallableField(domain=box, f=lambda p: 2 * other.exact(*p))
    np.testing.assert_allclose(jax.vmap(other.residual(u))(points), 0, atol=1e-14)
    t, x = points.T
    # The source is u*_t - 0.1 u*_xx, so twice the solution leaves the source as its residual.
    source = -jnp.sin(t) * x**2 - 0.2 * jnp.cos(t)
    np.testing.assert_allclose(jax.vmap(other.residual(wrong))(points), source, atol=1e-14)
    for condition in other.conditions():
        place = jnp.asarray([dict(condition.at).get("t", 0.4), dict(condition.at).get("x", 0.1)])
        np.testing.assert_allclose(condition.residual(u)(place), 0, atol=1e-14)


def test_a_condition_outside_the_domain_is_refused():
    box = Box({"t": (0.0, 1.0), "x": (-1.0, 1.0)})
    with pytest.raises(ValueError, match="outside the domain"):
        Equation(domain=box, residual_of=lambda u, p: u, given=(initial(lambda t, x: x, t=2.0),))
