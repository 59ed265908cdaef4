"""Interpolants: coefficients, the choices of γ, what is refused."""

import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.diffusion._field_pairs import VelocityNoise, VelocityOnly
from cadlag.diffusion._gamma import BrownianGamma, BumpGamma, NoGamma, QuadraticGamma, SineGamma
from cadlag.diffusion._interpolant import EncodingDecoding, Linear, Mirror, Trigonometric, check_latent
from cadlag.diffusion._interpolant_model import InterpolantModel, check_denoiser, check_parts
from cadlag.diffusion.schedules import Flow

GAMMAS = [BrownianGamma(), BrownianGamma(3.0), QuadraticGamma(), SineGamma(), BumpGamma(), NoGamma()]
# One shape throughout: every operation is compiled once.
TIMES = np.array([0.02, 0.17, 0.3, 0.45, 0.62, 0.8, 0.98])
ENDS = jnp.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0])


@pytest.mark.parametrize("gamma", GAMMAS, ids=repr)
def test_product_is_half_the_slope_of_gamma_squared(gamma):
    """Central differences of γ(t)², the public value squared; error h² |γ²'''|/6 < 1e-6 with h = 1e-4."""
    h = 1e-4
    ahead, behind = (np.asarray(gamma.value(jnp.asarray(TIMES + d))) ** 2 for d in (h, -h))
    np.testing.assert_allclose(gamma.product(jnp.asarray(TIMES)), 0.5 * (ahead - behind) / (2 * h), atol=2e-5)


@pytest.mark.parametrize("gamma", GAMMAS, ids=repr)
def test_gamma_vanishes_at_the_ends_and_its_product_is_finite_there(gamma):
    np.testing.assert_allclose(gamma.value(ENDS), 0, atol=1e-15)
    assert np.all(np.isfinite(gamma.product(ENDS)))
    np.testing.assert_allclose(gamma.squared(jnp.asarray(TIMES)), gamma.value(jnp.asarray(TIMES)) ** 2, rtol=1e-12)


def test_brownian_gamma_has_its_closed_form_for_every_a():
    """The released code's branch for sqrt(a t(1 - t)) names its argument wrongly and fails."""
    t = jnp.asarray([0.0, 0.2, 0.5, 1.0, 0.0, 0.2, 0.5])
    square = np.array([0, 0.16, 0.25, 0, 0, 0.16, 0.25])
    np.testing.assert_allclose(BrownianGamma(3.0).value(t), np.sqrt(3 * square), rtol=1e-15)
    np.testing.assert_allclose(BrownianGamma(3.0).product(t), [1.5, 0.9, 0, -1.5, 1.5, 0.9, 0], rtol=1e-15, atol=1e-16)
    assert np.isinf(BrownianGamma(3.0).rate(t)[0])


def test_other_gammas_have_the_values_of_the_paper():
    t = jnp.asarray([0.25, 0.5, 0.25, 0.5, 0.25, 0.5, 0.25])
    np.testing.assert_allclose(QuadraticGamma().value(t)[:2], [3 / 16, 1 / 4])
    np.testing.assert_allclose(SineGamma().value(t)[:2], [0.5, 1.0])
    logistic = lambda u: 1 / (1 + np.exp(-u))
    bump = logistic(1) - logistic(-1) - logistic(-4) + logistic(-6)
    np.testing.assert_allclose(BumpGamma().value(t)[1], bump, rtol=1e-14)


@pytest.mark.parametrize("make", [Linear, Trigonometric, EncodingDecoding, Mirror])
def test_rates_are_slopes(make):
    path, h = make(BrownianGamma(1.0)), 1e-6
    t = jnp.asarray(TIMES)
    for value, rate in ((path.alpha, path.alpha_rate), (path.beta, path.beta_rate)):
        np.testing.assert_allclose(rate(t), (value(t + h) - value(t - h)) / (2 * h), atol=1e-8)


@pytest.mark.parametrize("make", [Linear, Trigonometric, EncodingDecoding])
def test_ends_belong_to_x0_and_x1(make):
    path = make()
    x0, x1, z = jnp.array([1.0, 2.0]), jnp.array([-3.0, 5.0]), jnp.array([7.0, 11.0])
    # cos(π/2) and sin(π) are zero to rounding.
    np.testing.assert_allclose(path.at(jnp.asarray(0.0), x0, x1, z), x0, atol=1e-14)
    np.testing.assert_allclose(path.at(jnp.asarray(1.0), x0, x1, z), x1, atol=1e-14)


@pytest.mark.parametrize("gamma", [BrownianGamma(3.9), QuadraticGamma(), BumpGamma(), NoGamma()], ids=repr)
def test_trigonometric_paths_keep_unit_variance(gamma):
    path, t = Trigonometric(gamma), jnp.asarray(TIMES)
    np.testing.assert_allclose(path.alpha(t) ** 2 + path.beta(t) ** 2 + path.gamma(t) ** 2, 1, rtol=1e-14)


def test_encoding_decoding_passes_through_pure_noise():
    x0, x1, z = jnp.array([1.0, 2.0]), jnp.array([-3.0, 5.0]), jnp.array([7.0, 11.0])
    half = jnp.asarray(0.5)
    np.testing.assert_array_equal(EncodingDecoding().at(half, x0, x1, z), z)
    # Without latent noise every path meets in one point.
    np.testing.assert_array_equal(EncodingDecoding(NoGamma()).at(half, x0, x1, z), 0)
    before, after = EncodingDecoding().alpha(jnp.array([0.25, 0.75])), EncodingDecoding().beta(jnp.array([0.25, 0.75]))
    np.testing.assert_allclose([before, after], [[0.5, 0], [0, 0.5]], atol=1e-15)


def test_mirror_leaves_x1_by_noise_alone():
    x0, x1, z = jnp.array([1.0]), jnp.array([-3.0]), jnp.array([2.0])
    np.testing.assert_allclose(Mirror().at(jnp.asarray(0.2), x0, x1, z), -3 + 0.4 * 2)
    np.testing.assert_array_equal(Mirror().mean_rate(jnp.asarray(0.2), x0, x1), 0)


def test_level_is_the_logit_within_bounds():
    level = Linear().level(jnp.array([0.0, 0.25, 0.5, 1.0]))
    np.testing.assert_allclose(level, [-10, -np.log(3), 0, 10], atol=1e-15)


def network(level, x, *, cond=None, key=None):
    return x


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: check_latent("Linear", 0.5), TypeError, "latent noise"),
        (lambda: Trigonometric(SineGamma()), ValueError, "a < 4"),
        (lambda: Trigonometric(BrownianGamma(4.0)), ValueError, "γ < 1"),
        (lambda: Mirror(NoGamma()), ValueError, "nothing moves"),
        (lambda: BrownianGamma(0.0), ValueError, "a=0.0 must be positive"),
        (lambda: check_parts(Flow(), VelocityNoise()), TypeError, "use Denoiser"),
        (lambda: InterpolantModel(Linear(), (network,)), ValueError, "velocity and noise"),
        (lambda: InterpolantModel(Linear(NoGamma()), (network, network), VelocityNoise()), ValueError, "VelocityOnly"),
        (lambda: InterpolantModel(Linear(), (network,), VelocityOnly(), t_min=0.7), ValueError, "t_min=0.7"),
        (lambda: InterpolantModel(Linear(), (network,), VelocityOnly(), std1=0.0), ValueError, "std1=0.0"),
        (lambda: check_parts(Linear(), "velocity"), TypeError, "VelocityNoise"),
        (lambda: check_denoiser(Linear()), TypeError, "InterpolantModel already"),
    ],
)
def test_wrong_parts_get_advice(make, error, message):
    with pytest.raises(error, match=message):
        make()
