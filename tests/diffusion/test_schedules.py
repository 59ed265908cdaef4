"""Schedules: published constants, moments of the forward SDE, log-SNR and its inverse, limits, refusals."""

import math

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.integrate

from cadlag.diffusion import EDM, OU, VE, VP, Cosine, Flow, MeanReverting, SubVP, Tabulated
from cadlag.solve import EulerMaruyama, solve

from .laws import BETAS, SCHEDULES

ALL = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
SMOOTH = pytest.mark.parametrize(
    "schedule", [s for n, s in SCHEDULES.items() if n != "table"], ids=[n for n in SCHEDULES if n != "table"]
)


def times(schedule, count=9):
    return jnp.linspace(schedule.t_min, schedule.t_max, count)


def test_published_constants_at_one_half():
    """For the constants of Song et al. 2021, to five digits; g of VE is σ sqrt(2 log 5000)."""
    half = jnp.asarray(0.5)
    assert float(VP().alpha(half)) == pytest.approx(0.28118, abs=5e-6)
    assert float(VP().sigma(half)) == pytest.approx(0.95965, abs=5e-6)
    assert float(SubVP().sigma(half)) == pytest.approx(0.92094, abs=5e-6)
    assert float(VE().sigma(half)) == pytest.approx(0.70711, abs=5e-6)
    assert float(jnp.sqrt(VE().squared_diffusion(half))) == pytest.approx(2.91842, abs=5e-6)


@SMOOTH
def test_moments_solve_their_equations(schedule):
    """α' = a α and (σ²)' = 2 a σ² + g², integrated by SciPy from the drift and diffusion alone."""
    start, end = schedule.t_min + 0.05 * (schedule.t_max - schedule.t_min), 0.9 * schedule.t_max

    def rates(t, y):
        t = jnp.asarray(t)
        a, g2 = float(schedule.drift_rate(t)), float(schedule.squared_diffusion(t))
        return [a * y[0], 2 * a * y[1] + g2]

    first = [float(schedule.alpha(jnp.asarray(start))), float(schedule.sigma(jnp.asarray(start))) ** 2]
    found = scipy.integrate.solve_ivp(rates, (start, end), first, rtol=1e-9, atol=1e-12).y[:, -1]
    # SciPy's tolerance, a hundred times over.
    assert found[0] == pytest.approx(float(schedule.alpha(jnp.asarray(end))), rel=1e-7)
    assert found[1] == pytest.approx(float(schedule.sigma(jnp.asarray(end))) ** 2, rel=1e-7)


@pytest.mark.parametrize("name", ["vp", "mean-reverting", "flow"])
def test_simulated_forward_process_has_the_marginals(name):
    """4,000 paths, 200 Euler steps: mean and standard deviation within 4 standard errors plus Euler's bias of 1 %.

    False-alarm rate below 1e-3 in all.
    """
    schedule = SCHEDULES[name].shifted(jnp.array([0.6]))
    start, end, x0 = 0.02, 0.8, jnp.array([0.2])
    ts = jnp.linspace(start, end, 201)
    z = jr.normal(jr.key(1), (4000, 1))
    first = jax.vmap(lambda z: schedule.noised(jnp.asarray(start), x0, z))(z)

    def path(y, key):
        return solve(schedule.forward(), y, ts[jnp.array([0, -1])], steps=200, key=key, stepper=EulerMaruyama()).y1

    last = np.asarray(jax.jit(jax.vmap(path))(first, jr.split(jr.key(2), 4000)))[:, 0]
    mean = 0.6 + float(schedule.alpha(ts[-1])) * (0.2 - 0.6)
    std = float(schedule.sigma(ts[-1]))
    assert abs(last.mean() - mean) < 4 * std / math.sqrt(4000) + 0.01 * std
    assert abs(last.std() - std) < 4 * std / math.sqrt(8000) + 0.01 * std


@ALL
def test_log_snr_is_what_it_says_falls_and_has_its_inverse(schedule):
    t = times(schedule)
    direct = 2 * (np.log(np.asarray(schedule.alpha(t))) - np.log(np.asarray(schedule.sigma(t))))
    np.testing.assert_allclose(schedule.log_snr(t), direct, rtol=1e-9, atol=1e-9)
    assert np.all(np.diff(np.asarray(schedule.log_snr(t))) < 0)
    np.testing.assert_allclose(schedule.time_at(schedule.log_snr(t)), t, rtol=1e-9, atol=1e-12)


@ALL
def test_single_precision_is_stable_near_both_ends(schedule):
    """Within 3e-5 of double precision; MeanReverting's Θ ~ t² near the data costs it two digits more."""
    single = jnp.asarray([schedule.t_min, schedule.t_min * 1.5, schedule.t_max], jnp.float32)
    tolerance = 3e-3 if isinstance(schedule, MeanReverting) else 3e-5
    for name in ("alpha", "sigma", "log_snr", "squared_diffusion"):
        at = getattr(schedule, name)
        assert at(single).dtype == jnp.float32
        np.testing.assert_allclose(at(single), at(jnp.asarray(single, jnp.float64)), rtol=tolerance, err_msg=name)


def test_sub_vp_is_the_square_of_vp_and_has_less_noise():
    t = times(VP(), 50)
    np.testing.assert_allclose(SubVP().sigma(t), np.asarray(VP().sigma(t)) ** 2, rtol=1e-12)
    assert np.all(np.asarray(SubVP().sigma(t)) <= np.asarray(VP().sigma(t)))
    far = VP(beta_min=100.0, beta_max=100.0), SubVP(beta_min=100.0, beta_max=100.0)
    np.testing.assert_allclose(far[0].sigma(jnp.ones(())), far[1].sigma(jnp.ones(())), rtol=1e-12)


def test_mean_reversion_has_the_published_rate_and_ends():
    """θ ∝ 1 - cos²(…)/cos²(…), α(1) = ε exactly, σ(1) = σ_∞ sqrt(1 - ε²), α² + (σ/σ_∞)² = 1, g² = 2 σ_∞² θ."""
    schedule, t = MeanReverting(), times(MeanReverting(), 20)
    theta = -np.asarray(schedule.drift_rate(t))
    s, u = 0.008, np.asarray(t)
    shape = 1 - np.cos((u + s) / (1 + s) * np.pi / 2) ** 2 / np.cos(s / (1 + s) * np.pi / 2) ** 2
    np.testing.assert_allclose(theta / theta[-1], shape / shape[-1], rtol=1e-8)
    one = jnp.ones(())
    assert float(schedule.alpha(one)) == pytest.approx(0.005, rel=1e-12)
    assert float(schedule.sigma(one)) == pytest.approx(50 / 255 * math.sqrt(1 - 0.005**2), rel=1e-12)
    total = np.asarray(schedule.alpha(t)) ** 2 + (np.asarray(schedule.sigma(t)) / (50 / 255)) ** 2
    np.testing.assert_allclose(total, 1, rtol=1e-12)
    np.testing.assert_allclose(schedule.squared_diffusion(t), 2 * (50 / 255) ** 2 * theta, rtol=1e-8)


def test_constant_rate_is_the_ornstein_uhlenbeck_process():
    schedule = OU(rate=-math.log(0.005), std=50 / 255, t1=1.0, t_max=1.0)
    t = times(schedule)
    np.testing.assert_allclose(schedule.alpha(t), np.exp(-5.298317366548036 * np.asarray(t)), rtol=1e-12)
    np.testing.assert_allclose(schedule.squared_diffusion(t), 2 * (50 / 255) ** 2 * 5.298317366548036, rtol=1e-9)


def test_table_of_a_chain_is_the_chain():
    schedule, product = Tabulated.from_betas(BETAS), np.cumprod(1 - BETAS)
    for i in (1, 10, 500, 1000):
        t = jnp.asarray(i / 1000)
        assert float(schedule.alpha(t)) == pytest.approx(math.sqrt(product[i - 1]), rel=1e-10)
        assert float(schedule.sigma(t)) == pytest.approx(math.sqrt(1 - product[i - 1]), rel=1e-8)
    # DDPM's chain is VP with its linear β, to the order of a step.
    np.testing.assert_allclose(schedule.alpha(jnp.asarray(0.5)), VP().alpha(jnp.asarray(0.5)), rtol=5e-3)


def test_level_is_bounded_where_log_snr_is_not():
    assert float(Flow().level(jnp.zeros(()))) == -10
    assert float(Cosine().level(jnp.asarray(1.0))) == pytest.approx(10)
    assert float(EDM().level(jnp.asarray(2.0))) == pytest.approx(math.log(2))


def test_shift_moves_the_process():
    schedule, mu = VP().shifted(jnp.array([2.0, -1.0])), np.array([2.0, -1.0])
    x0, z, t = jnp.array([1.0, 3.0]), jnp.array([0.5, -0.5]), jnp.asarray(0.3)
    expected = mu + float(VP().alpha(t)) * (np.asarray(x0) - mu) + float(VP().sigma(t)) * np.asarray(z)
    np.testing.assert_allclose(schedule.noised(t, x0, z), expected, rtol=1e-12)
    np.testing.assert_allclose(schedule.forward().drift(t, x0, None), schedule.drift_rate(t) * (x0 - mu), rtol=1e-12)
    np.testing.assert_allclose(schedule.prior_sample(z), mu + float(VP().sigma(jnp.ones(()))) * np.asarray(z))


def test_prior_log_prob_is_the_normal_density():
    x = jnp.array([30.0, -80.0])
    expected = -0.5 * (30**2 + 80**2) / 50**2 - 2 * math.log(50) - math.log(2 * math.pi)
    assert float(VE().prior_log_prob(x)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VP(beta_min=0.0), "0 < beta_min"),
        (lambda: VP(t_min=0.5, t_max=0.4), "Data are at t = 0"),
        (lambda: VE(sigma_min=2.0, sigma_max=1.0), "sigma_min < sigma_max"),
        (lambda: Flow(t1=2.0), "from 0 to 1"),
        (lambda: OU(rate=-1.0), "rate=-1.0 must be positive"),
        (lambda: MeanReverting(end=1.5), r"must lie in \(0, 1\)"),
        (lambda: Tabulated([0.1, 0.2], [0.0, -1.0], [1.0]), "one shape"),
        (lambda: Tabulated([0.0, 1.0], [0.0, -1.0], [-np.inf, 0.0]), "leave out the point"),
        (lambda: Tabulated([0.2, 0.1], [0.0, -1.0], [-1.0, 0.0]), "times must increase"),
        (lambda: Tabulated.from_betas([1.0, 0.1]), r"in \(0, 1\)"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
