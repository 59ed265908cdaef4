"""What card properties say of the geometric family with constant coefficients: dz = γ z dt + σ z dW."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.paths import BrownianGrid
from cadlag.solve import SDE, EulerMaruyama, Milstein, NoiseKind, solve

Z0 = 0.7


def log_process(growth, volatility):
    """d ln z = (γ - σ²/2) dt + σ dW, by Itô's formula."""
    return SDE(
        lambda t, y, a: jnp.full_like(y, growth - volatility**2 / 2),
        lambda t, y, a: jnp.full_like(y, volatility),
        NoiseKind.additive,
    )


def ends(growth, volatility, horizon, paths, steps=4):
    """z_T / z_0 by the log-state scheme."""
    times = jnp.linspace(0.0, horizon, steps + 1)
    process = log_process(growth, volatility)
    run = jax.jit(jax.vmap(lambda k: solve(process, jnp.zeros(1), times, key=k).y1[0]))
    return np.exp(np.asarray(run(jr.split(jr.key(0), paths))))


def test_the_log_state_scheme_is_exact_and_positive():
    grid = jnp.linspace(0.0, 1.0, 17)
    noise = BrownianGrid(grid, (1,), key=jr.key(1))
    growth, volatility = 0.1, 0.5
    logs = solve(log_process(growth, volatility), jnp.full(1, np.log(Z0)), grid, driver=noise).ys
    exact = Z0 * np.exp((growth - volatility**2 / 2) * grid[:, None] + volatility * noise.evaluate())
    np.testing.assert_allclose(np.exp(logs), exact, rtol=1e-12)
    assert np.all(np.exp(logs) > 0)


def test_euler_loses_positivity_where_the_noise_of_a_step_is_large():
    """One step of Euler is negative where σ sqrt(h) ξ < -1 - γ h; here σ sqrt(h) = 2."""
    process = SDE(lambda t, y, a: 0.1 * y, lambda t, y, a: 4.0 * y)
    times = jnp.array([0.0, 0.25])
    run = jax.vmap(lambda k: solve(process, jnp.ones(1), times, key=k, stepper=EulerMaruyama()).y1[0])
    share = float(np.mean(np.asarray(run(jr.split(jr.key(0), 4000))) < 0))
    # P(ξ < -1.025/2) = 0.304; 4 standard errors over 4,000 paths are 0.029: false alarms 6e-5.
    assert share == pytest.approx(0.304, abs=0.029)


def test_moments_of_the_geometric_family():
    """γ = 0.1, σ = 0.5, T = 1: mean e^0.1 = 1.105, second moment e^0.45 = 1.568."""
    z = ends(0.1, 0.5, 1.0, 40_000)
    for values, expected in ((z, np.exp(0.1)), (z**2, np.exp(0.45))):
        error = values.std() / np.sqrt(len(values))
        assert abs(values.mean() - expected) < 4 * error  # false alarms 6e-5 each


def test_noise_stabilises_the_typical_path_though_the_mean_grows():
    """γ = 0.1, σ = 1, T = 10: the median of z_T / z_0 is e^-4 = 0.018, while the mean is e^1."""
    median = np.median(np.log(ends(0.1, 1.0, 10.0, 20_000)))
    # The standard error of a normal sample's median is 1.2533 s / sqrt(n); s = sqrt(10).
    assert abs(median + 4) < 4 * 1.2533 * np.sqrt(10 / 20_000)


def test_milstein_agrees_with_the_closed_form_on_a_shared_path():
    noise = BrownianGrid(jnp.linspace(0.0, 1.0, 4097), (1,), key=jr.key(2))
    process = SDE(lambda t, y, a: 0.1 * y, lambda t, y, a: 0.5 * y)
    end = solve(process, jnp.full(1, Z0), noise.step_grid, driver=noise, stepper=Milstein()).y1
    exact = Z0 * np.exp(0.1 - 0.125 + 0.5 * noise.evaluate()[-1])
    # Strong order one: the error is of the order of the step, 1/4096.
    np.testing.assert_allclose(end, exact, rtol=2e-3)
