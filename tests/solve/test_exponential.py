"""Exponential steppers: orders, exactness, coefficients inside and outside the loop, refusals."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.solve import (
    ETDRK4,
    IFRK4,
    ODE,
    AdaptiveSteps,
    Backsolve,
    Checkpointed,
    FixedSteps,
    Heun,
    Semilinear,
    one_step,
    solve,
)

STEPPERS = {"etdrk4": ETDRK4(), "ifrk4": IFRK4()}
TS = jnp.asarray([0.0, 2.0])
# Rates of decay, growth and rotation; y' = L y + cos(t) y² has the closed form of a Bernoulli equation.
L = np.asarray([-1.5, 0.3, 0.8j, -0.5 + 2.0j, 0.0])
Y0 = jnp.asarray([0.5, 0.2 + 0.1j, -0.3, 0.4j, 0.3])


def bernoulli(linear):
    return Semilinear(linear, lambda t, y, args: jnp.cos(t).astype(y.dtype) * y**2)


def exact(t, linear=L):
    """z = 1/y solves z' = -L z - cos t, of which p below is a particular solution."""
    p = lambda s: -(linear * np.cos(s) + np.sin(s)) / (1 + linear**2)
    z = np.exp(-linear * t) * (1 / np.asarray(Y0) - p(0.0)) + p(t)
    return 1 / z


@functools.partial(jax.jit, static_argnames=("name", "n"))
def end(name, n, linear=None):
    return solve(bernoulli(L if linear is None else linear), Y0, TS, steps=n, stepper=STEPPERS[name]).y1


@pytest.mark.parametrize("name", STEPPERS)
def test_order_four_on_a_closed_form(name):
    counts = (10, 20, 40)
    errors = [float(jnp.max(jnp.abs(end(name, n) - exact(2.0)))) for n in counts]
    assert -np.polyfit(np.log(counts), np.log(errors), 1)[0] == pytest.approx(4, abs=0.15)


@pytest.mark.parametrize("name", STEPPERS)
def test_a_linear_process_is_solved_exactly_in_one_step(name):
    stiff = np.asarray([-1e4, -3.0, 5j, 0.0, 0.7])
    y1 = solve(Semilinear(stiff), Y0, TS, stepper=STEPPERS[name]).y1
    np.testing.assert_allclose(y1, np.exp(2 * stiff) * Y0, rtol=1e-14)


def test_coefficients_traced_equal_those_known_beforehand():
    """The same L as a number, as an argument of jit, and with a grid that is not known either."""
    known, traced = end("etdrk4", 10), end("etdrk4", 10, jnp.asarray(L))
    inside = jax.jit(lambda ts: solve(bernoulli(L), Y0, ts, steps=10, stepper=ETDRK4()).y1)(TS)
    np.testing.assert_allclose(traced, known, rtol=1e-12)
    np.testing.assert_allclose(inside, known, rtol=1e-12)


def test_coefficients_at_a_removable_singularity():
    """At L = 0 the stepper is the classical Runge-Kutta method; near it no digits are lost."""
    for small in (0.0, 1e-9, -1e-9):
        e, e2, q, f1, f2, f3 = (float(c[0]) for c in ETDRK4().coefficients(np.asarray([small]), 0.1))
        np.testing.assert_allclose([e, e2, q, f1, f2, f3], [1, 1, 0.05, 0.1 / 6, 0.1 / 3, 0.1 / 6], rtol=1e-8)


def test_a_family_of_linear_parts():
    rates = jnp.asarray([-1.0, -0.2])

    def one(rate):
        process = Semilinear(rate * jnp.ones(1), lambda t, y, args: -(y**3))
        return solve(process, jnp.ones(1), TS, steps=20, stepper=ETDRK4()).y1[0]

    h = 1e-5
    both = jax.jit(jax.vmap(jax.value_and_grad(one)))(jnp.concatenate([rates, rates + h, rates - h]))
    values, slopes = (np.asarray(v).reshape(3, 2) for v in both)
    # y' = r y - y³ with w = 1/y²: w' = -2 r w + 2.
    r = np.asarray(rates)
    np.testing.assert_allclose(values[0], (np.exp(-4 * r) * (1 - 1 / r) + 1 / r) ** -0.5, rtol=1e-5)
    np.testing.assert_allclose(slopes[0], (values[1] - values[2]) / (2 * h), rtol=1e-8)


def test_uneven_steps_and_trees():
    grid = jnp.asarray([0.0, 0.1, 0.3, 0.35, 0.55, 0.6])
    tree = {"a": jnp.asarray([0.5]), "b": jnp.asarray([0.2])}
    linear = {"a": np.asarray([-3.0]), "b": np.asarray([0.5])}
    process = Semilinear(linear, lambda t, y, args: {"a": y["b"] ** 2, "b": args * y["a"]})
    ys = jax.jit(lambda: solve(process, tree, grid, args=-1.0, steps=FixedSteps(grid), stepper=ETDRK4()).ys)()
    # The same, one step after another with coefficients of its own.
    alone = jax.jit(lambda y, ends: solve(process, y, ends, args=-1.0, stepper=ETDRK4()).y1)
    y = tree
    for i in range(5):
        y = alone(y, grid[i : i + 2])
    np.testing.assert_allclose([ys["a"][-1], ys["b"][-1]], [y["a"], y["b"]], rtol=1e-12)


def test_adjoints_agree_and_are_right():
    y0, direction = jnp.asarray([0.4, 0.2]), jnp.asarray([0.3, -0.7])
    process = Semilinear(np.asarray([-2.0, 0.1]), lambda t, y, args: jnp.sin(y[::-1]) * jnp.cos(t))

    def loss(y, adjoint=None):
        return jnp.sum(solve(process, y, TS, steps=9, stepper=ETDRK4(), adjoint=adjoint).y1 ** 2)

    direct, checkpointed = jax.jit(lambda y: (jax.grad(loss)(y), jax.grad(loss)(y, Checkpointed())))(y0)
    np.testing.assert_allclose(checkpointed, direct, rtol=1e-12)
    h = 1e-5
    above, below = jax.jit(jax.vmap(loss))(jnp.stack([y0 + h * direction, y0 - h * direction]))
    numeric = (above - below) / (2 * h)
    np.testing.assert_allclose(direct @ direction, numeric, rtol=1e-8)


def test_single_precision_stays_single():
    process = Semilinear(np.asarray([-1.0]), lambda t, y, args: -(y**3))
    y1 = jax.jit(lambda y: solve(process, y, TS, steps=20, stepper=ETDRK4()).y1)(jnp.ones(1, jnp.float32))
    assert y1.dtype == jnp.float32
    np.testing.assert_allclose(y1, (np.exp(4.0) * 2 - 1) ** -0.5, rtol=1e-5)
    waves = Semilinear(np.asarray([2j]), lambda t, y, args: 0 * y)
    assert solve(waves, jnp.ones(1, jnp.complex64), TS, stepper=IFRK4()).y1.dtype == jnp.complex64


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: solve(ODE(lambda t, y, args: -y), Y0, TS, stepper=ETDRK4()), "takes a Semilinear process, not ODE"),
        (lambda: solve(Semilinear(L[:2]), Y0, TS, stepper=ETDRK4()), "linear has shape"),
        (lambda: solve(Semilinear(L), jnp.ones(5), TS, stepper=IFRK4()), "make the state complex"),
        (lambda: solve(bernoulli(L), Y0, TS, stepper=ETDRK4(), adjoint=Backsolve()), "use Checkpointed"),
        (lambda: solve(bernoulli(L), Y0, TS, stepper=ETDRK4(), steps=AdaptiveSteps()), "takes fixed steps"),
        (lambda: one_step(bernoulli(L), 0.0, Y0, 0.1, stepper=ETDRK4()), "no local error estimate"),
        (lambda: ETDRK4(points=2), "8 at least"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_other_steppers_take_it_as_an_ode():
    got = solve(bernoulli(L), Y0, TS, steps=400, stepper=Heun()).y1
    np.testing.assert_allclose(got, exact(2.0), rtol=1e-4)


def test_divergence_is_named():
    process = Semilinear(np.asarray([1.0]), lambda t, y, args: y**2)
    solution = solve(process, jnp.ones(1), jnp.asarray([0.0, 50.0]), steps=200, stepper=ETDRK4(), throw=False)
    assert "NaN" in str(solution.result)
    assert np.isfinite(solution.last[1]).all()
