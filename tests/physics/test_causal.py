"""Causal weights and time marching (card 38)."""

import math
import warnings
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.equations import Equation, initial
from cadlag.fields import Box
from cadlag.nn import MLP
from cadlag.physics import (
    PINN,
    Adam,
    EquationSolver,
    FixedWeights,
    HardInitial,
    TimeMarching,
    TimeSlices,
    gaussians,
    mlp,
)
from cadlag.physics._collocation import Collocation, Unknowns
from cadlag.physics._loss import PhysicsLoss
from cadlag.physics._sampling import Batch
from cadlag.physics.causal import CausalWeights, PatentNotice, causal_weights, stop_when_causal

LINE = Box({"x": (0.0, 2 * np.pi), "t": (0.0, 1.0)}, periodic="x")  # time second: nothing may count on its place
WAVE = Equation(
    domain=LINE,
    residual_of=lambda u, speed: u.d("t") + speed * u.d("x"),
    given=(initial(lambda x, t: jnp.sin(x)),),
    parameters=jnp.asarray(3.0),
    exact=lambda x, t: jnp.sin(x - 3.0 * t),
)
DECAY = Equation(
    domain=Box({"t": (0.0, 2.0)}),
    residual_of=lambda u, p: u.d("t") + u,
    given=(initial(lambda t: jnp.ones_like(t)),),
    exact=lambda t: jnp.exp(-t),
)


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PatentNotice)
        yield


def weights(**options):
    return CausalWeights(**{"tolerances": (1.0,), "slices": 4, "check_every": 1, **options})


def problem(equation=WAVE):
    return Collocation(equation, (), (), None, "float64")


def points(count=32):
    """Shuffled in time."""
    return jr.uniform(jr.key(5), (count, 2)) * jnp.asarray([[2 * np.pi, 1.0]])


def loss_and_unknowns(point_weights):
    net = MLP(2, 1, 8, 1, activation=jnp.tanh, key=jr.key(2))
    unknowns = Unknowns(_Scalar(net), None)
    return PhysicsLoss(problem(), ("initial",), 1, point_weights), unknowns


class _Scalar(eqx.Module):
    net: MLP

    def __call__(self, point):
        return self.net(point)[0]


BATCH = Batch(points(), (jnp.stack([jnp.linspace(0, 6, 8), jnp.zeros(8)], axis=1),))


def gradient_of(point_weights):
    loss, unknowns = loss_and_unknowns(point_weights)
    state = loss.init(FixedWeights(), len(BATCH.interior))
    value, grads = eqx.filter_value_and_grad(lambda u: loss(u, state, BATCH)[0])(unknowns)
    return value, jnp.concatenate([g.ravel() for g in jax.tree.leaves(grads)]), loss, unknowns


def slices_of(loss, unknowns):
    """Mean squared residual of each quarter of the sorted times, by hand."""
    squared = np.asarray(loss.problem.squared(unknowns, BATCH.interior))
    order = np.argsort(np.asarray(BATCH.interior[:, 1]))
    return squared[order].reshape(4, -1).mean(1), order


def test_weights_of_one_two_three():
    found = causal_weights(jnp.asarray([1.0, 2.0, 3.0]), 1.0)
    np.testing.assert_allclose(found, [1, math.exp(-1), math.exp(-3)], rtol=1e-14)
    assert found[0] == 1
    first = causal_weights(jnp.asarray([1.0, 2.0]), 0.5, first=4.0)
    np.testing.assert_allclose(first, [math.exp(-2), math.exp(-2.5)], rtol=1e-14)


def test_weights_fall_in_time_and_follow_the_slices():
    w, loss, unknowns = weights(), *loss_and_unknowns(weights())
    losses, order = slices_of(loss, unknowns)
    squared = loss.problem.squared(unknowns, BATCH.interior)
    found, _ = w.weigh(w.init(problem(), 32), BATCH.interior, squared, jnp.zeros(()))
    by_time = np.asarray(found)[order].reshape(4, 8)
    assert np.all(by_time == by_time[:, :1])
    assert np.all(np.diff(by_time[:, 0]) <= 0)
    np.testing.assert_allclose(by_time[:, 0], np.exp(-np.concatenate([[0], np.cumsum(losses)[:-1]])), rtol=1e-12)


def test_without_epsilon_it_is_the_plain_loss():
    plain, slope, *_ = gradient_of(None)
    causal, other, *_ = gradient_of(weights(tolerances=(0.0,)))
    np.testing.assert_allclose(causal, plain, rtol=1e-14)
    np.testing.assert_allclose(other, slope, rtol=1e-12)


def test_no_gradient_flows_through_the_weights():
    slope, loss, unknowns = gradient_of(weights(tolerances=(0.3,)))[1:]
    losses, order = slices_of(loss, unknowns)
    frozen = np.exp(-0.3 * np.concatenate([[0], np.cumsum(losses)[:-1]]))
    each = jnp.zeros(32).at[order].set(jnp.repeat(jnp.asarray(frozen), 8))

    def fixed(u, w):
        face = jnp.mean(loss.problem.on_faces(u, BATCH.faces)[0] ** 2)
        return jnp.mean(w * loss.problem.squared(u, BATCH.interior)) + face

    def flat(tree):
        return jnp.concatenate([g.ravel() for g in jax.tree.leaves(tree)])

    np.testing.assert_allclose(slope, flat(eqx.filter_grad(fixed)(unknowns, each)), rtol=1e-10)

    def leaking(u):
        squared = loss.problem.squared(u, BATCH.interior)
        live = causal_weights(jnp.mean(squared[order].reshape(4, 8), axis=1), 0.3)
        return fixed(u, jnp.zeros(32).at[order].set(jnp.repeat(live, 8)))

    assert not np.allclose(slope, flat(eqx.filter_grad(leaking)(unknowns)), rtol=1e-3)


def test_a_huge_epsilon_leaves_the_first_slice():
    slope, loss, unknowns = gradient_of(weights(tolerances=(1e12,)))[1:]
    _, order = slices_of(loss, unknowns)
    first = BATCH.interior[order[:8]]

    def early(u):
        face = jnp.mean(loss.problem.on_faces(u, BATCH.faces)[0] ** 2)
        return jnp.mean(loss.problem.squared(u, first)) / 4 + face

    expected = jnp.concatenate([g.ravel() for g in jax.tree.leaves(eqx.filter_grad(early)(unknowns))])
    np.testing.assert_allclose(slope, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(("size", "passes"), [(0.999, True), (1.001, False)])
def test_a_stage_ends_at_the_stated_bound(size, passes):
    """min w > 0.99 just where Σ_{k<n} L_k < 0.01005034 / ε."""
    w = weights(tolerances=(2.0, 5.0))
    times = jnp.stack([jnp.zeros(8), jnp.linspace(0, 1, 8)], axis=1)
    squared = jnp.full(8, size * 0.010050336 / 2.0 / 3)  # three of four slices count
    state = w.init(problem(), 8)
    found, after = w.weigh(state, times, squared, jnp.zeros(()))
    assert (int(after.stage) == 1) is passes
    assert (float(jnp.min(found)) > 0.99) is passes
    assert not bool(after.done)
    done = w.weigh(after, times, squared * 0, jnp.zeros(()))[1]
    assert bool(done.done) is passes  # the last stage has to pass, too


def test_patience_ends_a_stage():
    w = weights(tolerances=(1.0, 10.0), patience=3, check_every=1)
    state, times = w.init(problem(), 8), jnp.zeros((8, 2))
    stages = []
    for _ in range(5):
        state = w.weigh(state, times, jnp.full(8, 9.0), jnp.zeros(()))[1]
        stages.append(int(state.stage))
    assert stages == [0, 0, 1, 1, 1]
    assert not bool(state.done)


def test_conditions_may_come_first():
    w = weights(conditions_first=True)
    found, _ = w.weigh(w.init(problem(), 8), jnp.zeros((8, 2)), jnp.zeros(8), jnp.asarray(2.0))
    np.testing.assert_allclose(found, math.exp(-2), rtol=1e-14)


def test_refusals_and_the_notice():
    with pytest.warns(PatentNotice, match="patent"):
        weights()
    for options, message in (
        ({"tolerances": (1.0, 0.1)}, "rising"),
        ({"tolerances": ()}, "rising"),
        ({"slices": 1}, "slices >= 2"),
        ({"delta": 1.0}, "delta"),
    ):
        with pytest.raises(ValueError, match=message):
            weights(**options)
    with pytest.raises(ValueError, match="do not part into"):
        weights().init(problem(), 30)
    no_time = Equation(domain=Box({"x": (0.0, 1.0)}), residual_of=lambda u, p: u)
    with pytest.raises(ValueError, match="axis 't'"):
        weights().init(problem(no_time), 32)
    with pytest.raises(ValueError, match="windows=0"):
        TimeMarching(PINN(), 0)
    free = Equation(domain=DECAY.domain, residual_of=lambda u, p: u.d("t"))
    with pytest.raises(ValueError, match="no initial condition"):
        EquationSolver(free, TimeMarching(PINN(), 2)).fit()


SMALL = partial(mlp, width=12, depth=1)


def test_training_ends_when_time_is_solved():
    method = PINN(
        SMALL, sampler=TimeSlices(8, 2), ansatz=HardInitial(), hooks=(stop_when_causal,), block=50,
        point_weights=weights(tolerances=(0.1, 1.0), slices=8), phases=Adam(3000, learning_rate=1e-2),
    )  # fmt: skip
    solution = EquationSolver(DECAY, method, seed=1).solve()
    assert solution.result.step < 3000
    assert solution.history["least_weight"][-1] > 0.95
    assert solution.error < 0.03  # weights above 0.99 at ε = 1 mean Σ L < 0.01


def test_windows_of_moving_gaussians_join_up():
    """Nobody's combination: causal weights, windows, Gaussians and a hard initial state."""
    network = partial(gaussians, count=8, width=0.5)
    method = PINN(
        network, sampler=TimeSlices(8, 2), ansatz=HardInitial(), point_weights=weights(tolerances=(0.1, 1.0), slices=8),
        phases=Adam(600, learning_rate=1e-2),
    )  # fmt: skip
    solution = EquationSolver(DECAY, TimeMarching(method, 2), seed=3).solve()

    def at(t):
        return float(solution.predict(np.array([[t]]))[0])

    assert at(0.0) == pytest.approx(1.0, abs=1e-12)  # hard in the first window
    assert at(1.0 - 1e-9) == pytest.approx(at(1.0), abs=1e-6)  # and in the second
    assert solution.error < 0.1
    assert len(solution.history["step"]) == solution.result.step == 1200
    assert np.all(np.diff(solution.history["step"]) == 1)
