"""The estimator `Transport`: what comes in, what comes out, what is refused."""

from functools import partial

import jax.random as jr
import numpy as np
import pytest
from sklearn.base import clone

from cadlag.diffusion._coupling import EntropicOT
from cadlag.diffusion._gamma import NoGamma
from cadlag.diffusion._interpolant import Linear
from cadlag.generate import Transport, mlp
from cadlag.train import AbstractProgress

NET = partial(mlp, width=16, depth=1)
FAST = {"steps": 400, "batch_size": 64, "learning_rate": 1e-2, "ema": 0.99, "sampling_steps": 40, "network": NET}
RNG = np.random.default_rng(0)
# In the thousands, so that forgotten units would show.
X0 = 1000 + 50 * RNG.standard_normal((400, 1))
X1 = 1200 + 50 * RNG.choice([-2, 2], (300, 1)) + 10 * RNG.standard_normal((300, 1))


@pytest.fixture(scope="module")
def between():
    return Transport(**FAST).fit(X0, X1)


@pytest.fixture(scope="module")
def from_normal():
    """Without latent noise, so the velocity alone is learnt; and of samples that are images of one pixel."""
    return Transport(Linear(NoGamma()), **FAST).fit(X1[:, :, None])


@pytest.mark.parametrize("epsilon", [None, 0])
def test_one_data_set_is_carried_to_the_other(between, epsilon):
    """Means, deviations and the two modes; 400 samples and short training, so within a tenth."""
    carried = between.transport(X0, epsilon=epsilon)
    assert carried.shape == X0.shape
    assert carried.mean() == pytest.approx(X1.mean(), abs=15)
    assert carried.std() == pytest.approx(X1.std(), rel=0.12)
    assert np.mean(np.abs(carried - 1200) < 50) < 0.15
    np.testing.assert_array_equal(carried, between.transport(X0, epsilon=epsilon))


def test_the_ode_comes_back(between):
    there = between.transport(X0[:50], epsilon=0)
    # Heun's 40 steps each way: a few thousandths of the data's deviation.
    np.testing.assert_allclose(between.transport(there, epsilon=0, backward=True), X0[:50], atol=10)
    back = between.transport(X1, backward=True)
    assert back.mean() == pytest.approx(1000, abs=20)


def test_samples_start_from_rows_or_normal_draws(between, from_normal):
    for fitted, shape in ((between, (500, 1)), (from_normal, (500, 1, 1))):
        drawn = fitted.sample(500)
        assert drawn.shape == shape
        assert drawn.mean() == pytest.approx(X1.mean(), abs=25)
        assert not np.array_equal(drawn, fitted.sample(500, seed=1))


def test_the_density_integrates_to_one(from_normal):
    """In the data's units, by trapezoids over 7 deviations; and its mean over the data is near the truth's."""
    grid = np.linspace(900, 1500, 1201)[:, None]
    density = np.exp(from_normal.log_prob(grid[:, :, None]))
    assert np.trapezoid(density, grid[:, 0]) == pytest.approx(1, abs=0.01)
    truth = np.mean(-0.5 * ((X1 - 1200) / 10 - np.sign(X1 - 1200) * 10) ** 2) - np.log(20 * np.sqrt(2 * np.pi))
    assert truth - 0.5 < from_normal.score(X1[:, :, None]) < truth + 0.1


def test_a_normal_start_is_in_its_own_units(from_normal):
    z = np.random.default_rng(1).standard_normal((300, 1, 1))
    there = from_normal.transport(z, epsilon=0)
    assert there.mean() == pytest.approx(X1.mean(), abs=25)
    np.testing.assert_allclose(from_normal.transport(there, epsilon=0, backward=True), z, atol=0.2)


def test_saved_and_loaded_it_answers_the_same(between, tmp_path):
    between.save(tmp_path / "model")
    again = Transport.load(tmp_path / "model")
    np.testing.assert_array_equal(again.transport(X0[:9]), between.transport(X0[:9]))
    copy = clone(between)
    assert copy.get_params()["steps"] == 400
    assert not hasattr(copy, "model_")


def test_interrupted_training_resumes_to_the_same_model(tmp_path):
    whole = Transport(run=tmp_path / "a", **FAST).fit(X0, X1)

    class StopError(Exception):
        pass

    class Breaks(AbstractProgress):
        """A display that fails half way, as a full disk or a lost terminal would."""

        def start(self, *args, **kwargs):
            pass

        def update(self, step, values):
            if step >= 300:
                raise StopError

        def stop(self, *args, **kwargs):
            pass

    with pytest.raises(StopError):
        Transport(run=tmp_path / "b", progress=Breaks(), **FAST).fit(X0, X1)
    resumed = Transport(run=tmp_path / "b", **FAST).fit(X0, X1)
    np.testing.assert_array_equal(whole.transport(X0), resumed.transport(X0))


def test_paired_rows_are_kept_together():
    fitted = Transport(paired=True, batch_size=64)
    fitted.shape_, fitted.dtype_ = (1,), "float64"
    source = fitted._source([X0, 3 * X0])
    _, (x0, x1) = source.draw(source.init(jr.key(0)), None, jr.key(1))
    np.testing.assert_array_equal(x1, 3 * x0)


def test_couplings_make_the_pairs_of_a_batch():
    fitted = Transport(coupling=EntropicOT(0.01), batch_size=64)
    fitted.shape_, fitted.dtype_ = (1,), "float64"
    source = fitted._source([(X0 - 1000) / 50, (X1 - 1200) / 50])
    _, batch = source.draw(source.init(jr.key(0)), None, jr.key(1))
    assert np.corrcoef(batch.x0[:, 0], batch.x1[:, 0])[0, 1] > 0.7, "an entropic coupling pairs low with low"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Transport().fit(np.array([[1.0], [np.nan]])), "1 values that are not finite"),
        (lambda: Transport().fit(np.zeros((1, 2))), "n >= 2"),
        (lambda: Transport().fit(np.zeros(5)), "single column"),
        (lambda: Transport().fit(np.array([[1.0, 2.0], [1.0, 3.0]])), "1 columns of the data are constant"),
        (lambda: Transport().fit(X0, np.zeros((4, 2))), "must agree"),
        (lambda: Transport(paired=True).fit(X0, X1), "row by row"),
        (lambda: Transport(steps=0).fit(X0), "steps=0"),
        (lambda: Transport(ema=1.0).fit(X0), "ema"),
        (lambda: Transport().transport(X0), "not fitted"),
        (lambda: Transport().fit(np.array([["a"], ["b"]])), "numbers"),
        (lambda: Transport(network="mlp").fit(X0), "constructor"),
        (lambda: Transport("linear").fit(X0), "Trigonometric"),
    ],
)
def test_bad_input_gets_advice(make, message):
    # jaxtyping, on in the tests, may refuse a wrong type first.
    with pytest.raises((ValueError, TypeError), match=message + "|Type-check"):
        make()


def test_what_the_model_does_not_have_is_refused(between):
    with pytest.raises(ValueError, match="start X0 is a data set"):
        between.log_prob(X1)
    with pytest.raises(ValueError, match=r"fitted on \(1,\)"):
        between.transport(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="n=0"):
        between.sample(0)
    assert between._key(None) == jr.fold_in(jr.key(0), 1)
