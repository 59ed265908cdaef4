"""Roll-outs against loops, objectives against their definitions, scaling, losses, refusals."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.data import FieldNormaliser
from cadlag.operators import (
    MeanSquare,
    Normalised,
    OneStep,
    OneStepLoss,
    Pushforward,
    RelativeH1,
    RelativeL2,
    RelativeSobolev,
    Unrolled,
    Window,
    rollout,
)

from .small import ConvNet, Known

KEY = jr.key(0)
RNG = np.random.default_rng(0)


def net(channels, out_channels, **options):
    return ConvNet(channels, out_channels, width=4, key=KEY, **({"spatial_axes": 1} | options))


def test_one_step_folds_frames_into_channels_in_order():
    double = OneStep(Known(lambda u: u[2:] - u[:2], channels=4, out_channels=2), history=2, scale=(2.0, 3.0))
    u = jnp.asarray(RNG.normal(size=(2, 2, 5)))
    expected = (u[1] - u[0]) * np.array([[2.0], [3.0]])
    np.testing.assert_allclose(double(u), expected[None], rtol=1e-14)
    residual = OneStep(double.network, history=2, residual=True, scale=[2.0, 3.0])
    np.testing.assert_allclose(residual(u), (u[1] + expected)[None], rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("steps", [1, 5, 6])
def test_rollout_is_the_loop(steps, dtype):
    """Two frames to three, one channel predicted and one given along; the last call is cut."""
    operator = OneStep(net(2 * 2, 3 * 1, conditions=1), history=2, horizon=3, residual=True)
    operator = jax.tree.map(lambda x: x.astype(dtype) if hasattr(x, "dtype") else x, operator)
    u0, inputs = (jnp.asarray(RNG.normal(size=s), dtype) for s in ((2, 2, 8), (steps, 1, 8)))
    cond = jnp.asarray([0.3], dtype)
    found = jax.jit(lambda u, i: rollout(operator, u, steps, inputs=i, cond=cond))(u0, inputs)
    window, expected = u0, []
    while sum(map(len, expected)) < steps:
        done = sum(map(len, expected))
        new = operator(window, cond=cond)
        expected.append(new)
        given = inputs[np.minimum(np.arange(done, done + 3), steps - 1)]
        window = jnp.concatenate([window, jnp.concatenate([new, given], axis=1)])[-2:]
    assert found.dtype == dtype
    np.testing.assert_allclose(found, np.concatenate(expected)[:steps], rtol=1e-4 if dtype == np.float32 else 1e-11)


def test_rollout_of_a_shift_moves_the_field():
    shift = OneStep(Known(lambda u: jnp.roll(u, 1, axis=-1)))
    u0 = jnp.asarray(RNG.normal(size=(1, 1, 7)))
    found = rollout(shift, u0, 7)
    np.testing.assert_array_equal(found[-1], u0[0])
    np.testing.assert_array_equal(found[2], np.roll(u0[0], 3, axis=-1))


def test_inputs_default_to_the_last_ones():
    add = OneStep(Known(lambda u: u[:1] + u[1:], channels=2))
    u0 = jnp.asarray(RNG.normal(size=(1, 2, 4)))
    np.testing.assert_allclose(rollout(add, u0, 3)[-1, 0], u0[0, 0] + 3 * u0[0, 1], rtol=1e-14)
    ramp = jnp.arange(3.0).reshape(3, 1, 1) * jnp.ones((1, 1, 4))
    # The input of u0 acts on the first step, the first of `inputs` on the second.
    found = rollout(add, u0, 3, inputs=ramp)
    np.testing.assert_allclose(found[-1, 0], u0[0, 0] + u0[0, 1] + 0 + 1, rtol=1e-12)


def window(history, frames, extra=0, points=6):
    rng = np.random.default_rng(1)
    make = lambda *shape: jnp.asarray(rng.normal(size=(*shape, points)))
    return Window(make(history, 1 + extra), make(frames, 1), make(frames, extra) if extra else None, None)


def test_objectives_agree_where_they_must():
    operator, loss = OneStep(net(1, 1)), MeanSquare()
    w = window(1, 3)
    one = OneStepLoss()(operator, loss, w._replace(future=w.future[:1]), KEY)
    np.testing.assert_allclose(Unrolled(1)(operator, loss, w._replace(future=w.future[:1]), KEY), one, rtol=1e-12)
    assert [o.frames(operator) for o in (OneStepLoss(), Unrolled(3), Pushforward(2))] == [1, 3, 3]
    # A bundle of two frames: one call, as an unrolled loss of one step sees it.
    bundle = OneStep(net(1, 2), horizon=2)
    assert [o.frames(bundle) for o in (OneStepLoss(), Unrolled(3), Pushforward(2))] == [2, 6, 6]
    np.testing.assert_allclose(
        OneStepLoss()(bundle, loss, w._replace(future=w.future[:2]), KEY),
        jnp.mean(jnp.square(bundle.network(w.past[0]) - w.future[:2, 0])),
        rtol=1e-12,
    )


@pytest.mark.parametrize("extra", [0, 1])
def test_gradients_of_unrolled_and_pushforward(extra):
    """Through all steps in the one, through the last alone in the other."""
    operator, loss = OneStep(net(1 + extra, 1), residual=True), MeanSquare()
    w = window(1, 2, extra)

    def step(o, u, i=None):
        new = o(u)
        return new if not extra else jnp.concatenate([new, w.inputs[i : i + 1]], axis=1)

    def through(o):
        first = step(o, w.past, 0)
        return 0.5 * (loss(first[:, :1], w.future[:1]) + loss(o(first), w.future[1:]))

    def last(o):
        return loss(o(jax.lax.stop_gradient(step(o, w.past, 0))), w.future[1:])

    for objective, expected in ((Unrolled(2), through), (Pushforward(1, random=False), last)):
        found = jax.jit(jax.value_and_grad(lambda o, f=objective: f(o, loss, w, KEY)))(operator)
        for a, b in zip(*map(jax.tree.leaves, (found, jax.value_and_grad(expected)(operator))), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_pushforward_draws_how_many_calls_come_before():
    operator, loss, w = OneStep(net(1, 1)), MeanSquare(), window(1, 3)
    values = jax.vmap(lambda k: Pushforward(2)(operator, loss, w, k))(jr.split(KEY, 60))
    u, expected = w.past, []
    for i in range(3):
        expected.append(loss(operator(u), w.future[i : i + 1]))
        u = operator(u)
    hits = np.array([np.sum(np.isclose(values, e, rtol=1e-9)) for e in expected])
    assert hits.sum() == 60
    # Of 60 draws with a third each: fewer than 6 has a probability below 1e-4.
    assert hits.min() >= 6


def scaling(mean, sd):
    """Of channels on a line."""
    return FieldNormaliser(*(jnp.asarray(v, float).reshape(-1, 1) for v in (mean, sd)), tuple("uvw"[: len(mean)]))


def test_normalised_works_in_the_units_of_the_data():
    inner = OneStep(net(2, 2, conditions=1))
    u, cond = jnp.asarray(RNG.normal(size=(1, 2, 8))), jnp.asarray([2.5])
    ins, outs = scaling([5.0, -1.0], [3.0, 0.2]), scaling([0.0, 2.0], [10.0, 1.0])
    told = FieldNormaliser(jnp.asarray([2.0]), jnp.asarray([0.5]), ("nu",))
    found = Normalised(inner, ins, outs, told)(u, cond=cond)
    z = np.stack([(u[:, 0] - 5) / 3, (u[:, 1] + 1) / 0.2], axis=1)
    y = inner(jnp.asarray(z), cond=jnp.asarray([1.0]))
    np.testing.assert_allclose(found, np.stack([10 * y[:, 0], y[:, 1] + 2], axis=1), rtol=1e-12)


def test_statistics_are_not_trained():
    model = Normalised(OneStep(net(1, 1)), scaling([1.0], [2.0]), scaling([1.0], [2.0]))
    slope = jax.grad(lambda m: jnp.sum(m(jnp.ones((1, 1, 6)))))(model)
    np.testing.assert_array_equal(slope.inputs.mean, 0)
    np.testing.assert_array_equal(slope.outputs.sd, 0)
    assert np.any(np.asarray(slope.operator.network.last.weight) != 0)


def test_losses():
    truth = jnp.asarray(RNG.normal(size=(2, 3, 4, 5)))
    for loss in (RelativeL2(), RelativeSobolev(), RelativeSobolev(modes=2), RelativeH1()):
        np.testing.assert_allclose(loss(0 * truth, truth), 1, rtol=1e-12)
    p = truth + 0.1
    expected = np.mean(0.1 * np.sqrt(20) / np.linalg.norm(np.reshape(truth, (2, 3, -1)), axis=-1))
    np.testing.assert_allclose(RelativeL2()(p, truth), expected, rtol=1e-12)
    # One channel at zero all along counts by its deviation: 0.1 in a third of the frames.
    dead = truth.at[:, 0].set(0)
    found, slope = jax.value_and_grad(RelativeL2())(dead + 0.1, dead)
    np.testing.assert_allclose(
        found,
        0.1 / 3 + np.sum(0.1 * np.sqrt(20) / np.linalg.norm(np.reshape(truth[:, 1:], (2, 2, -1)), axis=-1)) / 6,
        rtol=1e-12,
    )  # fmt: skip
    assert np.all(np.isfinite(slope))


def test_refusals():
    with pytest.raises(ValueError, match="history=2 with a network of 3 channels"):
        OneStep(net(3, 1), history=2)
    with pytest.raises(ValueError, match="residual"):
        OneStep(net(1, 2), residual=True)
    with pytest.raises(ValueError, match="scale"):
        OneStep(net(1, 1), scale=-1.0)
    operator = OneStep(net(2, 1, conditions=2))
    u = jnp.zeros((1, 2, 8))
    with pytest.raises(ValueError, match="vector of 2 conditions"):
        operator(u)
    with pytest.raises(ValueError, match=r"shape \(2, 8\)"):
        operator(u[0], cond=jnp.zeros(2))
    with pytest.raises(ValueError, match="takes no conditions"):
        OneStep(net(1, 1))(u[:, :1], cond=jnp.zeros(1))
    with pytest.raises(ValueError, match="steps=0"):
        rollout(operator, u, 0)
    with pytest.raises(ValueError, match=r"expected \(steps, extra, \*space\) = \(3, 1, 8\)"):
        rollout(operator, u, 3, inputs=jnp.zeros((2, 1, 8)), cond=jnp.zeros(2))
    with pytest.raises(ValueError, match="leave inputs out"):
        rollout(OneStep(net(1, 1)), u[:, :1], 3, inputs=jnp.zeros((3, 0, 8)))
    with pytest.raises(ValueError, match="steady map"):
        rollout(OneStep(net(1, 2)), u[:, :1], 3)
    with pytest.raises(ValueError, match="scalings of"):
        Normalised(operator, scaling([0.0], [1.0]), scaling([0.0], [1.0]))
    for cls in (Unrolled, Pushforward):
        with pytest.raises(ValueError, match="positive integer"):
            cls(0)
