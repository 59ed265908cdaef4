"""Card properties of the three stable SDEs, and what any model of a series must do."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.data import IrregularSeries
from cadlag.paths import BrownianGrid, hermite, natural_cubic
from cadlag.series import GRU, GRUD, GSDE, LNSDE, LSDE, LSSL, NeuralCDE, NeuralODE, NeuralSDE
from cadlag.solve import AdaptiveSteps, Direct, EulerMaruyama, Reversible, ReversibleHeun, solve, to_stratonovich

MODELS = {
    "lsde": partial(LSDE, hidden_size=5, depth=2),
    "lnsde": partial(LNSDE, hidden_size=5, depth=2),
    "gsde": partial(GSDE, hidden_size=5, depth=2),
    "cde": partial(NeuralCDE, hidden_size=5),
    "ode": partial(NeuralODE, hidden_size=5),
    "naive": partial(NeuralSDE, hidden_size=5),
    "gru": partial(GRU, hidden_size=5),
    "gru-d": partial(GRUD, hidden_size=5),
    "lssl": partial(LSSL, hidden_size=5, order=4),
    "lssl-uneven": partial(LSSL, hidden_size=5, order=4, gap=0.2, pool=False, depth=1),
}
STABLE = ("lsde", "lnsde", "gsde")
TIMES = np.array([0.0, 0.1, 0.25, 0.4, 0.7, 1.0])


def example(seed=0, missing=0.3, padding=0):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((1, 6, 2))
    values[rng.random(values.shape) < missing] = np.nan
    times = np.pad(TIMES, (0, padding), mode="edge")[None]
    values = np.pad(values, ((0, 0), (0, padding), (0, 0)), constant_values=np.nan)
    return IrregularSeries.from_arrays(times, values, lengths=[6]).without_ids()[0]


@eqx.filter_jit
def run(model, s, key=None, final=False):
    return model(s, key=jr.key(0) if key is None else key, final=final)


def process(name, clip, seed=1):
    model = MODELS[name](2, clip=clip, key=jr.key(seed))
    s = example()
    return model.process(hermite(s.times, np.concatenate([s.times[:, None], s.values], 1)))


@pytest.mark.parametrize("clip", [True, False])
def test_diffusion_depends_on_the_state_as_the_family_says(clip):
    z, w, t = jnp.array([0.3, -1.0, 2.0, 0.0, 0.5]), jnp.ones(5), jnp.asarray(0.3)
    additive = process("lsde", clip)
    assert jnp.max(jnp.abs(additive.diffusion(t, z, None) - additive.diffusion(t, w, None))) == 0.0
    for name in ("lnsde", "gsde"):
        p = process(name, clip)
        assert jnp.all(p.diffusion(t, 0 * z, None) == 0)
        if not clip:
            np.testing.assert_allclose(p.diffusion(t, 3 * z, None), 3 * p.diffusion(t, z, None), atol=1e-12)


def test_zero_absorbs_the_geometric_family():
    z = jnp.zeros(5)
    for clip in (True, False):
        assert jnp.all(process("gsde", clip).drift(jnp.asarray(0.2), z, None) == 0)
    assert jnp.any(process("lnsde", False).drift(jnp.asarray(0.2), z, None) != 0)


@pytest.mark.parametrize("name", STABLE)
def test_clipped_coefficients_are_bounded_by_one(name):
    p = process(name, True)
    z = 100 * jr.normal(jr.key(3), (200, 5))
    for t in (0.0, 0.33, 1.0):
        f = jax.vmap(lambda y, t=t: p.drift(jnp.asarray(t), y, None))(z)
        g = jax.vmap(lambda y, t=t: p.diffusion(jnp.asarray(t), y, None))(z)
        assert jnp.max(jnp.abs(f)) <= 1
        assert jnp.max(jnp.abs(g)) <= 1


@pytest.mark.parametrize("name", STABLE)
def test_split_embedding_is_the_one_the_paper_writes(name):
    model = MODELS[name](2, key=jr.key(1))
    embedding, t, x = model.embedding, jnp.asarray(0.4), jnp.array([0.4, -1.0, 0.5])
    z = jr.normal(jr.key(2), (5,))
    features = jnp.stack([jnp.sin(t), jnp.cos(t)])
    seen = z if name == "lsde" else jnp.concatenate([features, z])
    u = embedding.state.weight @ seen + embedding.state.bias
    v = embedding.control.weight @ x + embedding.control.bias
    written = embedding.mix.weight @ jnp.concatenate([u, v]) + embedding.mix.bias
    split = embedding.state_matrix() @ z + embedding.folded()(t, x)
    np.testing.assert_allclose(split, written, atol=1e-12)


@pytest.mark.parametrize("name", STABLE)
def test_without_noise_keys_do_not_matter_and_the_ode_is_solved(name):
    s = example()
    model = MODELS[name](2, noisy=False, key=jr.key(4))
    assert jnp.max(jnp.abs(run(model, s) - run(model, s, jr.key(1)))) == 0.0
    p = model.process(hermite(*_control(s)))
    y0 = model.initial(jnp.asarray(_control(s)[1][0]), None)
    ts = jnp.array([0.0, 1.0])
    exact = solve(p, y0, ts, steps=AdaptiveSteps(1e-9, 1e-11)).y1
    errors = [jnp.max(jnp.abs(solve(p, y0, ts, steps=n, stepper=EulerMaruyama()).y1 - exact)) for n in (50, 200)]
    assert errors[1] < 0.01
    assert 3 < errors[0] / errors[1] < 5  # order one: four times the steps, a quarter of the error


def _control(s):
    return s.times, np.concatenate([s.times[:, None], s.values], 1), np.concatenate([np.ones((6, 1), bool), s.mask], 1)


@pytest.mark.parametrize("name", MODELS)
def test_padding_changes_nothing(name):
    model = MODELS[name](2, key=jr.key(5))
    short, long = example(), example(padding=3)
    key = jr.key(6)

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def readout(m, s):
        return jnp.sum(jnp.sin(m(s, key=key, final=True)))

    value, grad = readout(model, short)
    padded, padded_grad = readout(model, long)
    np.testing.assert_allclose(padded, value, rtol=1e-12)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), padded_grad, grad)
    states = run(model, long, key)
    np.testing.assert_allclose(states[5], run(model, short, key, final=True), rtol=1e-12)
    np.testing.assert_allclose(states[-1], states[5], rtol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_missing_values_are_never_read(name):
    model = MODELS[name](2, key=jr.key(5))
    s = example()
    other = eqx.tree_at(lambda q: q.values, s, np.where(s.mask, s.values, 1e6))
    np.testing.assert_array_equal(run(model, s), run(model, other))
    empty = eqx.tree_at(lambda q: (q.values, q.mask), s, (0 * s.values, np.zeros_like(s.mask)))
    assert jnp.all(jnp.isfinite(run(model, empty)))


@pytest.mark.parametrize("name", MODELS)
def test_the_future_changes_no_earlier_state(name):
    """States at t_i may know the next observation of each channel (Hermite), never one after it."""
    model = MODELS[name](2, key=jr.key(7))
    s = example(missing=0.0)
    later = np.array(s.values)
    later[4:] += 1.0
    moved = eqx.tree_at(lambda q: q.values, s, later)
    before, after = (np.asarray(run(model, x)) for x in (s, moved))
    # A convolution by FFT mixes rounding errors.
    np.testing.assert_allclose(before[:4], after[:4], rtol=0, atol=1e-14 if name == "lssl" else 0)
    if not model.blind:
        assert np.max(np.abs(before[5] - after[5])) > 1e-8


@pytest.mark.parametrize("name", MODELS)
def test_batches_are_loops_and_static_features_count(name):
    model = MODELS[name](2, static_size=2, key=jr.key(8))
    batch = [
        eqx.tree_at(lambda q: q.static, example(i), np.array([i, 1.0]), is_leaf=lambda x: x is None) for i in range(3)
    ]
    stacked = jax.tree.map(lambda *xs: np.stack(xs), *batch)
    keys = jr.split(jr.key(9), 3)
    together = jax.jit(jax.vmap(lambda s, k: model(s, key=k, final=True)))(stacked, keys)
    alone = jnp.stack([run(model, s, k, final=True) for s, k in zip(batch, keys, strict=True)])
    np.testing.assert_allclose(together, alone, rtol=1e-9)
    other = eqx.tree_at(lambda q: q.static, batch[0], np.array([0.0, 5.0]))
    assert jnp.any(run(model, other, keys[0], final=True) != alone[0])


@pytest.mark.parametrize("name", STABLE)
def test_more_steps_a_gap_converge(name):
    s = example()
    ends = [run(MODELS[name](2, noisy=False, steps=n, key=jr.key(4)), s, final=True) for n in (4, 8, 64)]
    assert jnp.max(jnp.abs(ends[1] - ends[2])) < jnp.max(jnp.abs(ends[0] - ends[2]))


@pytest.mark.parametrize(("setting", "value"), [("hidden_size", 0), ("depth", 0), ("steps", 0)])
def test_bad_settings_are_named(setting, value):
    with pytest.raises(ValueError, match=f"{setting}={value} must be at least 1"):
        LNSDE(2, key=jr.key(0), **{setting: value})


@pytest.mark.parametrize("name", STABLE)
def test_one_step_a_gap_without_the_path_is_one_with_it(name):
    """The shortcut through tabulated observations against the process steered by the Hermite path."""
    model, s, key = MODELS[name](2, key=jr.key(4)), example(), jr.key(3)
    path = hermite(*_control(s))
    y0 = model.initial(path.evaluate(s.times[0]), None)
    through_path = solve(model.process(path), y0, s.times, key=key, stepper=EulerMaruyama()).ys
    np.testing.assert_allclose(run(model, s, key), through_path, rtol=1e-10)


def test_parts_nobody_put_together_compose():
    """A geometric stable SDE in Stratonovich form, stepped by reversible Heun with its O(1) backward pass, steered by
    a natural spline instead of a Hermite cubic, on a Brownian path that a finer solver shares.
    """
    s, w = example(), BrownianGrid(jnp.linspace(0.0, 1.0, 257), (5,), key=jr.key(2))
    spline = natural_cubic(*_control(s))
    model = MODELS["gsde"](2, clip=False, key=jr.key(1))
    y0 = jnp.array([0.5, 1.0, 1.5, 0.7, 0.9])

    def end(m, adjoint, cells=4):
        p = to_stratonovich(m.process(spline))
        grid = w.every(cells)
        return solve(p, y0, grid.step_grid, driver=grid, stepper=ReversibleHeun(), adjoint=adjoint).y1

    direct, reversible = (
        eqx.filter_jit(eqx.filter_grad(lambda m, a=a: jnp.sum(end(m, a) ** 2)))(model) for a in (Direct(), Reversible())
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10), reversible, direct)
    assert max(float(jnp.max(jnp.abs(g))) for g in jax.tree.leaves(direct)) > 1e-6
    ito = solve(model.process(spline), y0, w.grid, driver=w, stepper=EulerMaruyama()).y1
    # Euler's strong error at 256 steps is of the order sqrt(1/256) times a factor below one.
    np.testing.assert_allclose(end(model, Direct(), 1), ito, rtol=0.05)
    assert jnp.all(ito > 0)
