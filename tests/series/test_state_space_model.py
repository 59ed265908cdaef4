"""Deep state-space models beyond what every model of a series must do."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.data import IrregularSeries
from cadlag.nn import LegT
from cadlag.series import LSSL, SeriesClassifier, SeriesRegressor, resampled


def waves(n=40, rows=24, seed=0):
    """Slow or fast waves of random phase."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    t = np.linspace(0, 1, rows)
    values = np.sin(2 * np.pi * (np.where(labels, 1.0, 3.0)[:, None] * t + rng.random((n, 1))))
    return IrregularSeries.from_arrays(t, values[..., None], labels=labels)


def one(series, i=0):
    return series.without_ids()[i]


def test_evenly_spaced_rows_give_both_views_the_same_states():
    even, s = LSSL(1, hidden_size=4, order=6, pool=False, key=jr.key(0)), one(waves())
    uneven = LSSL(1, hidden_size=4, order=6, pool=False, gap=1 / 23, key=jr.key(0))
    np.testing.assert_allclose(even(s), uneven(s), atol=1e-9)


def test_resampled_models_read_half_the_rows():
    smooth = IrregularSeries.from_arrays(np.linspace(0, 1, 400), np.sin(np.linspace(0, 6, 400))[None, :, None])
    s = one(smooth)
    half = eqx.tree_at(lambda q: (q.times, q.values, q.mask), s, (s.times[1::2], s.values[1::2], s.mask[1::2]))
    half = eqx.tree_at(lambda q: q.lengths, half, np.asarray(200))
    model = LSSL(1, hidden_size=6, order=8, depth=1, pool=False, steps=(1e-3, 1e-2), key=jr.key(0))
    whole = model(s, final=True)
    error = lambda m: float(jnp.linalg.norm(m(half, final=True) - whole))
    assert error(resampled(model, 2.0)) < 0.2 * error(model)
    with pytest.raises(ValueError, match="factor=0"):
        resampled(model, 0.0)


def test_dropout_wants_a_rate_below_one_and_settings_a_range():
    for settings in ({"dropout": 1.0}, {"depth": 0}, {"scale": 0.0}, {"gap": -1.0}):
        with pytest.raises(ValueError, match="out of range"):
            LSSL(1, **settings, key=jr.key(0))


@pytest.mark.parametrize("learn", [True, False])
def test_a_classifier_learns_saves_and_says_the_same(learn, tmp_path):
    series = waves()
    build = partial(LSSL, hidden_size=8, order=8, depth=1, steps=(0.02, 0.3), learn=learn)
    fitted = SeriesClassifier(build, epochs=30, batch_size=20, learning_rate=1e-2).fit(series)
    assert fitted.score(waves(seed=1)) > 0.9
    fitted.save(tmp_path / "model")
    back = SeriesClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(back.predict_proba(series), fitted.predict_proba(series))
    system = fitted.model_.model.blocks[0].ssm
    if not learn:
        assert system.shift is None
    else:
        assert all(float(jnp.abs(x).max()) > 1e-4 for x in jax.tree.leaves(system.shift))


def test_a_window_of_memory_in_a_regressor():
    """A composition: the sliding window of LegT in a regressor of uneven series."""
    rng = np.random.default_rng(0)
    times = np.sort(rng.random((24, 12)), axis=1)
    values = np.sin(5 * times + rng.random((24, 1)) * 6)
    series = IrregularSeries.from_arrays(times, values[..., None], labels=values[:, -1])
    build = partial(LSSL, hidden_size=6, order=6, depth=1, memory=LegT(1.0), gap=1 / 12, steps=(0.02, 0.3), pool=False)
    fitted = SeriesRegressor(build, epochs=40, batch_size=12, learning_rate=1e-2).fit(series)
    assert fitted.score(series) > 0.5
