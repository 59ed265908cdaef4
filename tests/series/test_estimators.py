"""The estimators: what comes in, what comes out, what is refused, and that nothing depends on who else is there."""

from functools import partial

import jax.random as jr
import numpy as np
import pytest
from sklearn.base import clone

from cadlag.data import IrregularSeries, spirals
from cadlag.series import (
    GRU,
    LNSDE,
    MiniRocket,
    SeriesClassifier,
    SeriesForecaster,
    SeriesInterpolator,
    SeriesRegressor,
)
from cadlag.train import AbstractProgress

SMALL = partial(LNSDE, hidden_size=6)
FAST = {"epochs": 3, "batch_size": 8, "learning_rate": 1e-2, "n_paths": 3}


def data(n=24, steps=8):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, n)
    times = np.sort(rng.random((n, steps)), axis=1) + np.arange(steps)
    values = rng.standard_normal((n, steps, 2)) * 0.3 + np.where(labels, 1.0, -1.0)[:, None, None]
    values[rng.random(values.shape) < 0.3] = np.nan
    names = np.array(["low", "high"])[labels]
    lengths = rng.integers(4, steps + 1, n)
    return IrregularSeries.from_arrays(times, values, lengths=lengths, labels=names, ids=[f"s{i}" for i in range(n)])


@pytest.fixture(scope="module")
def classifier():
    return SeriesClassifier(SMALL, **{**FAST, "epochs": 20}).fit(data())


def test_an_easy_problem_is_learnt(classifier):
    assert classifier.score(data()) > 0.9
    assert classifier.history_["loss"][-3:].mean() < classifier.history_["loss"][:3].mean()


def test_predictions_are_probabilities_and_repeat(classifier):
    series = data()
    shares = classifier.predict_proba(series)
    assert shares.shape == (24, 2)
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-6)
    np.testing.assert_array_equal(shares, classifier.predict_proba(series))
    assert set(classifier.predict(series)) <= {"low", "high"}


def test_an_answer_does_not_depend_on_the_other_series(classifier):
    series = data()
    np.testing.assert_allclose(
        classifier.predict_proba(series.take([3, 7])), classifier.predict_proba(series)[[3, 7]], rtol=1e-6
    )


def test_saved_and_loaded_it_answers_the_same(classifier, tmp_path):
    classifier.save(tmp_path / "model")
    again = SeriesClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict_proba(data()), classifier.predict_proba(data()))
    assert again.get_params()["epochs"] == 20


def test_scikit_learn_can_clone_it():
    copy = clone(SeriesClassifier(SMALL, epochs=7))
    assert copy.get_params()["epochs"] == 7
    assert not hasattr(copy, "model_")


def test_plain_arrays_with_nan_will_do():
    series = data()
    values = np.where(series.mask, series.values, np.nan)
    fitted = SeriesClassifier(partial(GRU, hidden_size=4), **FAST).fit(values, np.asarray(series.labels))
    assert fitted.predict(values).shape == (24,)


def test_the_same_seed_gives_the_same_model_and_another_another():
    one, same, other = (
        SeriesClassifier(partial(GRU, hidden_size=4), seed=s, **FAST).fit(data()).predict_proba(data())
        for s in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert np.max(np.abs(one - other)) > 1e-6


def test_validation_keeps_the_best_state():
    fitted = SeriesClassifier(
        partial(GRU, hidden_size=4), **{**FAST, "epochs": 60}, validation_fraction=0.25, patience=5
    )
    fitted.fit(data())
    assert (
        np.nanmin(fitted.history_["validation"])
        < fitted.history_["validation"][~np.isnan(fitted.history_["validation"])][0]
    )


def test_interrupted_training_resumes_to_the_same_model(tmp_path):
    settings = {**FAST, "epochs": 40}
    model = partial(GRU, hidden_size=4)
    whole = SeriesClassifier(model, run=tmp_path / "a", **settings).fit(data())

    class StopError(Exception):
        pass

    class Breaks(AbstractProgress):
        """A display that fails half way, as a full disk or a lost terminal would."""

        def start(self, *args, **kwargs):
            pass

        def update(self, step, values):
            if step >= 60:
                raise StopError

        def stop(self, *args, **kwargs):
            pass

    with pytest.raises(StopError):
        SeriesClassifier(model, run=tmp_path / "b", progress=Breaks(), **settings).fit(data())
    resumed = SeriesClassifier(model, run=tmp_path / "b", **settings).fit(data())
    np.testing.assert_array_equal(whole.predict_proba(data()), resumed.predict_proba(data()))


def test_regression_speaks_the_targets_units():
    series = data(32)
    targets = 1000 + 50 * np.nan_to_num(np.where(series.mask, series.values, np.nan)).mean((1, 2))
    fitted = SeriesRegressor(SMALL, **{**FAST, "epochs": 30}).fit(series, targets)
    assert fitted.predict(series).shape == (32,)
    assert 900 < fitted.predict(series).mean() < 1100
    assert fitted.score(series, targets) > 0.3


def test_forecasts_continue_each_series_on_its_own_clock():
    times = np.arange(20.0)
    phases = np.linspace(0, 3, 12)
    waves = 5 + np.sin(0.6 * times[None] + phases[:, None])
    series = IrregularSeries.from_arrays(times, waves[:, :, None])
    fitted = SeriesForecaster(SMALL, history=8, horizon=3, **{**FAST, "epochs": 12, "batch_size": 32}).fit(series)
    ahead = fitted.forecast(series)
    assert ahead.shape == (12, 3, 1)
    assert np.all((ahead > 3) & (ahead < 7))
    shifted = IrregularSeries.from_arrays(times + 1e4, waves[:, :, None])
    np.testing.assert_allclose(fitted.forecast(shifted), ahead, rtol=1e-6)
    many = fitted.sample(series.take([0, 1]), n=6)
    assert many.shape == (2, 6, 3, 1)
    assert many.std(axis=1).max() > 0
    assert fitted.forecast(series.take([0]), times=[20.5, 21.0]).shape == (1, 2, 1)
    baseline = -np.mean((waves[:, 8:11] - waves[:, 7:8]) ** 2) / waves.std() ** 2
    assert fitted.score(series) > 3 * baseline


def test_forecasts_see_no_future():
    series = IrregularSeries.from_arrays(np.arange(12.0), np.random.default_rng(0).standard_normal((6, 12, 1)))
    fitted = SeriesForecaster(SMALL, history=6, horizon=2, **FAST).fit(series)
    hidden, _, _ = fitted._pair(fitted.preparation_(series, fitted.dtype_))
    assert not np.any(np.asarray(hidden.mask)[:, 6:])
    assert np.all(np.asarray(hidden.values)[:, 6:] == 0)


def test_completions_keep_what_was_observed():
    series = spirals(12, key=jr.key(0), steps=10)
    values = np.array(series.values)
    values[:, 4:6] = np.nan
    gappy = IrregularSeries.from_arrays(series.times, values)
    fitted = SeriesInterpolator(SMALL, **{**FAST, "epochs": 10}).fit(gappy)
    filled = fitted.predict(gappy)
    assert np.all(np.isfinite(filled))
    np.testing.assert_array_equal(filled[:, :4], gappy.values[:, :4])
    assert fitted.sample(gappy.take([0]), n=4).shape == (1, 4, 10, 2)
    assert np.isfinite(fitted.score(gappy, series))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SeriesClassifier(SMALL).fit(data().take([0])), "one class"),
        (lambda: SeriesClassifier(SMALL).fit(np.zeros((3, 4, 1))), "no labels"),
        (lambda: SeriesClassifier(SMALL).fit(np.zeros((3, 4))), "shape"),
        (lambda: SeriesClassifier(SMALL, epochs=0).fit(data()), "epochs=0"),
        (lambda: SeriesClassifier(SMALL).predict(data()), "not fitted"),
        (lambda: SeriesRegressor(SMALL).fit(data()), "classes"),
        (lambda: SeriesRegressor(SMALL).fit(data(), np.full(24, np.nan)), "NaN"),
        (lambda: SeriesForecaster(SMALL, history=30, horizon=9).fit(data()), "history"),
        (lambda: SeriesInterpolator(SMALL, hide=1.5).fit(data()), "hide"),
        (lambda: SeriesClassifier("lnsde").fit(data()), "model"),
    ],
)
def test_bad_input_gets_advice(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_other_channels_and_unseen_labels_are_named(classifier):
    with pytest.raises(ValueError, match="channels"):
        classifier.predict(np.zeros((2, 5, 3)))
    s = data()
    other = IrregularSeries.from_arrays(s.times, s.values, mask=s.mask, lengths=s.lengths, labels=["new"] * 24)
    with pytest.raises(ValueError, match="new"):
        classifier.score(other)


@pytest.mark.parametrize("fill", [0.0, 1e12, -1e12])
def test_constant_and_huge_values_stay_finite(fill):
    values = np.full((8, 5, 2), fill)
    fitted = SeriesClassifier(partial(LNSDE, hidden_size=4), **FAST).fit(values, np.arange(8) % 2)
    assert np.all(np.isfinite(fitted.predict_proba(values)))


def test_a_channel_that_is_never_seen_does_no_harm():
    series = data()
    values = np.where(series.mask, series.values, np.nan)
    values[:, :, 1] = np.nan
    fitted = SeriesClassifier(SMALL, **FAST).fit(values, np.asarray(series.labels))
    assert np.all(np.isfinite(fitted.predict_proba(values)))


@pytest.mark.slow  # aeon compiles it for half a minute
def test_minirocket_takes_the_same_series():
    pytest.importorskip("aeon")
    fitted = MiniRocket(kernels=84).fit(data())
    assert fitted.score(data()) > 0.8
    with pytest.raises(TypeError, match="pickle"):
        fitted.save("nowhere")
