"""Series models on adaptive steps, regularised, with their evaluations counted and failed solves named."""

from functools import partial

import jax
import jax.random as jr
import numpy as np
import pytest

from cadlag.data import IrregularSeries
from cadlag.series import (
    GRU,
    LNSDE,
    NeuralCDE,
    NeuralODE,
    NeuralSDE,
    OnFailure,
    SeriesClassifier,
    SeriesInterpolator,
    SolveFailed,
    build_network,
)
from cadlag.series._solving import Solved, check_steps, watch
from cadlag.solve import AdaptiveSteps, Annealed, ErrorPenalty, GivenStep, LocalPenalty

FAST = {"epochs": 3, "batch_size": 8, "learning_rate": 1e-2, "n_paths": 2}
ADAPTIVE = AdaptiveSteps(rtol=1e-3, atol=1e-4, max_steps=64)
LOCAL = LocalPenalty(of=ErrorPenalty(weight=1.0))


def data(n=16, steps=6):
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 2
    times = np.sort(rng.random((n, steps)), axis=1) + np.arange(steps)
    values = rng.standard_normal((n, steps, 2)) * 0.3 + np.where(labels, 1.0, -1.0)[:, None, None]
    values[rng.random(values.shape) < 0.3] = np.nan
    return IrregularSeries.from_arrays(times, values, lengths=rng.integers(4, steps + 1, n), labels=labels)


def one_series():
    series = data()
    return jax.tree.map(lambda x: x[3], series.without_ids())


@pytest.fixture(scope="module")
def adaptive():
    """A neural ODE on adaptive steps with an annealed penalty on all of them."""
    penalty = ErrorPenalty(weight=Annealed(1.0, 0.1, 6))
    return SeriesClassifier(partial(NeuralODE, hidden_size=4, steps=ADAPTIVE), regularise=penalty, **FAST).fit(data())


def test_all_steps_of_an_adaptive_model(adaptive):
    assert np.all(adaptive.history_["penalty"] > 0)
    assert np.all(adaptive.history_["failed"] == 0)
    assert np.all(np.isfinite(adaptive.predict_proba(data())))


def test_evaluations_are_those_of_the_solver(adaptive):
    """Tsit5 takes six a step and one to start with; padded series and whole ones alike."""
    counts = adaptive.evaluations(data())
    assert counts.shape == (16,)
    np.testing.assert_array_equal((counts - 1) % 6, 0)
    assert counts.min() >= 7


def test_a_fitted_model_holds_no_penalty_and_is_saved_with_its_setting(adaptive, tmp_path):
    assert adaptive.model_.penalty is None
    adaptive.save(tmp_path / "model")
    again = SeriesClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict_proba(data()), adaptive.predict_proba(data()))
    assert again.regularise.weight == Annealed(1.0, 0.1, 6)


MODELS = {
    "lnsde": (partial(LNSDE, hidden_size=4), 1e-12),
    "sde": (partial(NeuralSDE, hidden_size=4), 1e-12),
    "cde, adaptive": (partial(NeuralCDE, hidden_size=4, steps=ADAPTIVE), 1e-12),
}


@pytest.mark.parametrize("name", MODELS)
def test_watching_a_model_does_not_change_its_states(name):
    build, rtol = MODELS[name]
    model, series = build(2, key=jr.key(0)), one_series()
    penalty = (ErrorPenalty(), LOCAL) if "adaptive" in name else LOCAL
    plain, seen = jax.jit(
        lambda s: (model(s, key=jr.key(1)), watch(model, penalty, jr.key(1))(s, key=jr.key(1)))
    )(series)  # fmt: skip
    assert isinstance(seen, Solved)
    np.testing.assert_allclose(seen.states, plain, rtol=rtol, atol=1e-12)
    assert seen.penalty > 0
    assert not seen.failed


def test_a_linear_noise_sde_is_locally_regularised():
    """A composition nobody published: Euler steps, the penalty from one step of order 1.5 with noise of its own."""
    fitted = SeriesClassifier(partial(LNSDE, hidden_size=4), regularise=LOCAL, **FAST).fit(data())
    plain = SeriesClassifier(partial(LNSDE, hidden_size=4), **FAST).fit(data())
    assert np.all(fitted.history_["penalty"] > 0)
    assert "penalty" not in plain.history_
    # The task's part of the first loss has the same noise and dropout.
    np.testing.assert_allclose(
        fitted.history_["loss"][0] - fitted.history_["penalty"][0], plain.history_["loss"][0], rtol=1e-9
    )
    np.testing.assert_array_equal(fitted.evaluations(data()), 5.0)


def test_a_strong_local_penalty_makes_its_step_more_accurate():
    penalty = LocalPenalty(of=ErrorPenalty(weight=1e4), width=GivenStep(0.2))
    how = FAST | {"epochs": 25}
    ours = SeriesClassifier(partial(LNSDE, hidden_size=4), regularise=penalty, **how).fit(data()).history_["penalty"]
    assert ours[-5:].mean() < 0.5 * ours[:5].mean()


@pytest.mark.slow
def test_both_directions_of_an_interpolator_are_regularised():
    fitted = SeriesInterpolator(partial(NeuralODE, hidden_size=4), regularise=LOCAL, **(FAST | {"epochs": 1})).fit(
        data()
    )
    assert np.all(fitted.history_["penalty"] > 0)
    np.testing.assert_array_equal(fitted.evaluations(data()), 10.0)


def test_a_solve_at_its_cap_is_named_or_left_out():
    few = AdaptiveSteps(rtol=1e-4, atol=1e-4, max_steps=3)
    model = partial(NeuralODE, hidden_size=4, steps=few)
    with pytest.raises(SolveFailed, match=r"At step 0 \d+% of the batch's solves gave up at max_steps"):
        SeriesClassifier(model, **FAST).fit(data())
    fitted = SeriesClassifier(model, on_failure=OnFailure.skip, **FAST).fit(data())
    assert fitted.history_["failed"].max() > 0
    assert np.all(np.isfinite(fitted.history_["loss"]))


REFUSED = {
    "no equation": (partial(GRU, hidden_size=4), LOCAL, ValueError, "GRU does not"),
    "Euler steps": (partial(LNSDE, hidden_size=4), ErrorPenalty(), ValueError, r"steps=AdaptiveSteps\(...\)"),
    "a number": (partial(LNSDE, hidden_size=4), 0.1, TypeError, "expected ErrorPenalty"),
    "steps": (partial(NeuralODE, steps=0), None, ValueError, "at least 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_training(name):
    model, penalty, kind, message = REFUSED[name]
    with pytest.raises(kind, match=message):
        SeriesClassifier(model, regularise=penalty, **FAST).fit(data())


def test_steps_are_a_count_or_adaptive():
    with pytest.raises(TypeError, match="expected an integer"):
        check_steps(2.5)


def test_only_equations_have_evaluations():
    fitted = SeriesClassifier(partial(GRU, hidden_size=4), **(FAST | {"epochs": 1})).fit(data())
    with pytest.raises(ValueError, match="solves no equation"):
        fitted.evaluations(data())


def test_networks_without_a_penalty_say_nothing():
    network = build_network(partial(LNSDE, hidden_size=4), data(), 2, key=jr.key(0))
    learnt = network.learn_last(one_series(), key=jr.key(1))
    np.testing.assert_array_equal(learnt.values, network.last(one_series(), key=jr.key(1), training=True))
    assert learnt.penalty is None
