"""`Generator`: sampling, conditions, densities in the data's own unit, refusals, resuming, files."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.base import clone

from cadlag.data import Samples, read_samples, write_samples
from cadlag.diffusion import VE, DPMSolver, ExactDenoiser, Flow, LinearGuidance, ProbabilityFlow, V
from cadlag.distributions import GaussianMixture
from cadlag.generate import Conditioned, Generator, mlp, unet
from cadlag.generate._files import fit_file, sample_file
from cadlag.train import AbstractProgress

TINY = functools.partial(mlp, width=32, depth=1)
RNG = np.random.default_rng(0)
# Two classes far apart, in units of thousands and thousandths.
LABELS = np.array(["low", "high"])[RNG.integers(0, 2, 400)]
X = np.stack([np.where(LABELS == "high", 1000.0, -1000.0) + 200 * RNG.normal(size=400), 1e-3 * RNG.normal(size=400)], 1)


@pytest.fixture(scope="module")
def fitted():
    with jax.enable_x64(False):
        return Generator(network=TINY, steps=600, batch_size=256, learning_rate=3e-3).fit(X, LABELS)


def single(function):
    """Run in the precision the model was fitted in."""
    with jax.enable_x64(False):
        return function()


def test_samples_are_in_the_units_of_the_data_and_repeat(fitted):
    x = single(lambda: fitted.sample(500, seed=1))
    np.testing.assert_array_equal(x, single(lambda: fitted.sample(500, seed=1)))
    assert np.any(x != single(lambda: fitted.sample(500, seed=2)))
    # A short training: deviations within 15 %.
    np.testing.assert_allclose(x.std(0) / X.std(0), 1, atol=0.15)


def test_conditions_and_guidance(fitted):
    high = single(lambda: fitted.sample(100, condition="high", guidance=1.5))
    assert np.mean(high[:, 0] > 0) > 0.97
    both = single(lambda: fitted.sample(100, condition=np.array(["low", "high"] * 50)))
    assert np.mean(both[1::2, 0] > both[::2, 0]) > 0.97


def test_known_entries_are_kept_to_the_digit_and_the_rest_follows(fitted):
    known = np.array([np.nan, 5e-4], np.float32)
    x = single(lambda: fitted.condition(known=known, label="low").sample(20))
    np.testing.assert_array_equal(x[:, 1], np.float32(5e-4))
    assert np.mean(x[:, 0] < 0) > 0.9


def test_density_is_in_the_units_of_the_data(fitted):
    """A coarse check of the Jacobian: the conditional log-density of held-out samples lies near the true law's."""
    labels = LABELS[:200]
    noise = np.random.default_rng(3).normal(size=(200, 2))
    test = np.stack([np.where(labels == "high", 1000.0, -1000.0), np.zeros(200)], 1) + [200, 1e-3] * noise
    truth = np.mean(-0.5 * np.sum(noise**2, axis=1)) - np.log(2 * np.pi) - np.log(200 * 1e-3)
    # The scales' log-determinant is -0.1 here and -14 with either scale forgotten; training leaves some tenths.
    assert single(lambda: fitted.score(test, labels)) == pytest.approx(truth, abs=0.5)
    one = single(lambda: fitted.log_prob(test[:3]))
    np.testing.assert_array_equal(single(lambda: fitted.score_samples(test[:3])), one)


def test_latents_round_trip(fitted):
    z = single(lambda: fitted.encode(X[:5]))
    assert np.all(np.abs(z) < 6)
    np.testing.assert_allclose(single(lambda: fitted.decode(z)) / X.std(0), X[:5] / X.std(0), atol=5e-3)


def test_linear_measurement_is_met_in_the_units_of_the_data(fitted):
    """Mean of two samples' first entries: y = 2 x_0 + 3, measured without error."""
    model = fitted.condition(operator=lambda x: 2 * x[:1] + 3, measurement=np.array([1803.0]))
    np.testing.assert_allclose(single(lambda: model.sample(10))[:, 0], 900, rtol=0.02)
    assert isinstance(model._denoiser, LinearGuidance)


def test_any_log_likelihood_guides(fitted):
    toward = fitted.condition(log_likelihood=lambda x: -0.5 * jnp.square((x[0] - 1000) / 200))
    x = single(lambda: toward.sample(100))
    assert np.mean(x[:, 0] > 0) > 0.9


def test_saved_loaded_cloned(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    again = Generator.load(tmp_path / "model")
    np.testing.assert_array_equal(single(lambda: again.sample(4)), single(lambda: fitted.sample(4)))
    copy = clone(Generator(VE(sigma_max=20.0), TINY, steps=7, sampler=DPMSolver(3)))
    assert copy.schedule.sigma_max == 20.0
    assert copy.get_params()["steps"] == 7


def test_interrupted_training_resumes_to_the_same_model(tmp_path):
    make = lambda run, steps: Generator(Flow(), TINY, prediction=V(), steps=steps, batch_size=64, run=run)
    whole = make(None, 400).fit(X)

    class Interrupt(AbstractProgress):
        def start(self, steps, taken):
            pass

        def update(self, taken, info):
            if taken >= 200:
                raise KeyboardInterrupt

        def stop(self):
            pass

    broken = make(tmp_path / "run", 400)
    broken.progress = Interrupt()
    with pytest.raises(KeyboardInterrupt):
        broken.fit(X)
    again = make(tmp_path / "run", 400).fit(X)
    for a, b in zip(jax.tree.leaves(whole.model_), jax.tree.leaves(again.model_), strict=True):
        np.testing.assert_array_equal(a, b)


def test_images_train_with_a_unet_and_have_bits(tmp_path):
    """Integer images, a U-Net, one step of everything; bits of an untrained model are finite."""
    pixels = RNG.integers(0, 5, (24, 1, 4, 4)).astype(float)
    network = functools.partial(unet, width=8, multipliers=(1,), blocks=1)
    model = Generator(network=network, steps=2, batch_size=8, levels=5, sampler=DPMSolver(2)).fit(pixels)
    assert model.cell_ == 1.0
    assert model.sample(2).shape == (2, 1, 4, 4)
    np.testing.assert_allclose(model.scaling_.scale, model.scaling_.scale[0, 0, 0])
    with pytest.raises(ValueError, match=r"samples of shape \(1, 8, 8\)"):
        model.log_prob(np.zeros((2, 1, 8, 8)))


def test_bits_per_dim_of_uniform_integers_under_an_exact_model(fitted):
    """The estimator's arithmetic: log-density less the cell's width, per dimension, in bits."""
    model = Generator(network=TINY, levels=5)
    model.shape_, model.dtype_, model.classes_, model.cell_ = (1,), "float64", None, 1.0
    from cadlag.data import Affine
    from cadlag.diffusion import VP

    model.scaling_ = Affine(jnp.array([2.0]), jnp.array([3.0]))
    model.model_ = ExactDenoiser(GaussianMixture.isotropic(jnp.ones(1), jnp.zeros((1, 1)), jnp.ones(1)), VP())
    x = np.array([[2.0], [3.0]])
    noisy = x + np.random.default_rng(0).uniform(-0.5, 0.5, x.shape)
    nats = -0.5 * ((noisy - 2) / 3) ** 2 - 0.5 * np.log(2 * np.pi) - np.log(3)
    np.testing.assert_allclose(model.bits_per_dim(x), -nats[:, 0] / np.log(2), atol=1e-3)


def test_fit_and_sample_by_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_samples(tmp_path / "data.csv", Samples.from_arrays(X, labels=LABELS, columns=["big", "small"]), label="kind")
    told = fit_file(data=tmp_path / "data.csv", label="kind", steps=3)
    assert "400 samples of shape 2, 2 classes" in told
    assert "Mean log-density of 40 samples held out" in told
    assert "5 samples" in sample_file(
        run=tmp_path / "runs" / "generate-data", n=5, out=tmp_path / "o.csv", condition="low"
    )
    assert read_samples(tmp_path / "o.csv", label="label").columns == ("big", "small")
    with pytest.raises(ValueError, match="is not a folder that `cadlag fit generate` wrote"):
        sample_file(run=tmp_path, n=5)
    with pytest.raises(ValueError, match="--schedule ddpm is not one of"):
        fit_file(data=tmp_path / "data.csv", schedule="ddpm")


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.array([[1.0, np.nan], [2.0, 3.0]]), "NaN or infinite"),
        (np.array([[1.0, np.inf], [2.0, 3.0]]), "NaN or infinite"),
        (np.ones((1, 2)), "at least 2 samples"),
        (np.ones((5, 2)), "All 5 samples are the same"),
        (np.stack([np.arange(5.0), np.ones(5)], 1), r"column\(s\) x1 are the same"),
        (np.arange(5.0), r"A single column is X\[:, None\]"),
        (np.zeros((0, 2)), "none 0"),
        (np.array([[1e35, 0.0], [2.0, 3.0]]), "too large for single precision"),
    ],
    ids=["nan", "infinite", "one", "constant", "column", "rank", "empty", "huge"],
)
def test_bad_data(x, message):
    with pytest.raises(ValueError, match=message):
        Generator().fit(x)


def test_other_refusals(fitted):
    with pytest.raises(ValueError, match="not fitted"):
        Generator().sample(2)
    with pytest.raises(ValueError, match=r"expected \(channel, \*space\)"):
        Generator(network=unet).fit(X)
    with pytest.raises(ValueError, match="did not occur in training"):
        fitted.sample(2, condition="middle")
    with pytest.raises(ValueError, match="expected one label, or 3"):
        fitted.sample(3, condition=np.array(["low", "high"]))
    with pytest.raises(ValueError, match="go together"):
        fitted.condition(operator=lambda x: x)
    with pytest.raises(ValueError, match="guidance needs a model fitted with labels"):
        fitted.condition(guidance=2.0)
    with pytest.raises(ValueError, match="known has shape"):
        fitted.condition(known=np.zeros(3))
    with pytest.raises(ValueError, match="infinite"):
        fitted.condition(known=np.array([np.inf, np.nan]))
    with pytest.raises(TypeError, match="has no density"):
        fitted.condition(label="low").log_prob(X)
    with pytest.raises(ValueError, match="takes no constraint"):
        fitted.condition(known=np.array([np.nan, 0.0])).sample(2, sampler=ProbabilityFlow(3))
    with pytest.raises(ValueError, match="fit with levels="):
        fitted.bits_per_dim(X)
    with pytest.raises(ValueError, match="steps=0 of Generator must be positive"):
        Generator(steps=0).fit(X)
    with pytest.raises(ValueError, match="not that many evenly spaced"):
        Generator(levels=3).fit(X)
    assert isinstance(fitted.condition(), Conditioned)
