"""The flow in the noise-to-signal ratio, and gradients through it: closed forms and tables worked out elsewhere."""

import functools

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.diffusion import (
    VP,
    ClassifierFree,
    DDIMStep,
    Denoiser,
    ExactDenoiser,
    FunctionDenoiser,
    NoiseRatio,
    ProbabilityFlow,
    Time,
    UniformLogSNR,
    UniformTime,
    decode,
    encode,
    log_prob,
    sigma_flow,
)
from cadlag.distributions import GaussianMixture
from cadlag.nn import ScoreMLP
from cadlag.solve import AdaptiveSteps, Backsolve, Checkpointed, Direct, EulerMaruyama, Heun, solve

from .laws import SCHEDULES, gaussian, two_modes

S = VP()
MIXTURE = ExactDenoiser(GaussianMixture.isotropic(jnp.full(2, 0.5), jnp.array([[-1.0], [1.5]]), jnp.full(2, 0.2)), S)
NAIVE = Direct(store_intermediates=True)
# Sensitivity of the sample to the noise 0.9: 20,000 steps in numpy.
SAMPLE, SLOPE = 1.566992, 0.282931


def ratio(t):
    """σ/α of linear VP, written out."""
    log_alpha = -0.25 * t**2 * 19.9 - 0.05 * t
    return np.sqrt(np.expm1(-2 * log_alpha))


def through(denoiser, steps, stepper, grid, adjoint, variable=None):
    flow = ProbabilityFlow(steps, stepper, grid, adjoint, NoiseRatio() if variable is None else variable)
    return jax.jit(jax.value_and_grad(lambda x: decode(denoiser, x, flow=flow)[0]))


def errors(denoiser, exact, counts, *how):
    """Relative errors of the slope at 0.9."""
    slopes = [through(denoiser, n, *how)(jnp.full(1, 0.9))[1][0] for n in counts]
    return np.abs(np.array(slopes) / exact - 1)


def test_gaussian_table():
    """N(0.7, 0.3²): the sample and its slope are known; the table is Heun's and Euler's error at N = 10 ... 160."""
    denoiser = ExactDenoiser(gaussian(0.7, 0.3), S)
    first, last = ratio(1.0), ratio(1e-3)
    alphas = 1 / np.sqrt(1 + np.array([first, last]) ** 2)
    shrink = np.sqrt((0.09 + last**2) / (0.09 + first**2))
    slope = shrink * alphas[1] / alphas[0]
    heun = errors(denoiser, slope, (10, 40, 160), Heun(), UniformLogSNR(), Backsolve())
    # Two digits are given.
    np.testing.assert_allclose(heun, [1.5e-1, 7.6e-3, 4.6e-4], rtol=0.04)
    euler = errors(denoiser, slope, (10, 40, 160), EulerMaruyama(), UniformLogSNR(), Backsolve())
    np.testing.assert_allclose(euler, [1.8, 0.82, 0.29], rtol=0.04)
    y0 = 0.7 + (0.9 / alphas[0] - 0.7) * shrink
    value, _ = through(denoiser, 160, Heun(), UniformLogSNR(), Direct())(jnp.full(1, 0.9))
    # Heun's own error there is 4e-4 of the distance that is left.
    np.testing.assert_allclose(value, y0 * alphas[1], atol=5e-4)


def test_two_mode_table():
    """Continuous and discrete slopes on uniform times, Euler and Heun; two digits are given."""
    table = {
        (EulerMaruyama(), Backsolve()): [1.0, 0.95, 0.57, 0.32],
        (EulerMaruyama(), Direct()): [0.40, 0.23, 0.099, 0.051],
        (Heun(), Backsolve()): [2.4e-1, 6.8e-2, 1.2e-2, 3.1e-3],
    }
    for (stepper, adjoint), expected in table.items():
        found = errors(MIXTURE, SLOPE, (10, 20, 50, 100), stepper, UniformTime(), adjoint)
        np.testing.assert_allclose(found, expected, rtol=0.05)
    # In plain time Euler's gradient is better: what helps is the order and the grid, not the variable.
    plain = errors(MIXTURE, SLOPE, (10, 100), EulerMaruyama(), UniformTime(), Backsolve(), Time())
    np.testing.assert_allclose(plain, [0.35, 0.051], rtol=0.05)


def test_two_mode_fine_solution():
    """2,000 Heun steps on the log grid: their error is below 1e-6 (1.1e-5 at 500, order two)."""
    value, slope = through(MIXTURE, 2000, Heun(), UniformLogSNR(), Checkpointed())(jnp.full(1, 0.9))
    alpha = 1 / np.sqrt(1 + ratio(1e-3) ** 2)
    np.testing.assert_allclose([value / alpha, slope[0]], [SAMPLE, SLOPE], rtol=2e-6)
    found = errors(MIXTURE, SLOPE, (50,), Heun(), UniformLogSNR(), Backsolve())
    # The slope is given to six digits, 2e-6 of it.
    np.testing.assert_allclose(found, [3.7e-5], atol=2.5e-6)


@pytest.mark.parametrize("name", SCHEDULES)
def test_one_euler_step_is_ddim(name):
    """For pairs of times near and far; the way from ρ to t and back costs some digits, more for tables."""
    schedule = SCHEDULES[name]
    if name == "mean-reverting":
        schedule = schedule.shifted(jnp.array([0.3, -0.2]))
    denoiser = ExactDenoiser(two_modes(), schedule)
    x, end = jnp.array([0.4, -1.1]), jnp.asarray(schedule.t_max)
    for high, low in ((1.0, 0.02), (0.9, 0.7), (0.3, 0.05)):
        s, t = (schedule.t_min + u * (end - schedule.t_min) for u in (high, low))
        ends = NoiseRatio().points(schedule, jnp.stack([s, t]))
        y = NoiseRatio().enter(schedule, s, x)
        made = solve(sigma_flow(denoiser), y, ends, stepper=EulerMaruyama()).y1
        expected = DDIMStep().step(denoiser, x, s, t, None, jax.random.key(0))[0]
        np.testing.assert_allclose(NoiseRatio().leave(schedule, t, made), expected, rtol=1e-9, atol=1e-9)


@functools.cache
def network():
    """A small conditional network, made lively so that its Jacobian matters."""
    net = ScoreMLP(2, width=16, depth=1, conditions=2, key=jax.random.key(0))
    return Denoiser(eqx.tree_at(lambda n: n.last.weight, net, net.last.weight * 50), S)


def loss(denoiser, x, cond, flow):
    return jnp.sum(decode(denoiser, x, cond=cond, flow=flow) ** 2)


def every_gradient(steps, adjoint, stepper=None):
    flow = ProbabilityFlow(steps, stepper, UniformLogSNR(), adjoint, NoiseRatio())
    params, rest = eqx.partition(network(), eqx.is_inexact_array)
    run = jax.jit(jax.grad(lambda p, x, c: loss(eqx.combine(p, rest), x, c, flow), (0, 1, 2)))
    return jax.flatten_util.ravel_pytree(run(params, jnp.array([0.4, -0.8]), jnp.array([0.3, 1.0])))[0]


def test_discrete_mode_is_autodiff_through_the_unrolled_chain():
    """For weights, noise and condition, against a Python loop of Heun steps."""
    params, rest = eqx.partition(network(), eqx.is_inexact_array)
    times = np.asarray(UniformLogSNR()(S, 6, jnp.float64))
    rho = jnp.asarray(ratio(times))

    def unrolled(p, x, c):
        denoiser = eqx.combine(p, rest)
        alpha = lambda i: 1 / jnp.sqrt(1 + rho[i] ** 2)
        eps = lambda i, y: denoiser.noise(jnp.asarray(times[i]), alpha(i) * y, c)
        y = x / alpha(0)
        for i in range(6):
            h = rho[i + 1] - rho[i]
            k = eps(i, y)
            y = y + 0.5 * h * (k + eps(i + 1, y + h * k))
        return jnp.sum((alpha(6) * y) ** 2)

    expected = jax.jit(jax.grad(unrolled, (0, 1, 2)))(params, jnp.array([0.4, -0.8]), jnp.array([0.3, 1.0]))
    expected = jax.flatten_util.ravel_pytree(expected)[0]
    for adjoint in (Direct(), Checkpointed()):
        found = every_gradient(6, adjoint)
        assert np.linalg.norm(found - expected) < 1e-10 * np.linalg.norm(expected)


def test_continuous_gradients_tend_to_discrete_ones():
    """All of them at once, Heun: from 40 to 80 steps the distance falls by 2², with half an order of slack."""
    gaps = []
    for n in (40, 80):
        exact = every_gradient(n, Direct(), Heun())
        gaps.append(np.linalg.norm(every_gradient(n, Backsolve(), Heun()) - exact) / np.linalg.norm(exact))
    assert gaps[1] < gaps[0] / 2**1.5
    assert 0 < gaps[1] < 0.02


def test_weights_against_central_differences():
    """A random direction in the weights; differences of the solution by 400 steps, the adjoint by 400 too."""
    params, rest = eqx.partition(network(), eqx.is_inexact_array)
    flow = ProbabilityFlow(400, Heun(), UniformLogSNR(), Backsolve(), NoiseRatio())
    flat, unflat = jax.flatten_util.ravel_pytree(params)
    x, cond = jnp.array([0.4, -0.8]), jnp.array([0.3, 1.0])
    value = jax.jit(lambda w: loss(eqx.combine(unflat(w), rest), x, cond, flow))
    direction = jax.random.normal(jax.random.key(5), flat.shape)
    step = 1e-5
    expected = (value(flat + step * direction) - value(flat - step * direction)) / (2 * step)
    # The adjoint's own error falls with N²: 0.02 at 80 steps bounds it by 1e-3.
    np.testing.assert_allclose(jax.jit(jax.grad(value))(flat) @ direction, expected, rtol=2e-3)


def test_back_solve_returns_the_noise_at_the_order_of_the_solver():
    """encode(decode(x)) on uniform times: relative errors 6e-5 (Heun) and 5.6e-2 (Euler) in y at N = 100."""
    for stepper, expected, order in ((Heun(), 6e-5, 2), (EulerMaruyama(), 5.6e-2, 1)):
        gaps = []
        for n in (100, 200):
            flow = ProbabilityFlow(n, stepper, UniformTime(), None, NoiseRatio())
            there = jax.jit(lambda x, f=flow: encode(MIXTURE, decode(MIXTURE, x, flow=f), flow=f))(jnp.full(1, 0.9))
            gaps.append(abs(float(there[0]) / 0.9 - 1))
        np.testing.assert_allclose(gaps[0], expected, rtol=0.3)
        assert gaps[1] < gaps[0] / 2 ** (order - 0.5)


def test_noise_that_does_not_see_the_state_leaves_the_adjoint_constant():
    """ε = f(ρ): y moves by a number, so dx_0/dx_T = α_0/α_T exactly."""

    def data(t, x, cond):
        return (x - S.sigma(t) * jnp.cos(t)) / S.alpha(t)

    _, slope = through(FunctionDenoiser(data, S), 10, Heun(), UniformLogSNR(), Backsolve())(jnp.full(1, 0.9))
    expected = np.sqrt((1 + ratio(1.0) ** 2) / (1 + ratio(1e-3) ** 2))
    np.testing.assert_allclose(slope, [expected], rtol=1e-12)


def test_noise_linear_in_y_gives_an_exponential():
    """ε = K y in y = x/α: dy_0/dy_T = exp(K (ρ_0 - ρ_T)), by 2,000 Heun steps.

    Steps of h = 9.6/2000 in log ρ leave h²/6 ∫ (Kρ)³ dlog ρ = 3.5e-5.
    """
    k = 0.02

    def data(t, x, cond):
        return (x - S.sigma(t) * k * x / S.alpha(t)) / S.alpha(t)

    _, slope = through(FunctionDenoiser(data, S), 2000, Heun(), UniformLogSNR(), Backsolve())(jnp.full(1, 0.9))
    alphas = np.sqrt((1 + ratio(1.0) ** 2) / (1 + ratio(1e-3) ** 2))
    np.testing.assert_allclose(slope / alphas, [np.exp(k * (ratio(1e-3) - ratio(1.0)))], rtol=5e-5)


def test_weight_one_is_the_conditional_model():
    null = jnp.array([jnp.nan, jnp.nan])
    flow = ProbabilityFlow(8, Heun(), UniformLogSNR(), Backsolve(), NoiseRatio())
    x, cond = jnp.array([0.4, -0.8]), jnp.array([0.3, 1.0])
    run = eqx.filter_jit(lambda d, c: jax.value_and_grad(lambda e: loss(d, x, e, flow))(c))
    with_weight, without = run(ClassifierFree(network(), null, 1.0), cond), run(network(), cond)
    np.testing.assert_allclose(with_weight[0], without[0], rtol=1e-12)
    np.testing.assert_allclose(with_weight[1], without[1], rtol=1e-9)


def memory(adjoint, steps):
    """Bytes of temporary memory of a gradient for the noise and the weights."""
    net = ScoreMLP(8, width=128, depth=1, key=jax.random.key(0))
    params, rest = eqx.partition(Denoiser(net, S), eqx.is_inexact_array)
    flow = ProbabilityFlow(steps, EulerMaruyama(), UniformLogSNR(), adjoint, NoiseRatio())
    batch = lambda p, x: jnp.sum(jax.vmap(lambda z: loss(eqx.combine(p, rest), z, None, flow))(x))
    lowered = jax.jit(jax.grad(batch, (0, 1))).lower(params, jnp.ones((32, 8)))
    return lowered.compile().memory_analysis().temp_size_in_bytes


def test_memory_does_not_grow_with_the_steps():
    """At most half as much again from 10 to 100 steps, where plain autodiff takes about ten times."""
    for adjoint in (Backsolve(), Checkpointed()):
        few, many = (memory(adjoint, n) for n in (10, 100))
        assert many < 1.5 * few, adjoint
    few, many = (memory(NAIVE, n) for n in (10, 100))
    assert 6 * few < many < 12 * few


def test_adaptive_steps_and_what_is_refused():
    """There and back; tolerances are those of y, which is 0.0066 x at the data."""
    flow = ProbabilityFlow(AdaptiveSteps(rtol=1e-7, atol=1e-8), variable=NoiseRatio())
    denoiser = ExactDenoiser(gaussian(0.7, 0.3), S)
    z = jnp.full(1, 0.9)
    x = decode(denoiser, z, flow=flow)
    np.testing.assert_allclose(encode(denoiser, x, flow=flow), z, rtol=1e-4)
    with pytest.raises(ValueError, match="pass Time"):
        log_prob(denoiser, x, flow=flow)
