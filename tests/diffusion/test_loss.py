"""Losses: values at the optimum in closed form, weightings, antithetic pairs, score matching without noise."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
import scipy.integrate

from cadlag.data import FullBatch
from cadlag.diffusion import (
    VE,
    VP,
    Data,
    Denoiser,
    DenoisingLoss,
    ExactDenoiser,
    Examples,
    Likelihood,
    MinSNR,
    Native,
    Noise,
    Potential,
    Score,
    V,
    Velocity,
    exact_score_matching,
    sliced_score_matching,
)
from cadlag.nn import ScoreMLP
from cadlag.train import gradient, minimise

from .laws import gaussian


def exact_network(schedule, prediction, law):
    """The best network there is, as a network."""
    exact = ExactDenoiser(law, schedule)

    def network(level, x, cond, key):
        t = schedule.time_at(-2 * level)
        a, s = schedule.alpha(t), schedule.sigma(t)
        noise, data = exact.read(t, x * jnp.sqrt(a * a + s * s))
        return prediction.target(schedule, t, data, noise)

    return Denoiser(network, schedule, prediction)


def test_value_at_the_optimum_for_gaussian_data():
    """Data N(0, c²): the best loss is E_t[c² m²/(c² m² + std²)] a dimension; 200,000 examples, 4 standard errors."""
    c, schedule = 0.5, VP()
    x = c * jr.normal(jr.key(0), (200_000, 1))
    loss, _ = eqx.filter_jit(DenoisingLoss())(exact_network(schedule, Noise(), gaussian(0.0, c)), x, jr.key(1))

    def best(t):
        m, s = float(schedule.alpha(jnp.asarray(t))), float(schedule.sigma(jnp.asarray(t)))
        return c * c * m * m / (c * c * m * m + s * s)

    low, high = schedule.t_min, schedule.t_max
    expected = scipy.integrate.quad(best, low, high, limit=200)[0] / (high - low)
    assert float(loss) == pytest.approx(expected, rel=4 * np.sqrt(2 / 200_000) * 2)


def test_point_mass_data_have_no_loss_left():
    x = jnp.full((64, 1), 0.3)
    network = exact_network(VE(), Data(), gaussian(0.3, 0.0))
    # Zero but for rounding of (x - x̂_0)/σ at σ = 0.01.
    assert float(DenoisingLoss()(network, x, jr.key(0))[0]) < 1e-20


@pytest.mark.parametrize("prediction", [Data(), V(), Velocity(), Score()], ids=["data", "v", "velocity", "score"])
def test_weighted_losses_do_not_depend_on_what_is_predicted(prediction):
    """The same wrong model under two parametrisations has the same noise error, under every weighting."""
    schedule, x = VP(), 0.5 * jr.normal(jr.key(0), (16, 1))
    wrong = gaussian(0.4, 0.9)
    for weighting in (DenoisingLoss(), DenoisingLoss(Likelihood()), DenoisingLoss(MinSNR())):
        a = weighting(exact_network(schedule, Noise(), wrong), x, jr.key(1))[0]
        b = weighting(exact_network(schedule, prediction, wrong), x, jr.key(1))[0]
        np.testing.assert_allclose(a, b, rtol=1e-8)


def test_native_loss_is_the_error_of_the_output():
    """Flow matching: mean |F - (α' x_0 + σ' z)|² at the times and noises the loss draws."""
    schedule, x, key = VP(), jr.normal(jr.key(0), (5, 2)), jr.key(1)
    denoiser = Denoiser(lambda level, x, cond, key: 0.3 * x, schedule, Velocity())
    keys = jr.split(key, 4)
    cells = (np.arange(5) + np.asarray(jr.uniform(keys[0], (5,)))) / 5
    t = schedule.t_min + (schedule.t_max - schedule.t_min) * cells
    z = np.asarray(jr.normal(keys[1], (5, 2)))
    expected = []
    for i, ti in enumerate(jnp.asarray(t)):
        noised = schedule.noised(ti, x[i], jnp.asarray(z[i]))
        target = schedule.alpha_rate(ti) * x[i] + schedule.sigma_rate(ti) * z[i]
        scale = 1 / np.sqrt(float(schedule.alpha(ti) ** 2 + schedule.sigma(ti) ** 2))
        expected.append(np.mean((0.3 * scale * np.asarray(noised) - np.asarray(target)) ** 2))
    np.testing.assert_allclose(DenoisingLoss(Native())(denoiser, x, key)[0], np.mean(expected), rtol=1e-10)


def test_likelihood_weight_is_g_squared_on_the_score():
    t = jnp.asarray(0.4)
    g2, s2 = VP().squared_diffusion(t), VP().sigma(t) ** 2
    np.testing.assert_allclose(Likelihood().weight(VP(), t) / (g2 / s2), 1, rtol=1e-12)
    np.testing.assert_allclose(MinSNR(5.0).weight(VP(), t), min(1.0, 5 * float(s2) / float(VP().alpha(t)) ** 2))


def test_antithetic_pairs_have_the_same_mean_and_less_spread():
    """Odd parts cancel: with a shifted law the paired estimate varies less; means agree within 4 standard errors."""
    x, model = 3.0 + 0.1 * jr.normal(jr.key(0), (64, 1)), exact_network(VP(), Noise(), gaussian(0.0, 1.0))
    plain, paired = DenoisingLoss(), DenoisingLoss(antithetic=True)
    draw = lambda loss: np.asarray(jax.jit(jax.vmap(lambda k: loss(model, x, k)[0]))(jr.split(jr.key(1), 400)))
    a, b = draw(plain), draw(paired)
    assert abs(a.mean() - b.mean()) < 4 * np.hypot(a.std(), b.std()) / 20
    assert b.std() < 0.8 * a.std()


def test_conditions_are_dropped_at_their_rate():
    """The null condition 3 in place of the class, 0.25 of 4,000: within 4 standard errors, 0.027."""
    network = lambda level, x, cond, key: (cond == 3).astype(x.dtype) * jnp.ones_like(x)
    loss = DenoisingLoss(Native(), drop=0.25, null=3)
    batch = Examples(jnp.zeros((4000, 1)), jnp.zeros(4000, jnp.int32))
    # With zero data the target of Data() is zero, so the loss is the share of nulls.
    value = loss(Denoiser(network, VP(), Data()), batch, jr.key(0))[0]
    assert float(value) == pytest.approx(0.25, abs=0.028)


def test_times_are_stratified():
    times = np.asarray(DenoisingLoss()._times(Denoiser(lambda *a, **k: 0, VP()), 50, jnp.float64, jr.key(0)))
    cells = np.floor((times - 1e-3) / 0.999 * 50).astype(int)
    np.testing.assert_array_equal(cells, np.arange(50))


def test_shift_of_each_example():
    """Mean reversion: each example has its own μ; the loss is that of centred data."""
    schedule = VP()
    denoiser = Denoiser(lambda level, x, cond, key: 0.1 * x, schedule)
    x, mu = jr.normal(jr.key(0), (6, 2)), jr.normal(jr.key(1), (6, 2))
    a = DenoisingLoss()(denoiser, Examples(x, None, mu), jr.key(2))[0]
    np.testing.assert_allclose(a, DenoisingLoss()(denoiser, x - mu, jr.key(2))[0], rtol=1e-12)


@pytest.mark.parametrize("matching", [exact_score_matching, lambda s, x: sliced_score_matching(s, x, jr.key(7))])
def test_score_matching_finds_the_score_of_a_gaussian(matching):
    """s = -(x - m)/v: minimal at the sample's own mean and variance, with the value -½ D/v."""
    x = 0.3 + 0.7 * jr.normal(jr.key(0), (4000, 2))
    m, v = jnp.mean(x), jnp.mean(jnp.square(x - jnp.mean(x)))
    value = lambda m, v: matching(lambda y: -(y - m) / v, x)
    gradient_there = jax.grad(value, argnums=(0, 1))(m, v)
    # Sliced: the probes' own v·v is 2 only on average, standard error 2/sqrt(4000) = 0.032 relative 1.6 %.
    exact = matching is exact_score_matching
    np.testing.assert_allclose(gradient_there[0], 0, atol=1e-10)
    np.testing.assert_allclose(gradient_there[1] * v * v, 0, atol=1e-10 if exact else 0.13)
    np.testing.assert_allclose(value(m, v), -1 / v, rtol=1e-10 if exact else 0.13)


def test_training_step_compiles_once_and_learns(getkey):
    """A potential network (second derivatives in its loss): the loss falls."""
    net = ScoreMLP(2, width=16, depth=1, key=getkey())
    scalar = _Sum(net)
    denoiser = Denoiser(scalar, VP(t_min=0.05), Potential())
    update = gradient(DenoisingLoss(), optax.adam(3e-3))
    x = jr.normal(getkey(), (64, 2)) + 1
    state = update.init(denoiser, getkey())
    state, info = jax.jit(lambda k: minimise(update, state, FullBatch(x), 60, key=k))(getkey())
    losses = np.asarray(info["loss"])
    assert losses[-10:].mean() < 0.9 * losses[:10].mean()


class _Sum(eqx.Module):
    net: ScoreMLP

    def __call__(self, level, x, *, cond=None, key=None):
        return jnp.sum(self.net(level, x) * x)


def test_refusals():
    with pytest.raises(ValueError, match=r"drop=1.0 must lie in \[0, 1\)"):
        DenoisingLoss(drop=1.0)
    with pytest.raises(ValueError, match="drop needs `null`"):
        DenoisingLoss(drop=0.1)
