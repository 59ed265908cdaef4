"""The continuous adjoint on fixed steps: what its recursion is by hand, its order, what it refuses."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.solve import ODE, SDE, AdaptiveSteps, Backsolve, EulerMaruyama, FixedSteps, Heun, solve

GRID = jnp.array([0.0, 0.05, 0.2, 0.3, 0.6, 0.7, 1.0])


class Growth(eqx.Module):
    """y' = θ a y, with leaves that are not learnt."""

    theta: jax.Array
    count: jax.Array
    name: str = "growth"

    def __call__(self, t, y, a):
        return self.theta * a * y * self.count


def final(theta, a, y0, stepper, adjoint, grid=GRID):
    process = ODE(Growth(theta, jnp.asarray(1)))
    return solve(process, y0, grid[np.array([0, -1])], args=a, steps=FixedSteps(grid), stepper=stepper,
                 adjoint=adjoint).y1[0]  # fmt: skip


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize("stepper", [EulerMaruyama(), diffrax.Euler()], ids=["ours", "diffrax"])
def test_euler_is_the_recursion_written_by_hand(store, stepper):
    """Backwards y ← y (1 - θh) unless stored, a ← a (1 + θh), G ← G + h a y: two exponential factors in numpy."""
    theta, h = 0.7, np.diff(np.asarray(GRID))
    states = np.cumprod([1.0, *(1 + theta * h)])
    y, a, g = states[-1], 1.0, 0.0
    for i in reversed(range(len(h))):
        y = states[i + 1] if store else y
        y, a, g = y * (1 - theta * h[i]), a * (1 + theta * h[i]), g + h[i] * a * y
    value_and_grad = jax.jit(jax.value_and_grad(lambda *x: final(*x, stepper, Backsolve(store=store)), (0, 1, 2)))
    value, (d_theta, d_a, d_y0) = value_and_grad(jnp.asarray(theta), jnp.asarray(1.0), jnp.ones(1))
    # A handful of products: rounding only.
    np.testing.assert_allclose(value, states[-1], rtol=1e-14)
    np.testing.assert_allclose([d_theta, d_a / theta, d_y0[0]], [g, g, a], rtol=1e-13)


class Swing(eqx.Module):
    """A pendulum with an unknown length, as a PyTree of a state."""

    k: jax.Array

    def __call__(self, t, y, args):
        return {"q": y["p"] * (1 + 0.3 * jnp.sin(t)), "p": -self.k * jnp.sin(y["q"])}


@pytest.mark.parametrize(
    ("stepper", "order", "counts"),
    [(Heun(), 2, (40, 80)), (diffrax.Heun(), 2, (40, 80)), (diffrax.Tsit5(), 5, (10, 20))],
    ids=["heun", "tableau", "first-same-as-last"],
)
@pytest.mark.parametrize("store", [False, True])
def test_error_falls_at_the_order_of_the_stepper(stepper, order, counts, store):
    """Against a gradient by an adaptive solve at 1e-12; outputs between the ends carry their own gradients."""

    def loss(k, q0, steps, adjoint, method):
        start = {"q": q0, "p": jnp.zeros(1)}
        ts = jnp.array([0.0, 0.5, 1.5])
        out = solve(ODE(Swing(k)), start, ts, steps=steps, adjoint=adjoint, stepper=method)
        return jnp.sum(out.ys["q"] ** 2) + out.y1["p"][0]

    at = jnp.asarray(2.0), jnp.ones(1)
    fine = AdaptiveSteps(rtol=1e-12, atol=1e-12)
    exact = np.concatenate([np.ravel(g) for g in jax.grad(loss, (0, 1))(*at, fine, None, diffrax.Dopri8())])
    errors = []
    for n in counts:
        found = jax.jit(jax.grad(lambda *x, n=n: loss(*x, n, Backsolve(store=store), stepper), (0, 1)))(*at)
        errors.append(np.max(np.abs(np.concatenate([np.ravel(g) for g in found]) - exact)))
    # Storing restarts the state at each point: the order stays, the constant differs. Half an order of slack.
    assert errors[1] < errors[0] / 2 ** (order - 0.5)
    assert errors[1] > 0


def test_one_path_of_a_batch_and_statistics():
    """vmap gives each its own gradient: y(1) = y0 e^θ, by 20 Heun steps to 1e-3."""
    grid = jnp.linspace(0.0, 1.0, 21)
    grads = jax.vmap(jax.grad(lambda th, y: final(th, 1.0, y, None, Backsolve(), grid)))
    thetas = jnp.array([0.2, 0.5])
    np.testing.assert_allclose(grads(thetas, jnp.ones((2, 1))), np.exp(thetas), rtol=1e-3)
    out = solve(ODE(lambda t, y, a: y), jnp.ones(1), grid, stepper=diffrax.Tsit5(), adjoint=Backsolve(), stats=True)
    assert int(out.stats.evaluations) == 20 * 6 + 1
    assert int(out.stats.steps) == 20


def test_refusals_say_what_to_do():
    ode = ODE(lambda t, y, a: y)
    with pytest.raises(ValueError, match="use Direct"):
        solve(ode, jnp.ones(1), [0.0, 1.0], adjoint=Backsolve(), between=lambda t, y, key: y, stepper=Heun())
    with pytest.raises(ValueError, match="leave store out"):
        solve(ode, jnp.ones(1), [0.0, 1.0], adjoint=Backsolve(store=True), steps=AdaptiveSteps())
    with pytest.raises(ValueError, match="ODE"):
        solve(SDE(lambda t, y, a: y, lambda t, y, a: y), jnp.ones(1), [0.0, 1.0], adjoint=Backsolve(), stepper=Heun(),
              key=jax.random.key(0))  # fmt: skip
    with pytest.raises(RuntimeError, match="grid of steps under Backsolve"):
        jax.grad(lambda end: solve(ode, jnp.ones(1), jnp.stack([0.0 * end, end]), adjoint=Backsolve()).y1[0])(1.0)


def test_a_parameter_closed_over_is_refused():
    """It would silently get no gradient."""

    def run(theta):
        return solve(ODE(lambda t, y, a: theta * y), jnp.ones(1), [0.0, 1.0], adjoint=Backsolve()).y1[0]

    with pytest.raises(jax.errors.UnexpectedTracerError):
        jax.grad(run)(0.3)
