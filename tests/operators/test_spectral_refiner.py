"""Spectral-Refiner: residuals of trajectories, their norms, and what refining the last layer does (card 19)."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.data import FieldNormaliser
from cadlag.equations import Heat, NavierStokes
from cadlag.fields import Box, Grid, GridField, Spectral, sobolev_norm
from cadlag.operators import (
    FNO,
    FourierSlopes,
    Normalised,
    OneStep,
    SolverIncrement,
    SpatiotemporalFNO,
    SpectralRefiner,
    TimeDifferences,
)
from cadlag.operators._time_derivative import difference_matrix
from cadlag.operators.spectral_refiner import widened

VORTICES = NavierStokes(1e-2)
GRID = Grid(VORTICES.space, 16)
X, Y = (jnp.asarray(a) for a in GRID.mesh())
ALPHA = 10**-1.5


def taylor_green(dt, count=9):
    """Frames (count, 1, 16, 16) and their exact slopes, a unit of time being one."""
    ts = dt * jnp.arange(float(count))
    frames = jax.vmap(lambda t: VORTICES.exact(t + 0 * X, X, Y))(ts)[:, None]
    return frames, -8 * np.pi**2 * 1e-2 * frames


def squares(refiner, values, slopes, dt=0.1):
    return eqx.filter_jit(lambda v, s: refiner.squared_residuals(v, s, dt, GRID))(values, slopes)


def small(history=4, horizon=6, modes=(4, 4, 3)):
    made = SpatiotemporalFNO(
        1, history=history, horizon=horizon, modes=modes, width=4, layers=2, latent=4, hidden=8, key=jr.key(0)
    )
    return jax.tree.map(lambda x: x.astype(float) if eqx.is_inexact_array(x) else x, made)


@pytest.fixture(scope="module")
def operator():
    made = small()
    # A bias that counts, so that the trajectory moves.
    bias = 0.1 * jr.normal(jr.key(1), made.last.bias.shape)
    return eqx.tree_at(lambda o: o.last.bias, made, bias)


def test_the_exact_trajectory_has_no_residual():
    frames, slopes = taylor_green(0.1)
    assert jnp.max(squares(SpectralRefiner(VORTICES), frames, slopes)) < 1e-20


def test_differences_have_their_order():
    for order in (2, 4):
        refiner = SpectralRefiner(VORTICES, derivative=TimeDifferences(order))
        found = []
        for dt in (0.1, 0.05, 0.025):
            frames, _ = taylor_green(dt)
            found.append(float(jnp.sqrt(jnp.max(squares(refiner, frames, 0 * frames, dt)))))
        slope = np.polyfit(np.log([4.0, 2.0, 1.0]), np.log(found), 1)[0]
        # exp(-0.8 t) over a window that shrinks with dt: the next order is felt at the largest step.
        assert order - 0.1 < slope < order + 0.3
    with pytest.raises(ValueError, match="needs 5 frames"):
        difference_matrix(4, 4)


def test_norms_of_a_wave():
    """‖sin 2πm x‖_s / ‖·‖_0 = (α + 4π²m²)^(s/2); a root too many would give s/4."""
    for m in (1, 3):
        wave = GridField(GRID, jnp.sin(2 * np.pi * m * X), Spectral())
        for order in (-1, 1, 0):
            ratio = sobolev_norm(wave, order, alpha=ALPHA) / jnp.sqrt(jnp.mean(wave.values**2))
            np.testing.assert_allclose(ratio, (ALPHA + 4 * np.pi**2 * m**2) ** (order / 2), rtol=1e-12)
    rough = jr.normal(jr.key(2), (3, 1, 16, 16))
    # Products vanish on frames of zero, so that the residual is minus the slope.
    by_order = [squares(SpectralRefiner(VORTICES, order=s), 0 * rough, rough) for s in (-2, -1, 0, 1)]
    np.testing.assert_allclose(by_order[2], jnp.mean(rough[:, 0] ** 2, axis=(1, 2)), rtol=1e-12)
    assert jnp.all(by_order[1] <= by_order[2] / ALPHA)
    above = [squares(SpectralRefiner(VORTICES, order=s, alpha=1.0), 0 * rough, rough) for s in (-2, -1, 0, 1)]
    assert all(jnp.all(a < b) for a, b in itertools.pairwise(above))


def test_the_residual_bounds_the_error_of_the_heat_equation():
    """‖e(t)‖² + ν ∫ ‖∇e‖² ≤ 1/ν ∫ ‖R‖²_-1, integrals up to t, for errors that begin at zero (α = 0, mean zero).

    The card has the largest ‖e‖² beside the integral over all times, which needs twice the bound.
    """
    nu, dt, n = 0.05, 0.02, 101
    line = Box({"x": (0.0, 1.0)}, periodic="x")
    grid, t = Grid(line, 32), dt * jnp.arange(float(n))
    x = jnp.asarray(grid.points("x"))
    heat = SpectralRefiner(Heat(nu, space=line), alpha=0.0)
    bounded = eqx.filter_jit(lambda e, s: heat.squared_residuals(e, s, dt, grid))
    for k in range(3):
        a, b = 1 + k, 2.0 + k
        error = (jnp.sin(a * t)[:, None] ** 2 * jnp.sin(2 * np.pi * (k + 1) * x)[None])[:, None]
        error = error + (jnp.sin(b * t)[:, None] * t[:, None] * 0.1 * jnp.cos(2 * np.pi * 4 * x)[None])[:, None]
        rates = (2 * a * jnp.sin(a * t) * jnp.cos(a * t), 0.1 * (b * jnp.cos(b * t) * t + jnp.sin(b * t)))
        slope = rates[0][:, None] * jnp.sin(2 * np.pi * (k + 1) * x)[None]
        slope = (slope + rates[1][:, None] * jnp.cos(2 * np.pi * 4 * x)[None])[:, None]
        residual = np.asarray(bounded(error, slope))
        gradient = np.gradient(np.asarray(error[:, 0]), 1 / 32, axis=1)
        until = lambda f: np.concatenate([[0.0], np.cumsum(dt * (f[1:] + f[:-1]) / 2)])
        left = np.mean(np.asarray(error) ** 2, axis=(1, 2)) + nu * until(np.mean(gradient**2, axis=1))
        assert np.all(left <= 1.001 * until(residual) / nu + 1e-12)
        assert left[-1] > 0.01 * until(residual)[-1] / nu


def test_the_residual_sees_an_error_and_the_solver_increment_is_blind():
    frames, slopes = taylor_green(0.1)
    wave = jnp.sin(2 * np.pi * X) * jnp.cos(4 * np.pi * Y)
    t = jnp.arange(9.0) / 8
    shape = jnp.sin(np.pi * t)[:, None, None, None] * wave[None, None]
    change = (np.pi / 0.8 * jnp.cos(np.pi * t))[:, None, None, None] * wave[None, None]
    sizes = [
        float(jnp.sqrt(jnp.mean(squares(SpectralRefiner(VORTICES), frames + e * shape, slopes + e * change))))
        for e in (1e-3, 1e-2)
    ]
    np.testing.assert_allclose(sizes[1] / sizes[0], 10, rtol=0.05)
    rough = jr.normal(jr.key(3), (5, 1, 16, 16))
    blind = SpectralRefiner(VORTICES, derivative=SolverIncrement(), order=0)
    seeing = SpectralRefiner(VORTICES, derivative=TimeDifferences(2), order=0)
    assert jnp.max(squares(blind, rough, 0 * rough)) < 1e-12 * jnp.min(squares(seeing, rough, 0 * rough))


def test_slopes_are_those_of_the_interpolant(operator):
    u = taylor_green(0.1, 4)[0]

    def everything(operator, u):
        features = operator.features(u)
        both = operator.decode_with_slopes(features, u[-1])
        return *both, operator(u), operator._decoded(features, u[-1], 6, lambda h: h)

    values, slopes, predicted, window = eqx.filter_jit(everything)(operator, u)
    np.testing.assert_allclose(values[1:], predicted, atol=1e-14)
    # The padded window is periodic: on all of it the slope is that of its Fourier series.
    n = window.shape[0]
    k = np.fft.fftfreq(n, 1 / n).reshape(-1, 1, 1, 1)
    exact = np.fft.ifft(2j * np.pi * k / n * np.fft.fft(np.asarray(window), axis=0), axis=0).real
    np.testing.assert_allclose(slopes, exact[-7:], atol=1e-12 * float(jnp.max(jnp.abs(window))))


def test_more_modes_change_nothing_by_themselves(operator):
    u = taylor_green(0.1, 4)[0]
    call = eqx.filter_jit(lambda o, u: o(u))
    np.testing.assert_allclose(call(widened(operator, (6, 6, 4)), u), call(operator, u), atol=1e-12)


def test_the_loss_is_quadratic_in_the_last_layer_of_a_linear_equation(operator):
    torus = Box({"x": (0.0, 1.0), "y": (0.0, 1.0)}, periodic=("x", "y"))
    refiner = SpectralRefiner(Heat(0.01, space=torus))
    u = taylor_green(0.1, 4)[0]
    features = eqx.filter_jit(lambda o, u: o.features(u))(operator, u)
    direction = jax.tree.map(lambda x: jr.normal(jr.key(4), x.shape), eqx.filter(operator.last, eqx.is_inexact_array))

    def loss(s):
        last = eqx.apply_updates(operator.last, jax.tree.map(lambda d: s * d, direction))
        values, slopes = eqx.tree_at(lambda o: o.last, operator, last).decode_with_slopes(features, u[-1])
        return refiner.loss(values, slopes / 0.1, u[-1], 0.1, GRID)

    along = np.asarray(jax.jit(jax.vmap(loss))(jnp.linspace(-1.0, 1.0, 6)))
    second = np.diff(along, 2)
    np.testing.assert_allclose(second, second[0], rtol=1e-8)
    assert second[0] > 0


def test_refining_lowers_the_error_and_touches_the_last_layer_alone(operator):
    frames = taylor_green(0.1, 10)[0]
    u, truth = frames[:4], frames[4:]
    error = lambda w: float(jnp.linalg.norm(w - truth) / jnp.linalg.norm(truth))
    refiner = SpectralRefiner(VORTICES, modes=(5, 5, 4), steps=150)
    scaling = FieldNormaliser(mean=jnp.full((1, 1, 1), 0.5), sd=jnp.full((1, 1, 1), 2.0), channels=("w",))
    plain = refiner(operator, u, 0.1)
    assert plain.frames.shape == truth.shape
    assert plain.estimates.shape == (151,)
    call = eqx.filter_jit(lambda o, u: o(u))
    np.testing.assert_allclose(plain.before, call(operator, u), atol=1e-12)
    np.testing.assert_allclose(call(plain.operator, u), plain.frames, atol=1e-10)
    assert error(plain.frames) < 0.5 * error(plain.before)
    assert plain.estimates[-1] < 0.2 * plain.estimates[0]
    same = eqx.tree_at(lambda o: o.last, plain.operator, operator.last)
    assert eqx.tree_equal(same, operator)
    # In the data's units, as the estimator leaves its operator, and for a longer horizon than it was made for.
    scaled = Normalised(operator, scaling, scaling)
    found = refiner(scaled, u, 0.1, horizon=8)
    assert found.frames.shape == (8, 1, 16, 16)
    assert found.estimates[-1] < 0.3 * found.estimates[0]


def test_what_is_refused(operator):
    u = taylor_green(0.1, 4)[0]
    refiner = SpectralRefiner(VORTICES)
    other = OneStep(FNO(1, 1, width=4, modes=2, layers=1, key=jr.key(0)))
    for call, error, text in (
        (lambda: refiner(other, u[:1], 0.1), TypeError, "only a SpatiotemporalFNO"),
        (lambda: refiner(operator, u, 0.0), ValueError, "dt=0.0"),
        (lambda: refiner(operator, u[0], 0.1), ValueError, "shape"),
        (lambda: SpectralRefiner(VORTICES, modes=(3, 4, 3))(operator, u, 0.1), ValueError, "at least"),
        (lambda: SpectralRefiner(VORTICES, steps=0), ValueError, "steps=0"),
        (lambda: SpectralRefiner(Heat(0.1)), ValueError, "periodic space only"),
        (lambda: TimeDifferences(0), ValueError, "order=0"),
    ):
        with pytest.raises(error, match=text):
            call()
    assert isinstance(refiner.derivative, FourierSlopes)
