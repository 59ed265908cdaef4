"""PDE-Refiner: schedules, oracles, the closed form of a Gaussian target, the filter that small noise teaches."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.diffusion import AbstractDenoiser, AbstractSchedule, DDIMStep, Reading, V
from cadlag.metrics import pairwise_correlation
from cadlag.operators import (
    DiffusionRefinement,
    MeanSquare,
    OneStep,
    OperatorRegressor,
    PlainRefinement,
    Refined,
    RefinementLoss,
    Refiner,
    Window,
    horizon_spread,
    rollout,
)

from .small import ConvNet, Known, travelling

KEY = jr.key(0)
RNG = np.random.default_rng(0)


def chain(steps, variance_min):
    """β, ᾱ, weights of ŷ_0 and y_i in the posterior mean, its deviation, by the formulas of DDPM (card 22)."""
    beta = variance_min ** ((steps - np.arange(steps + 1)) / steps)
    bar = np.cumprod(1 - beta)
    before = np.concatenate([[1.0], bar[:-1]])
    a = np.sqrt(before) * beta / (1 - bar)
    b = np.sqrt(1 - beta) * (1 - before) / (1 - bar)
    return beta, bar, a, b, np.sqrt(beta * (1 - before) / (1 - bar))


def test_levels():
    """Item 1, with the card's figures for K = 3."""
    sigma = PlainRefinement(4, 1e-4).deviations()
    np.testing.assert_allclose(sigma[1:] / sigma[:-1], 0.1, rtol=1e-12)
    assert sigma[0] == 1
    refinement = DiffusionRefinement()
    np.testing.assert_allclose(refinement.betas(), [4.0e-7, 5.43e-5, 7.37e-3, 1], rtol=1e-3)
    schedule = refinement.schedule()
    times = jnp.arange(1, 5) / 4
    np.testing.assert_allclose(schedule.sigma(times), [6.325e-4, 7.395e-3, 8.615e-2, 1], rtol=1e-4)
    assert float(jnp.square(schedule.alpha(times))[-1]) < 1e-12
    np.testing.assert_allclose(jnp.square(schedule.alpha(times)), chain(3, 4e-7)[1], atol=1e-12)
    _, _, a, b, deviation = chain(3, 4e-7)
    np.testing.assert_allclose(a, [1, 0.99269, 0.99266, 0.99628], rtol=1e-5)
    np.testing.assert_allclose(b, [0, 0.00731, 0.00734, 0], atol=5e-6)
    np.testing.assert_allclose(deviation, [0, 6.30e-4, 7.368e-3, 8.615e-2], rtol=1e-3)


@pytest.mark.parametrize(("dtype", "accuracy"), [(np.float32, 1e-6), (np.float64, 1e-12)])
def test_v_gives_data_and_noise(dtype, accuracy):
    """Item 2."""
    refinement = DiffusionRefinement()
    y, z = (jnp.asarray(RNG.normal(size=50), dtype) for _ in range(2))
    schedule = refinement.schedule()
    for k in range(4):
        _, guess, v = refinement.pair(y, jnp.asarray(k), z)
        assert guess.dtype == v.dtype == dtype
        t = jnp.asarray((k + 1) / 4, dtype)
        noise, data = V().read(lambda x, v=v: v, schedule, t, guess)
        scale = 4  # the largest of 50 normal numbers is about 2.5
        np.testing.assert_allclose(data, y, atol=scale * accuracy)
        np.testing.assert_allclose(noise, z, atol=scale * accuracy)


@pytest.mark.parametrize(("dtype", "accuracy"), [(np.float32, 2e-6), (np.float64, 1e-12)])
def test_oracles_return_the_truth(dtype, accuracy):
    """Item 3: for every seed."""
    y = jnp.asarray(RNG.normal(size=(2, 20)), dtype)
    like = jnp.zeros_like(y)

    def v(level, x):
        alpha, sigma = jnp.sqrt(jax.nn.sigmoid(-2 * level)), jnp.sqrt(jax.nn.sigmoid(2 * level))
        return (alpha * x - y) / sigma

    for seed in range(2):
        found = DiffusionRefinement().stages(v, like, key=jr.key(seed))
        assert found.shape == (4, 2, 20)
        assert found.dtype == dtype
        # α and σ of the level, not of the table: rounding of a logarithm, times 1/σ_0 in the oracle's v.
        np.testing.assert_allclose(found[-1], y, atol=accuracy)
    plain = PlainRefinement(3, 1e-3)
    guess = y + 0.1
    # Noise relative to the guess: nothing changes. Relative to the truth: one refinement is enough.
    same = plain.stages(lambda l, x: jnp.where(l == 0, guess, (x - guess) / jnp.exp(l)), like, key=KEY)
    np.testing.assert_allclose(same, np.broadcast_to(guess, same.shape), atol=accuracy)
    right = plain.stages(lambda l, x: jnp.where(l == 0, guess, (x - y) / jnp.exp(l)), like, key=KEY)
    np.testing.assert_allclose(right[0], guess, atol=accuracy)
    np.testing.assert_allclose(right[1:], np.broadcast_to(y, right[1:].shape), atol=accuracy)


class Fixed(AbstractDenoiser):
    """A denoiser that reads noise 1 and data 0."""

    schedule: AbstractSchedule

    def read(self, t, x, *, cond=None, key=None):
        return Reading(jnp.ones_like(x), jnp.zeros_like(x))


def test_first_step_from_pure_noise_in_single_precision():
    """What is kept of the noise is α_s σ_t² / (α_t σ_s), 4e-10 here: a difference of squares would lose it, or be
    negative by rounding."""
    schedule = DiffusionRefinement().schedule()
    _, bar, _, _, _ = chain(3, 4e-7)
    s, t = jnp.asarray([1.0, 0.75], jnp.float32)
    _, mean = DDIMStep(1.0).step(Fixed(schedule), jnp.zeros(3, jnp.float32), s, t, None, KEY)
    expected = 1e-7 * (1 - bar[2])
    np.testing.assert_allclose(mean, expected, rtol=1e-2)


CARD = {3: (0.086, 0.500, 0.494, 0.469), 8: (0.424, 0.672, 0.675, 0.621)}


@pytest.mark.parametrize("steps", [3, 8])
def test_samples_of_a_gaussian_are_less_spread_by_the_known_factor(steps):
    """Item 4: deviation of the output over that of the target, for the optimal denoiser, in closed form."""
    _, bar, a, b, deviation = chain(steps, 4e-7)
    refinement = DiffusionRefinement(steps)
    s, mean = np.array([1, 0.1, 0.01, 0.001]), 0.3

    def optimal(level, x):
        alpha2 = jax.nn.sigmoid(-2 * level)
        expected = mean + jnp.sqrt(alpha2) * s[:, None] ** 2 / (alpha2 * s[:, None] ** 2 + 1 - alpha2) * (
            x - jnp.sqrt(alpha2) * mean
        )
        return (jnp.sqrt(alpha2) * x - expected) / jnp.sqrt(1 - alpha2)

    draws = jax.jit(lambda k: refinement.stages(optimal, jnp.zeros((4, 100_000)), key=k)[-1])(KEY)
    for i in range(4):
        gain = np.sqrt(bar) * s[i] ** 2 / (bar * s[i] ** 2 + 1 - bar)
        variance = 1.0
        for level in range(steps, -1, -1):
            variance = (a[level] * gain[level] + b[level]) ** 2 * variance + deviation[level] ** 2
        ratio = np.std(np.asarray(draws[i])) / s[i]
        # The deviation of 100,000 draws is known to 0.2 %.
        np.testing.assert_allclose(ratio, np.sqrt(variance) / s[i], rtol=0.02)
        np.testing.assert_allclose(ratio, CARD[steps][i], rtol=0.02)
        np.testing.assert_allclose(np.mean(np.asarray(draws[i])), mean, atol=5 * s[i] / np.sqrt(100_000))


def test_small_noise_teaches_a_wiener_filter():
    """Item 5: the best linear answer to a noisy stationary field keeps mode k by S_k / (S_k + σ²)."""
    n, fields = 32, 4000
    spectrum = 10.0 ** -np.arange(n // 2 + 1)[None, :9]
    hat = np.zeros((fields, n // 2 + 1), complex)
    hat[:, 1:9] = np.sqrt(spectrum[:, 1:9] / 2) * (RNG.normal(size=(fields, 8, 2)) @ [1, 1j])
    y = jnp.asarray(np.fft.irfft(hat, n, axis=1) * n)
    refinement = PlainRefinement(2, 1e-2)
    pairs = jax.vmap(refinement.pair, in_axes=(0, None, 0))
    for k in (1, 2):
        sigma = refinement.deviations()[k]
        level, guess, answer = pairs(y, jnp.asarray(k), jr.normal(jr.key(k), y.shape))
        np.testing.assert_allclose(level, np.log(sigma), rtol=1e-10)
        g, z = (np.fft.rfft(np.asarray(u), axis=1) / n for u in (guess, answer))
        named = np.real(np.sum(np.conj(g) * z, axis=0) / np.sum(abs(g) ** 2, axis=0))
        kept = 1 - sigma * named
        noise = sigma**2 / n
        expected = spectrum[0, 1:9] / (spectrum[0, 1:9] + noise)
        np.testing.assert_allclose(kept[1:9], expected, atol=0.05)
        assert kept[1] > 0.95
        assert kept[8] < 0.05


def test_without_refinement_it_is_training_by_mean_squares():
    """Item 6."""
    y = jnp.asarray(RNG.normal(size=(3, 10)))
    net = lambda level, guess: 0.3 * jnp.ones_like(guess) + guess
    assert PlainRefinement(0).loss(net, y, key=KEY) == jnp.mean(jnp.square(0.3 - y))
    np.testing.assert_array_equal(PlainRefinement(0).stages(net, y, key=KEY), np.full((1, 3, 10), 0.3))
    level, guess, answer = DiffusionRefinement(0).pair(y, jnp.asarray(0), 2 * y)
    np.testing.assert_array_equal(guess, 2 * y)
    np.testing.assert_array_equal(answer, -y)
    np.testing.assert_allclose(DiffusionRefinement(0).stages(lambda l, g: -y, y, key=KEY), y[None], rtol=1e-14)
    # As at the last level of a chain, where nothing of y is left.
    last, noisy, v = DiffusionRefinement().pair(y, jnp.asarray(3), 2 * y)
    np.testing.assert_allclose([noisy, v], [2 * y, -y], atol=1e-6)
    assert level == last == 10


def net(channels, out_channels, conditions=0):
    return ConvNet(channels, out_channels, spatial_axes=1, conditions=conditions, key=KEY)


@pytest.mark.parametrize("as_channels", [False, True])
def test_the_network_sees_past_guess_level_and_conditions(as_channels):
    """Two frames of two channels, a guess of one frame of one channel, one condition, two features."""
    seen = []

    def function(u, cond):
        seen.append((u, cond))
        return u[:1]

    known = Known(function, channels=5 + 2 * as_channels, out_channels=1, conditions=1 if as_channels else 3)
    refiner = Refiner(known, PlainRefinement(0), history=2, features=2, as_channels=as_channels, scale=0.5)
    assert (refiner.channels, refiner.out_channels, refiner.conditions) == (2, 1, 1)
    u = jnp.asarray(RNG.normal(size=(2, 2, 6)))
    cond = jnp.asarray([7.0])
    found = refiner(u, cond=cond, key=KEY)
    inputs, told = seen[0]
    np.testing.assert_array_equal(inputs[:4], u.reshape(4, 6))
    np.testing.assert_array_equal(inputs[4], 0)
    features = refiner.embedding(jnp.zeros(()))
    if as_channels:
        np.testing.assert_array_equal(inputs[5:], np.broadcast_to(features[:, None], (2, 6)))
        np.testing.assert_array_equal(told, cond)
    else:
        np.testing.assert_array_equal(told, np.concatenate([cond, features]))
    # The network gave the first channel of the first frame: an increment in units of the scale.
    np.testing.assert_allclose(found, u[1:, :1] + 0.5 * u[:1, :1], rtol=1e-14)


def test_loss_is_of_scaled_increments_at_a_level_drawn_uniformly():
    refiner = Refiner(net(2, 1, 16), PlainRefinement(2, 1e-2), scale=0.1)
    past, future = (jnp.asarray(RNG.normal(size=(1, 1, 12))) for _ in range(2))
    window = Window(past, future, None, None)
    objective = RefinementLoss()
    found = np.asarray(jax.vmap(lambda k: objective(refiner, MeanSquare(), window, k))(jr.split(KEY, 90)))
    y = np.asarray(future - past)[0] / 0.1
    first = refiner.network(jnp.concatenate([past[0], 0 * past[0]]), cond=refiner.embedding(jnp.zeros(())))
    at_first = np.isclose(found, np.mean((np.asarray(first) - y) ** 2), rtol=1e-10)
    # A third of 90 draws, give or take 4.5 standard deviations of 4.5.
    assert 10 <= at_first.sum() <= 50
    # What is named at the other levels is noise of deviation 1, not an increment of deviation 14.
    assert found[~at_first].max() < np.mean(y**2) / 3
    with pytest.raises(TypeError, match="for a Refiner"):
        objective(OneStep(net(1, 1)), MeanSquare(), window, KEY)


def test_rollouts_of_different_seeds_part():
    """Item 9: alike at first, and bit for bit the same for one seed, or where there is no noise."""
    refiner = Refiner(net(2, 1, 16), DiffusionRefinement(2, 1e-4), scale=0.5)
    u0 = jnp.asarray(travelling(1, 1)[0])
    run = jax.jit(lambda k: rollout(refiner, u0, 12, key=k))
    samples = jnp.stack([run(jr.key(i)) for i in (0, 1, 2)])
    alike = np.asarray(pairwise_correlation(samples, spatial_axes=1))[:, 0]
    assert alike[0] > 0.9
    assert np.mean(alike[:3]) > np.mean(alike[-3:])
    np.testing.assert_array_equal(run(jr.key(0)), samples[0])
    still = Refiner(net(2, 1, 16), PlainRefinement(0))
    np.testing.assert_array_equal(*(rollout(still, u0, 3, key=jr.key(i)) for i in (0, 1)))


def test_horizon_spread_ranks():
    t = np.arange(1.0, 21)
    x = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    samples = []
    for speed in (0.02, 0.1, 0.05):
        phases = speed * t[None, :, None, None] * RNG.normal(size=(16, 1, 1, 1))
        samples.append(np.sin(x + phases))
    spread = horizon_spread(np.stack(samples), t)
    assert spread[0] > spread[2] > spread[1]
    # Phases of deviation q: the mean correlation of two is exp(-q²) = 0.8 at q = 0.47.
    np.testing.assert_allclose(spread[1:] * [0.1, 0.05], 0.47, atol=0.2)
    np.testing.assert_allclose(pairwise_correlation(np.stack([x, x, -x]), spatial_axes=1), -1 / 3, rtol=1e-10)


@pytest.mark.parametrize("as_channels", [False, True])
def test_estimator(as_channels, tmp_path):
    data = travelling(6)
    model = OperatorRegressor(
        ConvNet, form=Refined(as_channels=as_channels), steps=6, average=0.9, validation_fraction=0.2
    ).fit(data)
    found = model.rollout(data, 3, samples=2, seed=1)
    assert found.shape == (6, 2, 3, 1, 16)
    assert np.all(np.std(found, axis=1) > 0)
    np.testing.assert_array_equal(found, model.rollout(data, 3, samples=2, seed=1))
    # Increments in scaled units: those of the data over their deviation.
    expected = np.sqrt(np.mean((data[:, 1:] - data[:, :-1]) ** 2)) / data.std()
    np.testing.assert_allclose(model.model_.operator.scale, expected, rtol=0.2)
    model.save(tmp_path / "m")
    again = OperatorRegressor.load(tmp_path / "m", parts={"ConvNet": ConvNet})
    np.testing.assert_array_equal(again.predict(data, seed=3), model.predict(data, seed=3))


def test_refusals():
    for cls, keyword in ((PlainRefinement, "sigma_min"), (DiffusionRefinement, "variance_min")):
        with pytest.raises(ValueError, match="steps=-1"):
            cls(-1)
        with pytest.raises(ValueError, match=keyword):
            cls(3, 2.0)
    with pytest.raises(ValueError, match="16 conditions more"):
        Refiner(net(2, 1))
    with pytest.raises(ValueError, match="16 channels more"):
        Refiner(net(2, 1), as_channels=True)
    with pytest.raises(ValueError, match="pass key"):
        Refiner(net(2, 1, 16))(jnp.zeros((1, 1, 8)))
    with pytest.raises(ValueError, match="stochastic"):
        rollout(Refiner(net(2, 1, 16)), jnp.zeros((1, 1, 8)), 2)
    with pytest.raises(ValueError, match=r"expected \(example, samples"):
        horizon_spread(np.zeros((3, 2, 4, 8)), np.arange(2.0))
    with pytest.raises(ValueError, match="loss of its own"):
        OperatorRegressor(ConvNet, form=Refined(), in_units=True).fit(travelling(4))
    with pytest.raises(ValueError, match="no last frame"):
        OperatorRegressor(ConvNet, form=Refined(), steps=1).fit(np.ones((2, 1, 4)) * [1, 2, 3, 4], np.ones((2, 1, 4)))
