"""The four interpolations against the data, scipy, finite differences and their own promises."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import CubicHermiteSpline, CubicSpline

from cadlag.paths import LookAhead, hermite, linear, natural_cubic, rectilinear

# Compiled once a shape: eager building costs far more here.
IN_TIME = {f.__name__: eqx.filter_jit(f) for f in (linear, hermite, natural_cubic)}
ALL = {**IN_TIME, "rectilinear": eqx.filter_jit(rectilinear)}


@pytest.fixture(params=sorted(ALL))
def name(request):
    return request.param


def series(seed=0, steps=9, channels=2):
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.2, 1.0, steps))
    values = rng.normal(size=(steps, channels))
    mask = rng.uniform(size=(steps, channels)) > 0.35
    mask[4] = True
    return times, values, mask


@eqx.filter_jit
def _evaluate(path, ts):
    return jax.vmap(path.evaluate)(ts)


@eqx.filter_jit
def slopes_of(path, ts):
    return jax.vmap(path.derivative)(ts)


def evaluate(path, ts):
    return np.asarray(_evaluate(path, jnp.asarray(ts)))


def padded(times, values, mask, extra=3):
    times = np.concatenate([times, np.full(extra, times[-1])])
    values = np.concatenate([values, np.zeros((extra, values.shape[1]))])
    return times, values, np.concatenate([mask, np.zeros((extra, values.shape[1]), bool)])


def observation_times(name, times):
    return 2.0 * np.arange(len(times)) if name == "rectilinear" else times


def test_hits_the_observed_data(name):
    times, values, mask = series()
    at_data = evaluate(ALL[name](times, values, mask), observation_times(name, times))
    # The natural spline re-expands its cubics about each knot: rounding, not exact.
    np.testing.assert_allclose(at_data[mask], values[mask], rtol=0, atol=1e-13)


def test_nan_marks_missing_like_the_mask(name):
    times, values, mask = series()
    ts = np.linspace(0.0, times[-1] + 1, 40)
    with_nan = ALL[name](times, np.where(mask, values, np.nan))
    np.testing.assert_array_equal(evaluate(with_nan, ts), evaluate(ALL[name](times, values, mask), ts))


@pytest.mark.parametrize("in_time", sorted(IN_TIME))
def test_straight_line_is_exact_with_gaps(in_time):
    times, _, mask = series()
    mask[[0, -1]] = True
    line = 2.0 - 3.0 * times[:, None] * np.array([[1.0, -0.5]])
    path = IN_TIME[in_time](times, line, mask)
    ts = np.linspace(times[0], times[-1], 50)
    np.testing.assert_allclose(evaluate(path, ts), 2.0 - 3.0 * ts[:, None] * np.array([[1.0, -0.5]]), atol=1e-12)
    slopes = slopes_of(path, jnp.asarray(ts))
    np.testing.assert_allclose(slopes, np.tile([[-3.0, 1.5]], (50, 1)), atol=1e-11)


def test_superposition(name):
    times, x, mask = series(1)
    y = series(2)[1]
    ts = np.linspace(times[0], times[-1], 30)
    build = ALL[name]
    together = evaluate(build(times, 2.0 * x - y, mask), ts)
    apart = 2.0 * evaluate(build(times, x, mask), ts) - evaluate(build(times, y, mask), ts)
    np.testing.assert_allclose(together, apart, atol=1e-12)


@pytest.mark.parametrize("smooth", ["hermite", "natural_cubic"])
def test_c1_at_the_knots(smooth):
    times, values, _ = series()
    path = IN_TIME[smooth](times, values)
    inner = jnp.asarray(times[1:-1])
    left = slopes_of(path, inner - 1e-9)
    right = slopes_of(path, inner)
    np.testing.assert_allclose(left, right, atol=1e-6)  # second derivatives here are below 100


@pytest.mark.parametrize("pad", [False, True])
def test_natural_cubic_is_scipys(pad):
    times, values, mask = series(3, steps=14, channels=3)
    args = padded(times, values, mask) if pad else (times, values, mask)
    path = natural_cubic(*args)
    for c in range(3):
        seen = mask[:, c]
        spline = CubicSpline(times[seen], values[seen, c], bc_type="natural")
        ts = np.linspace(times[seen][0], times[seen][-1], 60)
        np.testing.assert_allclose(evaluate(path, ts)[:, c], spline(ts), rtol=0, atol=1e-8)
        slopes = slopes_of(path, jnp.asarray(ts[:-1]))[:, c]
        np.testing.assert_allclose(slopes, spline(ts[:-1], 1), rtol=0, atol=1e-8)


def test_hermite_is_scipys_with_one_sided_slopes():
    times, values, _ = series()
    slopes = np.diff(values, axis=0) / np.diff(times)[:, None]
    left = np.concatenate([slopes[:1], slopes])
    ts = np.linspace(times[0], times[-1], 60)
    expected = CubicHermiteSpline(times, values, left)(ts)
    np.testing.assert_allclose(evaluate(hermite(times, values), ts), expected, atol=1e-12)


def test_rectilinear_by_hand():
    times, x = np.array([0.0, 1.0, 3.0]), np.array([[5.0], [7.0], [4.0]])
    path = rectilinear(times, np.concatenate([times[:, None], x], axis=1), time_channel=0)
    corners = [[0, 5], [1, 5], [1, 7], [3, 7], [3, 4]]
    np.testing.assert_array_equal(evaluate(path, np.arange(5.0)), corners)
    np.testing.assert_array_equal(path.evaluate(2.5), [2.0, 7.0])
    np.testing.assert_array_equal(path.derivative(2.5), [2.0, 0.0])
    assert path.t1 == 4.0
    assert path.look_ahead is LookAhead.none


@pytest.mark.parametrize("causal", ["linear", "hermite"])
def test_a_changed_observation_leaves_the_past_alone(causal):
    times, values, _ = series()
    for j in range(1, len(times)):
        changed = values.copy()
        changed[j] += 10.0
        past = np.linspace(times[0], times[j - 1], 31)
        before = evaluate(IN_TIME[causal](times, values), past)
        np.testing.assert_array_equal(evaluate(IN_TIME[causal](times, changed), past), before)
    assert IN_TIME[causal](times, values).look_ahead is LookAhead.next


@pytest.mark.parametrize("causal", ["linear", "hermite"])
def test_with_gaps_the_past_ends_at_the_last_observed_value(causal):
    times, values, mask = series()
    for j, c in np.argwhere(mask):
        before = np.flatnonzero(mask[:j, c])
        if before.size == 0:
            continue
        changed = values.copy()
        changed[j, c] += 10.0
        past = np.linspace(times[0], times[before[-1]], 31)
        expected = evaluate(IN_TIME[causal](times, values, mask), past)
        np.testing.assert_array_equal(evaluate(IN_TIME[causal](times, changed, mask), past), expected)


def test_rectilinear_is_causal_up_to_the_observation_itself():
    times, values, mask = series()
    for j in range(1, len(times)):
        changed = values.copy()
        changed[j] += 10.0
        past = np.linspace(0.0, 2 * j - 1, 31)
        before = evaluate(rectilinear(times, values, mask), past)
        np.testing.assert_array_equal(evaluate(rectilinear(times, changed, mask), past), before)


@pytest.mark.parametrize("causal", ["linear", "hermite", "rectilinear"])
def test_leading_gap_leaks_only_when_asked(causal):
    times, values, _ = series()
    mask = np.ones(values.shape, bool)
    mask[:3, 0] = False
    changed = values.copy()
    changed[3, 0] += 10.0
    early = np.array([0.0, 2.0, 4.0]) if causal == "rectilinear" else times[:3]
    closed = [evaluate(ALL[causal](times, x, mask, fill_leading=False), early) for x in (values, changed)]
    np.testing.assert_array_equal(closed[0], closed[1])
    np.testing.assert_array_equal(closed[0][:, 0], 0.0)
    filled = evaluate(ALL[causal](times, changed, mask, fill_leading=True), early)
    np.testing.assert_array_equal(filled[:, 0], changed[3, 0])


def test_natural_cubic_looks_at_everything_and_says_so():
    times, values, _ = series()
    changed = values.copy()
    changed[-1] += 10.0
    early = 0.5 * (times[:1] + times[1:2])
    assert natural_cubic(times, values).look_ahead is LookAhead.all
    assert np.all(evaluate(natural_cubic(times, changed), early) != evaluate(natural_cubic(times, values), early))


def test_padding_changes_no_value_and_gives_finite_gradients(name):
    times, values, mask = series()
    ts = jnp.linspace(times[0] - 1, 2 * len(times) + 1.0, 60)
    plain, longer = ALL[name](times, values, mask), ALL[name](*padded(times, values, mask))
    for what in (_evaluate, slopes_of):
        one, two = (what(p, ts) for p in (plain, longer))
        np.testing.assert_allclose(two, one, rtol=1e-13, atol=1e-13)
    assert plain.t1 == longer.t1

    times, values, mask = padded(times, values, mask)

    @jax.jit
    def gradients(times, values, mask):
        def energy(times, values):
            path = ALL[name](times, values, mask)
            return jnp.sum(jax.vmap(path.evaluate)(ts) ** 2) + jnp.sum(jax.vmap(path.derivative)(ts) ** 2)

        return jax.grad(energy, argnums=(0, 1))(times, values)

    for m in (mask, np.zeros_like(mask)):
        assert all(bool(jnp.all(jnp.isfinite(g))) for g in gradients(times, values, m))


def test_gradients_are_finite_differences(name):
    times, values, mask = series()
    ts = jnp.linspace(times[0] + 0.01, times[-1] - 0.01, 23)
    direction = jnp.asarray(series(5)[1])

    def energy(size):
        path = ALL[name](times, values + size * direction, mask)
        return jnp.sum(jnp.sin(jax.vmap(path.evaluate)(ts)))

    energy = jax.jit(energy)
    slope = (energy(1e-5) - energy(-1e-5)) / 2e-5
    np.testing.assert_allclose(jax.jit(jax.grad(energy))(0.0), slope, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("in_time", sorted(IN_TIME))
def test_gradient_in_the_times_is_finite_differences(in_time):
    times, values, mask = series()
    ts = jnp.linspace(times[0] + 0.1, times[-1] - 0.1, 7)
    direction = jnp.asarray(np.random.default_rng(1).normal(size=times.shape))

    def energy(size):
        path = IN_TIME[in_time](times + size * direction, values, mask)
        return jnp.sum(jnp.sin(jax.vmap(path.evaluate)(ts)))

    energy = jax.jit(energy)
    slope = (energy(1e-6) - energy(-1e-6)) / 2e-6
    np.testing.assert_allclose(jax.jit(jax.grad(energy))(0.0), slope, rtol=1e-6, atol=1e-7)


def test_jit_and_vmap_change_nothing(name):
    build = {
        "linear": linear,
        "hermite": hermite,
        "natural_cubic": natural_cubic,
        "rectilinear": rectilinear,
    }[name]
    batch = [series(s) for s in range(3)]
    times, values, masks = (np.stack(parts) for parts in zip(*batch, strict=True))
    ts = jnp.linspace(1.0, 4.0, 5)

    def values_at(times, values, mask):
        return jax.vmap(build(times, values, mask).evaluate)(ts)

    together = jax.jit(jax.vmap(values_at))(times, values, masks)
    for row, args in zip(together[:2], batch[:2], strict=True):
        np.testing.assert_allclose(row, values_at(*args), rtol=1e-12, atol=1e-12)


def test_all_missing_channel_is_zero(name):
    times, values, mask = series()
    mask[:, 1] = False
    path = ALL[name](times, np.where(mask, values, np.nan), mask)
    ts = np.linspace(0.0, times[-1] + 1, 30)
    np.testing.assert_array_equal(evaluate(path, ts)[:, 1], 0.0)
    assert np.all(np.isfinite(evaluate(path, ts)))


def test_end_values_are_held(name):
    times, values, _ = series()
    path = ALL[name](times, values)
    np.testing.assert_allclose(path.evaluate(100.0), values[-1], atol=1e-13)
    np.testing.assert_allclose(path.evaluate(-100.0), values[0], atol=1e-13)
    np.testing.assert_array_equal(path.derivative(100.0), 0.0)
    np.testing.assert_array_equal(path.derivative(-100.0), 0.0)
    assert np.all(path.derivative(path.t1) != 0.0)  # the left derivative at the end itself


def test_single_observation_is_constant(name):
    path = ALL[name](np.array([1.0]), np.array([[2.0, 3.0]]))
    np.testing.assert_array_equal(evaluate(path, [0.0, 1.0, 2.0]), [[2.0, 3.0]] * 3)
    np.testing.assert_array_equal(path.derivative(1.0), [0.0, 0.0])


def test_single_precision_stays_single(name):
    times, values, mask = series()
    path = ALL[name](times.astype(np.float32), values.astype(np.float32), mask)
    assert path.evaluate(jnp.float32(2.0)).dtype == jnp.float32
    assert path.derivative(2.0).dtype == jnp.float32


def test_long_series_use_the_same_knots():
    times = np.linspace(0.0, 1.0, 600)
    values = np.sin(7 * times)[:, None]
    ts = np.linspace(-0.1, 1.1, 77)
    expected = np.interp(ts, times, values[:, 0])
    np.testing.assert_allclose(evaluate(linear(times, values), ts)[:, 0], expected, atol=1e-12)


@pytest.mark.parametrize(
    ("times", "values", "mask", "error", "words"),
    [
        (np.zeros((2, 3)), np.zeros((2, 3, 1)), None, ValueError, "jax.vmap"),
        (np.arange(3.0), np.zeros(3), None, ValueError, r"values\[:, None\]"),
        (np.arange(3.0), np.zeros((4, 1)), None, ValueError, r"\(3,\) and \(4, 1\)"),
        (np.zeros(0), np.zeros((0, 1)), None, ValueError, "T >= 1"),
        (np.arange(3.0), np.zeros((3, 1), int), None, TypeError, "`values` must be real floating-point"),
        (np.arange(3.0), np.zeros((3, 1)), np.zeros((3, 2), bool), ValueError, r"`mask` must be boolean"),
        (np.arange(3.0), np.zeros((3, 1)), np.zeros((3, 1)), ValueError, r"`mask` must be boolean"),
    ],
)
def test_bad_input_is_refused(times, values, mask, error, words):
    with pytest.raises(error, match=words):
        linear(times, values, mask)


def test_rectilinear_refuses_a_channel_that_is_not_there():
    with pytest.raises(ValueError, match="`time_channel` is 2, but `values` has 1 channels"):
        rectilinear(np.arange(3.0), np.zeros((3, 1)), time_channel=2)
