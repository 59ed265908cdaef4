"""The probability flow as a bijection: closed forms of the Gaussian, mixture densities, round trips, units."""

import math

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.diffusion import (
    VE,
    VP,
    ExactDenoiser,
    ProbabilityFlow,
    bits_per_dim,
    decode,
    encode,
    interpolate,
    log_prob,
)
from cadlag.linalg import rademacher_probes
from cadlag.solve import AdaptiveSteps

from .laws import SCHEDULES, gaussian, two_modes

TIGHT = ProbabilityFlow(AdaptiveSteps(rtol=1e-7, atol=1e-7))


@pytest.mark.parametrize("name", ["vp", "sub-vp", "flow", "mean-reverting"])
def test_flow_of_a_gaussian_is_affine(name):
    """x(t) - mean(t) = std(t)/std(t_min) (x - mean(t_min)); tolerance a hundred times the solver's."""
    schedule, m, c = SCHEDULES[name], 0.7, 0.3
    denoiser, x = ExactDenoiser(gaussian(m, c), schedule), jnp.array([1.1])
    ends = jnp.array([schedule.t_min, schedule.t_max])
    a, s = np.asarray(schedule.alpha(ends)), np.asarray(schedule.sigma(ends))
    std = np.sqrt((a * c) ** 2 + s**2)
    expected = a[1] * m + std[1] / std[0] * (1.1 - a[0] * m)
    assert float(encode(denoiser, x, flow=TIGHT)[0]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["vp", "sub-vp", "ve", "flow"])
def test_log_prob_is_that_of_the_smoothed_data(name):
    """Exact divergence against the closed-form mixture at t_min: 1e-4 nats with the exact law at t_max as prior.

    With the schedule's own prior, VP neglects a mean of α(1) m = 0.005, times a latent of 1 to 2.
    """
    law, schedule = two_modes(), SCHEDULES[name]
    xs = jnp.array([[0.3, 0.2], [-1.2, 0.4], [1.4, -0.5]])
    smoothed, prior = (
        law.diffused(schedule.alpha(t), schedule.sigma(t)) for t in jnp.array([schedule.t_min, schedule.t_max])
    )
    denoiser = ExactDenoiser(law, schedule)
    found = jax.jit(jax.vmap(lambda x: log_prob(denoiser, x, flow=TIGHT, prior=prior)))(xs)
    np.testing.assert_allclose(found, jax.vmap(smoothed.log_prob)(xs), atol=1e-4)
    if name == "vp":
        np.testing.assert_allclose(log_prob(denoiser, xs[0], flow=TIGHT), found[0], atol=0.01)


def test_hutchinson_is_exact_in_one_dimension_and_unbiased_in_two():
    one, x = ExactDenoiser(gaussian(), VP()), jnp.array([0.25])
    probes = rademacher_probes(x, 1, key=jr.key(0))
    np.testing.assert_allclose(log_prob(one, x, probes=probes, flow=TIGHT), log_prob(one, x, flow=TIGHT), rtol=1e-9)
    two, x = ExactDenoiser(two_modes(), VP()), jnp.array([0.3, 0.2])
    flow = ProbabilityFlow(40)
    exact = float(log_prob(two, x, flow=flow))
    each = jax.jit(jax.vmap(lambda k: log_prob(two, x, probes=rademacher_probes(x, 1, key=k), flow=flow)))
    found = np.asarray(each(jr.split(jr.key(1), 400)))
    # Four standard errors: a false alarm in 16,000.
    assert abs(found.mean() - exact) < 4 * found.std() / 20
    assert found.std() > 0


def test_round_trip_and_its_order():
    """Encode, then decode: within 1e-3 at tolerance 1e-5, and with fixed Heun steps the error falls at order 2."""
    denoiser, x = ExactDenoiser(two_modes(), VP()), jnp.array([0.3, 0.2])

    def gap(flow):
        return float(jnp.max(jnp.abs(decode(denoiser, encode(denoiser, x, flow=flow), flow=flow) - x)))

    assert gap(ProbabilityFlow()) < 1e-3
    errors = [gap(ProbabilityFlow(n)) for n in (40, 160)]
    assert math.log2(errors[0] / errors[1]) / 2 > 1.7


def test_units_change_the_density_by_their_jacobian():
    """Data in other units, x' = 10 x on a VE schedule ten times as wide: the density falls by 10 a dimension."""
    law = two_modes()
    scaled = law.diffused(jnp.asarray(10.0), jnp.asarray(0.0))
    wide = VE(sigma_min=0.1, sigma_max=500.0)
    x = jnp.array([0.3, 0.2])
    narrow = log_prob(ExactDenoiser(law, VE()), x, flow=TIGHT)
    found = log_prob(ExactDenoiser(scaled, wide), 10 * x, flow=ProbabilityFlow(AdaptiveSteps(rtol=1e-7, atol=1e-6)))
    assert float(found) == pytest.approx(float(narrow) - 2 * math.log(10), abs=1e-4)


def test_latents_are_interpolated_on_the_sphere():
    a, b = jnp.array([3.0, 0.0]), jnp.array([0.0, 3.0])
    path = np.asarray(interpolate(a, b, 5))
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), 3, rtol=1e-12)
    np.testing.assert_allclose(path[2], [3 / math.sqrt(2)] * 2, rtol=1e-12)
    np.testing.assert_allclose(interpolate(a, a, 3), [[3, 0]] * 3, atol=1e-12)


def test_uniform_bytes_have_eight_bits():
    """Bytes scaled to [-1, 1] have the uniform density 2^-D; scaled to [0, 1], 1."""
    assert float(bits_per_dim(jnp.asarray(-12 * math.log(2)), 12, width=1 / 128)) == pytest.approx(8)
    assert float(bits_per_dim(jnp.asarray(0.0), 12, width=1 / 256)) == pytest.approx(8)
    with pytest.raises(ValueError, match="width=0"):
        bits_per_dim(jnp.asarray(0.0), 12, width=0.0)


def test_black_box_solver_takes_few_evaluations():
    """Adaptive steps at 1e-5 on an exact mixture: fewer than 150 evaluations (a thousand steps are usual)."""
    drawn = ProbabilityFlow().run(ExactDenoiser(two_modes(), VP()), jnp.array([0.4, -1.2]), key=jr.key(0))
    assert 20 < int(drawn.evaluations) < 150
