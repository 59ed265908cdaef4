"""Equations solved end to end at tiny size: accuracy, inverse problems, forms, resuming, files, refusals."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cadlag.equations import (
    AbstractEquation,
    AllenCahn,
    Condition,
    Equation,
    Heat,
    KleinGordon,
    Lorenz,
    Poisson,
    dirichlet,
    initial,
)
from cadlag.fields import Box
from cadlag.nn import RandomFourierFeatures, ToUnit
from cadlag.physics import (
    LBFGS,
    PINN,
    Adam,
    EquationSolver,
    FixedWeights,
    GaussNewton,
    GradientNormWeights,
    HardDirichlet,
    HardInitial,
    NTKWeights,
    Observations,
    Optimise,
    ResidualAdaptive,
    ResidualAttention,
    Sobol,
    mlp,
    modified_mlp,
)
from cadlag.train import Interrupted, NonFiniteLoss, Outcome

SMALL = partial(mlp, width=8, depth=2)
LINE = Box({"x": (0.0, 1.0)})


BRIEF = Adam(20)


def pinn(phases=BRIEF, network=SMALL, count=64, **options):
    return PINN(network, sampler=Sobol(count), on_faces=16, phases=phases, block=20, **options)


HARD = (HardDirichlet(), HardInitial())


@pytest.fixture(scope="module")
def heat():
    """One solver, with conditions built in and Gauss-Newton, which is exact enough in a few steps."""
    return EquationSolver(Heat(), pinn(GaussNewton(12), ansatz=HARD)).fit()


def test_heat_with_conditions_built_in(heat):
    solution = heat.solution_
    assert solution.error < 1e-3
    assert solution.residual < 1e-2
    assert solution.conditions["initial"] == 0
    assert solution.conditions["boundary"] < 1e-14
    assert solution.result.outcome is Outcome.finished
    points = np.array([[0.3, 0.5], [1.0, 0.25]])
    exact = np.exp(-0.1 * np.pi**2 * points[:, 0]) * np.sin(np.pi * points[:, 1])
    np.testing.assert_allclose(heat.predict(points), exact, atol=2e-3)
    slope = solution.field.d("t")(jnp.asarray(points[0]))
    np.testing.assert_allclose(slope, -0.1 * np.pi**2 * exact[0], atol=2e-2)
    assert "finished after 12 steps" in repr(solution)


def test_a_saved_solution_is_the_same(heat, tmp_path):
    heat.save(tmp_path / "heat")
    again = EquationSolver.load(tmp_path / "heat", equation=Heat())
    points = np.random.default_rng(0).random((5, 2))
    np.testing.assert_array_equal(again.predict(points), heat.predict(points))
    assert again.solution_.error == heat.solution_.error
    np.testing.assert_array_equal(again.solution_.history["loss"], heat.solution_.history["loss"])
    with pytest.raises(ValueError, match="pass equation="):
        EquationSolver.load(tmp_path / "heat")
    with pytest.raises(ValueError, match="0 coefficients were learnt"):
        EquationSolver.load(tmp_path / "heat", equation=Heat(), learn=lambda e: e.nu)


def test_pictures(heat, tmp_path):
    assert len(heat.solution_.plot(tmp_path / "u.png").axes) == 4  # two images and their colour bars
    assert (tmp_path / "u.png").stat().st_size > 1000


def test_soft_conditions_adam_then_lbfgs_with_balanced_weights():
    poisson = Poisson(space=LINE)
    method = pinn((Adam(200, learning_rate=1e-2, warm_up=5), LBFGS(60)), weights=GradientNormWeights(every=20))
    solution = EquationSolver(poisson, method).solve()
    assert solution.error < 2e-2  # -u'' = π² sin(π x), of which u = 0 has the error 1
    assert solution.conditions["boundary"] < 5e-2
    history = solution.history
    assert set(history) == {"step", "loss", "grad_norm", "residual", "boundary"}
    np.testing.assert_array_equal(history["step"], np.arange(1, 261))
    assert history["loss"][-1] < 0.3 * history["loss"][199]


def test_a_diffusion_coefficient_is_recovered():
    rng, truth = np.random.default_rng(1), Heat(0.3)
    points = rng.random((40, 2))
    values = np.asarray(jax.vmap(lambda p: truth.exact(*p))(jnp.asarray(points)))
    values = values + 1e-3 * rng.standard_normal(40)
    solver = EquationSolver(
        Heat(0.1), pinn(GaussNewton(25), ansatz=HARD), observations=(points, values), learn=lambda e: e.nu
    )
    solution = solver.solve()
    # Noise of 1e-3 in 40 values leaves the coefficient uncertain by some 0.1 %.
    assert float(solution.equation.nu) == pytest.approx(0.3, rel=0.02)
    assert solution.misfit < 3e-3
    assert solution.error < 1e-2  # against the exact solution of the coefficient that was found


def test_a_system_with_a_component_observed_and_python_numbers_learnt(tmp_path):
    """x' = w y, y' = -w x from (0, 1); only x = sin(w t) is seen."""
    line = Box({"t": (0.0, 1.0)})
    rotation = Equation(
        domain=line,
        residual_of=lambda u, p: (u[0].d("t") - p["w"] * u[1], u[1].d("t") + p["w"] * u[0]),
        given=(initial(lambda t: jnp.stack([jnp.zeros_like(t), jnp.ones_like(t)])),),
        parameters={"w": 1.0},
        components=2,
    )
    t = np.linspace(0.1, 1, 10)[:, None]
    seen = Observations(t, np.sin(2.0 * t[:, 0]), lambda u: u[0])
    learn = lambda e: e.parameters["w"]
    method = pinn(GaussNewton(25), count=32, ansatz=HardInitial())
    solver = EquationSolver(rotation, method, observations=seen, learn=learn).fit()
    assert float(solver.solution_.equation.parameters["w"]) == pytest.approx(2.0, rel=1e-3)
    assert len(solver.solution_.residual) == 2
    assert solver.predict(t).shape == (10, 2)
    solver.save(tmp_path / "rotation")
    again = EquationSolver.load(tmp_path / "rotation", equation=rotation, learn=learn)
    assert again.solution_.equation.parameters["w"] == solver.solution_.equation.parameters["w"]
    assert solver.solution_.plot().axes


def test_an_interrupted_training_ends_with_the_same_bits(tmp_path):
    def stop(state, info):
        if info["step"] == 20 and state.opt_state[0].count == 20 and fuse:
            fuse.clear()
            raise KeyboardInterrupt
        return state

    def solver(run):
        method = pinn(
            (Adam(40), Adam(20)), weights=NTKWeights(every=15), resample_every=7, hooks=(stop,),
            network=partial(modified_mlp, width=4, depth=1),
        )  # fmt: skip
        return EquationSolver(Heat(), method, run=run, seed=3)

    fuse = []
    whole = solver(None).solve()
    fuse = [1]
    with pytest.raises(Interrupted):
        solver(tmp_path / "run").solve()
    resumed = solver(tmp_path / "run").solve()
    points = np.random.default_rng(0).random((5, 2))
    np.testing.assert_array_equal(resumed.predict(points), whole.predict(points))
    np.testing.assert_array_equal(resumed.history["loss"], whole.history["loss"])


def test_single_precision_periodic_axes_and_every_other_part():
    method = PINN(
        SMALL, sampler=ResidualAdaptive(32, candidates=64), on_faces=8, resample_every=None,
        point_weights=ResidualAttention(), phases=Optimise(optax.sgd(1e-3), 10), block=10,
    )  # fmt: skip
    solver = EquationSolver(AllenCahn(), method, dtype="float32", reference=lambda t, x: 1 + 0 * x).fit()
    assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(eqx.filter(solver.model_, eqx.is_inexact_array)))
    ends = solver.predict(np.array([[0.5, -1.0], [0.5, 1.0]]))
    assert ends.dtype == np.float32
    assert abs(ends[0] - ends[1]) < 1e-5
    assert np.all(solver.solution_.history["least_weight"] > 0)
    assert np.isfinite(solver.solution_.error)


def test_divergence_is_a_named_result_with_the_last_good_state():
    method = pinn((Optimise(optax.sgd(1e8), 40), Adam(20)), partial(mlp, width=4, depth=1, activation=jnp.exp))
    solution = EquationSolver(Poisson(space=LINE), method, throw=False).solve()
    assert solution.result.outcome is Outcome.non_finite
    assert "step" in solution.result.reason
    assert len(solution.history["step"]) < 40
    with pytest.raises(NonFiniteLoss):
        EquationSolver(Poisson(space=LINE), method).solve()


def test_klein_gordon_has_two_initial_conditions_of_which_one_can_be_built_in():
    equation = KleinGordon()
    conditions = equation.conditions()
    form = HardInitial()
    covered = [form.covers(c, equation.domain, 1) for c in conditions]
    assert sum(covered) == 1
    assert sum(c.kind == "initial" for c in conditions) == 2


BAD = Equation(domain=LINE, residual_of=lambda u, p: u.d("x", 2), given=dirichlet(LINE))


class Odd(AbstractEquation):
    """A residual that is no field."""

    domain: Box = LINE
    components: int = 1
    exact: None = None

    def residual(self, u):
        return 1.0

    def conditions(self):
        return ()


def two(domain, components, *, key):
    return mlp(domain, 2, width=4, depth=1, key=key)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: EquationSolver(BAD).set_params(equation=3.0), TypeError, "equation: got float"),
        (lambda: EquationSolver(BAD, dtype="bfloat16"), ValueError, "dtype='bfloat16'"),
        (lambda: EquationSolver(BAD, pinn(network=two)), ValueError, r"network: it returns \(2,\)"),
        (
            lambda: EquationSolver(Equation(domain=LINE, residual_of=lambda u, p: u[0].d("x")), pinn()),
            ValueError,
            "residual: it does not evaluate",
        ),
        (
            lambda: EquationSolver(Equation(domain=LINE, residual_of=lambda u, p: u.d("y")), pinn()),
            ValueError,
            "residual: .*'y'",
        ),
        (
            lambda: EquationSolver(Odd(), pinn()),
            TypeError,
            "residual: it returned float",
        ),
        (
            lambda: EquationSolver(
                Equation(domain=LINE, residual_of=lambda u, p: u.map(lambda v: jnp.ones((2, 2)) * v)), pinn()
            ),
            ValueError,
            "residual: it has shape",
        ),
        (
            lambda: Equation(domain=LINE, residual_of=lambda u, p: u, given=(Condition({"x": 2.0}, lambda u: u),)),
            ValueError,
            "outside the domain",
        ),
        (lambda: EquationSolver(BAD, pinn(count=0)), ValueError, "too few"),
        (lambda: EquationSolver(BAD, pinn(phases=())), ValueError, "nothing to train"),
        (lambda: EquationSolver(BAD, pinn(resample_every=0)), ValueError, "resample_every=0"),
        (lambda: EquationSolver(BAD, pinn(phases=Adam(0))), ValueError, "steps=0"),
        (lambda: EquationSolver(BAD, pinn(GaussNewton(5), mlp)), ValueError, "12.* unknowns"),
        (lambda: EquationSolver(BAD, pinn(LBFGS(5), point_weights=ResidualAttention())), ValueError, "stays"),
        (lambda: EquationSolver(BAD, pinn(weights=FixedWeights({"data": 2.0}))), ValueError, r"no terms \['data'\]"),
        (lambda: EquationSolver(BAD, learn=True), ValueError, "give observations"),
        (
            lambda: EquationSolver(BAD, pinn(), observations=([[0.5]], [1.0]), learn=True),
            ValueError,
            "learn: it must choose",
        ),
        (lambda: EquationSolver(BAD, observations=([[0.5]], [np.nan])), ValueError, "1 of the values are not finite"),
        (lambda: EquationSolver(BAD, observations=([[1.5]], [1.0])), ValueError, "outside the domain"),
        (lambda: EquationSolver(BAD, observations=([0.5], [1.0])), ValueError, r"expected \(m, 1\)"),
        (lambda: EquationSolver(BAD, observations=([[0.5]], [1.0, 2.0])), ValueError, "values have shape"),
        (
            lambda: EquationSolver(AllenCahn(), pinn(network=partial(SMALL, encoder=ToUnit))),
            ValueError,
            "axis 'x' of the domain is periodic",
        ),
        (
            lambda: EquationSolver(
                AllenCahn(), pinn(network=partial(SMALL, encoder=partial(RandomFourierFeatures, size=4)))
            ),
            ValueError,
            "differs at its ends",
        ),
        (
            lambda: EquationSolver(Poisson(space=LINE, value=3.0), pinn(ansatz=HardDirichlet())),
            ValueError,
            "HardDirichlet: .* missed by 3",
        ),
        (lambda: EquationSolver(AllenCahn(), pinn(ansatz=HardDirichlet())), ValueError, "no condition that this form"),
        (lambda: EquationSolver(BAD).predict(np.zeros((1, 1))), ValueError, "not fitted"),
    ],
)  # fmt: skip
def test_what_a_user_can_get_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make().solve()


def test_points_of_the_wrong_shape_are_refused(heat):
    with pytest.raises(ValueError, match=r"expected \(n, 2\)"):
        heat.predict(np.zeros(2))


def test_a_lift_carries_values_that_are_not_zero():
    equation = Lorenz(time=(0.0, 0.1))
    assert HardInitial().covers(equation.conditions()[0], equation.domain, 3)
    form = HardDirichlet(lift=lambda x: 2 * x)
    value = form(jnp.asarray(5.0), jnp.asarray([1.0]), LINE, ())
    np.testing.assert_allclose(value, 2.0, atol=1e-12)
    np.testing.assert_allclose(form(jnp.asarray(5.0), jnp.asarray([0.5]), LINE, ()), 6.0, atol=1e-12)
