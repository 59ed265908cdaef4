"""The regressions: their minimum, the antithetic pair, couplings that feed them, and the bound they control."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.diffusion import ExactDenoiser, Flow
from cadlag.diffusion._exact_interpolant import ExactInterpolant
from cadlag.diffusion._field_pairs import InterpolantReading, MeanVelocityScore, VelocityNoise, VelocityScore
from cadlag.diffusion._gamma import BrownianGamma
from cadlag.diffusion._interpolant import Linear
from cadlag.diffusion._interpolant_loss import FieldErrors, InterpolantLoss, Pairs, field_errors
from cadlag.diffusion._interpolant_model import AbstractInterpolantModel, InterpolantModel, OneSided
from cadlag.diffusion._interpolant_processes import TabulatedEpsilon
from cadlag.distributions import GaussianMixture

PATH = Linear(BrownianGamma(1.0))
LAW0 = GaussianMixture.isotropic(jnp.array([0.5, 0.5]), jnp.array([[-2.0], [2.0]]), jnp.array([0.5, 0.5]))
LAW1 = GaussianMixture.isotropic(jnp.array([0.4, 0.6]), jnp.array([[0.0], [3.0]]), jnp.array([0.7, 0.5]))
EXACT = ExactInterpolant(PATH, LAW0, LAW1)


class Shifted(AbstractInterpolantModel):
    """The exact model with wrong fields: b + 0.3, s - 0.2x."""

    interpolant: Linear
    exact: ExactInterpolant

    def read(self, t, x, *, cond=None, key=None):
        velocity, score = self.exact.read(t, x)
        return InterpolantReading(velocity + 0.3, score - 0.2 * x)


@eqx.filter_jit
def draws(n, key):
    """n independent (t, x0, x1, z)."""
    a, b, c, d = jr.split(key, 4)
    sample = lambda law, k: jax.vmap(law.sample)(jr.split(k, n))
    return jr.uniform(a, (n,), minval=0.01, maxval=0.99), sample(LAW0, b), sample(LAW1, c), jr.normal(d, (n, 1))


@eqx.filter_jit
def integrands(loss, model, t, x0, x1, z):
    return jax.vmap(lambda *row: loss.at(model, *row))(t, x0, x1, z)


@jax.jit
@jax.vmap
def on_the_path(t, x0, x1, z):
    x = PATH.at(t, x0, x1, z)
    return x, EXACT.read(t, x)


def test_the_minimum_of_the_loss_is_half_the_kinetic_energy_and_excesses_are_squared_errors():
    """On the same 4,000 draws: mean zero within four standard errors, a false alarm in 16,000 each."""
    batch, loss = draws(4000, jr.key(0)), InterpolantLoss(pair=VelocityScore())
    best = integrands(loss, EXACT, *batch)
    worse = integrands(loss, Shifted(PATH, EXACT), *batch)
    x, reading = on_the_path(*batch)
    energy = [0.5 * np.sum(np.square(f), axis=1) for f in (reading.velocity, reading.score)]
    for value, half in zip(best, energy, strict=True):
        gap = np.asarray(value) + half
        assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(len(gap))
        assert abs(half.mean()) > 8 * gap.std() / np.sqrt(len(gap)), "the test would see a wrong factor"
    for low, high, error in zip(best, worse, (0.3**2, np.square(0.2 * np.asarray(x[:, 0]))), strict=True):
        gap = np.asarray(high) - np.asarray(low) - 0.5 * error
        assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(len(gap))


def test_the_antithetic_pair_is_the_mean_over_both_signs():
    batch = draws(4000, jr.key(1))
    t, x0, x1, z = batch
    plain, paired = (InterpolantLoss(antithetic=a, pair=VelocityScore()) for a in (False, True))
    plus, minus = integrands(plain, EXACT, t, x0, x1, z), integrands(plain, EXACT, t, x0, x1, -z)
    both = integrands(paired, EXACT, *batch)
    for p, m, b in zip(plus, minus, both, strict=True):
        np.testing.assert_allclose(b, 0.5 * (p + m), rtol=1e-12, atol=1e-14)


def test_the_antithetic_pair_bounds_the_variance_at_the_ends():
    """γ'z and z/γ grow like 1/√t, so the plain variance grows like 1/t; the pair's does not."""
    _, x0, x1, z = draws(4000, jr.key(2))
    variance = {}
    for antithetic in (False, True):
        loss = InterpolantLoss(antithetic=antithetic, pair=VelocityScore())
        for t in (1e-2, 1e-4):
            variance[antithetic, t] = np.var(integrands(loss, EXACT, jnp.full(4000, t), x0, x1, z), axis=1)
    # The relative standard error of a variance ratio of 4,000 draws is some 5 %.
    np.testing.assert_allclose(variance[False, 1e-4] / variance[False, 1e-2], 100, rtol=0.3)
    assert np.all(variance[True, 1e-4] / variance[True, 1e-2] < 2)
    assert np.all(variance[False, 1e-4] / variance[True, 1e-4] > 100)


def test_loss_over_a_batch_is_the_mean_of_its_parts():
    net = lambda level, x, *, cond=None, key=None: 1e-3 * (x + level)
    model = InterpolantModel(PATH, (net, net), MeanVelocityScore())
    x0, x1 = (v[:16] for v in draws(4000, jr.key(3))[1:3])
    compiled = eqx.filter_jit(InterpolantLoss())
    value, info = compiled(model, Pairs(x0, x1), jr.key(4))
    assert set(info) == {"mean_velocity", "score"}
    np.testing.assert_allclose(value, info["mean_velocity"] + info["score"], rtol=1e-14)
    assert abs(value) < 0.1, "networks near zero have a loss near zero"


def test_field_errors_and_the_bound_they_give():
    """b off by 0.3 and s by -0.2x: E|x_t|² in closed form, errors within four standard errors of 4,000 draws."""
    _, x0, x1, _ = draws(4000, jr.key(5))
    times = jnp.array([0.2, 0.5, 0.8])
    errors = field_errors(Shifted(PATH, EXACT), EXACT, x0, x1, times, key=jr.key(6))
    np.testing.assert_allclose(errors.velocity, 0.09, rtol=1e-12)
    t = np.asarray(times)
    second = (1 - t) ** 2 * 4.25 + t**2 * (0.4 * 0.49 + 0.6 * (9 + 0.25)) + t * (1 - t) + 2 * t * (1 - t) * 0 * 1.8
    np.testing.assert_allclose(errors.score, 0.04 * second, rtol=4 * 1.5 / np.sqrt(4000))
    np.testing.assert_allclose(errors.cross, 0.3 * -0.2 * t * 1.8, atol=4 * 0.06 * 2.2 / np.sqrt(4000))
    flat = FieldErrors(jnp.linspace(0.0, 1.0, 5), jnp.full(5, 0.08), jnp.full(5, 0.02), jnp.full(5, -0.01))
    np.testing.assert_allclose(flat.kl_bound(0.5), (0.08 / 0.5 - 0.02 + 0.5 * 0.02) / 4, rtol=1e-12)
    np.testing.assert_allclose(flat.loose_kl_bound(jnp.array([0.5, 2.0])), [0.085, 0.04], rtol=1e-12)
    np.testing.assert_allclose(flat.best_epsilon(), 2.0, rtol=1e-12)
    curve = TabulatedEpsilon(flat.times, flat.best_epsilons())
    np.testing.assert_allclose(flat.loose_kl_bound(curve), 0.04, rtol=1e-12)
    np.testing.assert_allclose(curve(jnp.asarray(0.3)), 2.0, rtol=1e-12)


def test_refusals():
    with pytest.raises(TypeError, match="which fields it learns"):
        InterpolantLoss()(EXACT, (jnp.zeros((2, 1)), jnp.zeros((2, 1))), jr.key(0))
    with pytest.raises(ValueError, match="as many draws"):
        InterpolantLoss(pair=VelocityNoise())(EXACT, (jnp.zeros((2, 1)), jnp.zeros((3, 1))), jr.key(0))
    with pytest.raises(TypeError, match="DenoisingLoss"):
        InterpolantLoss()(OneSided(ExactDenoiser(LAW1, Flow())), (jnp.zeros((2, 1)), jnp.zeros((2, 1))), jr.key(0))
