"""Orders by regression, against closed forms."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.equations import geometric_brownian_motion, sine_growth
from cadlag.paths import BrownianGrid
from cadlag.solve import (
    SDE,
    SRK,
    Calculus,
    EulerMaruyama,
    EulerPair,
    Heun,
    Milstein,
    NoiseKind,
    ReversibleHeun,
    RungeKutta,
    solve,
    to_ito,
    to_stratonovich,
)

CELLS, PATHS = 1024, 400
GRID = jnp.linspace(0.0, 1.0, CELLS + 1)


def slope(steps, errors):
    return -np.polyfit(np.log(steps), np.log(errors), 1)[0]


ODE_STEPPERS = {
    "euler": (EulerMaruyama(), 1, (64, 128, 256)),
    "euler pair": (EulerPair(), 1, (64, 128, 256)),
    "heun": (Heun(), 2, (32, 64, 128)),
    "reversible": (ReversibleHeun(), 2, (64, 128, 256)),
    "midpoint": (RungeKutta(diffrax.Midpoint()), 2, (32, 64, 128)),
    "bosh3": (RungeKutta(diffrax.Bosh3()), 3, (16, 32, 64)),
    "tsit5": (RungeKutta(diffrax.Tsit5()), 5, (24, 36, 48)),
    "dopri5": (RungeKutta(diffrax.Dopri5()), 5, (24, 36, 48)),
}


@pytest.mark.parametrize("name", ODE_STEPPERS)
@pytest.mark.parametrize("backwards", [False, True])
def test_order_on_ordinary_equation(name, backwards):
    stepper, order, steps = ODE_STEPPERS[name]
    problem = sine_growth()
    ts = jnp.linspace(0.0, 3.0, 5)[:: -1 if backwards else 1]
    exact = jax.vmap(problem.solution)(ts)

    def run(n):
        return solve(problem.process, exact[0], ts, steps=n, stepper=stepper).ys

    errors = [float(jnp.max(jnp.abs(jax.jit(run, static_argnums=0)(n) / exact - 1))) for n in steps]
    # Tsit5's leading error coefficients are so small that the next order shows at these steps.
    margin = 0.45 if name == "tsit5" else 0.2
    assert slope(steps, errors) == pytest.approx(order, abs=margin)


def strong_errors(process, y0, stepper, exact, steps, key, shape=()):
    """Mean absolute errors at t = 1 over PATHS paths; `exact` maps a noise to the answer."""

    @jax.jit
    def run(key_):
        noise = BrownianGrid(GRID, shape, key=key_)
        truth = exact(noise)
        ends = [
            solve(process, y0, GRID[:: CELLS // n][jnp.asarray([0, -1])], stepper=stepper, steps=n,
                  driver=noise.every(CELLS // n)).y1
            for n in steps
        ]  # fmt: skip
        return jnp.stack([jnp.mean(jnp.abs(e - truth)) for e in ends])

    return np.asarray(jnp.mean(jax.lax.map(run, jax.random.split(key, PATHS), batch_size=100), axis=0))


GBM = {
    "euler": (EulerMaruyama(), Calculus.ito, NoiseKind.diagonal, 0.5, 0.1),
    "milstein": (Milstein(), Calculus.ito, NoiseKind.diagonal, 1.0, 0.1),
    "milstein-stratonovich": (Milstein(), Calculus.stratonovich, NoiseKind.diagonal, 1.0, 0.1),
    "milstein-scalar": (Milstein(), Calculus.ito, NoiseKind.scalar, 1.0, 0.1),
    "heun": (Heun(), Calculus.stratonovich, NoiseKind.diagonal, 1.0, 0.1),
    "reversible": (ReversibleHeun(), Calculus.stratonovich, NoiseKind.diagonal, 1.0, 0.25),
    "srk": (SRK(), Calculus.ito, NoiseKind.diagonal, 1.5, 0.15),
    "srk-scalar": (SRK(), Calculus.ito, NoiseKind.scalar, 1.5, 0.15),
}


@pytest.mark.parametrize("name", GBM)
def test_strong_order_on_geometric_brownian_motion(name):
    stepper, calculus, kind, order, tolerance = GBM[name]
    problem = geometric_brownian_motion(0.5, 0.7, calculus=calculus)
    process = SDE(problem.process.drift_field, problem.process.diffusion_field, kind, calculus)
    shape = () if kind is NoiseKind.scalar else (1,)

    def exact(noise):
        return problem.solution(1.0, jnp.sum(noise.every(1).increments().dw, 0))

    steps = (16, 32, 64, 128)
    errors = strong_errors(process, problem.y0, stepper, exact, steps, jax.random.key(3), shape)
    assert slope(steps, errors) == pytest.approx(order, abs=tolerance)


ADDITIVE = {
    "euler": (EulerMaruyama(), 1.0),
    "milstein": (Milstein(), 1.0),
    "heun": (Heun(), 1.0),
}


def exact_linear_additive(noise):
    """dy = -y dt + (1 + t) dW on cells: ∫ e^{s-1} (1+s) dW_s with W's value and Lévy area on each cell.

    On a cell the integrand is a + b (s - m) to second order, and ∫ (s - m) dW = -h H.
    """
    drawn = noise.every(1).increments(levy_area=True)
    mid, h = 0.5 * (GRID[1:] + GRID[:-1]), jnp.diff(GRID)
    weight = jnp.exp(mid - 1) * (1 + mid)
    slope_ = jnp.exp(mid - 1) * (2 + mid)
    return jnp.exp(-1.0) + jnp.sum(weight[:, None] * drawn.dw - (slope_ * h)[:, None] * drawn.area, axis=0)


@pytest.mark.parametrize("name", ADDITIVE)
def test_strong_order_with_additive_noise(name):
    stepper, order = ADDITIVE[name]
    process = SDE(lambda t, y, args: -y, lambda t, y, args: (1 + t) * jnp.ones_like(y), NoiseKind.additive)
    steps = (16, 32, 64, 128)
    errors = strong_errors(process, jnp.ones(1), stepper, exact_linear_additive, steps, jax.random.key(4), (1,))
    assert slope(steps, errors) == pytest.approx(order, abs=0.1)


def exact_logistic(noise, r=2.0, sigma=0.8):
    """log X for dX = r X (1 - X) dt + σ X dW, X_0 = 1/2: e^Z / (2 + r ∫ e^Z) with Z = (r - σ²/2) t + σ W.

    The integral over a cell keeps the Lévy area and the mean square of the bridge: error O(h^1.5) on 1024 cells.
    """
    drawn, h = noise.every(1).increments(levy_area=True), 1.0 / CELLS
    w = jnp.concatenate([jnp.zeros((1, 1)), jnp.cumsum(drawn.dw, 0)])
    z = (r - 0.5 * sigma**2) * GRID[:, None] + sigma * w
    dz, mid = jnp.diff(z, axis=0), 0.5 * (z[1:] + z[:-1])
    cells = h * jnp.exp(mid) * (1 + dz**2 / 24 + sigma * drawn.area + sigma**2 * h / 12)
    return z[-1] - jnp.log(2 + r * jnp.sum(cells, axis=0))


def test_strong_order_of_srk_with_additive_noise_and_nonlinear_drift():
    """A linear drift would show order 2."""

    def drift(t, y, args):
        return 2.0 - 0.32 - 2.0 * jnp.exp(y)

    process = SDE(drift, lambda t, y, args: jnp.full_like(y, 0.8), NoiseKind.additive)
    steps, y0 = (8, 16, 32, 64), jnp.log(jnp.full(1, 0.5))
    errors = strong_errors(process, y0, SRK(), exact_logistic, steps, jax.random.key(8), (1,))
    # Terms of order 2 still count at these steps; at much smaller ones the reference does.
    assert 1.4 < slope(steps, errors) < 2.0


def test_weak_order_of_euler():
    """The error of E y_T falls with the step."""
    # One step is affine in dW, so its mean is the step with dW = 0: n of them are the moment recursion.
    problem = geometric_brownian_motion(0.5, 0.7)

    errors, steps = [], (8, 16, 32, 64)
    for n in steps:
        still = SDE(problem.process.drift_field, lambda t, y, args: 0 * y)
        mean = solve(still, problem.y0, [0.0, 1.0], steps=n, key=jax.random.key(0), stepper=EulerMaruyama()).y1
        errors.append(float(jnp.abs(mean - problem.mean(1.0))[0]))
    assert slope(steps, errors) == pytest.approx(1.0, abs=0.1)


def mean_after(process, stepper, paths=4000):
    def run(k):
        return solve(process, jnp.ones(1), jnp.asarray([0.0, 1.0]), steps=64, key=k, stepper=stepper).y1

    ends = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(5), paths))
    return float(jnp.mean(ends)), float(jnp.std(ends) / np.sqrt(paths))


@pytest.mark.parametrize("calculus", list(Calculus))
def test_each_calculus_has_its_mean(calculus):
    """4000 paths, 4 standard errors: false alarms 6e-5; the means of the calculi differ by 7 of them."""
    problem = geometric_brownian_motion(0.1, 0.5, calculus=calculus)
    stepper = EulerMaruyama() if calculus is Calculus.ito else Heun()
    mean, se = mean_after(problem.process, stepper)
    # Bias of 64 Euler steps is below 1e-3.
    assert abs(mean - float(problem.mean(1.0)[0])) < 4 * se + 1e-3


def test_conversion_between_calculi_keeps_the_path():
    ito = geometric_brownian_motion(0.3, 0.6)
    noise = BrownianGrid(GRID, (1,), key=jax.random.key(6))
    ends = jnp.asarray([0.0, 1.0])
    through = solve(to_stratonovich(ito.process), ito.y0, ends, steps=CELLS, driver=noise, stepper=Heun()).y1
    back = solve(to_ito(to_stratonovich(ito.process)), ito.y0, ends, steps=CELLS, driver=noise, stepper=SRK()).y1
    exact = ito.solution(1.0, jnp.sum(noise.increments().dw, 0))
    np.testing.assert_allclose(through, exact, rtol=3e-3)
    np.testing.assert_allclose(back, exact, rtol=1e-4)


def test_a_stepper_that_only_goes_forwards_does_so_under_jit():
    """The grid is a constant of the compiled function; looking at it must not trace."""
    process = SDE(lambda t, y, a: -y, lambda t, y, a: jnp.ones_like(y), NoiseKind.additive)
    run = jax.jit(lambda key: solve(process, jnp.ones(1), [0.0, 1.0], key=key, steps=8, stepper=SRK()).y1)
    assert jnp.all(jnp.isfinite(run(jax.random.key(0))))
