"""Controls of neural CDEs, and neural RDEs: closed forms, what they see ahead, padding, long windows against short."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.data import IrregularSeries, spirals
from cadlag.series import (
    HermiteControl,
    LinearControl,
    NaturalCubicControl,
    NeuralCDE,
    NeuralRDE,
    RectilinearControl,
    SeriesClassifier,
)
from cadlag.solve import Heun
from cadlag.train import load, save

CONTROLS = (HermiteControl(), LinearControl(), NaturalCubicControl(), RectilinearControl())
TIMES = np.array([0.0, 0.1, 0.25, 0.4, 0.7, 1.0])
MODELS = {
    "rectilinear": partial(NeuralCDE, hidden_size=4, control=RectilinearControl()),
    "rde": partial(NeuralRDE, hidden_size=4, window=2, order=2),
}


def example(seed=0, missing=0.3, padding=0):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((1, 6, 2))
    values[rng.random(values.shape) < missing] = np.nan
    times = np.pad(TIMES, (0, padding), mode="edge")[None]
    values = np.pad(values, ((0, 0), (0, padding), (0, 0)), constant_values=np.nan)
    return IrregularSeries.from_arrays(times, values, lengths=[6]).without_ids()[0]


@eqx.filter_jit
def run(model, s, final=False):
    return model(s, final=final)


def constant(model):
    """The model with a field that does not depend on the state."""
    last = lambda m: m.field.net.layers[-1].weight
    return eqx.tree_at(last, model, jnp.zeros_like(last(model)))


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: type(c).__name__)
def test_a_constant_field_reads_off_the_increment(control):
    """y(T) = y0 + A (X(T) - X(0)) exactly, whatever the interpolation and the stepper."""
    s = example(missing=0.0)
    model = constant(NeuralCDE(2, hidden_size=4, control=control, stepper=Heun(), steps=3, key=jr.key(0)))
    matrix = np.asarray(model.field(jnp.asarray(0.0), jnp.zeros(4), None))
    x = np.concatenate([TIMES[:, None], s.values], 1)
    start = np.asarray(model.initial(jnp.asarray(x[0]), None))
    np.testing.assert_allclose(run(model, s), start + (x - x[0]) @ matrix.T, rtol=1e-12, atol=1e-13)


def test_at_one_step_a_gap_interpolations_that_agree_at_the_rows_are_one():
    s, key = example(missing=0.0), jr.key(1)
    states = [run(NeuralCDE(2, control=control, key=key), s) for control in CONTROLS[:3]]
    for other in states[1:]:
        np.testing.assert_allclose(other, states[0], rtol=1e-12)


def test_what_each_control_sees_ahead():
    """Changed from row 4 on with two steps a gap, states up to row 3 may know the next row, or everything."""
    s = example(missing=0.0)
    later = np.array(s.values)
    later[4:] += 1.0
    moved = eqx.tree_at(lambda q: q.values, s, later)
    changed = {}
    for control in CONTROLS:
        model = NeuralCDE(2, hidden_size=4, control=control, steps=2, key=jr.key(2))
        change = np.max(np.abs(run(model, s) - run(model, moved)), axis=1)
        changed[type(control)] = int(np.flatnonzero(change > 0)[0])
    assert changed == {HermiteControl: 4, LinearControl: 4, RectilinearControl: 4, NaturalCubicControl: 1}


def test_rectilinear_holds_a_missing_value_until_it_is_seen():
    """With values missing at row 2, states up to it do not depend on what row 3 brings; linear ones do."""
    s = example(missing=0.0)
    mask = np.array(s.mask)
    mask[2] = False
    later = np.array(s.values)
    later[3:] += 1.0
    gap, moved = (eqx.tree_at(lambda q: (q.mask, q.values), s, (mask, v)) for v in (s.values, later))
    for control, first in ((RectilinearControl(), 3), (LinearControl(), 2)):
        model = NeuralCDE(2, hidden_size=4, control=control, key=jr.key(3))
        change = np.max(np.abs(run(model, gap) - run(model, moved)), axis=1)
        assert np.flatnonzero(change > 0)[0] == first


@pytest.mark.parametrize("name", MODELS)
def test_padding_changes_nothing(name):
    model = MODELS[name](2, key=jr.key(5))
    short, long = example(), example(padding=3)

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def readout(m, s):
        return jnp.sum(jnp.sin(m(s, final=True)))

    value, grad = readout(model, short)
    padded, padded_grad = readout(model, long)
    np.testing.assert_allclose(padded, value, rtol=1e-12)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), padded_grad, grad)
    states = run(model, long)
    np.testing.assert_allclose(states[5:], np.broadcast_to(run(model, short, final=True), (4, 4)), rtol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_saves_and_loads(name, tmp_path):
    model = MODELS[name](2, key=jr.key(6))
    save(tmp_path / "model", model)
    np.testing.assert_array_equal(run(load(tmp_path / "model"), example()), run(model, example()))


def test_order_one_with_windows_of_one_is_the_cde_by_the_same_stepper():
    s, key = example(), jr.key(7)
    rough = NeuralRDE(2, hidden_size=4, window=1, order=1, key=key)
    plain = NeuralCDE(2, hidden_size=4, control=LinearControl(), stepper=Heun(), key=key)
    np.testing.assert_allclose(run(rough, s), run(plain, s), rtol=1e-12)


def test_areas_are_seen_by_order_two_only():
    """Two loops with the same ends and opposite areas in one window, under a constant field."""
    loop = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]], float)
    make = lambda values: IrregularSeries.from_arrays(np.arange(5.0)[None], values[None]).without_ids()[0]
    for order, seen in ((1, False), (2, True)):
        model = constant(NeuralRDE(2, hidden_size=4, window=4, order=order, key=jr.key(8)))
        ends = [run(model, make(values), final=True) for values in (loop, loop[::-1])]
        assert bool(jnp.any(jnp.abs(ends[0] - ends[1]) > 1e-6)) is seen


def test_learns_from_whole_series():
    """An estimator trains it in single precision: one epoch runs, the loss falls."""
    model = partial(NeuralRDE, hidden_size=8, window=4, order=2)
    fitted = SeriesClassifier(model, epochs=8, batch_size=16, learning_rate=1e-2).fit(
        spirals(32, key=jr.key(9), steps=13)
    )
    loss = fitted.history_["loss"]
    assert np.mean(loss[-4:]) < np.mean(loss[:4])


def test_refuses():
    with pytest.raises(ValueError, match="window=0 of a NeuralRDE"):
        NeuralRDE(2, window=0, key=jr.key(0))
