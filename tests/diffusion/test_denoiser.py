"""Denoisers: readings of every prediction, exact scores, the sampling equations made from them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.diffusion import (
    VP,
    Data,
    Denoiser,
    ExactDenoiser,
    FunctionDenoiser,
    MeanReverting,
    Noise,
    Potential,
    Score,
    V,
    Velocity,
    probability_flow,
    reverse_sde,
)
from cadlag.diffusion._denoiser import check_parts
from cadlag.nn import ScoreMLP
from cadlag.train import load, save

from .laws import SCHEDULES, two_modes

PREDICTIONS = {"noise": Noise(), "data": Data(), "v": V(50 / 255), "velocity": Velocity(), "score": Score()}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("prediction", PREDICTIONS.values(), ids=PREDICTIONS)
def test_every_prediction_reads_as_noise_and_data(name, prediction):
    """A network that outputs the target is read as the noise and data that made it, to 1e-10 relative."""
    schedule = SCHEDULES[name].shifted(jnp.array([0.6, 0.6]))
    t = jnp.asarray(0.4 * schedule.t_max)
    x0, z = jnp.array([0.2, -1.0]), jnp.array([0.7, 1.1])
    denoiser = Denoiser(
        lambda level, x, cond, key: prediction.target(schedule, t, schedule.centre(x0), z), schedule, prediction
    )
    noise, data = denoiser.read(t, schedule.noised(t, x0, z))
    np.testing.assert_allclose(noise, z, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(data, x0, rtol=1e-10, atol=1e-9)


def test_velocity_target_of_mean_reversion_is_the_published_one():
    """v = α σ_∞ ε - (σ/σ_∞)(x_0 - μ), and x̂_0 = αx - (σ/σ_∞)v + (1 - α)μ, with σ_∞ = 50/255."""
    schedule, s, t = MeanReverting(), 50 / 255, jnp.asarray(0.5)
    mu, x0, z = 0.6, jnp.array([0.2]), jnp.array([0.7])
    a, b = float(schedule.alpha(t)), float(schedule.sigma(t)) / s
    v = a * s * z - b * (x0 - mu)
    np.testing.assert_allclose(V(s).target(schedule, t, x0 - mu, z), v, rtol=1e-12)
    x = mu + a * (x0 - mu) + b * s * z
    _, data = V(s).read(lambda y: v, schedule, t, x - mu)
    np.testing.assert_allclose(mu + data, a * x - b * v + (1 - a) * mu, rtol=1e-12)


def test_potential_has_the_score_as_its_gradient():
    law, schedule, t = two_modes(), VP(), jnp.asarray(0.3)
    diffused = law.diffused(schedule.alpha(t), schedule.sigma(t))
    scale = 1 / jnp.sqrt(schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2)
    denoiser = Denoiser(lambda level, x, cond, key: diffused.log_prob(x / scale), schedule, Potential())
    x = jnp.array([0.3, -0.2])
    np.testing.assert_allclose(denoiser.score(t, x), jax.grad(diffused.log_prob)(x), rtol=1e-10)


@pytest.mark.parametrize("name", SCHEDULES)
def test_exact_denoiser_is_the_gradient_of_the_diffused_density(name):
    law, mu = two_modes(), jnp.array([0.5, -0.5])
    schedule = SCHEDULES[name].shifted(mu)
    t, x = jnp.asarray(0.3 * schedule.t_max), jnp.array([0.4, 0.1])
    diffused = law.diffused(schedule.alpha(t), schedule.sigma(t), mu)
    denoiser = ExactDenoiser(law, schedule)
    np.testing.assert_allclose(denoiser.score(t, x), jax.grad(diffused.log_prob)(x), rtol=1e-9, atol=1e-12)
    noise, data = denoiser.read(t, x)
    np.testing.assert_allclose(
        mu + schedule.alpha(t) * (data - mu) + schedule.sigma(t) * noise, x, rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("name", ["vp", "sub-vp", "ve", "mean-reverting"])
def test_flow_and_reverse_sde_are_the_published_ones(name):
    """Flow: f - ½ g² s. Reverse drift in s = t1 - t: -f + ½ (1 + λ²) g² s, diffusion λ g."""
    schedule = SCHEDULES[name]
    denoiser, x, t = ExactDenoiser(two_modes(), schedule), jnp.array([0.4, 0.1]), jnp.asarray(0.3)
    f = schedule.drift_rate(t) * x
    g2, score = schedule.squared_diffusion(t), denoiser.score(t, x)
    np.testing.assert_allclose(probability_flow(denoiser).drift(t, x, None), f - 0.5 * g2 * score, rtol=1e-9, atol=1e-9)
    process = reverse_sde(denoiser, noise_level=0.5)
    found = process.drift(schedule.t1 - t, x, None)
    np.testing.assert_allclose(found, -f + 0.5 * 1.25 * g2 * score, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(process.diffusion(schedule.t1 - t, x, None), 0.5 * jnp.sqrt(g2) * jnp.ones(2), rtol=1e-9)


def test_network_sees_scaled_centred_input_and_a_level(getkey):
    seen = {}

    def network(level, x, cond, key):
        seen.update(level=level, x=x, cond=cond)
        return x

    schedule = MeanReverting().shifted(jnp.array([0.6]))
    t, x = jnp.asarray(0.5), jnp.array([0.9])
    Denoiser(network, schedule, data_std=0.3).read(t, x, cond=7)
    a, s = float(schedule.alpha(t)), float(schedule.sigma(t))
    assert seen["cond"] == 7
    assert float(seen["level"]) == pytest.approx(np.log(s / a))
    assert float(seen["x"][0]) == pytest.approx((0.9 - 0.6) / np.hypot(0.3 * a, s))


def test_saved_and_loaded(tmp_path, getkey):
    denoiser = Denoiser(ScoreMLP(2, width=8, depth=1, key=getkey()), VP(t_min=1e-4), V())
    save(tmp_path / "model", denoiser)
    again = load(tmp_path / "model")
    t, x = jnp.asarray(0.3), jnp.array([0.4, 0.1])
    np.testing.assert_array_equal(denoiser.score(t, x), again.score(t, x))
    assert again.schedule.t_min == 1e-4


def test_function_denoiser_reads_noise_from_data():
    denoiser = FunctionDenoiser(lambda t, x, cond: 0 * x + 2.0, VP())
    t, x = jnp.asarray(0.3), jnp.array([0.4])
    expected = (0.4 - 2 * float(VP().alpha(t))) / float(VP().sigma(t))
    np.testing.assert_allclose(denoiser.noise(t, x), [expected], rtol=1e-12)


def test_refusals():
    with pytest.raises(TypeError, match="expected a schedule such as VP"):
        check_parts(3, Noise())
    with pytest.raises(TypeError, match="prediction is 'noise'"):
        check_parts(VP(), "noise")
    with pytest.raises(TypeError):
        Denoiser(lambda *a, **k: 0, 3)
    with pytest.raises(ValueError, match="data_std=0"):
        Denoiser(lambda *a, **k: 0, VP(), data_std=0.0)
    with pytest.raises(ValueError, match="scale=-1"):
        V(-1.0)
