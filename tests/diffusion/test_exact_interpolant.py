"""The closed form between mixtures, and every pair of fields read through it: identities, equations, quadrature."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.diffusion import ExactDenoiser, Flow
from cadlag.diffusion._exact_interpolant import ExactInterpolant
from cadlag.diffusion._field_pairs import (
    Ends,
    MeanVelocityNoise,
    MeanVelocityScore,
    VelocityNoise,
    VelocityOnly,
    VelocityScore,
)
from cadlag.diffusion._gamma import BrownianGamma, BumpGamma, NoGamma, QuadraticGamma, SineGamma
from cadlag.diffusion._interpolant import EncodingDecoding, Linear, Mirror, Trigonometric
from cadlag.diffusion._interpolant_model import InterpolantModel, OneSided
from cadlag.distributions import GaussianMixture

LAW0 = GaussianMixture(
    jnp.array([0.3, 0.7]),
    jnp.array([[-1.0, 0.5], [1.5, -0.3]]),
    jnp.array([[[0.2, 0.05], [0.05, 0.1]], [[0.1, 0.0], [0.0, 0.3]]]),
)
EYE = jnp.eye(2)
LAW1 = GaussianMixture(jnp.array([0.6, 0.4]), jnp.array([[0.0, 2.0], [2.0, -1.0]]), jnp.stack([0.25 * EYE, 0.64 * EYE]))
# Two components all the same, so that what is compiled for the others serves it too; for that, a is always an array.
UNIT = GaussianMixture(jnp.array([0.5, 0.5]), jnp.zeros((2, 2)), jnp.stack([EYE, EYE]))
BROWNIAN = lambda a: BrownianGamma(jnp.asarray(a))
TIMES = jnp.array([0.1, 0.35, 0.62, 0.9])
POINTS = jnp.array([[0.3, -0.2], [-1.1, 0.7], [1.6, 0.4], [0.2, 1.5]])
PATHS = [
    Linear(BROWNIAN(1.0)),
    Trigonometric(BumpGamma()),
    EncodingDecoding(SineGamma()),
    Mirror(BROWNIAN(1.5)),
]


@eqx.filter_jit
def everything(model, times, points):
    """All readings at all pairs of a time and a point."""

    def one(t, x):
        return {
            "b": model.velocity(t, x),
            "s": model.score(t, x),
            "v": model.mean_velocity(t, x),
            "noise": model.noise(t, x),
            "posterior noise": model.posterior_noise(t, x),
            "posterior ends": model.posterior_ends(t, x),
            "ends": model.ends(t, x),
        }

    return jax.vmap(one)(times, points)


@eqx.filter_jit
def read(model, times, points):
    """Velocity and score at all pairs of a time and a point."""
    return jax.vmap(lambda t, x: model.read(t, x))(times, points)


@pytest.mark.parametrize("path", PATHS, ids=lambda p: type(p).__name__)
def test_identities_between_the_readings(path):
    """αη_0 + βη_1 + γη = x, v = α'η_0 + β'η_1, b = v - γγ's, s = -η/γ: exact, so to rounding."""
    found = jax.tree.map(np.asarray, everything(ExactInterpolant(path, LAW0, LAW1), TIMES, POINTS))
    a, b, a1, b1, g, product = (
        np.asarray(f(TIMES))[:, None]
        for f in (path.alpha, path.beta, path.alpha_rate, path.beta_rate, path.gamma, path.gamma_product)
    )
    start, end = found["posterior ends"]
    np.testing.assert_allclose(a * start + b * end + g * found["posterior noise"], POINTS, atol=1e-12)
    np.testing.assert_allclose(found["v"], a1 * start + b1 * end, atol=1e-11)
    np.testing.assert_allclose(found["b"], found["v"] - product * found["s"], atol=1e-11)
    np.testing.assert_allclose(found["s"], -found["posterior noise"] / g, atol=1e-11)
    np.testing.assert_allclose(found["noise"], found["posterior noise"], atol=1e-11)
    if isinstance(path, Linear | Trigonometric):
        np.testing.assert_allclose(found["ends"], [start, end], atol=1e-11)
    if isinstance(path, Mirror):
        # The released code's ODE has the other sign.
        np.testing.assert_allclose(found["b"], -product * found["s"], atol=1e-12)


def test_readings_are_conditional_means():
    """Against quadrature over (x_0, x_1) in one dimension, where z = (x - αx_0 - βx_1)/γ: no formula shared.

    Trapezoids of a smooth density on ±6 with step 0.03 are exact to rounding.
    """
    law0 = GaussianMixture.isotropic(jnp.array([0.4, 0.6]), jnp.array([[-1.5], [1.0]]), jnp.array([0.4, 0.3]))
    law1 = GaussianMixture.isotropic(jnp.array([0.5, 0.5]), jnp.array([[-2.0], [1.8]]), jnp.array([0.5, 0.4]))
    path, t, x = Linear(BrownianGamma(1.3)), 0.3, 0.25
    grid = np.linspace(-6, 6, 401)
    normal = lambda u, m, s: np.exp(-0.5 * ((u - m) / s) ** 2) / s
    rho0 = 0.4 * normal(grid, -1.5, 0.4) + 0.6 * normal(grid, 1.0, 0.3)
    rho1 = 0.5 * normal(grid, -2.0, 0.5) + 0.5 * normal(grid, 1.8, 0.4)
    gamma, slope = np.sqrt(1.3 * t * (1 - t)), 1.3 * (1 - 2 * t) / (2 * np.sqrt(1.3 * t * (1 - t)))
    x0, x1 = np.meshgrid(grid, grid, indexing="ij")
    z = (x - (1 - t) * x0 - t * x1) / gamma
    weight = rho0[:, None] * rho1[None] * np.exp(-0.5 * z**2)
    mean = lambda f: float((weight * f).sum() / weight.sum())
    model = ExactInterpolant(path, law0, law1)
    found = everything(model, jnp.array([t]), jnp.array([[x]]))
    # 1e-9: ten times what the truncation of the tails leaves.
    np.testing.assert_allclose(found["b"][0, 0], mean(x1 - x0 + slope * z), rtol=1e-9)
    np.testing.assert_allclose(found["s"][0, 0], -mean(z) / gamma, rtol=1e-9)
    np.testing.assert_allclose(found["noise"][0, 0], mean(z), rtol=1e-9)
    np.testing.assert_allclose(np.ravel(found["posterior ends"]), [mean(x0), mean(x1)], rtol=1e-9)


@pytest.mark.parametrize("path", PATHS[1:2], ids=lambda p: type(p).__name__)
def test_continuity_and_both_fokker_planck_equations(path):
    """Residuals of log ρ by automatic differentiation: ∂_t log ρ + ∇·b + b·s, and ∓ε(∇·s + |s|²) with b ± εs."""
    model = ExactInterpolant(path, LAW0, LAW1)

    @jax.jit
    @jax.vmap
    def residuals(t, x):
        rate = jax.jvp(lambda u: model.log_prob(u, x), (t,), (jnp.ones_like(t),))[1]
        slope = jax.grad(lambda y: model.log_prob(t, y))(x)
        curvature = jnp.trace(jax.hessian(lambda y: model.log_prob(t, y))(x)) + jnp.sum(slope**2)

        def balance(epsilon):
            field = lambda y: model.drift(t, y, epsilon)
            inflow = jnp.trace(jax.jacfwd(field)(x)) + jnp.dot(field(x), slope)
            return rate + inflow - epsilon * curvature

        return slope - model.score(t, x), jax.vmap(balance)(jnp.array([0.0, 0.7, -0.7]))

    for residual in residuals(TIMES, POINTS):
        # Rounding of second derivatives of size up to 1e3.
        np.testing.assert_allclose(residual, 0, atol=1e-9)


@pytest.mark.parametrize(
    "path",
    [Linear(BROWNIAN(2.0)), Trigonometric(BumpGamma())],
    ids=lambda p: type(p).__name__,
)
def test_between_two_unit_gaussians_nothing_moves(path):
    found = read(ExactInterpolant(path, UNIT, UNIT), TIMES, POINTS)
    np.testing.assert_allclose(found.velocity, 0, atol=1e-14)
    np.testing.assert_allclose(found.score, -POINTS, atol=1e-14)


def test_a_weaker_brownian_gamma_lets_the_variance_dip():
    found = read(ExactInterpolant(Linear(BROWNIAN(1.0)), UNIT, UNIT), jnp.full(4, 0.5), POINTS)
    np.testing.assert_allclose(found.score, -POINTS / 0.75, rtol=1e-14)


def test_velocity_at_the_ends():
    """b(0, x) = E[x_1] - x - (a/2)s_0 and b(1, x) = x - E[x_0] + (a/2)s_1 for independent ends, though γ' = ∞."""
    ends = jnp.array([0.0, 1.0, 0.0, 1.0])
    found = read(ExactInterpolant(Linear(BROWNIAN(1.4)), LAW0, LAW1), ends, POINTS).velocity
    x, y = POINTS[:2]
    np.testing.assert_allclose(found[0], LAW1.mean - x - 0.7 * LAW0.score(x), rtol=1e-12)
    np.testing.assert_allclose(found[1], y - LAW0.mean + 0.7 * LAW1.score(y), rtol=1e-12)
    smooth = read(ExactInterpolant(Linear(QuadraticGamma()), LAW0, LAW1), ends, POINTS).velocity
    np.testing.assert_allclose(smooth[:2], [LAW1.mean - x, y - LAW0.mean], rtol=1e-12)


@pytest.mark.parametrize("path", PATHS[:3], ids=lambda p: type(p).__name__)
def test_swapped_ends_reverse_the_velocity_and_keep_the_score(path):
    there = read(ExactInterpolant(path, LAW0, LAW1), TIMES, POINTS)
    back = read(ExactInterpolant(path, LAW1, LAW0), 1 - TIMES, POINTS)
    np.testing.assert_allclose(back.velocity, -there.velocity, atol=1e-11)
    np.testing.assert_allclose(back.score, there.score, atol=1e-11)


def test_a_denoiser_is_a_one_sided_interpolant():
    """Flow's clock runs the other way; against the two-ended form without latent noise, and b = (x + (1 - t)s)/t."""
    one_sided = OneSided(ExactDenoiser(LAW1, Flow()))
    two_ended = ExactInterpolant(Linear(NoGamma()), UNIT, LAW1)
    one, two = read(one_sided, TIMES, POINTS), read(two_ended, TIMES, POINTS)
    np.testing.assert_allclose(one.velocity, two.velocity, rtol=1e-10)
    np.testing.assert_allclose(one.score, two.score, rtol=1e-10)
    t = np.asarray(TIMES)[:, None]
    np.testing.assert_allclose(one.velocity, (POINTS + (1 - t) * np.asarray(one.score)) / t, rtol=1e-10)
    with pytest.raises(ValueError, match="no interpolant of two ends"):
        one_sided.noise(TIMES[0], POINTS[0])


class Said(eqx.Module):
    """A network that says a given field of the exact model; undoes the level and the scale of its input."""

    model: ExactInterpolant
    which: str

    def __call__(self, level, x, *, cond=None, key=None):
        path, t = self.model.interpolant, jax.nn.sigmoid(level)
        scale = jnp.sqrt(path.alpha(t) ** 2 * 0.25 + path.beta(t) ** 2 * 4 + path.gamma_squared(t))
        exact = self.model
        fields = {
            "velocity": exact.velocity,
            "score": exact.score,
            "noise": exact.posterior_noise,
            "mean_velocity": exact.mean_velocity,
            "start": lambda t, x: exact.posterior_ends(t, x)[0],
            "end": lambda t, x: exact.posterior_ends(t, x)[1],
        }
        return fields[self.which](t, x * scale)


PAIRS = (VelocityNoise(), VelocityScore(), MeanVelocityNoise(), MeanVelocityScore(), Ends())


def test_every_pair_of_networks_is_read_alike():
    """With η = E[z | x], as in the paper; the released code learns -η and would read the score with the wrong sign."""
    path = Trigonometric(BrownianGamma(1.0))
    exact = ExactInterpolant(path, LAW0, LAW1)

    @jax.jit
    @jax.vmap
    def all_pairs(t, x):
        found = []
        for pair in PAIRS:
            model = InterpolantModel(path, tuple(Said(exact, n) for n in pair.names), pair, std0=0.5, std1=2.0)
            found.append((model.read(t, x), model.outputs(t, x), pair.of(exact, t, x, None)))
        return found, exact.read(t, x)

    found, truth = all_pairs(TIMES, POINTS)
    for pair, (reading, said, of_exact) in zip(PAIRS, found, strict=True):
        np.testing.assert_allclose(reading.velocity, truth.velocity, atol=1e-10, err_msg=repr(pair))
        np.testing.assert_allclose(reading.score, truth.score, atol=1e-10, err_msg=repr(pair))
        for a, b in zip(said, of_exact, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-10, err_msg=repr(pair))


def test_a_velocity_alone_has_no_score():
    path = Linear(NoGamma())
    exact = ExactInterpolant(path, LAW0, LAW1)
    model = InterpolantModel(path, (Said(exact, "velocity"),), VelocityOnly(), std0=0.5, std1=2.0)
    np.testing.assert_allclose(model.velocity(TIMES[1], POINTS[0]), exact.velocity(TIMES[1], POINTS[0]), rtol=1e-10)
    for ask in (model.score, model.noise, model.mean_velocity, model.ends):
        with pytest.raises(ValueError, match="does not determine the score"):
            ask(TIMES[1], POINTS[0])


def test_networks_never_see_times_beyond_the_cut_off():
    seen = lambda level, x, *, cond=None, key=None: jnp.full_like(x, 1) * level
    model = InterpolantModel(Linear(), (seen, seen), t_min=0.01)
    ends = model.outputs(jnp.asarray(0.0), POINTS[0])[0][0], model.outputs(jnp.asarray(1.0), POINTS[0])[0][0]
    np.testing.assert_allclose(ends, [np.log(0.01 / 0.99), np.log(0.99 / 0.01)], rtol=1e-12)
    assert np.all(np.isfinite(model.score(jnp.asarray(0.0), POINTS[0])))


def test_ends_of_different_dimension_are_refused():
    line = GaussianMixture.isotropic(jnp.ones(1), jnp.zeros((1, 1)), jnp.ones(1))
    with pytest.raises(ValueError, match="2 dimensions and law1 in 1"):
        ExactInterpolant(Linear(), LAW0, line)
