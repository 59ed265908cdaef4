"""Differences of an equation's own, and steps in time as residuals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.equations import Burgers, KleinGordon, NonlinearDiffusion, ShallowWater, TimeScheme, simulate
from cadlag.fields import Box, CallableField, FourierField, Grid, GridField, Nodes, Spectral
from cadlag.solve import solve

NOTHING = CallableField(domain=Burgers().space, f=lambda p: 0 * p[0])
TORUS = Box({"x": (0.0, 1.0), "y": (0.0, 1.0)}, periodic=("x", "y"))


def test_a_gravity_wave_on_the_c_grid_is_of_order_two_and_keeps_its_mass():
    """h = 1 + a cos(k (x - c t)), u = a c cos(…), c = sqrt(g h), with a so small that the equations are linear.

    After one period errors on 16 and 32 cells are 4.0e-2 and 1.0e-2 of the amplitude.
    """
    a, k = 1e-7, 2 * np.pi
    wave = lambda x, y: jnp.stack([1 + a * jnp.cos(k * x), a * jnp.cos(k * x), 0 * x])
    equation = ShallowWater(u0=wave)
    errors = []
    for n in (16, 32):
        frames = simulate(equation, Grid(TORUS, (n, 2)), [0.0, 1.0], step=0.5 / n).values
        errors.append(float(jnp.max(jnp.abs(frames[1, 0] - frames[0, 0])) / a))
        np.testing.assert_allclose(jnp.mean(frames[1, 0]), jnp.mean(frames[0, 0]), rtol=1e-15)
    assert np.all(np.asarray(errors) < 1.5 * np.asarray([4.0e-2, 1.0e-2]))
    np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), 2, atol=0.15)


def test_the_c_grid_tends_to_the_rate():
    """Second order for all terms: against spectral derivatives of the same functions, at the shifted points."""
    k = 2 * np.pi
    state = lambda x, y: jnp.stack(
        [
            2 + jnp.cos(k * x) * jnp.sin(k * y),
            jnp.sin(k * (x + y)) + 0.3,
            jnp.cos(k * (2 * x - y)) - 0.2,
        ]
    )
    equation = ShallowWater(2.0, 3.0, 0.1, u0=state)
    exact = equation.rate(CallableField(domain=TORUS, f=lambda p: state(*p)))
    rate = lambda x, y: jax.vmap(exact)(jnp.stack([x.ravel(), y.ravel()], -1)).T.reshape(3, *x.shape)
    errors = []
    for n in (32, 64):

        @jax.jit
        def error(grid):
            ours = equation.on(grid).drift(0.0, equation.sample(state, grid, jnp.float64), None)
            return jnp.max(jnp.abs(ours - equation.sample(rate, grid, jnp.float64)))

        errors.append(float(error(Grid(TORUS, n))))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


def test_water_at_rest_stays_and_a_geostrophic_current_is_steady():
    still = ShallowWater(u0=lambda x, y: jnp.stack([1 + 0 * x, 0 * x, 0 * x]))
    grid = Grid(TORUS, 16)
    state = still.sample(still.u0, grid, jnp.float64)
    np.testing.assert_array_equal(still.on(grid).drift(0.0, state, None), 0)
    # f u = -g h_y with h at the points and u beside them: the C-grid averages u over y, exact to second order.
    h = lambda y: 1 + 1e-6 * jnp.cos(2 * np.pi * y)
    slope = lambda y: -1e-6 * 2 * np.pi * jnp.sin(2 * np.pi * y)
    current = ShallowWater(1.0, 5.0, u0=lambda x, y: jnp.stack([h(y), -slope(y) / 5.0, 0 * x]))
    change = current.on(grid).drift(0.0, current.sample(current.u0, grid, jnp.float64), None)
    assert float(jnp.max(jnp.abs(change))) < 0.02 * 1e-6 * 2 * np.pi


def test_nonlinear_diffusion_spreads_as_barenblatt():
    """u_t = alpha Δ(u²) / 2 is the porous medium equation; in the plane u = (c - r² / (16 s)) / s, s = (t alpha / 2)^½.

    Its edge is not smooth, so the order is measured in the mean, where it is above 1.
    """
    alpha = 0.05

    def barenblatt(t, x, y):
        s = np.sqrt(alpha * t / 2)
        return jnp.maximum(0.05 - (x**2 + y**2) / (16 * s), 0) / s

    errors = []
    for n in (33, 65):
        equation = NonlinearDiffusion(alpha, time=(1.0, 2.0), u0=lambda x, y: barenblatt(1.0, x, y))
        grid = Grid(equation.space, n)
        frames = simulate(equation, grid, [1.0, 2.0], step=0.02)
        truth = barenblatt(2.0, *map(jnp.asarray, grid.mesh()))
        errors.append(float(jnp.linalg.norm(frames.values[1] - truth) / jnp.linalg.norm(truth)))
        np.testing.assert_allclose(jnp.sum(frames.values[1]), jnp.sum(frames.values[0]), rtol=1e-12)
    assert errors[1] < 0.01
    assert np.log2(errors[0] / errors[1]) > 1.0


def test_differences_of_nonlinear_diffusion_tend_to_its_rate():
    smooth = lambda x, y: jnp.cos(np.pi * x / 2) * jnp.cos(np.pi * y / 2)
    equation = NonlinearDiffusion()
    exact = equation.rate(CallableField(domain=equation.space, f=lambda p: smooth(*p)))
    for nodes in ((Nodes.ends,) * 2, (Nodes.interior,) * 2):
        errors = []
        for n in (17, 33):
            grid = Grid(equation.space, n, nodes=nodes)
            ours = equation.on(grid).drift(0.0, equation.sample(smooth, grid, jnp.float64), None)
            x, y = (jnp.asarray(a) for a in grid.mesh())
            theirs = jax.vmap(exact)(jnp.stack([x.ravel(), y.ravel()], -1)).reshape(n, n)
            errors.append(float(jnp.max(jnp.abs(ours - theirs)[2:-2, 2:-2])))
        assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.2)
        # On the walls, and on them alone, nothing changes.
        assert bool(jnp.all(ours[0] == 0)) == (nodes[0] is Nodes.ends)


SCHEMES = {
    "forward": (TimeScheme.forward_euler(), 1),
    "backward": (TimeScheme.backward_euler(), 1),
    "crank-nicolson": (TimeScheme.crank_nicolson(), 2),
    "bdf2": (TimeScheme.bdf2(), 2),
}


@pytest.mark.parametrize("name", SCHEMES)
def test_the_residual_of_a_step_is_of_the_order_of_the_scheme(name):
    """The exact solution leaves dt^order in it, and it does so in every representation."""
    scheme, order = SCHEMES[name]
    equation = Burgers(0.2)
    point, t1 = jnp.asarray([1.0]), 0.5

    @jax.jit
    def left(dt):
        at = lambda t: CallableField(domain=equation.space, f=lambda p: equation.exact(t, p[0]))
        olds = [at(t1 - dt * (j + 1)) for j in range(len(scheme.alpha) - 1)]
        return equation.step_residual(scheme, at(jnp.asarray(t1)), olds, dt)(point)

    steps = (0.08, 0.04, 0.02)
    errors = [abs(float(left(jnp.asarray(dt)))) for dt in steps]
    assert np.polyfit(np.log(steps), np.log(errors), 1)[0] == pytest.approx(order, abs=0.2)


def test_a_step_is_the_zero_of_its_residual_on_a_grid():
    """Forward Euler on values and on coefficients."""
    equation, dt = Burgers(0.2), 1e-3
    grid = Grid(equation.space, 32)
    u = GridField(grid, jnp.sin(jnp.asarray(grid.points("x"))), Spectral())
    new = u + dt * equation.rate(u)
    scheme = TimeScheme.forward_euler()
    np.testing.assert_allclose(equation.step_residual(scheme, new, [u], dt).values, 0, atol=1e-12)
    modes = [FourierField(grid, values=v.values) for v in (new, u)]
    left = equation.step_residual(scheme, modes[0], modes[1:], dt).at_points()
    np.testing.assert_allclose(left, 0, atol=1e-12)
    stepped = solve(equation.on(grid, scheme=Spectral()), u.values, jnp.asarray([0.0, dt]), steps=1).y1
    np.testing.assert_allclose(stepped, new.values, atol=dt**2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TimeScheme((1.0, -1.0), (1.0,)), "as many of each"),
        (lambda: TimeScheme((1.0, -0.5), (1.0, 0.0)), "needs 0"),
        (lambda: Burgers().step_residual(TimeScheme.bdf2(), NOTHING, [NOTHING], 0.1), "1 earlier states"),
        (lambda: simulate(ShallowWater(), Grid(TORUS, 4), [0, 1], key=jax.random.key(0)), "no random states"),
        (lambda: NonlinearDiffusion().on(Grid(NonlinearDiffusion().space, 4, nodes=(Nodes.centres,) * 2)), "centres"),
        (lambda: simulate(NonlinearDiffusion(), Grid(NonlinearDiffusion().space, 4), [0, 1])(jnp.zeros(3)), "walls"),
        (lambda: simulate(KleinGordon(), Grid(TORUS, 4), [0, 1]), "no simulator"),
    ],
)
def test_what_cannot_be_is_refused_too(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
