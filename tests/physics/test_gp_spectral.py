"""GP-HM: the log-joint against dense algebra, known kernels, the abs trap, variable projection, pruning."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.equations import Equation, dirichlet, initial, manufactured
from cadlag.fields import Box, Grid, GridField, Nodes
from cadlag.kernels import (
    AbstractStationary,
    Matern,
    SpectralMixture,
    SquaredExponential,
    StudentTMixture,
    spread_components,
)
from cadlag.physics import (
    ConjugateGradients,
    Direct,
    EquationSolver,
    GPSpectral,
    GPState,
    GridProblem,
    JointAdam,
    LogJoint,
    VariableProjection,
    solve_collocation,
    solve_features,
    solve_spectral,
)

LINE = Box({"x": (0.0, 2 * np.pi)})


def poisson(box, solution):
    return manufactured(Equation(domain=box, residual_of=lambda u, p: u.laplacian(), given=dirichlet(box)), solution)


def wave(k):
    return lambda x: jnp.sin(k * x)


def one_component(mu, rho, kind=StudentTMixture):
    return kind(jnp.zeros(1), jnp.full(1, math.log(rho)), jnp.full(1, mu))


def relative(found, expected):
    return float(jnp.linalg.norm(found - expected) / jnp.linalg.norm(expected))


# ---------------------------------------------------------------- the density, against dense algebra

SQUARE = Box({"x": (0.0, 1.0), "y": (0.0, 2.0)})
SMALL = Grid(SQUARE, (6, 5))
KERNELS = (
    StudentTMixture(jnp.log(jnp.asarray([0.6, 0.8])), jnp.log(jnp.asarray([1.0, 2.0])), jnp.asarray([0.5, 1.5])),
    SpectralMixture(jnp.log(jnp.asarray([0.9, 0.2])), jnp.log(jnp.asarray([1.5, 0.7])), jnp.asarray([0.2, 0.9])),
)
STATE = GPState(kernels=KERNELS, log_tau=jnp.asarray(0.7), log_v=jnp.asarray(-0.4))
JOINT = LogJoint(
    problem=GridProblem(poisson(SQUARE, lambda x, y: jnp.sin(3 * x) * jnp.cos(2 * y)), SMALL),
    nugget=1e-4,
    boundary_weight=200.0,
)
EVALUATE = eqx.filter_jit(lambda joint, state, u: joint(state, u))


def test_log_joint_against_the_dense_covariance():
    u = np.random.default_rng(0).standard_normal(SMALL.shape)
    x, y = SMALL.points("x"), SMALL.points("y")
    grams = [np.asarray(k.gram(jnp.asarray(p))) for k, p in zip(KERNELS, (x, y), strict=True)]
    # The nugget is relative to the variance, which is 1.4 on one axis and 1.1 on the other.
    noisy = [g + 1e-4 * variance * np.eye(len(g)) for g, variance in zip(grams, (1.4, 1.1), strict=True)]
    inverses = [np.linalg.inv(g) for g in noisy]
    dense = np.kron(*noisy)
    curves = [np.asarray(k.gram(jnp.asarray(p), order=2)) for k, p in zip(KERNELS, (x, y), strict=True)]
    X, Y = np.meshgrid(x, y, indexing="ij")
    source = -(9 + 4) * np.sin(3 * X) * np.cos(2 * Y)
    F = curves[0] @ inverses[0] @ u + (curves[1] @ inverses[1] @ u.T).T - source
    gap = u - np.sin(3 * X) * np.cos(2 * Y)
    B = np.concatenate([gap[0], gap[-1], gap[:, 0], gap[:, -1]])
    prior = -0.5 * (np.linalg.slogdet(dense)[1] + u.ravel() @ np.linalg.solve(dense, u.ravel()))
    log_p = prior + 200 * (22 / 2 * 0.7 - math.exp(0.7) / 2 * B @ B) + 30 / 2 * -0.4 - math.exp(-0.4) / 2 * np.sum(F**2)
    value, info = EVALUATE(JOINT, STATE, jnp.asarray(u))
    np.testing.assert_allclose(value, -log_p, rtol=1e-9)
    np.testing.assert_allclose(info["prior"], -prior, rtol=1e-8)
    assert info["jitter"] == 0


def test_components_and_axes_may_be_permuted():
    u = jnp.asarray(np.random.default_rng(1).standard_normal(SMALL.shape))
    value, _ = EVALUATE(JOINT, STATE, u)
    turned = jax.tree.map(lambda p: p[::-1] if p.ndim else p, STATE)
    np.testing.assert_allclose(EVALUATE(JOINT, turned, u)[0], value, rtol=1e-10)
    box = Box({"y": (0.0, 2.0), "x": (0.0, 1.0)})
    other = LogJoint(
        problem=GridProblem(poisson(box, lambda y, x: jnp.sin(3 * x) * jnp.cos(2 * y)), Grid(box, (5, 6))),
        nugget=1e-4,
        boundary_weight=200.0,
    )
    swapped = GPState(kernels=KERNELS[::-1], log_tau=STATE.log_tau, log_v=STATE.log_v)
    np.testing.assert_allclose(EVALUATE(other, swapped, u.T)[0], value, rtol=1e-10)


def test_precisions_of_a_stationary_point_have_closed_forms():
    u = jnp.asarray(np.random.default_rng(2).standard_normal(SMALL.shape))
    _, info = EVALUATE(JOINT, STATE, u)
    best = GPState(kernels=KERNELS, log_tau=-2 * jnp.log(info["boundary"]), log_v=-2 * jnp.log(info["residual"]))
    grad = eqx.filter_jit(lambda s: eqx.filter_grad(lambda s: JOINT(s, u)[0])(s))(best)
    # v = M / Σ F², tau = N_b / Σ B²: slopes are differences of numbers of size M/2 and 200 N_b/2.
    np.testing.assert_allclose([grad.log_v, grad.log_tau], 0.0, atol=1e-9)


def test_no_matrix_is_larger_than_an_axis_squared():
    grid = Grid(Box({"x": (0.0, 1.0), "y": (0.0, 1.0)}), 20)
    joint = LogJoint(
        problem=GridProblem(poisson(grid.domain, lambda x, y: x * y), grid), nugget=1e-6, boundary_weight=1.0
    )
    state = GPState(kernels=(Matern(0.3), Matern(0.4)), log_tau=jnp.zeros(()), log_v=jnp.zeros(()))
    u = jnp.zeros(grid.shape)

    def both(state, u):
        best = ConjugateGradients(steps=3).solve(joint, state, u, linear=True)
        return eqx.filter_grad(lambda s: joint(s, best)[0])(state)

    largest = max(_sizes(eqx.filter_make_jaxpr(both)(state, u)[0].jaxpr))
    # M = 400 points: an M x M matrix would have 160,000 entries, the Toeplitz expansion of an axis has 20 · 40.
    assert largest <= 4 * 400


def _sizes(jaxpr):
    for eqn in jaxpr.eqns:
        yield from (math.prod(v.aval.shape) for v in eqn.outvars)
        for inner in jax.tree.leaves(
            list(eqn.params.values()), is_leaf=lambda p: hasattr(p, "eqns") or hasattr(p, "jaxpr")
        ):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from _sizes(inner)


# ---------------------------------------------------------------- a known kernel on sin(100 x)


class Blind(AbstractStationary):
    """A kernel whose second derivative at lag zero is lost, as that of |x - x'| in some conventions."""

    inner: StudentTMixture
    smoothness: int = eqx.field(static=True, default=4)

    def lag(self, tau, order=0):
        out = self.inner.lag(tau, order)
        return jnp.where(tau == 0, 0.0, out) if order == 2 else out

    def density(self, s):
        return self.inner.density(s)


@pytest.fixture(scope="module")
def hundred():
    """(mu, rho, wrap) → relative error at 300 points of the best values for that kernel, v = 1, tau = 1e4."""
    joint = LogJoint(problem=GridProblem(poisson(LINE, wave(100.0)), Grid(LINE, 400)), nugget=1e-6, boundary_weight=1.0)
    x = jnp.linspace(0.0, 2 * np.pi, 300)

    @eqx.filter_jit
    def solved(kernel):
        state = GPState(kernels=(kernel,), log_tau=jnp.asarray(math.log(1e4)), log_v=jnp.zeros(()))
        values = Direct().solve(joint, state, jnp.zeros(400), linear=True)
        return joint.scheme(state).expansion(values, joint.problem.grid).on(x)

    def error(mu, rho, wrap=lambda k: k):
        return relative(solved(wrap(one_component(mu, rho))), jnp.sin(100 * x))

    return error


def test_errors_with_a_known_kernel(hundred):
    # From dense least squares in NumPy, written out apart from the library; rounding moves them by a few per cent.
    mu = 100 / (2 * np.pi)
    np.testing.assert_allclose(hundred(mu, 1.0), 1.36e-5, rtol=0.1)
    np.testing.assert_allclose(hundred(mu, 0.1), 1.2e-6, rtol=0.1)
    np.testing.assert_allclose(hundred(15.0, 1.0), 3.2e-4, rtol=0.1)
    assert hundred(0.0, 1.0) > 3


def test_a_lost_diagonal_costs_four_digits(hundred):
    mu = 100 / (2 * np.pi)
    assert hundred(mu, 1.0, Blind) > 0.05
    assert hundred(mu, 0.1, Blind) > 0.01


# ---------------------------------------------------------------- the inner problem


def test_conjugate_gradients_are_the_dense_least_squares():
    pulled = jax.jit(lambda u: JOINT.problem.residuals(u, JOINT.scheme(STATE)))
    zero = jnp.zeros(SMALL.shape)
    f0, b0 = (np.asarray(r) for r in pulled(zero))
    F, B = (np.asarray(j).reshape(len(j), 30) for j in jax.jit(jax.jacfwd(pulled))(zero))
    dense = np.kron(*[np.asarray(c.factor @ c.factor.T) for c in JOINT.scheme(STATE).factors])
    v, kappa = math.exp(-0.4), 200 * math.exp(0.7)
    H = np.linalg.inv(dense) + v * F.T @ F + kappa * B.T @ B
    expected = -np.linalg.solve(H, v * F.T @ f0 + kappa * B.T @ b0).reshape(SMALL.shape)
    inner = ConjugateGradients(tolerance=1e-12)
    found = eqx.filter_jit(lambda s: inner.solve(JOINT, s, zero, linear=True))(STATE)
    np.testing.assert_allclose(found, expected, atol=1e-8 * np.abs(expected).max())
    # The preconditioner is worth it: ten steps, where exact arithmetic would need up to thirty.
    few = eqx.filter_jit(lambda s: ConjugateGradients(steps=10).solve(JOINT, s, zero, linear=True))(STATE)
    assert relative(few, found) < 1e-2


def test_direct_and_conjugate_gradients_agree_on_an_equation_that_is_not_linear():
    equation = manufactured(
        Equation(domain=LINE, residual_of=lambda u, p: u.laplacian() + u * (u * u - 1), given=dirichlet(LINE)),
        lambda x: 1.5 * jnp.sin(3 * x),
    )
    joint = LogJoint(problem=GridProblem(equation, Grid(LINE, 32)), nugget=1e-6, boundary_weight=200.0)
    state = GPState(kernels=(one_component(3 / (2 * np.pi), 0.5),), log_tau=jnp.asarray(10.0), log_v=jnp.asarray(10.0))
    zero = jnp.zeros(32)
    both = [
        eqx.filter_jit(lambda s, inner=inner: inner.solve(joint, s, zero, linear=False))(state)
        for inner in (Direct(newton=8), ConjugateGradients(tolerance=1e-10, newton=8))
    ]
    np.testing.assert_allclose(both[0], both[1], atol=1e-6)
    assert relative(both[0], 1.5 * jnp.sin(3 * jnp.asarray(joint.problem.grid.points("x")))) < 5e-2
    # Stationary: no direction changes the log-joint in first order; at zero one does.
    slope = eqx.filter_jit(jax.grad(lambda u: joint(state, u)[0]))
    assert jnp.max(jnp.abs(slope(both[0]))) < 1e-5 * jnp.max(jnp.abs(slope(zero)))


def test_gradient_at_the_best_values_is_that_of_the_reduced_density():
    problem = GridProblem(poisson(LINE, wave(4.0)), Grid(LINE, 24))
    joint = LogJoint(problem=problem, nugget=1e-4, boundary_weight=200.0)

    def reduced(mu, project):
        state = GPState(kernels=(one_component(0.6, 0.5),), log_tau=jnp.ones(()), log_v=jnp.zeros(()))
        state = eqx.tree_at(lambda s: s.kernels[0].frequencies, state, mu)
        return joint(state, project(Direct().solve(joint, state, jnp.zeros(24), linear=True)))[0]

    mu, h = jnp.full(1, 0.6), 1e-4
    slope, above, below = eqx.filter_jit(
        lambda m: (
            jax.grad(lambda m: reduced(m, jax.lax.stop_gradient))(m),
            reduced(m + h, lambda u: u),
            reduced(m - h, lambda u: u),
        )
    )(mu)
    np.testing.assert_allclose(slope[0], (above - below) / (2 * h), rtol=1e-5)


# ---------------------------------------------------------------- fitting

LINE_GRID = Grid(LINE, 100)
SPREAD = StudentTMixture(*spread_components(12, 5.0))


@pytest.fixture(scope="module")
def fitted():
    """sin(25 x) on 100 points, four to a period: sin(100 x) on 400, a quarter of the size."""
    return solve_spectral(poisson(LINE, wave(25.0)), LINE_GRID, GPSpectral(SPREAD, fit=VariableProjection(steps=72)))


def test_variable_projection_finds_the_frequency(fitted):
    x = jnp.linspace(0.0, 2 * np.pi, 301)
    assert relative(fitted.on(x), jnp.sin(25 * x)) < 1e-3
    found = fitted.spectrum()["x"]
    assert abs(found.frequencies[0] - 25 / (2 * np.pi)) < 0.1
    # One component carries the wave, and evidence has lowered all others; that they vanish takes the recipe's length.
    assert found.weights[0] > 3 * found.weights[1]
    assert np.all(found.weights[1:] < 1 / 12)
    residual = fitted.history["residual"]
    assert residual.shape == (72,)
    assert residual[-1] < 1e-3 * residual[0]


def test_solution_is_a_field(fitted):
    point = jnp.asarray([1.234])
    np.testing.assert_allclose(fitted.d("x", 2)(point), -625 * fitted(point), rtol=1e-2)
    np.testing.assert_allclose(jax.jit(jax.grad(fitted))(point)[0], fitted.d("x")(point), rtol=1e-8)
    np.testing.assert_allclose((fitted + fitted.coordinate("x"))(point), fitted(point) + 1.234, rtol=1e-12)
    # On the grid the mean is the values, up to the nugget.
    x = jnp.asarray(LINE_GRID.points("x"))
    np.testing.assert_allclose(fitted.on(x), fitted.values, atol=1e-3)


def test_equation_solver_takes_the_method():
    box = Box({"x": (0.0, 1.0)})
    method = GPSpectral(SquaredExponential(0.3), points=24, fit=VariableProjection(steps=6, stages=2))
    solution = EquationSolver(poisson(box, wave(5.0)), method, dtype="float64").solve()
    assert solution.error < 1e-3
    assert solution.result.step == 6
    points = jnp.asarray([[0.13], [0.77]])
    np.testing.assert_allclose(solution.predict(points), jnp.sin(5 * points[:, 0]), atol=1e-3)


def test_published_descent_lowers_the_loss_and_is_watched():
    seen = []
    method = GPSpectral(SPREAD, fit=JointAdam(steps=60, stages=3))
    solution = solve_spectral(poisson(LINE, wave(25.0)), LINE_GRID, method, watch=lambda k, s: seen.append((k, s)))
    loss = solution.history["loss"]
    assert loss.shape == (60,)
    assert loss[-1] < loss[0]
    assert solution.state.log_tau > 0
    assert [k for k, _ in seen] == [20, 40, 60]
    np.testing.assert_array_equal(seen[-1][1].values, solution.values)


# ---------------------------------------------------------------- combinations


@pytest.mark.slow  # the inner problem on several axes is tested above, against dense algebra
def test_helmholtz_with_another_kernel_on_each_axis():
    box = Box({"x": (0.0, 1.0), "y": (0.0, 1.0)})
    solution = lambda x, y: jnp.sin(6 * np.pi * x) * jnp.exp(-y)
    helmholtz = Equation(domain=box, residual_of=lambda u, p: u.laplacian() + 4.0 * u, given=dirichlet(box))
    kernels = (SpectralMixture(*spread_components(6, 5.0)), Matern(1.0))
    found = solve_spectral(
        manufactured(helmholtz, solution),
        Grid(box, (28, 14)),
        GPSpectral(kernels, fit=VariableProjection(steps=20, stages=2, noise=(1e-3, 1e-4))),
    )
    x, y = jnp.linspace(0.0, 1.0, 31), jnp.linspace(0.0, 1.0, 17)
    expected = solution(*jnp.meshgrid(x, y, indexing="ij"))
    assert relative(found.on(x, y), expected) < 1e-2
    assert set(found.spectrum()) == {"x"}


def test_advection_on_a_periodic_axis():
    box = Box({"t": (0.0, 0.5), "x": (0.0, 1.0)}, periodic="x")
    speed = 2.0
    start = lambda t, x: jnp.sin(2 * np.pi * x)
    equation = Equation(domain=box, residual_of=lambda u, p: u.d("t") + speed * u.d("x"), given=(initial(start),))
    method = GPSpectral(SquaredExponential(0.3), fit=VariableProjection(steps=8, stages=2, noise=(1e-3, 1e-4)))
    found = solve_spectral(equation, Grid(box, (20, 16)), method)
    t, x = jnp.linspace(0.0, 0.5, 9), jnp.linspace(0.0, 1.0, 12)
    T, X = jnp.meshgrid(t, x, indexing="ij")
    assert relative(found.on(t, x), jnp.sin(2 * np.pi * (X - speed * T))) < 1e-2
    # The values wrap around, which no condition said.
    ends = found.on(t, jnp.asarray([0.0, 1.0]))
    np.testing.assert_allclose(ends[:, 0], ends[:, 1], atol=1e-9)


@pytest.mark.parametrize("cubic", [0.0, 1.0])
def test_collocation_by_chebyshev_and_by_features(cubic):
    equation = manufactured(
        Equation(domain=LINE, residual_of=lambda u, p: u.laplacian() + cubic * u * (u * u - 1), given=dirichlet(LINE)),
        wave(5.0),
    )
    found = solve_collocation(equation, Grid(LINE, 48, nodes=(Nodes.chebyshev,)))
    assert isinstance(found, GridField)
    points = jnp.linspace(0.0, 2 * np.pi, 41)[:, None]
    np.testing.assert_allclose(jax.vmap(found)(points), jnp.sin(5 * points[:, 0]), atol=1e-6)
    frequencies = jnp.asarray(np.random.default_rng(0).normal(0, 5, 30))
    features = lambda p: jnp.concatenate([jnp.sin(frequencies * p[0]), jnp.cos(frequencies * p[0])])
    u = solve_features(equation, features, jnp.linspace(0.0, 2 * np.pi, 80)[:, None])
    np.testing.assert_allclose(jax.vmap(u)(points), jnp.sin(5 * points[:, 0]), atol=1e-5)


# ---------------------------------------------------------------- bad input


def system():
    return Equation(domain=LINE, residual_of=lambda u, p: u[0], components=2)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: solve_spectral(system(), LINE_GRID), "2 unknowns"),
        (lambda: solve_spectral(poisson(LINE, wave(1.0)), SMALL), "expected the same"),
        (
            lambda: solve_spectral(poisson(LINE, wave(1.0)), Grid(LINE, 10, nodes=(Nodes.centres,))),
            "no points of|no points at x = 0",
        ),
        (
            lambda: solve_spectral(poisson(LINE, wave(1.0)), LINE_GRID, GPSpectral((Matern(), Matern()))),
            "2 for the axes",
        ),
        (lambda: GPSpectral(nugget=0.0), "nugget=0.0"),
        (lambda: VariableProjection(steps=2, stages=3), "stages=3"),
        (lambda: EquationSolver(poisson(LINE, wave(1.0)), GPSpectral(), dtype="float32").fit(), "float64"),
        (
            lambda: EquationSolver(poisson(LINE, wave(1.0)), GPSpectral(), observations=([[0.5]], [1.0])).fit(),
            "no observations",
        ),
        (lambda: solve_spectral(poisson(LINE, wave(1.0)), LINE_GRID, GPSpectral(Matern(nu=0.5))), "order=2"),
    ],
)
def test_bad_input_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_single_precision_is_refused():
    with jax.enable_x64(False), pytest.raises(ValueError, match="float64"):
        solve_spectral(poisson(LINE, wave(1.0)), LINE_GRID)


def test_a_source_that_is_not_finite_is_reported():
    bad = Equation(
        domain=LINE,
        residual_of=lambda u, p: u.laplacian() - u.function(lambda x: jnp.log(x - 1.0)),
        given=dirichlet(LINE),
    )
    method = GPSpectral(Matern(), fit=VariableProjection(steps=2, stages=1))
    with pytest.raises(FloatingPointError, match="source"):
        solve_spectral(bad, Grid(LINE, 12), method)


def test_no_source_and_no_boundary_values_give_zero():
    nothing = Equation(domain=LINE, residual_of=lambda u, p: u.laplacian(), given=dirichlet(LINE))
    method = GPSpectral(Matern(), fit=VariableProjection(steps=2, stages=1))
    assert not np.any(solve_spectral(nothing, Grid(LINE, 12), method).values)
