"""The ODE and the SDEs of an interpolant: where they arrive, at what rate, and what a likelihood is."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.diffusion import ExactDenoiser, Flow
from cadlag.diffusion._exact_interpolant import ExactInterpolant
from cadlag.diffusion._gamma import BrownianGamma
from cadlag.diffusion._interpolant import Linear, Mirror
from cadlag.diffusion._interpolant_model import OneSided
from cadlag.diffusion._interpolant_processes import (
    NoiseFirstHeun,
    TabulatedEpsilon,
    check_epsilon,
    check_model,
    interpolant_ode,
    interpolant_sde,
)
from cadlag.diffusion._interpolant_sampling import interpolant_log_prob, sample_interpolant
from cadlag.distributions import GaussianMixture
from cadlag.solve import SDE, AdaptiveSteps, FixedSteps, Heun, Reversible, ReversibleHeun, RungeKutta, solve

PATH = Linear(BrownianGamma(1.0))
MODES = ExactInterpolant(
    PATH,
    GaussianMixture.isotropic(jnp.array([0.5, 0.5]), jnp.array([[-2.0], [2.0]]), jnp.array([0.5, 0.5])),
    GaussianMixture.isotropic(jnp.array([0.4, 0.6]), jnp.array([[-1.0], [3.0]]), jnp.array([0.7, 0.5])),
)
C0, C1 = np.array([[1.0, 0.3], [0.3, 0.5]]), np.array([[0.4, -0.2], [-0.2, 0.9]])
M0, M1 = np.array([1.0, -1.0]), np.array([-2.0, 0.5])
NORMAL = lambda m, c: GaussianMixture(jnp.ones(1), jnp.asarray(m)[None], jnp.asarray(c)[None])
GAUSSIANS = ExactInterpolant(PATH, NORMAL(M0, C0), NORMAL(M1, C1))


def start(n, key, law=None):
    return jax.vmap((law or MODES.law0).sample)(jr.split(key, n))


def test_the_ode_carries_one_gaussian_to_another_and_back():
    """The map is affine: A from the images of 0, e_1, e_2; A C_0 Aᵀ = C_1. Tsit5 with 40 steps errs by about 1e-8."""
    points = jnp.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.7, -1.3]])
    how = {"steps": 40, "stepper": RungeKutta(diffrax.Tsit5())}
    images = np.asarray(sample_interpolant(GAUSSIANS, points, **how))
    a = (images[1:3] - images[0]).T
    np.testing.assert_allclose(images[3], images[0] + a @ np.asarray(points[3]), atol=1e-7)
    np.testing.assert_allclose(a @ C0 @ a.T, C1, atol=1e-6)
    np.testing.assert_allclose(images[0] + a @ M0, M1, atol=1e-6)
    back = sample_interpolant(GAUSSIANS, jnp.asarray(images), backward=True, **how)
    np.testing.assert_allclose(back, points, atol=1e-6)


def test_likelihood_of_the_ode_is_the_density_of_the_other_end():
    x = jnp.array([[-2.0, 0.5], [-1.0, 2.0], [-3.0, -1.0], [0.0, 0.0]])
    base = GAUSSIANS.law0.log_prob
    # Heun's 1,000 steps err by about 1e-6.
    how = {"steps": 1000, "stepper": Heun()}
    expected = jax.vmap(GAUSSIANS.law1.log_prob)(x)
    np.testing.assert_allclose(interpolant_log_prob(GAUSSIANS, x, base, **how), expected, atol=1e-5)
    # Two probes ±1 estimate the trace of a constant matrix with variance sum of squared off-diagonals: unbiased.
    how["steps"] = 50
    found = interpolant_log_prob(GAUSSIANS, jnp.tile(x[:1], (400, 1)), base, probes=1, key=jr.key(0), **how)
    assert abs(found.mean() - expected[0]) < 4 * found.std() / 20
    assert found.std() > 0.01


@pytest.fixture(scope="module")
def arrivals():
    """Where 4,000 starts end under several ε; 200 steps."""
    x0 = start(4000, jr.key(0))
    found = {0.0: sample_interpolant(MODES, x0, steps=200)}
    for i, epsilon in enumerate((0.5, 5.0)):
        # Numbers of steps in proportion to ε would be needed far beyond 5: ε |∇s| dt is 0.1 at the narrowest mode.
        found[epsilon] = sample_interpolant(MODES, x0, key=jr.key(1 + i), epsilon=epsilon, steps=200)
    return found


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 5.0])
def test_with_exact_fields_the_law_at_the_end_does_not_depend_on_epsilon(arrivals, epsilon):
    """Mean, second moment and the share of a mode, within 4.5 standard errors of 4,000 draws (one false alarm in 15,000
    for each of nine numbers) plus 0.02 for the steps.
    """
    x = np.asarray(arrivals[epsilon][:, 0])
    expected = {
        "mean": (x, 0.4 * -1 + 0.6 * 3),
        "square": (x**2, 0.4 * (1 + 0.49) + 0.6 * (9 + 0.25)),
        "share": (1.0 * (x < 1), 0.4 + 0.0022 - 0.6 * 3e-5),
    }
    for name, (values, mean) in expected.items():
        error = 4.5 * values.std() / np.sqrt(len(values)) + 0.02 * max(1, abs(mean)) * (name != "share")
        assert abs(values.mean() - mean) < error, name


def test_backwards_the_sde_returns_to_the_first_law():
    x1 = start(4000, jr.key(3), MODES.law1)
    x = np.asarray(sample_interpolant(MODES, x1, key=jr.key(4), epsilon=1.0, steps=200, backward=True)[:, 0])
    # Modes at ±2 of deviation ½: as above.
    assert abs(x.mean()) < 4.5 * 2.06 / np.sqrt(4000) + 0.02
    assert abs(np.mean(x**2) - 4.25) < 4.5 * np.std(x**2) / np.sqrt(4000) + 0.08
    assert np.mean(np.abs(np.abs(x) - 2) < 1) > 0.93


FINEST = 160


def slopes(model, epsilon):
    """Slopes in x of b + εs on the finest grid, where both are linear in x."""
    slope = lambda t: (model.drift(t, jnp.ones(1), epsilon) - model.drift(t, jnp.zeros(1), epsilon))[0]
    return np.asarray(jax.jit(jax.vmap(slope))(jnp.arange(0.0, FINEST) / FINEST))


def recursion(noisy, last, steps, epsilon):
    """Variance at t = 1 of Euler-Maruyama from variance one, the last step without noise and score: exact."""
    variance, h = 1.0, 1 / steps
    for a in noisy[:: FINEST // steps][:-1]:
        variance = (1 + h * a) ** 2 * variance + 2 * epsilon * h
    return (1 + h * last[:: FINEST // steps][-1]) ** 2 * variance


def test_euler_maruyama_has_weak_order_one_and_is_what_the_sampler_does():
    """Between N(0, 1) and N(1, 4) everything is linear, so the scheme's variance is known without sampling."""
    twice = lambda m, v: GaussianMixture.isotropic(jnp.full(2, 0.5), jnp.full((2, 1), m), jnp.full(2, v**0.5))
    model = ExactInterpolant(PATH, twice(0.0, 1.0), twice(1.0, 4.0))
    noisy, last = slopes(model, jnp.asarray(0.8)), slopes(model, jnp.asarray(0.0))
    counts = np.array([20, 40, 80, 160])
    errors = [abs(recursion(noisy, last, int(n), 0.8) - 4) for n in counts]
    order = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert order == pytest.approx(1, abs=0.15)
    x = sample_interpolant(model, start(4000, jr.key(5), model.law0), key=jr.key(6), epsilon=0.8, steps=200)
    # Relative standard error of a normal variance: sqrt(2/4,000) = 0.022.
    assert np.var(x) == pytest.approx(recursion(noisy, last, 160, 0.8), rel=4 * 0.022)


def test_noise_first_heun_is_its_formula_and_handles_the_same_law():
    decay = SDE(lambda t, y, args: -y * t, lambda t, y, args: 0.5 * jnp.ones_like(y), noise=PATH_NOISE)
    y0, h = jnp.array([1.0]), 0.25
    found = solve(decay, y0, jnp.array([0.0, h]), key=jr.key(7), stepper=NoiseFirstHeun()).ys[-1]
    noise = solve(SDE(lambda t, y, args: 0 * y, decay.diffusion_field, noise=PATH_NOISE), y0, jnp.array([0.0, h]),
                  key=jr.key(7)).ys[-1] - y0  # fmt: skip
    noisy = y0 + noise
    k1 = -h * noisy
    k2 = -h * (noisy + h * k1)
    np.testing.assert_allclose(found, noisy + 0.5 * h * (k1 + k2), rtol=1e-14)
    x0 = start(4000, jr.key(8))
    x = np.asarray(sample_interpolant(MODES, x0, key=jr.key(9), epsilon=1.0, steps=100, stepper=NoiseFirstHeun()))
    assert abs(x.mean() - 1.4) < 4.5 * x.std() / np.sqrt(4000) + 0.03


PATH_NOISE = interpolant_sde(MODES, 1.0).noise


def test_the_mirror_resamples_a_law_from_one_point():
    """x_t = x_1 + γz with γ² = 8t(1 - t): from one point, blurred to a variance of 2, back to both modes."""
    law = GaussianMixture.isotropic(jnp.array([0.5, 0.5]), jnp.array([[-1.0], [1.0]]), jnp.array([0.3, 0.3]))
    model = ExactInterpolant(Mirror(BrownianGamma(8.0)), law, law)
    x = sample_interpolant(model, jnp.full((4000, 1), 1.0), key=jr.key(10), epsilon=12.0, steps=400)
    share = np.mean(np.asarray(x) < 0)
    # The standard error of a share of one half is 0.008; ε = 6 would leave a twelfth of the memory.
    assert abs(share - 0.5) < 0.04
    assert np.var(x) == pytest.approx(1.09, rel=0.06)


def test_a_denoiser_gains_the_same_samplers():
    law = MODES.law1
    model = OneSided(ExactDenoiser(law, Flow()))
    z = jr.normal(jr.key(11), (4000, 1))
    x = np.asarray(sample_interpolant(model, z, key=jr.key(12), epsilon=0.5, steps=100))
    assert abs(x.mean() - 1.4) < 4.5 * x.std() / np.sqrt(4000) + 0.03
    assert np.var(x) == pytest.approx(0.4 * (1 + 0.49) + 0.6 * 9.25 - 1.4**2, rel=0.06)


def test_epsilon_may_be_a_function_of_time_and_sweeping_it_compiles_once():
    curve = TabulatedEpsilon(jnp.linspace(0.0, 1.0, 3), jnp.array([0.0, 2.0, 0.0]))
    process = interpolant_sde(MODES, curve)
    t, x = jnp.asarray(0.25), jnp.array([0.3])
    reading = MODES.read(t, x)
    np.testing.assert_allclose(process.drift(t, x, None), reading.velocity + reading.score, rtol=1e-12)
    np.testing.assert_allclose(process.diffusion(t, x, None), np.sqrt(2.0), rtol=1e-12)
    back = interpolant_sde(MODES, curve, backward=True)
    np.testing.assert_allclose(back.drift(t, x, None), reading.velocity - reading.score, rtol=1e-12)
    assert interpolant_sde(MODES, 0).noise is interpolant_ode(MODES).noise


def test_reversible_heun_differentiates_the_ode_without_storing_it():
    """The gradient of the end point through the reversible adjoint equals that through the stored steps."""
    x = jnp.array([0.4])

    def end(model, adjoint):
        ts = jnp.array([0.0, 1.0])
        return solve(interpolant_ode(model), x, ts, steps=30, stepper=ReversibleHeun(), adjoint=adjoint).ys[-1][0]

    with_respect_to = lambda adjoint: eqx.filter_jit(eqx.filter_grad(end))(MODES, adjoint).law1.components.mean
    np.testing.assert_allclose(with_respect_to(Reversible()), with_respect_to(None), rtol=1e-8)


KEY, ADAPTIVE = jr.key(0), AdaptiveSteps(dt0=0.1)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: sample_interpolant(MODES, jnp.zeros((2, 1)), epsilon=1.0), ValueError, "give key="),
        (lambda: sample_interpolant(MODES, jnp.zeros((2, 1)), epsilon=-1.0, key=jr.key(0)), ValueError, "not negative"),
        (lambda: check_epsilon("f", "1"), TypeError, "epsilon is '1'"),
        (lambda: sample_interpolant(MODES, jnp.zeros((2, 1)), epsilon=1.0, key=KEY, steps=1), ValueError, "at least 2"),
        (lambda: sample_interpolant(MODES, jnp.zeros((2, 1)), epsilon=1.0, key=KEY, steps=ADAPTIVE), ValueError, "ODE"),
        (lambda: interpolant_log_prob(MODES, jnp.zeros((2, 1)), lambda x: 0.0, probes=2), ValueError, "random"),
        (lambda: check_model("interpolant_ode", Flow()), TypeError, "OneSided"),
    ],
)  # fmt: skip
def test_refusals(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_one_point_is_no_batch():
    # jaxtyping, on in the tests, refuses nothing here: *shape may be empty.
    with pytest.raises(ValueError, match="One point is x"):
        sample_interpolant(MODES, jnp.zeros(1))


def test_fixed_steps_may_be_uneven():
    grid = jnp.asarray(1 - (1 - np.linspace(0, 1, 201)) ** 2)
    x0 = start(4000, jr.key(13))
    x = np.asarray(sample_interpolant(MODES, x0, key=jr.key(14), epsilon=0.5, steps=FixedSteps(grid)))
    assert abs(x.mean() - 1.4) < 4.5 * x.std() / np.sqrt(4000) + 0.03


def test_single_precision_stays_single():
    model = jax.tree.map(lambda a: a.astype(jnp.float32) if eqx.is_inexact_array(a) else a, MODES)
    x = jnp.zeros((2, 1), jnp.float32)
    base = lambda y: jnp.sum(y)
    for found in (
        lambda: sample_interpolant(model, x, steps=4),
        lambda: sample_interpolant(model, x, key=KEY, epsilon=0.5, steps=4),
        lambda: sample_interpolant(model, x, key=KEY, epsilon=0.5, steps=4, stepper=NoiseFirstHeun(), backward=True),
        lambda: interpolant_log_prob(model, x, base, steps=4),
    ):
        assert eqx.filter_eval_shape(found).dtype == jnp.float32
