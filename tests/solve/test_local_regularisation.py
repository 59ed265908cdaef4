"""A step at a random time: where it starts, what it is by hand, what gradients see of it, what it costs."""

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
    Backsolve,
    Biased,
    ErrorPenalty,
    EulerMaruyama,
    EulerPair,
    GivenStep,
    Heun,
    InitialStep,
    LocalPenalty,
    NoiseKind,
    OwnStep,
    StiffnessPenalty,
    Tolerance,
    Unbiased,
    one_step,
    regularised_solve,
    solve,
)
from cadlag.solve._local_penalty import local_values
from cadlag.solve._solve import solve_watched
from cadlag.solve._watch import Reservoir, Several

KEY = jax.random.key(3)
Y = jnp.asarray([0.5, 1.3])
UNIT = [0.0, 0.4, 1.0]
STEPS = AdaptiveSteps(rtol=1e-6, atol=1e-6, max_steps=64)
PLAIN = Tolerance(rtol=0.0, atol=1.0)
BARE = ErrorPenalty(tolerance=PLAIN, width_power=0)
LINEAR = ODE(lambda t, y, a: a * y)
CURVED = ODE(lambda t, y, a: a * y + jnp.sin(3 * t) * y**2)
ANY_NOISE = SDE(lambda t, y, a: 0 * y, lambda t, y, a: jnp.eye(2), NoiseKind.operator)
GBM = SDE(lambda t, y, a: -y, lambda t, y, a: 0.3 * y)
MANY = 10_000


def embedded(z):
    """p(z), the embedded error of Tsit5 on y' = λ y over y, z = λ h, from its tableau in NumPy."""
    tableau = diffrax.Tsit5.tableau
    k = [np.ones_like(z)]
    for row in tableau.a_lower:
        k.append(1 + z * sum(float(a) * ki for a, ki in zip(row, k, strict=True)))
    return z * sum(float(b) * ki for b, ki in zip(tableau.b_error, k, strict=True))


def value(penalty, process, start, a=-1.0, end=1.0):
    t, y = start
    start = (jnp.asarray([t]), None, y[None])
    return local_values(penalty, process, a, None, start, jnp.asarray(end), Tolerance(1e-6, 1e-6), KEY)


def test_uniform_times_estimate_the_integral():
    """On z' = -z the error of a step of width 0.1, cut at the end, is |p(-h)| e^-τ; its integral by quadrature."""
    penalty = LocalPenalty(of=BARE, width=GivenStep(0.1), points=MANY)
    found = regularised_solve(LINEAR, jnp.ones(1), [0.0, 1.0], args=-1.0, penalty=penalty, steps=STEPS, key=KEY)[1]
    t = np.linspace(0, 1, 100_001)
    rho = np.abs(embedded(-np.minimum(0.1, 1 - t))) * np.exp(-t)
    error = np.std(rho) / np.sqrt(MANY)
    assert abs(float(found) - np.trapezoid(rho, t)) < 3 * error
    assert error < 0.02 * np.mean(rho)


def test_errors_of_a_linear_equation_in_closed_form():
    widths = 0.2 / 2.0 ** np.arange(3)
    found = [float(value(LocalPenalty(of=BARE, width=GivenStep(float(h))), LINEAR, (0.2, Y[:1]), -2.0)) for h in widths]
    np.testing.assert_allclose(found, np.abs(embedded(-2.0 * widths)) * float(Y[0]), rtol=1e-6)
    assert abs(np.polyfit(np.log(widths), np.log(found), 1)[0] - 5) < 0.1
    times_h = LocalPenalty(of=ErrorPenalty(tolerance=PLAIN), width=GivenStep(0.2))
    np.testing.assert_allclose(value(times_h, LINEAR, (0.2, Y[:1]), -2.0), 0.2 * found[0], rtol=1e-12)


@pytest.mark.parametrize("t", [0.0, 0.37, 0.9])
def test_stiffness_of_a_linear_equation_is_its_rate_anywhere(t):
    penalty = LocalPenalty(of=StiffnessPenalty(), width=GivenStep(0.05))
    np.testing.assert_allclose(value(penalty, LINEAR, (t, Y), -8.0) * 3.5068, 8.0, rtol=1e-9)


def test_the_initial_step_is_hairers():
    """The rule in NumPy, for y' = -2 y at (1, 3), order 5."""
    y, sc = np.asarray([1.0, 3.0]), 1e-6 + 1e-6 * np.asarray([1.0, 3.0])
    rms = lambda x: np.sqrt(np.mean((x / sc) ** 2))
    d0, d1 = rms(y), rms(-2 * y)
    h0 = 0.01 * d0 / d1
    d2 = rms(-2 * (y - 2 * h0 * y) + 2 * y) / h0
    h = min(100 * h0, (0.01 / max(d1, d2)) ** (1 / 6))
    penalty = LocalPenalty(of=BARE, width=InitialStep())
    found = value(penalty, LINEAR, (0.0, jnp.asarray(y)), -2.0)
    np.testing.assert_allclose(found, np.abs(embedded(-2.0 * np.asarray(h))) * np.sqrt(5.0), rtol=1e-6)


def test_gradients_see_the_step_alone():
    """None in the start; in a parameter that of the step from a fixed state and of a fixed width."""
    penalty = LocalPenalty(of=ErrorPenalty(weight=1.0), width=InitialStep())

    def run(y, a):
        return regularised_solve(CURVED, y, UNIT, args=a, penalty=penalty, steps=STEPS, key=KEY)[1]

    in_start, in_parameter = jax.jit(jax.grad(run, (0, 1)))(Y, -3.0)
    np.testing.assert_array_equal(in_start, 0.0)
    assert in_parameter != 0
    fixed = LocalPenalty(of=ErrorPenalty(weight=1.0), width=GivenStep(0.03))
    at = jax.jit(lambda a: value(fixed, CURVED, (0.3, Y), a))
    a, d = -3.0, 1e-4
    np.testing.assert_allclose(jax.grad(at)(a), (at(a + d) - at(a - d)) / (2 * d), rtol=1e-4)


SAMPLINGS = {"unbiased": (Unbiased(), InitialStep()), "biased": (Biased(), OwnStep())}


@pytest.mark.parametrize("name", SAMPLINGS)
@pytest.mark.parametrize("how", ["adaptive", "fixed"])
def test_outputs_are_those_of_a_solve(name, how):
    sampling, width = SAMPLINGS[name]
    penalty = LocalPenalty(sampling=sampling, width=width)
    how = {"steps": STEPS} if how == "adaptive" else {"steps": 3, "stepper": EulerMaruyama()}
    solution, r = jax.jit(
        lambda y: regularised_solve(CURVED, y, UNIT, args=-3.0, penalty=penalty, key=KEY, **how)
    )(Y)  # fmt: skip
    plain = jax.jit(lambda y: solve(CURVED, y, UNIT, args=-3.0, **how).ys)(Y)
    np.testing.assert_allclose(solution.ys, plain, rtol=1e-13)
    np.testing.assert_array_equal(solution.ts, UNIT)
    assert r > 0


@pytest.mark.slow
def test_noise_is_that_of_a_solve():
    steps = AdaptiveSteps(rtol=1e-2, atol=1e-2, dt0=0.1, dt_min=1e-3, max_steps=256)
    run = lambda k: regularised_solve(GBM, Y, UNIT, penalty=LocalPenalty(), key=k, steps=steps)
    solution, r = jax.jit(run)(KEY)
    plain = jax.jit(lambda k: solve(GBM, Y, UNIT, key=k, steps=steps).ys)(KEY)
    np.testing.assert_allclose(solution.ys, plain, rtol=1e-12)
    assert r > 0
    for process, stepper in (
        (GBM, None),
        (SDE(lambda t, y, a: -y, lambda t, y, a: 0.3 + 0 * y, NoiseKind.additive), Heun()),
    ):
        penalty = LocalPenalty(stepper=stepper, points=3)
        assert regularised_solve(process, Y, UNIT, penalty=penalty, key=KEY, steps=4)[1] > 0


def test_a_stepper_for_any_noise_by_hand():
    """Euler's step; half of what f h + g dW changes from its start to its end."""
    process = SDE(lambda t, y, a: -(y**2), lambda t, y, a: jnp.diag(y) + y[0], NoiseKind.operator)
    h, dw, y = 0.1, np.asarray([0.3, -0.2]), np.asarray(Y)
    increment = lambda y: -(y**2) * h + (np.diag(y) + y[0]) @ dw
    step = one_step(process, 0.0, Y, h, dx=jnp.asarray(dw), stepper=EulerPair(), tolerance=PLAIN)
    np.testing.assert_allclose(step.y1, y + increment(y), rtol=1e-12)
    change = 0.5 * (increment(y + increment(y)) - increment(y))
    np.testing.assert_allclose(step.error, np.sqrt(np.mean(change**2)), rtol=1e-12)
    assert regularised_solve(ANY_NOISE, Y, UNIT, penalty=LocalPenalty(), key=KEY, steps=4)[1] == 0  # constant noise
    assert regularised_solve(process, Y, UNIT, penalty=LocalPenalty(), key=KEY, steps=4)[1] > 0


def test_steps_are_drawn_alike_and_the_end_never():
    """y' = -50 (y - cos t): most steps are at the start. Every step has the same share, at three deviations."""
    transient = ODE(lambda t, y, a: -50.0 * (y - jnp.cos(t)))
    steps = AdaptiveSteps(rtol=1e-5, atol=1e-5, max_steps=128)
    watcher = Several((Reservoir(KEY, MANY),))

    def run(y):
        solution, memory = solve_watched(transient, y, [0.0, 1.0], watcher, steps=steps, stats=True)
        return solution.stats.sizes, memory[0]

    sizes, (count, t, h, _) = jax.jit(run)(jnp.zeros(1))
    sizes = np.asarray(sizes)[np.asarray(sizes) > 0]
    starts = np.concatenate([[0.0], np.cumsum(sizes)[:-1]])
    assert int(count) == len(sizes)
    which = np.argmin(np.abs(np.asarray(t)[:, None] - starts), axis=1)
    np.testing.assert_allclose(t, starts[which], atol=1e-12)
    np.testing.assert_allclose(h, sizes[which], rtol=1e-9)
    share = np.bincount(which, minlength=len(sizes)) / MANY
    p = 1 / len(sizes)
    # Bonferroni: 4.5 deviations over some forty steps is a false alarm in some 3,000 runs.
    assert np.max(np.abs(share - p)) < 4.5 * np.sqrt(p * (1 - p) / MANY)
    assert np.max(t) < 1
    assert np.mean(np.asarray(t) < 0.1) > 0.15
    uniform = Unbiased().times(jnp.asarray([0.0, 1.0]), MANY, KEY)
    assert abs(np.mean(np.asarray(uniform) < 0.1) - 0.1) < 0.01


def test_padding_of_fixed_steps_is_not_drawn():
    grid = jnp.asarray([0.0, 0.5, 1.0, 1.0, 1.0])
    drawn = Biased().times(grid, 1000, KEY)
    assert set(np.unique(drawn)) == {0.0, 0.5}


def test_the_task_has_its_gradient_under_the_continuous_adjoint():
    """With a penalty beside it; the continuous adjoint is right to the tolerance of the solve."""
    tight = AdaptiveSteps(rtol=1e-9, atol=1e-9, max_steps=128)

    def run(a):
        how = {"args": a, "steps": tight, "key": KEY, "adjoint": Backsolve()}
        solution, r = regularised_solve(CURVED, Y, [0.0, 1.0], penalty=LocalPenalty(), **how)
        return jnp.stack([jnp.sum(solution.y1**2), r])

    plain = jax.jit(jax.grad(lambda a: jnp.sum(solve(CURVED, Y, [0.0, 1.0], args=a, steps=tight).y1 ** 2)))(-3.0)
    task, penalty = jax.jit(jax.jacrev(run))(-3.0)
    np.testing.assert_allclose(task, plain, rtol=1e-6)
    assert penalty != 0


def test_it_costs_a_step_and_two_evaluations():
    calls = []

    def field(t, y, a):
        calls.append(t)
        return a * y

    jax.eval_shape(lambda y: value(LocalPenalty(), ODE(field), (0.2, y)), Y)
    assert len(calls) == 7 + 2


def test_a_constant_field_and_a_failed_solve_add_nothing():
    constant = ODE(lambda t, y, a: a + 0 * y)
    r, slope = jax.value_and_grad(lambda a: value(LocalPenalty(), constant, (0.2, Y), a))(2.0)
    assert r < 1e-9
    assert np.isfinite(slope)
    few = AdaptiveSteps(rtol=1e-9, atol=1e-9, max_steps=4)
    run = lambda a: regularised_solve(
        CURVED, Y, UNIT, args=a, penalty=LocalPenalty(), steps=few, key=jax.random.key(1), throw=False
    )[1]
    r, slope = jax.value_and_grad(run)(-30.0)
    assert (float(r), float(slope)) == (0.0, 0.0)


def test_a_controlled_equation_steps_along_its_path():
    path = linear(jnp.linspace(0.0, 1.0, 4), jnp.sin(jnp.arange(12.0)).reshape(4, 3))
    steered = CDE(lambda t, y, a: jnp.tanh(y)[:, None] * jnp.ones((1, 3)))
    for sampling in (Unbiased(), Biased()):
        penalty = LocalPenalty(sampling=sampling)
        assert regularised_solve(steered, Y, [0.0, 1.0], driver=path, steps=8, penalty=penalty, key=KEY)[1] > 0


@pytest.mark.slow
def test_backwards_in_time_it_is_the_mirrored_equation():
    for sampling, width in SAMPLINGS.values():
        penalty = LocalPenalty(sampling=sampling, width=width)
        run = lambda a, ts, p=penalty: regularised_solve(LINEAR, Y, ts, args=a, steps=STEPS, penalty=p, key=KEY)[1]
        if isinstance(sampling, Biased):
            np.testing.assert_allclose(run(2.0, [1.0, 0.0]), run(-2.0, [0.0, 1.0]), rtol=1e-6)
        else:
            assert run(2.0, [1.0, 0.0]) > 0


def refused(penalty, process=CURVED, **how):
    how = {"args": -1.0, "steps": STEPS, "key": KEY, **how}
    return lambda: regularised_solve(process, Y, [0.0, 1.0], penalty=penalty, **how)


REFUSED = {
    "no key": (refused(LocalPenalty(), key=None), ValueError, "pass `key`"),
    "two": (refused((LocalPenalty(), LocalPenalty())), ValueError, "more `points`"),
    "no points": (lambda: LocalPenalty(points=0), ValueError, "at least 1"),
    "no estimate": (lambda: LocalPenalty(stepper=EulerMaruyama()), ValueError, "no local error estimate"),
    "width": (lambda: GivenStep(0.0), ValueError, "must be positive"),
    "own step at any time": (refused(LocalPenalty(width=OwnStep())), ValueError, r"sampling=Biased\(\)"),
    "steps of a continuous adjoint": (
        refused(LocalPenalty(sampling=Biased()), adjoint=Backsolve()), ValueError, r"use Unbiased\(\)"),
    "stiffness with noise": (
        refused(LocalPenalty(of=StiffnessPenalty()), GBM, steps=4), ValueError, "needs an ODE"),
    "noise of another kind": (
        refused(LocalPenalty(stepper=SRK()), ANY_NOISE, steps=4), ValueError, "does not converge for noise"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_compiling(name):
    call, kind, message = REFUSED[name]
    with pytest.raises(kind, match=message):
        call()
