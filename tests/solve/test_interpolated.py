"""The interpolated adjoint: against closed forms and the discrete gradient, orders and tolerances, refusals."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.paths import linear
from cadlag.solve import (
    CDE,
    ODE,
    AdaptiveSteps,
    Backsolve,
    Direct,
    EulerMaruyama,
    FixedSteps,
    Heun,
    Interpolated,
    Tolerance,
    solve,
)

GRID = jnp.array([0.0, 0.05, 0.2, 0.3, 0.6, 0.7, 1.0])


class Growth(eqx.Module):
    """y' = θ a y, with leaves that are not learnt."""

    theta: jax.Array
    count: jax.Array
    name: str = "growth"

    def __call__(self, t, y, a):
        return self.theta * a * y * self.count


class Swing(eqx.Module):
    """A driven pendulum with an unknown length, as a PyTree of a state."""

    k: jax.Array

    def __call__(self, t, y, args):
        return {"q": y["p"] * (1 + 0.3 * jnp.sin(t)), "p": -self.k * jnp.sin(y["q"])}


START = {"q": jnp.array([0.4]), "p": jnp.array([0.9])}
TS = jnp.array([0.0, 0.5, 0.5, 1.4, 2.0])
WEIGHTS = jnp.array([0.3, -1.0, 0.7, 0.5, 2.0])


def swing(steps, stepper, adjoint, ts=TS):
    def loss(field, y0):
        ys = solve(ODE(field), y0, ts, steps=steps, stepper=stepper, adjoint=adjoint).ys
        return jnp.sum(WEIGHTS * ys["q"][:, 0] * ys["p"][:, 0])

    return jax.jit(jax.grad(loss, (0, 1)))(Swing(jnp.array(1.3)), START)


def distance(a, b):
    return float(
        jnp.max(jnp.stack([jnp.max(jnp.abs(x - y)) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True)]))
    )


@pytest.fixture(scope="module")
def exact():
    """The discrete gradient of eighth-order steps: their own error is below 1e-11."""
    return swing(20, diffrax.Dopri8(), Direct())


def test_euler_is_the_recursion_written_by_hand():
    """Backwards a ← a (1 + θh), G ← G + h a y at the step's END, where Euler looks when it goes back."""
    theta, h = 0.7, np.diff(np.asarray(GRID))
    states = np.cumprod([1.0, *(1 + theta * h)])
    a, g = 1.0, 0.0
    for i in reversed(range(len(h))):
        a, g = a * (1 + theta * h[i]), g + h[i] * a * states[i + 1]

    def final(theta, y0):
        process = ODE(Growth(theta, jnp.asarray(1)))
        return solve(process, y0, GRID[np.array([0, -1])], args=1.0, steps=FixedSteps(GRID), stepper=EulerMaruyama(),
                     adjoint=Interpolated()).y1[0]  # fmt: skip

    value, (d_theta, d_y0) = jax.jit(jax.value_and_grad(final, (0, 1)))(jnp.asarray(theta), jnp.ones(1))
    np.testing.assert_allclose([value, d_theta, d_y0[0]], [states[-1], g, a], rtol=1e-13)


@pytest.mark.parametrize(
    ("stepper", "order", "counts"),
    [(EulerMaruyama(), 1, (40, 80)), (Heun(), 2, (20, 40)), (diffrax.Tsit5(), 4, (8, 16))],
    ids=["euler", "heun", "tsit5, by cubics of fourth order"],
)
def test_order_with_outputs_between(exact, stepper, order, counts):
    errors = [distance(swing(n, stepper, Interpolated()), exact) for n in counts]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.35)


def test_adaptive_shrinks_with_the_tolerance(exact):
    errors = []
    for tol in (1e-4, 1e-7):
        steps = AdaptiveSteps(rtol=tol, atol=tol)
        errors.append(distance(swing(steps, None, Interpolated()), exact))
        assert errors[-1] < 20 * tol
    assert errors[1] < errors[0] / 100


def test_adaptive_implicit_and_backwards_in_time_on_a_closed_form():
    """y' = θ y: dL/dθ = T y0 e^{θT}, dL/dy0 = e^{θT}."""
    end, stepper = -1.5, diffrax.Kvaerno3()

    @jax.jit
    def run(theta, y0):
        # A loss as small as a mean over a million: steps must not be chosen by its size.
        parts = {"steps": AdaptiveSteps(rtol=1e-6, atol=1e-8), "stepper": stepper, "adjoint": Interpolated()}
        process = ODE(Growth(theta, jnp.asarray(1)))
        return 1e-6 * solve(process, y0, jnp.array([0.0, end]), args=jnp.asarray(1.0), **parts).y1[0]

    theta = -0.8
    d_theta, d_y0 = jax.grad(run, (0, 1))(jnp.asarray(theta), jnp.array([2.0]))
    np.testing.assert_allclose(d_y0[0] * 1e6, np.exp(theta * end), rtol=2e-5)
    np.testing.assert_allclose(d_theta * 1e6, 2.0 * end * np.exp(theta * end), rtol=2e-5)


class Pulled(eqx.Module):
    """y' = -k (y - cos t): solved backwards, rounding grows by e^{kT}."""

    k: jax.Array

    def __call__(self, t, y, args):
        return -self.k * (y - jnp.cos(t))


def test_an_unstable_way_back_does_no_harm():
    """Over e^40, which Backsolve without stored states loses itself in."""

    def slope(adjoint):
        parts = {"steps": 80, "stepper": Heun(), "adjoint": adjoint}
        total = lambda f: jnp.sum(solve(ODE(f), jnp.ones(1), jnp.linspace(0.0, 2.0, 6), **parts).ys)
        return float(jax.jit(jax.grad(total))(Pulled(jnp.asarray(20.0))).k)

    true, ours, lost = (slope(adjoint) for adjoint in (Direct(), Interpolated(), Backsolve()))
    assert ours == pytest.approx(true, rel=1e-2)
    assert lost != pytest.approx(true, rel=1.0)


def test_single_precision_batches_and_counts():
    grid = jnp.linspace(0.0, 1.0, 5, dtype=jnp.float32)

    @jax.jit
    @jax.vmap
    def one(theta):
        def loss(theta):
            process = ODE(Growth(theta, jnp.asarray(1)))
            made = solve(process, jnp.ones(1, jnp.float32), grid, args=1.0, steps=AdaptiveSteps(),
                         adjoint=Interpolated(), stats=Tolerance())  # fmt: skip
            return made.y1[0], made.stats

        return jax.grad(loss, has_aux=True)(theta)

    theta = jnp.array([0.5, -1.0], jnp.float32)
    slopes, stats = one(theta)
    assert slopes.dtype == jnp.float32
    np.testing.assert_allclose(slopes, np.exp(theta), rtol=2e-3)
    assert jnp.all(stats.steps >= 2)


def test_refuses():
    field, ts = ODE(lambda t, y, a: -y), jnp.array([0.0, 1.0])
    run = lambda process=field, **parts: solve(process, jnp.ones(1), ts, adjoint=Interpolated(), **parts)
    path = linear(np.array([0.0, 1.0]), np.array([[0.0], [1.0]]))
    with pytest.raises(ValueError, match=r"differentiates an ODE; use Checkpointed\(\) or Reversible\(\)"):
        run(CDE(lambda t, y, a: y[:, None]), driver=path)
    with pytest.raises(ValueError, match=r"takes explicit methods on fixed steps; give AdaptiveSteps for Kvaerno3"):
        run(stepper=diffrax.Kvaerno3())
    with pytest.raises(ValueError, match="does not go backwards through an event"):
        run(event=diffrax.Event(lambda t, y, args, **kw: y[0] - 0.5), steps=AdaptiveSteps())
    with pytest.raises(ValueError, match=r"Interpolated\(\) solves an ODE backwards, which `between` interrupts"):
        run(between=lambda t, y, key: y)
    with pytest.raises(RuntimeError, match=r"grid of steps under Interpolated\(\) cannot be autodifferentiated"):
        jax.grad(lambda t1: solve(field, jnp.ones(1), jnp.stack([0 * t1, t1]), adjoint=Interpolated()).y1[0])(1.0)
