"""Hypersolvers: with the exact correction a Taylor step of one order more, fitted residuals, refusals."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cadlag.solve import (
    ETDRK4,
    ODE,
    SDE,
    AdaptiveSteps,
    Backsolve,
    EulerMaruyama,
    Heun,
    Hypersolver,
    Interpolated,
    ReversibleHeun,
    RungeKutta,
    hypersolver_residuals,
    solve,
)

DECAY = ODE(lambda t, y, args: -y)
ENDS = jnp.array([0.0, 1.0])


def order(stepper, counts=(10, 20, 40)):
    run = jax.jit(lambda n: solve(DECAY, jnp.ones(1), ENDS, steps=n, stepper=stepper).y1[0], static_argnums=0)
    errors = [abs(float(run(n)) - np.exp(-1.0)) for n in counts]
    return -np.polyfit(np.log(counts), np.log(errors), 1)[0]


def test_exact_correction_of_euler_is_the_second_taylor_step():
    """For y' = -y, R = y'' / 2 + O(h) = y / 2, so a step multiplies by 1 - h + h²/2."""
    exact = Hypersolver(EulerMaruyama(), lambda t, y, f: -f / 2, order=1)
    y1 = jax.jit(lambda: solve(DECAY, jnp.ones(1), ENDS, steps=8, stepper=exact).y1)()
    h = 1 / 8
    np.testing.assert_allclose(y1, (1 - h + h**2 / 2) ** 8, rtol=1e-14)
    assert order(EulerMaruyama()) == pytest.approx(1, abs=0.1)
    assert order(exact) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(
    ("base", "p", "error"),
    [(Heun(), 2, -1 / 6), (diffrax.Midpoint(), 2, -1 / 6), (diffrax.Bosh3(), 3, 1 / 24)],
    ids=["heun", "midpoint", "bosh3, which hands its last stage on"],
)
def test_order_rises_by_one(base, p, error):
    """The error of these steps on y' = -y is (-h)^{p+1} / (p+1)! y, as their own series end at order p."""
    plain = RungeKutta(base) if isinstance(base, diffrax.AbstractERK) else base
    assert order(plain) == pytest.approx(p, abs=0.15)
    assert order(Hypersolver(base, lambda t, y, f: error * y, order=p)) == pytest.approx(p + 1, abs=0.15)


def test_residuals_are_what_is_left_out():
    ts = jnp.array([0.0, 0.1, 0.3, 0.35])
    ys = jnp.exp(-ts)[:, None]
    t, y, f, left = jax.jit(lambda: hypersolver_residuals(DECAY, ts, ys, base=EulerMaruyama(), order=1))()
    h = np.diff(np.asarray(ts))
    expected = (np.exp(-h) - 1 + h) / h**2 * np.asarray(ys[:-1, 0])
    np.testing.assert_allclose(left[:, 0], expected, rtol=1e-12)
    np.testing.assert_array_equal(t, ts[:-1])
    np.testing.assert_array_equal(f, -y)
    # Put back, the points of the trajectory are the steps.
    table = Hypersolver(EulerMaruyama(), lambda at, y_, f_: left[jnp.argmin(jnp.abs(t - at))], order=1)
    again = jax.jit(lambda: solve(DECAY, ys[0], ts, stepper=table).ys)()
    np.testing.assert_allclose(again, ys, rtol=1e-14)


class Linear(eqx.Module):
    weights: jax.Array

    def __call__(self, t, y, f):
        return self.weights[0] * y + self.weights[1] * f


def test_a_fitted_correction_gains_its_fit():
    """Least squares by a few steps of training: the error of a step falls by the share of the residual explained."""
    ts = jnp.linspace(0.0, 2.0, 21)
    rows = hypersolver_residuals(DECAY, ts, jnp.exp(-ts)[:, None], base=EulerMaruyama(), order=1)

    @jax.jit
    def train(g):
        def loss(g):
            t, y, f, wanted = rows
            return jnp.mean((jax.vmap(g)(t, y, f) - wanted) ** 2)

        adam = optax.adam(0.05)

        def step(carry, _):
            g, state = carry
            value, grad = jax.value_and_grad(loss)(g)
            with jax.numpy_dtype_promotion("standard"):
                updates, state = adam.update(grad, state)
            return (optax.apply_updates(g, updates), state), value

        return jax.lax.scan(step, (g, adam.init(g)), None, length=200)

    (g, _), losses = train(Linear(jnp.zeros(2)))
    delta = np.sqrt(losses[-1] / losses[0])
    assert delta < 0.01
    run = jax.jit(lambda stepper: jnp.abs(solve(DECAY, jnp.ones(1), ts, stepper=stepper).ys[:, 0] - jnp.exp(-ts)))
    plain, corrected = run(EulerMaruyama()), run(Hypersolver(EulerMaruyama(), g, order=1))
    assert jnp.max(corrected) < 3 * delta * jnp.max(plain)


def test_gradient_reaches_the_correction_through_a_solve():
    """One step from y = 1: y1 = 1 - h + h² (w0 - w1), so the gradient is h² (1, -1)."""

    @jax.jit
    @jax.grad
    def gradient(g):
        return solve(DECAY, jnp.ones(1), ENDS, stepper=Hypersolver(EulerMaruyama(), g, order=1)).y1[0]

    np.testing.assert_allclose(gradient(Linear(jnp.zeros(2))).weights, [1.0, -1.0], rtol=1e-14)


def test_refuses():
    g = lambda t, y, f: f
    with pytest.raises(TypeError, match="base is a Kvaerno3"):
        Hypersolver(diffrax.Kvaerno3(), g, order=3)
    for base in (ETDRK4(), ReversibleHeun()):
        with pytest.raises(ValueError, match="is not a one-step method for ordinary equations"):
            Hypersolver(base, g, order=2)
    with pytest.raises(ValueError, match="order=0 must be the base's order"):
        Hypersolver(Heun(), g, order=0)
    stepper = Hypersolver(Heun(), g, order=2)
    for adjoint in (Backsolve(), Interpolated()):
        with pytest.raises(ValueError, match="solves another process backwards than Hypersolver takes"):
            solve(DECAY, jnp.ones(1), ENDS, stepper=stepper, adjoint=adjoint)
    with pytest.raises(ValueError, match="Hypersolver takes fixed steps"):
        solve(DECAY, jnp.ones(1), ENDS, stepper=stepper, steps=AdaptiveSteps())
    noisy = SDE(lambda t, y, a: -y, lambda t, y, a: y)
    with pytest.raises(ValueError, match="Hypersolver does not converge for noise of kind diagonal"):
        solve(noisy, jnp.ones(1), ENDS, stepper=stepper, key=jax.random.key(0))
    with pytest.raises(ValueError, match="takes an ODE"):
        hypersolver_residuals(noisy, ENDS, jnp.ones((2, 1)), base=Heun(), order=2)
    with pytest.raises(ValueError, match=r"ys has \[3\] rows"):
        hypersolver_residuals(DECAY, ENDS, jnp.ones((3, 1)), base=Heun(), order=2)
