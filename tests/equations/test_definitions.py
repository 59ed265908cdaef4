"""Definitions of equations against their exact solutions, independent rates, and one another's representations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from cadlag.equations import (
    Advection,
    AllenCahn,
    Burgers,
    FlowMixing,
    Heat,
    Helmholtz,
    KleinGordon,
    KortewegDeVries,
    KuramotoSivashinsky,
    Lorenz,
    NavierStokes,
    NonlinearDiffusion,
    Poisson,
    VelocityNavierStokes,
    velocity,
)
from cadlag.fields import Box, CallableField, FourierField, Grid, GridField, Spectral

MIXED = Box({"x": (0.0, 1.0), "y": (-1.0, 2.0)}, periodic="y")
SOLVED = {
    "heat": Heat(),
    "heat with walls and a period": Heat(0.3, space=MIXED, time=(1.0, 2.0)),
    "advection": Advection(30.0, space=Box({"x": (0.0, 2 * np.pi)}, periodic="x")),
    "burgers": Burgers(),
    "burgers between walls": Burgers.pinn(),
    "korteweg-de vries": KortewegDeVries(1.0, speed=0.7),
    "navier-stokes": VelocityNavierStokes(0.02, drag=0.3),
    "flow mixing": FlowMixing(),
    "klein-gordon": KleinGordon(),
    "poisson": Poisson(space=MIXED),
    "helmholtz": Helmholtz(2.0),
}


def points(domain, count=6, seed=0):
    rows = np.random.default_rng(seed).uniform(0.1, 0.9, (count, domain.dimension))
    return jnp.asarray(np.asarray(domain.lower) + rows * np.asarray(domain.lengths))


def known(equation):
    return CallableField(domain=equation.domain, f=lambda p: equation.exact(*p))


def residuals(equation, u, at):
    r = equation.residual(u)
    fields = r if isinstance(r, tuple) else (r,)
    return jax.jit(lambda p: [jax.vmap(f)(p) for f in fields])(at)


@pytest.mark.parametrize("name", SOLVED)
def test_the_exact_solution_has_no_residual_and_meets_its_conditions(name):
    """To rounding: terms are of order 1 to 100."""
    equation = SOLVED[name]
    u, at = known(equation), points(equation.domain)
    for r in residuals(equation, u, at):
        np.testing.assert_allclose(r, 0, atol=2e-12)
    conditions = equation.conditions()
    ends = {(axis, value) for c in conditions for axis, value in c.at}
    assert ends == {
        (axis, value)
        for axis in equation.domain.names
        if axis not in equation.domain.periodic
        for value in (equation.time[:1] if axis == "t" and hasattr(equation, "time") else equation.domain.bounds(axis))
        if axis != "t" or value == equation.domain.bounds("t")[0]
    }
    for condition in conditions:
        (axis, value) = condition.at[0]
        face = at.at[:, equation.domain.axis(axis)].set(value)
        np.testing.assert_allclose(jax.vmap(condition.residual(u))(face), 0, atol=1e-14)


@pytest.mark.parametrize("name", ["burgers", "korteweg-de vries", "klein-gordon", "helmholtz"])
def test_a_wrong_solution_has_a_residual(name):
    equation = SOLVED[name]
    wrong = CallableField(domain=equation.domain, f=lambda p: 1.1 * equation.exact(*p))
    assert max(float(jnp.max(jnp.abs(r))) for r in residuals(equation, wrong, points(equation.domain))) > 1e-4


def test_klein_gordon_is_of_second_order_in_time():
    kinds = [c.kind for c in KleinGordon().conditions()]
    assert kinds.count("initial") == 2
    still = CallableField(domain=KleinGordon().domain, f=lambda p: p[1] + p[2])
    point = jnp.asarray([0.0, 0.5, -0.4])
    np.testing.assert_allclose(KleinGordon().conditions()[0].residual(still)(point), 0, atol=1e-15)
    np.testing.assert_allclose(KleinGordon().conditions()[1].residual(still)(point), -2 * 0.5 * -0.4, rtol=1e-12)


def test_cole_hopf_against_the_series_in_bessel_functions():
    x = np.linspace(0, 2 * np.pi, 33)
    k, z = np.arange(1, 60)[:, None], 1 / 0.2
    for t in (0.0, 0.3, 1.0):
        decay = scipy.special.ive(k, z) * np.exp(-0.1 * k**2 * t)
        series = 0.4 * np.sum(k * decay * np.sin(k * x), 0)
        series = series / (scipy.special.ive(0, z) + 2 * np.sum(decay * np.cos(k * x), 0))
        np.testing.assert_allclose(Burgers(0.1).exact(jnp.full(33, t), jnp.asarray(x)), series, atol=2e-13)
    # The greatest value at t = 1 on 256 points.
    grid = jnp.arange(256.0) * 2 * np.pi / 256
    np.testing.assert_allclose(jnp.max(Burgers(0.1).exact(jnp.ones(256), grid)), 0.900984, atol=1e-6)


def test_the_front_between_walls_is_as_steep_as_published():
    """Basdevant et al. (1986): |u_x(0, t)| has its maximum 152.00516 at t = 1.6037 / pi."""
    slope = lambda t: jax.grad(Burgers.pinn().exact, argnums=1)(t, jnp.asarray(0.0))
    slopes = jax.jit(jax.vmap(slope))(jnp.asarray([1.58, 1.6037, 1.63]) / np.pi)
    np.testing.assert_allclose(slopes[1], -152.00516, rtol=1e-6)
    assert slopes[1] < slopes[0]
    assert slopes[1] < slopes[2]


def wave(x, shift=0.0):
    return jnp.exp(jnp.sin(x + shift)) / 2


LINE = Box({"x": (0.0, 2 * np.pi)}, periodic="x")


@pytest.mark.parametrize(
    "equation",
    [
        Advection(2.0, space=LINE),
        Heat(0.3, space=LINE),
        Burgers(0.2),
        AllenCahn(0.1, 3.0, space=LINE),
        KortewegDeVries(space=LINE),
        KuramotoSivashinsky(2.0, 0.5, 0.1, space=LINE),
    ],
    ids=lambda e: type(e).__name__,
)
def test_one_rate_on_a_grid_by_coefficients_and_on_a_callable(equation):
    grid = Grid(equation.space, 64)
    x = jnp.asarray(grid.points("x"))
    at_points = GridField(grid, wave(x), Spectral())
    called = CallableField(domain=equation.space, f=lambda p: wave(p[0]))
    theirs = jax.jit(jax.vmap(equation.rate(called)))(x[:, None])
    modes = equation.rate(FourierField(grid, values=at_points.values)).at_points()
    # The third and fourth derivatives multiply rounding by 32^3 to 32^4 / 10.
    np.testing.assert_allclose(equation.rate(at_points).values, theirs, atol=2e-9)
    np.testing.assert_allclose(modes, theirs, atol=2e-9)


def test_rates_against_formulas():
    """u = sin(2 x): derivatives by hand, so that no sign or factor hides in both representations."""
    x = jnp.asarray([0.3, 1.0, 2.5])
    u = CallableField(domain=LINE, f=lambda p: jnp.sin(2 * p[0]))
    s, c = jnp.sin(2 * x), jnp.cos(2 * x)
    expected = [
        (Advection(2.0, space=LINE), -4 * c),
        (Heat(0.3, space=LINE), -1.2 * s),
        (Burgers(0.2), -2 * s * c - 0.8 * s),
        (AllenCahn(0.1, 3.0, space=LINE), -0.4 * s + 3 * (s - s**3)),
        (KortewegDeVries(6.0, space=LINE), -12 * s * c + 8 * c),
        (KuramotoSivashinsky(5.0, 0.5, 0.1, space=LINE), -10 * s * c + 2 * s - 1.6 * s),
    ]
    for equation, formula in expected:
        np.testing.assert_allclose(jax.vmap(equation.rate(u))(x[:, None]), formula, rtol=1e-12)
    plane = CallableField(domain=NonlinearDiffusion().space, f=lambda p: p[0] ** 2 * p[1])
    # u u_xx + u_x² + u_y² = 2 x² y² + 4 x² y² + x⁴.
    rate = NonlinearDiffusion(0.5).rate(plane)(jnp.asarray([0.4, 0.3]))
    np.testing.assert_allclose(rate, 0.5 * (6 * 0.16 * 0.09 + 0.4**4), rtol=1e-12)
    lorenz = Lorenz(10.0, 28.0, 2.0).vector_field(jnp.asarray([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(lorenz, [10.0, 25.0 - 2.0, 2.0 - 6.0])


def test_vorticity_is_carried_by_its_own_velocity():
    """The rate against -u · ∇w with u by NumPy's transforms, the other way round in sign and form; and curl(u) = w."""
    equation = NavierStokes(0.01, drag=0.2, force=lambda x, y: jnp.sin(2 * np.pi * y))
    n = 24
    grid = Grid(equation.space, n)
    x, y = grid.mesh()
    w = np.sin(2 * np.pi * x) + np.cos(4 * np.pi * (x - y)) + np.sin(2 * np.pi * (x + 2 * y) + 0.4)
    k = 2 * np.pi * np.fft.fftfreq(n, 1 / n)
    kx, ky = np.meshgrid(k, k, indexing="ij")
    k2 = kx**2 + ky**2
    hat, real = np.fft.fft2(w), lambda a: np.fft.ifft2(a).real
    psi = hat / np.where(k2 == 0, 1, k2)
    u, v = real(1j * ky * psi), real(-1j * kx * psi)
    advected = u * real(1j * kx * hat) + v * real(1j * ky * hat)
    expected = -advected + real(-0.01 * k2 * hat) - 0.2 * w + np.sin(2 * np.pi * y)
    field = GridField(grid, jnp.asarray(w), Spectral())
    np.testing.assert_allclose(equation.rate(field).values, expected, atol=1e-10)
    flow = velocity(field)
    np.testing.assert_allclose(flow.values, [u, v], atol=1e-13)
    np.testing.assert_allclose((flow[1].d("x") - flow[0].d("y")).values, w, atol=1e-12)


def test_velocity_form_and_vorticity_form_are_one_equation():
    """The residual for (u, v) of Taylor-Green at another decay is the vorticity's."""
    ours = VelocityNavierStokes(0.05, force=lambda x, y: jnp.cos(x) * jnp.sin(y))
    u = CallableField(domain=ours.domain, f=lambda p: VelocityNavierStokes(0.02).exact(*p))
    point = jnp.asarray([0.4, 1.0, 2.0])
    w = jnp.exp(-0.02 * 2 * 0.4) * jnp.cos(1.0) * jnp.cos(2.0)
    transport, divergence = ours.residual(u)
    np.testing.assert_allclose(transport(point), (2 * 0.05 - 2 * 0.02) * w - jnp.cos(1.0) * jnp.sin(2.0), rtol=1e-11)
    np.testing.assert_allclose(divergence(point), 0, atol=1e-15)


def test_parameters_are_leaves():
    """Learnt from data, and vmapped as families."""
    known_, at = known(Burgers(0.2)), points(Burgers().domain)

    def loss(nu):
        return jnp.mean(jax.vmap(Burgers(nu).residual(known_))(at) ** 2)

    slope = jax.jit(jax.vmap(jax.grad(loss)))(jnp.asarray([0.1, 0.2, 0.3]))
    assert slope[0] < 0
    assert slope[2] > 0
    np.testing.assert_allclose(slope[1], 0, atol=1e-12)
    equation = KuramotoSivashinsky(1, 2, 3)
    assert [float(leaf) for leaf in jax.tree.leaves(equation) if isinstance(leaf, jax.Array)] == [1, 2, 3]


def test_initial_states_and_conditions_of_equations_without_a_closed_form():
    line = AllenCahn()
    u = CallableField(domain=line.domain, f=lambda p: p[1] ** 2 * jnp.cos(np.pi * p[1]) + p[0])
    (start,) = line.conditions()
    np.testing.assert_allclose(start.residual(u)(jnp.asarray([0.0, 0.7])), 0, atol=1e-15)
    assert float(NonlinearDiffusion().u0(jnp.asarray(0.3), jnp.asarray(0.2))) == pytest.approx(0.25, abs=2e-4)
    states = GridField(Grid(Lorenz().domain, 3), jnp.ones((3, 3)), Spectral())
    np.testing.assert_array_equal(Lorenz().conditions()[0].residual(states).values, 0)
    chaotic = KuramotoSivashinsky.chaotic()
    np.testing.assert_allclose(chaotic.u0(jnp.asarray(0.5)), np.cos(0.5) * (1 + np.sin(0.5)))
    np.testing.assert_allclose([chaotic.a, chaotic.b, chaotic.c], [6.25, 100 / 256, 100 / 65536])
    np.testing.assert_allclose(KuramotoSivashinsky.regular().u0(jnp.asarray(0.5)), -1)
    density = AllenCahn(0.2, 4.0).energy(CallableField(domain=LINE, f=lambda p: jnp.sin(p[0])))
    expected = 0.1 * np.cos(0.3) ** 2 + (np.sin(0.3) ** 2 - 1) ** 2
    np.testing.assert_allclose(density(jnp.asarray([0.3])), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Advection(space=Box({"x": (0.0, 1.0)})), "all must be"),
        (lambda: Burgers(space=MIXED), "expected"),
        (lambda: NavierStokes(space=LINE), "expected"),
        (lambda: NavierStokes().residual(known(NavierStokes())), "has no inverse Laplacian"),
        (lambda: Heat(time=(1.0, 1.0)), "lower < upper"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
