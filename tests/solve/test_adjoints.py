"""Gradients: every adjoint against Direct, finite differences and closed forms; memory."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.paths import BrownianGrid, FunctionPath, hermite, linear
from cadlag.solve import (
    CDE,
    ODE,
    SDE,
    AdaptiveSteps,
    Backsolve,
    Calculus,
    Checkpointed,
    Direct,
    FixedSteps,
    Heun,
    NoiseKind,
    Reversible,
    ReversibleHeun,
    solve,
)

TIMES = jnp.linspace(0.0, 1.0, 8)
DATA = jnp.sin(jnp.arange(16.0)).reshape(8, 2)
KEY = jax.random.key(0)
RH = ReversibleHeun()


def same(a, b, rtol):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol)


def diagonal_sde(p, y0, adjoint):
    process = SDE(lambda t, y, a: jnp.tanh(a["w"] @ y), lambda t, y, a: jnp.cos(a["s"] * y),
                  NoiseKind.diagonal, Calculus.stratonovich)  # fmt: skip
    out = solve(process, y0, jnp.linspace(0.0, 1.0, 4), args=p, steps=5, stepper=RH, key=KEY, adjoint=adjoint)
    return jnp.sum(out.ys**2)


def cde(p, y0, adjoint):
    path = linear(TIMES, DATA * p["s"][0])
    process = CDE(lambda t, y, a: jnp.tanh(jnp.outer(a["w"] @ y, a["s"])))
    out = solve(process, y0, TIMES, args=p, driver=path, steps=2, stepper=RH, adjoint=adjoint)
    return jnp.sum(out.y1**3)


def path_in_args(p, y0, adjoint):
    path = hermite(TIMES, DATA * p["s"][0])
    process = SDE(
        lambda t, y, a: jnp.tanh(a[0]["w"] @ y + a[1].evaluate(t)),
        lambda t, y, a: a[0]["s"],
        NoiseKind.additive,
    )
    out = solve(process, y0, [0.0, 1.0], args=(p, path), steps=11, stepper=RH, key=KEY, adjoint=adjoint)
    return jnp.sum(out.y1**2)


def brownian_and_path(p, y0, adjoint):
    class Both(eqx.Module):
        def __call__(self, t, y, a):
            return jnp.cos(a["s"] * y), jnp.outer(jnp.sin(y), a["s"])

    process = SDE(lambda t, y, a: a["w"] @ y, Both(), (NoiseKind.diagonal, NoiseKind.operator), Calculus.stratonovich)
    drivers = (BrownianGrid(TIMES, (2,), key=KEY), linear(TIMES, DATA * p["s"][0]))
    out = solve(process, y0, TIMES, args=p, driver=drivers, stepper=RH, adjoint=adjoint)
    return jnp.sum(out.ys**2)


def tree_state(p, y0, adjoint):
    process = SDE(
        lambda t, y, a: {"u": jnp.tanh(a["w"] @ y["v"]), "v": -y["u"]},
        lambda t, y, a: {"u": 0.3 * y["u"], "v": jnp.sin(a["s"])}, NoiseKind.diagonal, Calculus.stratonovich,
    )  # fmt: skip
    out = solve(process, {"u": y0, "v": 2 * y0}, [0.0, 1.0], args=p, steps=9, stepper=RH, key=KEY, adjoint=adjoint)
    return jnp.sum(out.y1["u"] * out.y1["v"])


CASES = {f.__name__: f for f in (diagonal_sde, cde, path_in_args, brownian_and_path, tree_state)}
PARAMS = {"w": jnp.asarray([[0.3, -0.8], [0.5, 0.1]]), "s": jnp.asarray([0.4, 0.9])}
Y0 = jnp.asarray([0.5, -1.0])


@pytest.mark.parametrize("name", CASES)
def test_adjoints_agree(name):
    case = CASES[name]

    def grad(adjoint):
        return jax.jit(jax.value_and_grad(lambda p, y: case(p, y, adjoint), (0, 1)))(PARAMS, Y0)

    direct = grad(Direct())
    same(grad(Checkpointed()), direct, 1e-12)
    same(grad(Reversible()), direct, 1e-10)
    h = 1e-5

    def nudge(e):
        return case(jax.tree.map(lambda x: x + e, PARAMS), Y0 + e, Direct())

    numeric = (nudge(h) - nudge(-h)) / (2 * h)
    # Central differences: error h² plus 1e-16 / h.
    np.testing.assert_allclose(sum(jnp.sum(g) for g in jax.tree.leaves(direct[1])), numeric, rtol=1e-7)


@pytest.mark.parametrize("adjoint", [Checkpointed(1), Checkpointed(3), Checkpointed(7), Checkpointed(100),
                                     Direct(store_intermediates=True)], ids=str)  # fmt: skip
def test_any_number_of_segments(adjoint):
    def grad(a):
        return jax.grad(diagonal_sde, (0, 1))(PARAMS, Y0, a)

    same(grad(adjoint), grad(Direct()), 1e-12)


def test_reversible_with_every_time_backwards_in_time():
    noise = BrownianGrid(TIMES, (2,), key=KEY)
    process = SDE(lambda t, y, a: a * y, lambda t, y, a: jnp.cos(y), NoiseKind.diagonal, Calculus.stratonovich)

    def run(a, adjoint):
        return solve(process, Y0, TIMES[::-1], args=a, driver=noise, stepper=RH, adjoint=adjoint).ys.sum()

    for f in (jax.jit(run, static_argnums=1), jax.grad(run)):
        same(f(0.3, Reversible()), f(0.3, Direct()), 1e-10)


def test_reversible_says_that_times_have_no_gradient():
    def run(t):
        return solve(ODE(lambda t, y, a: y), Y0, jnp.stack([0 * t, t]), adjoint=Reversible()).y1.sum()

    with pytest.raises(Exception, match=r"[Cc]annot be differentiated|ondifferentiable|[Uu]nexpected"):
        jax.grad(run)(jnp.asarray(1.0))


def test_there_and_back():
    """100 steps of a 4-dimensional SDE and back by the inverse step; each direction rounds 100 times."""
    process = SDE(
        lambda t, y, a: -jnp.sin(y),
        lambda t, y, a: 0.5 * jnp.cos(y),
        NoiseKind.diagonal,
        Calculus.stratonovich,
    )
    from cadlag.solve import Field, Step

    field, y0 = Field(process, None), jnp.linspace(-1.0, 1.0, 4)
    grid = jnp.linspace(0.0, 1.0, 101)
    dw = BrownianGrid(grid, (4,), key=KEY).increments().dw
    y, state = y0, RH.init(field, grid[0], y0)
    step = jax.jit(lambda y, s, i: RH.step(field, y, s, Step(grid[i], grid[i + 1], grid[i + 1] - grid[i], dw[i], None)))
    for i in range(100):
        y, state, _ = step(y, state, i)
    # The method is symmetric: with (y, z) as they are, stepping along the reversed grid undoes it.
    back = jax.jit(
        lambda y, s, i: RH.step(field, y, s, Step(grid[i + 1], grid[i], grid[i] - grid[i + 1], -dw[i], None))
    )
    for i in range(99, -1, -1):
        y, state, _ = back(y, state, i)
    np.testing.assert_allclose(y, y0, atol=1e-13)


ADJOINTS = {
    "direct": (Direct(), 400, None),
    "checkpointed": (Checkpointed(), 400, None),
    "reversible": (Reversible(), 400, None),
}


@pytest.mark.parametrize("name", ADJOINTS)
def test_closed_form_gradient(name):
    adjoint, steps, _ = ADJOINTS[name]

    def run(th):
        return solve(ODE(lambda t, y, a: a * y), jnp.ones(1), [0.0, 2.0], args=th, steps=steps, adjoint=adjoint).y1[0]

    # Second order with 400 steps of 1/200.
    np.testing.assert_allclose(jax.grad(run)(0.7), 2 * np.exp(1.4), rtol=1e-5)


class Growth(eqx.Module):
    theta: jax.Array

    def __call__(self, t, y, args):
        return self.theta * y * (1.0 if args is None else args)


def test_backsolve_gradient_improves_with_the_tolerance():
    def error(tol):
        steps = AdaptiveSteps(rtol=tol, atol=tol)

        def run(th, a):
            return solve(ODE(Growth(th)), jnp.ones(1), [0.0, 2.0], args=a, steps=steps, adjoint=Backsolve()).y1[0]

        in_process, in_args = jax.jit(jax.grad(run, (0, 1)))(jnp.asarray(0.7), jnp.asarray(1.0))
        np.testing.assert_allclose(in_process * 0.7, in_args, rtol=1e-10)
        return abs(float(in_process) - 2 * np.exp(1.4))

    errors = [error(tol) for tol in (1e-3, 1e-8)]
    assert errors[1] < 1e-2 * errors[0]
    assert errors[1] < 1e-5


def temporary_bytes(adjoint, steps):
    def loss(p, y0):
        process = SDE(
            lambda t, y, a: jnp.tanh(a @ y),
            lambda t, y, a: jnp.cos(y),
            NoiseKind.diagonal,
            Calculus.stratonovich,
        )
        return jnp.sum(solve(process, y0, [0.0, 1.0], args=p, steps=steps, stepper=RH, key=KEY, adjoint=adjoint).y1)

    lowered = jax.jit(jax.grad(loss)).lower(jnp.eye(64), jnp.ones(64))
    return lowered.compile().memory_analysis().temp_size_in_bytes


def test_memory_in_the_number_of_steps():
    # The time grid itself is 8 bytes a step; a state is 512.
    reversible = [temporary_bytes(Reversible(), n) for n in (100, 1000)]
    assert reversible[1] - reversible[0] < 900 * 64
    direct = [temporary_bytes(Direct(), n) for n in (100, 1000)]
    assert direct[1] - direct[0] > 900 * 512
    assert reversible[1] < direct[1] / 10


def test_second_derivative_of_a_solve():
    """y' = θ y by n Heun steps is (1 + θh + (θh)²/2)^n."""
    n, T = 10, 1.0

    def run(th):
        return solve(ODE(lambda t, y, a: a * y), jnp.ones(1), [0.0, T], args=th, steps=n, stepper=Heun()).y1[0]

    def closed(th):
        return (1 + th * T / n + (th * T / n) ** 2 / 2) ** n

    np.testing.assert_allclose(jax.hessian(run)(0.7), jax.hessian(closed)(0.7), rtol=1e-12)


def test_gradient_through_a_learnable_control():
    """CDE with constant matrix A: y(T) = y0 + A (x(T) - x(0)), so the gradient is known exactly."""
    matrix = jnp.asarray([[1.0, 2.0], [0.0, -1.0], [0.5, 0.5]])
    process = CDE(lambda t, y, a: matrix)

    def run(scale, y0):
        path = FunctionPath(lambda t: jnp.stack([scale * t**2, jnp.sin(scale * t)]))
        return solve(process, y0, jnp.linspace(0.0, 1.0, 5), driver=path).y1

    expected = jnp.arange(3.0) + matrix @ jnp.stack([0.7, jnp.sin(0.7)])
    np.testing.assert_allclose(run(0.7, jnp.arange(3.0)), expected, rtol=1e-14)
    slope = jax.jacfwd(run)(0.7, jnp.zeros(3))
    np.testing.assert_allclose(slope, matrix @ jnp.stack([1.0, jnp.cos(0.7)]), rtol=1e-12)


def test_backsolve_of_an_sde_takes_equal_fixed_steps():
    process = SDE(lambda t, y, a: -y, lambda t, y, a: 0.1 + 0 * y, NoiseKind.additive, Calculus.stratonovich)
    grid = jnp.array([0.0, 0.1, 1.0, 2.0])
    with pytest.raises(ValueError, match="equal fixed steps"):
        solve(process, jnp.ones(1), grid[::3], steps=FixedSteps(grid), key=KEY, adjoint=Backsolve())
