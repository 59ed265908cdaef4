"""The estimator: it learns waves that travel and a steady map, says what is wrong, is saved, resumed, evaluated."""

import functools

import equinox as eqx
import numpy as np
import pytest

from cadlag.data import FieldDataset, read_fields, write_fields
from cadlag.nn import Boundary
from cadlag.operators import (
    Direct,
    MeanSquare,
    OneStepLoss,
    OperatorRegressor,
    Pushforward,
    Unrolled,
    evaluate,
    resolution_report,
)

from .small import ConvNet, travelling

LINE = functools.partial(ConvNet, width=8)


def dataset(values, channels=("u",), ts=None, **options):
    """On periodic axes, unless told otherwise."""
    axes = ("x", "y")[: values.ndim - 3]
    return FieldDataset.from_arrays(values, channels=channels, ts=ts, **({"axes": axes, "periodic": axes} | options))


def small(**settings):
    usual = {"steps": 40, "batch_size": 16, "learning_rate": 1e-2, "network": LINE, "validation_fraction": 0.0}
    return OperatorRegressor(**(usual | settings))


@pytest.fixture(scope="module")
def fitted():
    """Waves moving one point a frame, in the unit of 5 with an offset of 100."""
    data = dataset(5 * travelling() + 100, ("u",), 0.5 * np.arange(10))
    return small(steps=300, validation_fraction=0.25).fit(data), data


def test_learns_waves_that_travel_and_rolls_them_out(fitted):
    model, _ = fitted
    test = 5 * travelling(5, 14, seed=9) + 100
    assert model.score(test) > 0.99
    found = model.rollout(test[:, :6], 8)
    assert found.shape == (5, 8, 1, 16)
    # The waves' own deviation is about 5; carrying the last frame on is off by far more than this.
    assert np.sqrt(np.mean((found - test[:, 6:]) ** 2)) < 1.0
    held = np.sqrt(np.mean((test[:, 5:6] - test[:, 6:]) ** 2))
    assert held > 3.0
    np.testing.assert_allclose(model.predict(test[:, :6])[:, 0], found[:, 0], rtol=1e-12)
    assert model.history_["validation"].shape == model.history_["loss"].shape
    assert np.nanmin(model.history_["validation"]) < 0.2 * model.history_["validation"][14]


def test_evaluation_and_other_resolutions(fitted):
    model, _ = fitted
    test = 5 * travelling(5, 14, seed=9) + 100
    found = evaluate(model, dataset(test, ("u",), 0.5 * np.arange(14)), steps=8)
    truth, one = model.teacher_forced(test)
    assert truth.shape == one.shape == (5 * 13, 1, 1, 16)
    errors = np.linalg.norm(one - truth, axis=-1) / np.linalg.norm(truth, axis=-1)
    np.testing.assert_allclose(found.relative_l2, np.mean(errors, axis=(0, 1)), rtol=1e-10)
    rolled = model.rollout(test[:, :1], 8)
    expected = np.linalg.norm(rolled - test[:, 1:9], axis=-1) / np.linalg.norm(test[:, 1:9], axis=-1)
    np.testing.assert_allclose(found.rollout_l2, expected.mean(0), rtol=1e-10)
    np.testing.assert_allclose(found.ts, 0.5 * np.arange(1, 9))
    assert found.correlations.shape == (5, 8)
    assert found.horizon == 4.0
    # Energy of the error adds up to half its mean square.
    np.testing.assert_allclose(np.sum(found.error_energy), 0.5 * np.mean((one - truth) ** 2), rtol=1e-10)
    report = resolution_report(model, {"16": test, "32": np.repeat(test, 2, axis=-1)}, steps=2)
    # A convolution knows points, not lengths: at twice the resolution a step is half as far.
    assert report["16"].relative_l2[0] < report["32"].relative_l2[0]


def test_training_from_a_file_is_training_from_memory(tmp_path):
    """Window by window the same batches, so the same model but for rounding."""
    values = np.concatenate([travelling(4), travelling(4, seed=1)], axis=2)
    data = dataset(values, ("u", "force"), np.arange(10.0), parameters=np.arange(4.0)[:, None])
    write_fields(tmp_path / "waves.nc", data)
    stored = read_fields(tmp_path / "waves.nc", lazy=True)
    options = {"steps": 3, "outputs": ("u",), "history": 2, "objective": Unrolled(2), "validation_fraction": 0.25}
    found = [small(**options).fit(d).predict(data) for d in (data, stored)]
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9)


def test_save_and_load_are_exact(fitted, tmp_path):
    model, data = fitted
    model.save(tmp_path / "model")
    again = OperatorRegressor.load(tmp_path / "model", parts={"ConvNet": ConvNet})
    np.testing.assert_array_equal(again.rollout(data, 3), model.rollout(data, 3))
    assert again.channels_ == ("u",)


def test_answers_do_not_depend_on_the_batch(fitted):
    model, data = fitted
    many = np.concatenate([data.values] * 2)[:20]
    np.testing.assert_allclose(model.predict(many)[17:], model.predict(many[17:]), rtol=1e-10)


def test_resumed_training_ends_with_the_same_bits(tmp_path):
    data = travelling(6)
    whole = small(steps=20, run=tmp_path / "a").fit(data)
    small(steps=20, run=tmp_path / "a").fit(data)
    fresh = small(steps=20).fit(data)
    np.testing.assert_array_equal(fresh.predict(data), whole.predict(data))
    assert len(fresh.history_["loss"]) == 20


@pytest.mark.parametrize("objective", [Unrolled(2), Pushforward(1)])
def test_bundles_of_frames_with_inputs_along_and_conditions(objective):
    """Two frames in, two out, a forcing that is not predicted, a parameter, every second frame."""
    values = np.concatenate([travelling(6, 14), travelling(6, 14, seed=1)], axis=2)
    data = dataset(
        values, ("force", "u"), np.arange(14.0), parameters=np.linspace(1, 2, 6)[:, None], parameter_names=("nu",)
    )
    model = small(
        steps=4, outputs=("u",), inputs=("u", "force"), history=2, horizon=2, stride=2, objective=objective,
        form=Direct(residual=True), loss=MeanSquare(), in_units=True,
    ).fit(data)  # fmt: skip
    assert model.channels_ == ("u", "force")
    assert model.model_.conditions == 1
    found = model.rollout(data, 3, inputs=values[:, :3, :1])
    assert found.shape == (6, 3, 1, 16)
    held = model.rollout(data, 3)
    np.testing.assert_allclose(found[:, :2], held[:, :2], rtol=1e-12)
    assert np.max(abs(found[:, 2] - held[:, 2])) > 1e-6
    other = model.rollout(eqx.tree_at(lambda d: d.parameters, data, data.parameters[::-1]), 1)
    assert np.max(abs(other - held[:, :1])) > 1e-6
    # An array is read in the order of the data in fit, but has no parameters.
    with pytest.raises(ValueError, match="1 parameters an example"):
        model.predict(values)
    # In the data's order, with conditions by the dataset: the same window by hand.
    past = data.times(slice(-3, None, 2))
    model.stride = 1
    np.testing.assert_array_equal(model.predict(past), held[:, :2])


def test_steady_maps_from_arrays_and_by_name():
    """Smoothing of a random field, which a convolution can do exactly."""
    a = np.random.default_rng(0).normal(size=(20, 1, 8, 8))
    u = sum(np.roll(a, s, axis) for s in (-1, 1) for axis in (2, 3)) / 4
    model = small(steps=300, network=LINE).fit(a, u)
    found = model.predict(a)
    assert found.shape == u.shape
    assert model.score(a, u) > 0.95
    assert model.steady_
    data = dataset(np.concatenate([u, a], axis=1)[:, None], ("u", "a"))
    named = small(steps=2, inputs=("a",), outputs=("u",)).fit(data)
    assert named.predict(data).shape == u.shape
    np.testing.assert_allclose(named.predict(a), named.predict(data), rtol=1e-12)
    assert evaluate(model, a, u).rollout_l2 is None
    with pytest.raises(ValueError, match="steady map"):
        model.rollout(a, 2)
    for wrong in ({}, {"inputs": ("a",)}):
        with pytest.raises(ValueError, match="inputs and outputs must be named"):
            small(**wrong).fit(data)
    with pytest.raises(ValueError, match="no time axis, but history=2"):
        small(inputs=("a",), outputs=("u",), history=2).fit(data)


def test_boundary_comes_from_the_data():
    told = []

    def network(channels, out_channels, *, boundary=Boundary.replicate, **options):
        told.append(boundary)
        return ConvNet(channels, out_channels, boundary=boundary, **options)

    for periodic in (("x",), ()):
        small(steps=1, network=network).fit(dataset(travelling(2), ("u",), np.arange(10.0), periodic=periodic))
    small(steps=1, network=network).fit(travelling(2))
    small(steps=1, network=functools.partial(network, boundary=Boundary.reflect)).fit(
        dataset(travelling(2), ("u",), np.arange(10.0))
    )
    assert told == [Boundary.circular, Boundary.zero, Boundary.replicate, Boundary.reflect]


def test_single_precision_and_a_channel_that_never_changes():
    values = np.concatenate([travelling(4), np.zeros((4, 10, 1, 16))], axis=2).astype(np.float32)
    model = small(steps=3).fit(values)
    assert np.isfinite(model.history_["loss"]).all()
    assert np.isfinite(model.rollout(values, 4)).all()


def test_refusals(fitted):
    model, data = fitted
    values = np.array(data.values)
    values[3, 2, 0, 5] = np.nan
    cases = [
        (small(), (values,), "example 3"),
        (small(), (values[0, 0],), "expected a FieldDataset"),
        (small(inputs=("v",)), (data,), "channels"),
        (small(inputs=("u0",), outputs=("u1",)), (np.zeros((2, 5, 2, 8)),), "must be among the inputs"),
        (small(history=6, objective=Unrolled(5)), (data,), r"10 frames, but a window takes 11"),
        (small(steps=0), (data,), "steps=0"),
        (small(average=1.0), (data,), "average"),
        (small(patience=0), (data,), "patience"),
        (small(), (np.zeros((3, 1, 8)), np.zeros((3, 1, 9))), "same points|the same"),
    ]
    for estimator, arguments, words in cases:
        with pytest.raises(ValueError, match=words):
            estimator.fit(*arguments)
    with pytest.raises(ValueError, match="not fitted"):
        small().predict(data)
    with pytest.raises(ValueError, match="2 channels, but the model was fitted on"):
        model.predict(np.zeros((1, 3, 2, 16)))
    with pytest.raises(ValueError, match="axes of space"):
        model.predict(np.zeros((1, 3, 1, 16, 16)))
    with pytest.raises(ValueError, match="stochastic operator"):
        model.rollout(data, 2, samples=3)
    with pytest.raises(ValueError, match="leave inputs out"):
        model.rollout(data, 2, inputs=np.zeros((12, 2, 1, 16)))
    with pytest.raises(ValueError, match="for 12 of X"):
        model.rollout(data, 2, inputs=np.zeros((3, 2, 1, 16)))
    with pytest.raises(ValueError, match="steps=20"):
        evaluate(model, data, steps=20)
    assert OneStepLoss() == small().form.objective()
