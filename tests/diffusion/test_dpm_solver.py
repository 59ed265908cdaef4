"""The exponential integrator: card 28's scalar problem, orders, DDIM, posterior sampling, exactness, equivariance."""

import math

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.diffusion import (
    OU,
    VP,
    AncestralStep,
    Data,
    DDIMStep,
    Denoiser,
    DPMSolver,
    ExactDenoiser,
    Flow,
    FunctionDenoiser,
    Noise,
    PredictorCorrector,
    UniformLogSNR,
    UniformTime,
    V,
    sample,
)

from .laws import gaussian

S = 50 / 255
# x_0 ~ N(0.2, 0.04²), μ = 0.6, α = e^{-5.298 t}, t from 1 to 0.02.
SCHEDULE = OU(rate=5.298, std=S, t1=1.0, t_min=0.02, t_max=1.0, shift=jnp.array([0.6]))
EXACT = ExactDenoiser(gaussian(), SCHEDULE)
STARTS = jnp.array([[0.6 + 1.3 * S], [0.6 - 0.4 * S]])


def run(sampler, denoiser=EXACT, start=STARTS):
    return np.asarray(sample(denoiser, start.shape[1:], len(start), key=jr.key(0), sampler=sampler, start=start))


def truth(t, x1):
    """The flow keeps the standardised residual."""
    a1, a = math.exp(-5.298), math.exp(-5.298 * t)
    spread = lambda a: math.sqrt((0.04 * a) ** 2 + S**2 * (1 - a * a))
    mean = lambda a: 0.6 + a * (0.2 - 0.6)
    return mean(a) + spread(a) / spread(a1) * (np.asarray(x1) - mean(a1))


def error(sampler):
    return float(np.max(np.abs(run(sampler) - truth(0.02, STARTS))))


@pytest.mark.parametrize(
    ("steps", "first", "second", "noise"),
    [(5, 5.0e-3, 3.1e-3, 3.8e-3), (10, 2.7e-3, 9.7e-4, 1.4e-3), (20, 1.4e-3, 2.6e-4, 4.5e-4)],
)
def test_errors_of_the_scalar_problem(steps, first, second, noise):
    """The card's table, to the two digits it has."""
    assert error(DPMSolver(steps, order=1)) == pytest.approx(first, rel=0.05)
    assert error(DPMSolver(steps, order=2)) == pytest.approx(second, rel=0.05)
    assert error(DPMSolver(steps, order=2, reads=Noise())) == pytest.approx(noise, rel=0.05)


@pytest.mark.parametrize(("order", "reads"), [(1, Data()), (2, Data()), (2, Noise()), (3, Data())])
def test_orders(order, reads):
    """Slope over 40 to 160 steps within 0.15 of the order (0.3 for the third, whose first two steps are lower)."""
    errors = [error(DPMSolver(n, order=order, reads=reads)) for n in (40, 80, 160)]
    slope = math.log2(errors[0] / errors[2]) / 2
    assert slope == pytest.approx(order, abs=0.3 if order == 3 else 0.15)


def test_first_order_is_ddim_whatever_it_reads():
    data = run(DPMSolver(7, order=1))
    np.testing.assert_allclose(run(DPMSolver(7, order=1, reads=Noise())), data, rtol=1e-12)
    ddim = PredictorCorrector(7, predictor=DDIMStep(), grid=UniformLogSNR())
    np.testing.assert_allclose(run(ddim), data, rtol=1e-12)


def test_constant_readings_make_all_orders_equal():
    """q0 = q1 = q2: the differences vanish; point-mass data are reached exactly by one step of the flow."""
    point = FunctionDenoiser(lambda t, x, cond: 0 * x + 0.2, SCHEDULE)
    first = run(DPMSolver(6, order=1), point)
    for order in (2, 3):
        np.testing.assert_allclose(run(DPMSolver(6, order=order), point), first, rtol=1e-12)
    # x_t - μ - α_t (x_0 - μ) shrinks with σ.
    a, a1 = math.exp(-5.298 * 0.02), math.exp(-5.298)
    ratio = math.sqrt((1 - a * a) / (1 - a1 * a1))
    expected = 0.6 + a * (0.2 - 0.6) + ratio * (np.asarray(STARTS) - 0.6 - a1 * (0.2 - 0.6))
    np.testing.assert_allclose(run(DPMSolver(1, order=1), point), expected, rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2])
def test_sde_variance_of_the_scalar_problem(order):
    """Card 28: standard deviations 0.0869, 0.0891, 0.0911 (order 1), 0.0878, 0.0906, 0.0922 (order 2).

    40,000 samples: standard error 3.3e-4; tolerance 4 of them and half a digit of the table. The mean within 4.
    """
    table = {1: (0.0869, 0.0891, 0.0911), 2: (0.0878, 0.0906, 0.0922)}[order]
    mean = 0.6 + math.exp(-5.298 * 0.02) * (0.2 - 0.6)
    for steps, std in zip((5, 10, 20), table, strict=True):
        sampler = DPMSolver(steps, order=order, stochastic=True)
        x = np.asarray(sample(EXACT, (1,), 40_000, key=jr.key(3), sampler=sampler))
        assert x.std() == pytest.approx(std, abs=4 * 3.3e-4 + 5e-5)
        # The prior's own mean is off by α(1) (0.2 - 0.6) = -0.002 standardised: contracted below the noise.
        assert x.mean() == pytest.approx(mean, abs=4 * 0.093 / math.sqrt(40_000) + 3e-4)


def test_posterior_sampler_is_the_first_order_sde_method():
    """IR-SDE's posterior, with A = e^{-θ_t dt}, B = e^{-Θ_t dt}, C = e^{-Θ_{t-1} dt} of the card, at respaced times."""
    times = UniformTime()(SCHEDULE, 6, jnp.float64)
    keep, weights, noise = DPMSolver(6, order=1, stochastic=True).coefficients(SCHEDULE, times)
    step, (s, t) = AncestralStep(), times[2:4]
    x, x0 = 0.5, 0.23
    b, c = math.exp(-5.298 * float(s)), math.exp(-5.298 * float(t))
    a = b / c
    mean = a * (1 - c * c) / (1 - b * b) * (x - 0.6) + c * (1 - a * a) / (1 - b * b) * (x0 - 0.6) + 0.6
    std = S * math.sqrt((1 - a * a) * (1 - c * c) / (1 - b * b))
    assert 0.6 + float(keep[2]) * (x - 0.6) + float(weights[2, 0]) * (x0 - 0.6) == pytest.approx(mean, rel=1e-12)
    assert float(noise[2]) == pytest.approx(std, rel=1e-12)
    fixed = FunctionDenoiser(lambda t, x, cond: 0 * x + x0, SCHEDULE)
    drawn, centre = step.step(fixed, jnp.array([x]), s, t, None, jr.key(0))
    assert float(centre[0]) == pytest.approx(mean, rel=1e-12)
    z = float(jr.normal(jr.key(0), (1,))[0])
    assert float((drawn - centre)[0]) == pytest.approx(std * z, rel=1e-10)


def test_point_mass_has_the_right_law_after_one_sde_step():
    point = FunctionDenoiser(lambda t, x, cond: 0 * x + 0.2, SCHEDULE)
    times = jnp.array([1.0, 0.02])
    keep, weights, noise = DPMSolver(1, order=1, stochastic=True).coefficients(SCHEDULE, times)
    a1, a = math.exp(-5.298), math.exp(-5.298 * 0.02)
    # From x_1 ~ N(μ + α_1 (x_0 - μ), σ_1²) to N(μ + α (x_0 - μ), σ²).
    assert float(keep[0]) * a1 + float(weights[0, 0]) == pytest.approx(a, rel=1e-12)
    variance = float(keep[0]) ** 2 * S**2 * (1 - a1 * a1) + float(noise[0]) ** 2
    assert variance == pytest.approx(S**2 * (1 - a * a), rel=1e-12)
    assert run(DPMSolver(1, denoise=True), point)[0, 0] == pytest.approx(0.2)


def test_shift_equivariance():
    """sampler(x, μ)(network) = μ + sampler(x - μ, 0)(shifted network)."""
    unshifted = ExactDenoiser(gaussian(0.2 - 0.6), SCHEDULE.shifted(None))
    for sampler in (DPMSolver(5), DPMSolver(5, stochastic=True), DPMSolver(5, order=3, reads=Noise())):
        np.testing.assert_allclose(run(sampler), 0.6 + run(sampler, unshifted, STARTS - 0.6), rtol=1e-11)


def test_networks_of_three_kinds_give_one_sample():
    """Noise, data and velocity networks made from the exact denoiser, under one sampler: equal to 1e-10."""

    def made(prediction):
        def network(level, x, cond, key):
            t = SCHEDULE.time_at(-2 * level)
            a, s = SCHEDULE.alpha(t), SCHEDULE.sigma(t)
            noise, data = EXACT.read(t, SCHEDULE.uncentre(x * jnp.sqrt(a * a + s * s)))
            return prediction.target(SCHEDULE, t, SCHEDULE.centre(data), noise)

        return Denoiser(network, SCHEDULE, prediction)

    runs = [run(DPMSolver(6), made(p)) for p in (Noise(), Data(), V(S))]
    np.testing.assert_allclose(runs[1], runs[0], rtol=1e-10)
    np.testing.assert_allclose(runs[2], runs[0], rtol=1e-10)


def test_evaluations_are_counted_and_the_network_is_traced_once():
    traces = []

    def network(t, x, cond):
        traces.append(1)
        return 0 * x

    drawn = sample(
        FunctionDenoiser(network, VP()), (1,), 3, key=jr.key(0), sampler=DPMSolver(50, denoise=True), stats=True
    )
    np.testing.assert_array_equal(drawn.evaluations, [51, 51, 51])
    # Once in the loop and once after it; JAX may trace a loop's body twice.
    assert len(traces) <= 4


def test_third_order_needs_three_steps_of_history():
    weights = DPMSolver(5, order=3).coefficients(SCHEDULE, UniformLogSNR()(SCHEDULE, 5, jnp.float64))[1]
    np.testing.assert_array_equal(weights[0, 1:], [0, 0])
    assert float(weights[1, 2]) == 0
    assert np.all(np.asarray(weights[2:]) != 0)
    lowered = DPMSolver(5, order=3, lower_final=True)
    weights = lowered.coefficients(SCHEDULE, UniformLogSNR()(SCHEDULE, 5, jnp.float64))[1]
    np.testing.assert_array_equal(weights[4, 1:], [0, 0])


def test_flow_matching_schedule_is_sampled_too():
    """A schedule whose log-SNR is infinite at both ends: cut off, the scalar law comes out to 1 %."""
    x = sample(
        ExactDenoiser(gaussian(0.2, 0.5), Flow()), (1,), 20_000, key=jr.key(0), sampler=DPMSolver(30, denoise=True)
    )
    # Standard errors 0.0035 and 0.0025.
    assert float(jnp.mean(x)) == pytest.approx(0.2, abs=0.015)
    assert float(jnp.std(x)) == pytest.approx(0.5, abs=0.015)


def test_single_precision():
    law = jax.tree.map(lambda x: x.astype(jnp.float32), gaussian())
    x = sample(ExactDenoiser(law, VP()), (1,), 2, key=jr.key(0), sampler=DPMSolver(20, order=3))
    assert x.dtype == jnp.float32


def test_refusals():
    with pytest.raises(ValueError, match="order=4"):
        DPMSolver(order=4)
    with pytest.raises(ValueError, match="steps=0"):
        DPMSolver(0)
    with pytest.raises(TypeError, match="Any network will do"):
        DPMSolver(reads=V())
    with pytest.raises(ValueError, match=r"eta=2.0 must lie in \[0, 1\]"):
        DDIMStep(2.0)
