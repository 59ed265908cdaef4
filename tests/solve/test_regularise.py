"""Penalties on all steps: what they are by hand, through the adaptive loop, and how they are differentiated."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.paths import linear
from cadlag.solve import (
    CDE,
    ODE,
    SDE,
    SRK,
    AdaptiveSteps,
    Annealed,
    Backsolve,
    ErrorPenalty,
    EulerMaruyama,
    Largest,
    LocalPenalty,
    Mean,
    Milstein,
    NoiseKind,
    Reversible,
    StiffnessPenalty,
    Sum,
    Tolerance,
    one_step,
    regularised_solve,
    solve,
)

KEY = jax.random.key(0)
Y = jnp.asarray([0.5, 1.3])
UNIT = [0.0, 0.4, 1.0]
TOL = 1e-6
STEPS = AdaptiveSteps(rtol=TOL, atol=TOL, max_steps=64)
CURVED = ODE(lambda t, y, a: a * y + jnp.sin(3 * t) * y**2)
LINEAR = ODE(lambda t, y, a: a * y)
GBM = SDE(lambda t, y, a: -y, lambda t, y, a: 0.3 * y)
PLAIN = Tolerance(rtol=0.0, atol=1.0)
FIXED = {"steps": 4, "stepper": diffrax.Tsit5()}


@pytest.fixture(scope="module")
def watched():
    """Several penalties of one adaptive solve, each alone, and the solve's own statistics."""

    def run(a, penalty):
        return regularised_solve(CURVED, Y, UNIT, args=a, steps=STEPS, penalty=penalty)

    found = {
        "mean": ErrorPenalty(weight=2.0),
        "sum": ErrorPenalty(aggregate=Sum(), error_power=2),
        "stiff": StiffnessPenalty(region=1.0),
        "together": (ErrorPenalty(weight=2.0), StiffnessPenalty(region=1.0)),
    }
    made = {name: jax.jit(lambda a, p=p: run(a, p))(-3.0) for name, p in found.items()}
    stats = jax.jit(lambda a: solve(CURVED, Y, UNIT, args=a, steps=STEPS, stats=Tolerance(TOL, TOL)))(-3.0)
    return made, stats


def test_in_the_loop_and_from_saved_states_it_is_one_number(watched):
    """The statistics take one step anew from each saved state; the penalty looks at the step itself."""
    made, plain = watched
    e, h, s = (np.asarray(x) for x in (plain.stats.error, plain.stats.sizes, plain.stats.stiffness))
    n = np.sum(h > 0)
    assert n > 5
    np.testing.assert_allclose(made["mean"][1], 2 * np.sum(e * h) / n, rtol=1e-10)
    np.testing.assert_allclose(made["sum"][1], np.sum(e**2 * h), rtol=1e-10)
    np.testing.assert_allclose(made["stiff"][1], np.max(s), rtol=1e-10)
    np.testing.assert_allclose(made["together"][1], made["mean"][1] + made["stiff"][1], rtol=1e-12)


def test_watching_does_not_change_the_solution(watched):
    made, plain = watched
    for solution, _ in made.values():
        np.testing.assert_allclose(solution.ys, plain.ys, rtol=1e-13)


def test_accepted_steps_have_errors_within_the_tolerance(watched):
    """E <= 1, so that the mean of E h is at most the mean of h."""
    made, plain = watched
    h = np.asarray(plain.stats.sizes)
    assert np.max(plain.stats.error) <= 1
    assert made["mean"][1] / 2 <= h.sum() / np.sum(h > 0)


@pytest.mark.parametrize("h", [1e-3, 0.2, 1.0])
def test_stiffness_of_a_linear_equation_is_its_rate(h):
    np.testing.assert_allclose(one_step(LINEAR, 0.0, Y[:1], h, args=-7.0).stiffness, 7.0, rtol=1e-9)


def test_stiffness_lies_between_the_rates_and_finds_the_fast_one():
    fast = ODE(lambda t, y, a: jnp.asarray([-1.0, -50.0]) * y)
    values = [float(one_step(fast, 0.0, jnp.asarray([1.0, w]), 0.1).stiffness) for w in (1e-6, 1.0)]
    assert all(1 <= v <= 50 * (1 + 1e-9) for v in values)
    np.testing.assert_allclose(values[1], 50.0, rtol=1e-3)


def test_error_on_monomials_is_that_of_the_embedded_quadrature():
    """Exact to degree three; for t⁴ and t⁵ from Tsitouras' coefficients by hand."""
    error = {p: float(one_step(ODE(lambda t, y, a, p=p: t**p + 0 * y), 0.0, Y[:1], 1.0, tolerance=PLAIN).error)
             for p in range(6)}  # fmt: skip
    assert max(error[p] for p in range(4)) < 1e-15
    np.testing.assert_allclose([error[4], error[5]], [5.8222e-4, 1.87826e-3], rtol=1e-4)


def test_unscaled_error_falls_with_the_fifth_power():
    """Ratios computed beforehand for z' = -z + sin(3 t) z² from z(0.3) = 1.3; they tend to 32."""
    error = [one_step(CURVED, 0.3, Y[1:], 0.1 / 2**k, args=-1.0, tolerance=PLAIN).error for k in range(4)]
    np.testing.assert_allclose([error[k] / error[k + 1] for k in range(3)], [24.4, 29.0, 30.7], atol=0.06)


def test_doubling_the_tolerance_on_the_same_steps_halves_the_error():
    run = lambda f: regularised_solve(
        CURVED, Y, UNIT, args=-3.0, penalty=ErrorPenalty(tolerance=Tolerance(f * 1e-6, f * 1e-7)), **FIXED
    )[1]
    np.testing.assert_allclose(run(1.0), 2 * run(2.0), rtol=1e-15)


@pytest.mark.parametrize("penalty", [ErrorPenalty(), StiffnessPenalty(aggregate=Mean())], ids=["error", "stiffness"])
def test_gradient_against_differences_on_fixed_steps(penalty):
    run = jax.jit(lambda a: regularised_solve(CURVED, Y, UNIT, args=a, penalty=penalty, **FIXED)[1])
    a, d = -3.0, 1e-5
    np.testing.assert_allclose(jax.grad(run)(a), (run(a + d) - run(a - d)) / (2 * d), rtol=1e-4)


def test_a_constant_field_costs_nothing_and_has_a_finite_gradient():
    constant = ODE(lambda t, y, a: a + 0 * y)
    both = (ErrorPenalty(), StiffnessPenalty())
    for how in ({"steps": STEPS}, FIXED):
        run = lambda a, how=how: regularised_solve(constant, Y, UNIT, args=a, penalty=both, **how)[1]
        value, slope = jax.jit(jax.value_and_grad(run))(2.0)
        assert float(value) < 1e-9  # cancellation leaves rounding over the tolerance
        assert np.isfinite(slope)


def test_no_weight_leaves_loss_and_gradient_bit_for_bit():
    how = {"steps": 4, "stepper": diffrax.Tsit5(), "args": -3.0}

    def plain(y):
        return jnp.sum(solve(CURVED, y, UNIT, **how).y1 ** 2)

    def with_penalty(y):
        solution, value = regularised_solve(CURVED, y, UNIT, penalty=ErrorPenalty(weight=0.0), **how)
        return jnp.sum(solution.y1**2) + value

    for one, other in zip(jax.value_and_grad(plain)(Y), jax.value_and_grad(with_penalty)(Y), strict=True):
        np.testing.assert_array_equal(one, other)


def test_neither_order_nor_copies_of_a_batch_matter():
    batch = jnp.asarray([[0.5, 1.3], [0.2, -0.4], [1.0, 0.1]])
    both = (ErrorPenalty(), StiffnessPenalty())
    run = lambda y: regularised_solve(CURVED, y, UNIT, args=-3.0, penalty=both, **FIXED)[1]
    for other in (batch[::-1], jnp.concatenate([batch, batch])):
        np.testing.assert_allclose(run(batch), run(other), rtol=1e-12)


def test_without_diffusion_a_stochastic_steppers_error_is_its_drifts():
    still = SDE(lambda t, y, a: -(y**2), lambda t, y, a: 0 * y)
    draws = [{"dx": w * jnp.ones(2), "area": 0.1 * w * jnp.ones(2)} for w in (0.0, 0.7)]
    one, other = (one_step(still, 0.0, Y, 0.1, stepper=SRK(), tolerance=PLAIN, **d).error for d in draws)
    np.testing.assert_array_equal(one, other)
    # SRI1W1's drift stages are y and y + ¾ h f(y).
    f = -(Y**2)
    by_hand = 2 * 0.1 / 3 * (-((Y + 0.075 * f) ** 2) - f)
    np.testing.assert_allclose(one, np.sqrt(np.mean(by_hand**2)), rtol=1e-12)


def test_adaptive_sde_along_the_same_noise():
    steps = AdaptiveSteps(rtol=1e-2, atol=1e-2, dt0=0.1, dt_min=1e-3, max_steps=256)
    run = jax.jit(lambda y: regularised_solve(GBM, y, UNIT, key=KEY, steps=steps, penalty=ErrorPenalty()))
    solution, value = run(Y)
    plain = jax.jit(lambda y: solve(GBM, y, UNIT, key=KEY, steps=steps).ys)(Y)
    np.testing.assert_allclose(solution.ys, plain, rtol=1e-12)
    assert 0 < float(value) <= 1


def test_additive_noise_on_adaptive_steps():
    """ShARK, the default on fixed steps, tells no error; the mean of y' = -y with noise 0.2 along the way."""
    additive = SDE(lambda t, y, a: -y, lambda t, y, a: 0.2 + 0 * y, NoiseKind.additive)
    steps = AdaptiveSteps(rtol=1e-2, atol=1e-2, dt0=0.1, dt_min=1e-3, max_steps=256)
    run = jax.jit(jax.vmap(lambda k: regularised_solve(additive, Y, UNIT, key=k, steps=steps, penalty=ErrorPenalty())))
    solutions, values = run(jax.random.split(KEY, 256))
    # Standard deviation of one path 0.2 sqrt((1 - e^-2) / 2) = 0.13; four of its mean.
    np.testing.assert_allclose(jnp.mean(solutions.ys[:, -1], axis=0), Y * np.exp(-1), atol=0.033)
    assert np.all(np.asarray(values) > 0)


def test_milstein_on_fixed_steps_by_hand():
    """Its error estimate is ½ g g' (dW² - h) = ½ 0.09 y (dW² - h)."""
    noise = {"key": KEY, "steps": 5, "stepper": Milstein()}
    _, value = regularised_solve(GBM, Y, [0.0, 1.0], penalty=ErrorPenalty(tolerance=PLAIN), **noise)
    ys = np.asarray(solve(GBM, Y, np.linspace(0, 1, 6), key=KEY, stepper=Milstein()).ys)
    h, y = 0.2, ys[:-1]
    # y1 = y (1 - h + 0.3 dW + ½ 0.09 (dW² - h)), solved for dW.
    c = 1 - h - 0.045 * h - ys[1:] / y
    dw = (-0.3 + np.sqrt(0.09 - 4 * 0.045 * c)) / 0.09
    errors = np.sqrt(np.mean((0.045 * y * (dw**2 - h)) ** 2, axis=1))
    np.testing.assert_allclose(value, np.mean(errors * h), rtol=1e-9)


def test_a_controlled_equation_and_time_backwards():
    path = linear(jnp.linspace(0.0, 1.0, 4), jnp.sin(jnp.arange(12.0)).reshape(4, 3))
    steered = CDE(lambda t, y, a: jnp.tanh(y)[:, None] * jnp.ones((1, 3)))
    rough = AdaptiveSteps(rtol=1e-3, atol=1e-3, max_steps=64)
    assert regularised_solve(steered, Y, [0.0, 1.0], driver=path, steps=rough, penalty=ErrorPenalty())[1] > 0
    run = jax.jit(lambda ts, a: regularised_solve(LINEAR, Y, ts, args=a, steps=rough, penalty=ErrorPenalty())[1])
    ends = jnp.asarray([0.0, 1.0])
    np.testing.assert_allclose(run(ends[::-1], 2.0), run(ends, -2.0), rtol=1e-9)


@pytest.mark.slow
def test_each_path_of_a_batch_has_its_own_and_precision_stays():
    run = lambda y: regularised_solve(CURVED, y, UNIT, args=-3.0, steps=STEPS, penalty=ErrorPenalty())[1]
    batch = jnp.stack([Y, 0.1 * Y])
    np.testing.assert_allclose(jax.vmap(run)(batch), [run(y) for y in batch], rtol=1e-9)
    single = ODE(lambda t, y, a: -y)
    y = jnp.ones(2, jnp.float32)
    for penalty in (ErrorPenalty(), StiffnessPenalty(), LocalPenalty()):
        assert (
            regularised_solve(single, y, [0.0, 1.0], steps=AdaptiveSteps(), penalty=penalty, key=KEY)[1].dtype
            == y.dtype
        )


def test_weights_go_from_start_to_end():
    weight = Annealed(10.0, 1.0, 100)
    np.testing.assert_allclose([weight(k) for k in (0, 50, 100, 500)], [10.0, 10**0.5, 1.0, 1.0], rtol=1e-12)
    penalty = ErrorPenalty(weight=weight, aggregate=Largest())
    of = lambda p: regularised_solve(CURVED, Y, UNIT, args=-3.0, penalty=p, **FIXED)[1]
    np.testing.assert_allclose(of(penalty.at(0)), 10 * of(penalty.at(jnp.asarray(100))), rtol=1e-12)


def refused(penalty, process=CURVED, **how):
    how = {"args": -1.0, "steps": STEPS, **how}
    return lambda: regularised_solve(process, Y, [0.0, 1.0], penalty=penalty, **how)


REFUSED = {
    "continuous adjoint": (refused(ErrorPenalty(), adjoint=Backsolve()), ValueError, "any adjoint"),
    "reversible": (refused(StiffnessPenalty(), adjoint=Reversible()), ValueError, "would have no gradient"),
    "Euler": (refused(ErrorPenalty(), steps=4, stepper=EulerMaruyama()), ValueError, "no local error estimate"),
    "stiffness of Heun": (refused(StiffnessPenalty(), steps=4), ValueError, "two stages at the end"),
    "stiffness of Heun, adaptive": (refused(StiffnessPenalty(), stepper=diffrax.Heun()), ValueError, "use Tsit5"),
    "stiffness with noise": (refused(StiffnessPenalty(), GBM, key=KEY), ValueError, "is for ODEs"),
    "annealed": (refused(ErrorPenalty(weight=Annealed(1.0, 0.1, 9))), ValueError, r"penalty.at\(step\)"),
    "a number": (refused(0.1), TypeError, "expected ErrorPenalty"),
    "nothing": (refused(()), ValueError, "call solve"),
    "two tolerances": (
        refused((ErrorPenalty(tolerance=PLAIN), ErrorPenalty(tolerance=Tolerance())), steps=4),
        ValueError,
        "one tolerance",
    ),
    "negative weight": (lambda: ErrorPenalty(weight=-1.0), ValueError, "must not be negative"),
    "weight of text": (lambda: StiffnessPenalty(weight="big"), TypeError, "Annealed"),
    "power": (lambda: ErrorPenalty(error_power=0), ValueError, "p >= 1"),
    "region": (lambda: StiffnessPenalty(region=0.0), ValueError, "must be positive"),
    "schedule": (lambda: Annealed(1.0, 0.0, 5), ValueError, "positive weights"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_compiling(name):
    call, kind, message = REFUSED[name]
    with pytest.raises(kind, match=message):
        call()
