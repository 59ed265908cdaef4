"""Rates from curvature: on quadratics, where all is known, and as the optimiser of any `fit`."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cadlag.data import Batches
from cadlag.lens import curvature_rate, heavy_ball
from cadlag.train import fit, gradient

KEY = jax.random.key(0)
EIGENVALUES = np.array([10.0, 6.0, 3.0, 1.0, 0.5, 0.2])
ROTATION = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
MATRIX = jnp.asarray(ROTATION * EIGENVALUES @ ROTATION.T)


def quadratic(w, batch, key):
    return w @ MATRIX @ w / 2, {}


def descend(optimiser, steps, **options):
    return fit(gradient(quadratic, optimiser), jnp.ones(6), None, steps=steps, key=KEY, **options)


def test_the_rate_is_that_of_the_largest_eigenvalue():
    state = descend(curvature_rate(every=5, steps=6), 12).state.opt_state
    np.testing.assert_allclose([state.largest, state.rate, state.momentum], [10.0, 0.1, 0.0], rtol=1e-10)
    assert int(state.count) == 12


def test_heavy_ball_shrinks_errors_by_the_root_of_the_momentum():
    least, largest = 0.2, 10.0
    rate, momentum = heavy_ball(least, largest)
    high, low = 10**0.5, 0.2**0.5
    expected = [4 / (high + low) ** 2, ((high - low) / (high + low)) ** 2]
    np.testing.assert_allclose([rate, momentum], expected, rtol=1e-12)
    w, before = np.ones(6), np.ones(6)
    sizes = []
    for _ in range(400):
        w, before = w - float(rate) * np.asarray(MATRIX) @ w + float(momentum) * (w - before), w
        sizes.append(np.linalg.norm(w))
    measured = (sizes[-1] / sizes[99]) ** (1 / 300)
    # The extreme eigenvalues are double roots: a factor k in front of the k-th power, log(400/100)/300 in the rate.
    assert abs(measured / float(momentum) ** 0.5 - 1) < 0.02


def test_with_momentum_a_quadratic_is_solved_sooner():
    plain = descend(curvature_rate(every=5, steps=6), 60).history["loss"][-1]
    ball = descend(curvature_rate(every=5, steps=6, momentum=True, floor=0.02, share=1.9), 60)
    assert ball.history["loss"][-1] < 0.05 * plain
    np.testing.assert_allclose(ball.state.opt_state.rate, 0.95 * heavy_ball(0.2, 10.0)[0], rtol=1e-6)


def test_averages_forget_and_bounds_hold():
    changing = lambda w, batch, key: (batch * w @ MATRIX @ w / 2, {})

    class Growing:
        def init(self, key):
            return jnp.asarray(0.0)

        def draw(self, state, train_state, key):
            return state + 1, 1.0 + state

    optimiser = curvature_rate(every=1, steps=6, memory=0.5)
    found = fit(gradient(changing, optimiser), jnp.ones(6), Growing(), steps=3, key=KEY).state.opt_state
    np.testing.assert_allclose(found.largest, 0.25 * 10 + 0.25 * 20 + 0.5 * 30, rtol=1e-9)
    capped = descend(curvature_rate(bounds=(1e-5, 0.03), steps=6), 2).state.opt_state
    np.testing.assert_allclose(capped.rate, 0.03)
    falling = gradient(lambda w, b, k: (-jnp.sum(w**2), {}), curvature_rate(steps=2, bounds=(1e-5, 0.5)))
    assert float(fit(falling, jnp.ones(2), None, steps=1, key=KEY).state.opt_state.rate) == 0.5


def test_a_run_that_is_resumed_ends_with_the_same_bits(tmp_path):
    x = jax.random.normal(KEY, (32, 3))
    source = Batches((x, jnp.sin(x[:, 0])), 8)

    def loss(w, batch, key):
        return jnp.mean((jnp.tanh(batch[0] @ w["a"]) @ w["b"] - batch[1]) ** 2), {}

    start = {"a": jax.random.normal(KEY, (3, 4)), "b": jnp.ones(4)}
    update = gradient(loss, curvature_rate(every=3, steps=4, momentum=True))
    options = {"key": KEY, "block": 5, "checkpoint_every": 5}
    whole = fit(update, start, source, steps=20, **options)
    fit(update, start, source, steps=10, run=tmp_path, **options)
    rest = fit(update, start, source, steps=20, run=tmp_path, **options)
    for a, b in zip(jax.tree.leaves(whole.state), jax.tree.leaves(rest.state), strict=True):
        np.testing.assert_array_equal(a, b)
    assert rest.history["loss"][-1] < rest.history["loss"][0]


def test_a_neural_ode_of_the_library_trains_without_a_rate():
    """A composition: a vector field learns its rate from the curvature of its loss, through the solver."""
    from cadlag.nn import MLP
    from cadlag.solve import ODE, solve

    field = MLP(2, 2, 8, 1, activation=jnp.tanh, key=KEY)
    ts, y0 = jnp.linspace(0.0, 1.0, 6), jnp.asarray([1.0, 0.0])
    truth = jnp.stack([jnp.cos(2 * ts), -jnp.sin(2 * ts)], axis=1)

    def loss(net, batch, key):
        path = solve(ODE(lambda t, y, args: net(y)), y0, ts, steps=2).ys
        return jnp.mean((path - truth) ** 2), {}

    found = fit(gradient(loss, curvature_rate(every=10, steps=6)), field, None, steps=60, key=KEY)
    assert found.history["loss"][-1] < 0.2 * found.history["loss"][0]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"every": 0}, "every=0"),
        ({"steps": 1}, "steps=1"),
        ({"share": 2.0}, "share=2.0"),
        ({"memory": 1.0}, "memory=1.0"),
        ({"bounds": (1.0, 0.1)}, "bounds"),
        ({"floor": 0.0}, "floor=0.0"),
    ],
)
def test_settings_out_of_range(options, text):
    with pytest.raises(ValueError, match=text):
        curvature_rate(**options)


def test_without_the_loss_it_says_what_it_needs():
    optimiser = curvature_rate()
    with pytest.raises(TypeError, match="value_fn"):
        optimiser.update(jnp.ones(2), optimiser.init(jnp.ones(2)), jnp.ones(2))
    assert isinstance(optimiser, optax.GradientTransformationExtraArgs)
