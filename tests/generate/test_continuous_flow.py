"""Continuous normalising flows: densities against closed forms, the estimator, what it refuses."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from cadlag.distributions import MultivariateT, Normal
from cadlag.generate import ContinuousFlow, FlowLoss, FlowModel, concat_squash
from cadlag.linalg import rademacher_probes
from cadlag.solve import ODE, AdaptiveSteps, Checkpointed, solve, with_density
from cadlag.train import AbstractProgress

A = np.array([[0.3, -1.0, 0.2], [0.8, -0.5, 0.1], [0.0, 0.4, 0.6]])
FINE = AdaptiveSteps(rtol=1e-9, atol=1e-9)


class Linear(eqx.Module):
    a: jax.Array

    def __call__(self, t, x):
        return self.a @ x


@pytest.fixture(scope="module")
def linear():
    return FlowModel((Linear(jnp.asarray(A)), Linear(jnp.asarray(-0.5 * A))), Normal(jnp.zeros(3)), 0.7, FINE)


def test_the_log_density_changes_by_minus_the_trace():
    process = with_density(ODE(lambda t, y, args: jnp.asarray(A) @ y))
    y0 = (jnp.ones(3), jnp.zeros(()))
    y, change = solve(process, y0, jnp.array([0.0, 0.7]), steps=FINE).y1
    np.testing.assert_allclose(change, -0.7 * np.trace(A), rtol=1e-6)
    np.testing.assert_allclose(y, scipy.linalg.expm(0.7 * A) @ np.ones(3), rtol=1e-7)


def test_probes_are_right_on_average():
    ends = []
    for probes in (None, rademacher_probes(jnp.ones(3), 400, key=jax.random.key(1))):
        process = with_density(ODE(lambda t, y, args: jnp.asarray(A) @ y), probes=probes)
        ends.append(float(solve(process, (jnp.ones(3), jnp.zeros(())), jnp.array([0.0, 1.0]), steps=4).y1[1]))
    symmetric = (A + A.T) / 2
    variance = 2 * (np.sum(symmetric**2) - np.sum(np.diag(symmetric) ** 2))
    assert abs(ends[0] - ends[1]) < 3 * np.sqrt(variance / 400)


def test_noise_has_no_density_along_a_path():
    from cadlag.solve import SDE

    with pytest.raises(ValueError, match="Fokker-Planck"):
        with_density(SDE(lambda t, y, a: -y, lambda t, y, a: y))


def test_a_linear_flow_of_a_normal_law_is_normal(linear):
    # z = B x with B = exp(-0.35 A) exp(0.7 A) is standard normal.
    b = scipy.linalg.expm(-0.35 * A) @ scipy.linalg.expm(0.7 * A)
    law = scipy.stats.multivariate_normal(cov=np.linalg.inv(b.T @ b))
    x = np.random.default_rng(0).normal(size=(5, 3))
    found = jax.jit(jax.vmap(linear.log_prob))(jnp.asarray(x))
    np.testing.assert_allclose(found, law.logpdf(x), atol=1e-7)
    np.testing.assert_allclose(linear.encode(jnp.asarray(x[0])), b @ x[0], rtol=1e-7)
    np.testing.assert_allclose(linear.decode(linear.encode(jnp.asarray(x[0]))), x[0], rtol=1e-6)


def test_the_effort_is_that_of_the_path(linear):
    x = jnp.array([0.3, -0.4, 1.1])
    one = FlowModel(linear.networks[:1], linear.base, 0.7, FINE)
    density, kinetic, jacobian = one.log_prob_and_effort(x)
    times = np.linspace(0, 0.7, 2001)
    speed = [np.sum((A @ scipy.linalg.expm(t * A) @ np.asarray(x)) ** 2) for t in times]
    np.testing.assert_allclose(kinetic, np.trapezoid(speed, times), rtol=1e-6)
    np.testing.assert_allclose(jacobian, 0.7 * np.sum(A**2), rtol=1e-7)
    np.testing.assert_allclose(density, one.log_prob(x), rtol=1e-8)


def test_the_loss_is_the_same_with_and_without_weightless_effort_and_any_adjoint():
    network = concat_squash((2,), width=4, depth=1, key=jax.random.key(0))
    batch = jax.random.normal(jax.random.key(1), (8, 2))
    plain = FlowModel((network,), Normal(jnp.zeros(2)), steps=4)
    other = FlowModel((network,), Normal(jnp.zeros(2)), steps=4, adjoint=Checkpointed())
    slopes = [
        jax.tree.leaves(eqx.filter_grad(lambda m, loss=loss: loss(m, batch, jax.random.key(2))[0])(model).networks)
        for model, loss in ((plain, FlowLoss()), (other, FlowLoss()), (plain, FlowLoss(None, 1e-300, 0.0)))
    ]
    for found in slopes[1:]:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12), slopes[0], found)


def moons(n, seed):
    from sklearn.datasets import make_moons

    return make_moons(n, noise=0.1, random_state=seed)[0]


@pytest.fixture(scope="module")
def fitted():
    network = functools.partial(concat_squash, width=16, depth=2)
    return ContinuousFlow(network, blocks=1, t1=1.0, steps=300, solver_steps=8, learning_rate=1e-2).fit(moons(512, 0))


def test_it_learns_more_than_a_gaussian_and_integrates_to_one(fitted):
    train, test = moons(512, 0), moons(400, 1)
    gaussian = scipy.stats.multivariate_normal(train.mean(0), np.cov(train.T)).logpdf(test).mean()
    assert fitted.score(test) > gaussian + 0.1
    axes = np.linspace(-3, 4, 80), np.linspace(-2.5, 3, 80)
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)
    cell = (axes[0][1] - axes[0][0]) * (axes[1][1] - axes[1][0])
    assert abs(np.exp(fitted.log_prob(grid)).sum() * cell - 1) < 0.01


def test_draws_are_reproducible_and_of_the_law(fitted):
    drawn = fitted.sample(600, seed=3)
    np.testing.assert_array_equal(drawn, fitted.sample(600, seed=3))
    np.testing.assert_allclose(drawn.mean(0), moons(512, 0).mean(0), atol=0.15)
    # The mean log-density of its own draws is minus an entropy: close to that of data it fits.
    assert abs(fitted.score(drawn) - fitted.score(moons(512, 0))) < 0.3


def test_saved_and_loaded_it_answers_the_same(fitted, tmp_path):
    fitted.save(tmp_path / "flow")
    again = ContinuousFlow.load(tmp_path / "flow")
    np.testing.assert_array_equal(again.log_prob(moons(10, 2)), fitted.log_prob(moons(10, 2)))


def test_interrupted_training_resumes_to_the_same_model(tmp_path):
    network = functools.partial(concat_squash, width=4, depth=1)
    settings = {"network": network, "blocks": 1, "solver_steps": 2, "evaluate": 4, "steps": 210}
    x = moons(64, 0)
    whole = ContinuousFlow(**settings, run=tmp_path / "a").fit(x)

    class StopError(Exception):
        pass

    class Breaks(AbstractProgress):
        def start(self, *args, **kwargs):
            pass

        def update(self, step, values):
            raise StopError

        def stop(self, *args, **kwargs):
            pass

    with pytest.raises(StopError):
        ContinuousFlow(**settings, run=tmp_path / "b", progress=Breaks()).fit(x)
    resumed = ContinuousFlow(**settings, run=tmp_path / "b").fit(x)
    np.testing.assert_array_equal(resumed.log_prob(x), whole.log_prob(x))


def test_heavy_tails_from_a_heavy_tailed_base():
    # A flow is Lipschitz, so from a normal law it cannot make polynomial tails; a Student base gives them.
    base = MultivariateT(jnp.zeros(1), jnp.eye(1), 3.0)
    network = functools.partial(concat_squash, width=8, depth=1)
    x = np.random.default_rng(0).standard_t(3, size=(512, 1))
    flow = ContinuousFlow(network, blocks=1, base=base, steps=100, solver_steps=4, evaluate=10).fit(x)
    far = flow.log_prob(np.array([[20.0], [40.0]]))
    assert -8 < far[1] - far[0] < -1  # a normal law of this spread would fall by hundreds


@pytest.mark.parametrize(
    ("settings", "x", "message"),
    [
        ({"steps": 0}, np.ones((4, 2)), "steps=0"),
        ({"kinetic": -1.0}, np.ones((4, 2)), "kinetic"),
        ({"probes": 0}, np.ones((4, 2)), "probes=0"),
        ({}, np.ones((4, 2)), "the same"),
        ({}, np.ones(4), "single column"),
        ({}, np.array([[1.0, np.nan], [0.0, 1.0]]), "nan|NaN|missing"),
        ({}, np.array([[1.0, 2.0]]), "2"),
    ],
)
def test_bad_input_gets_advice(settings, x, message):
    with pytest.raises(ValueError, match=message):
        ContinuousFlow(**settings).fit(x)
