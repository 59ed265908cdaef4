"""Closed-form training against training; ensembles against algebra; kernels against wide networks."""

import functools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from cadlag.kernels import (
    GELU,
    NNGP,
    Add,
    AveragePool,
    Conv,
    Dense,
    Dropout,
    Elementwise,
    Erf,
    Flatten,
    Identity,
    LayerNorm,
    LeakyReLU,
    Padding,
    Polynomial,
    ReLU,
    RMSNorm,
    Serial,
    Sine,
    finite_network,
    network_kernels,
)
from cadlag.limits import condition, gradient_flow, sampled_kernels, tangent_dynamics
from cadlag.linalg import empirical_ntk, linearise

CIRCLE = jnp.asarray([[1, 0], [0.5, math.sqrt(3) / 2], [-1, 0]])
SHALLOW = Serial(Dense(2**0.5), ReLU(), Dense(2**0.5))
RNG = np.random.default_rng(0)


def double(model):
    return jax.tree.map(lambda a: a.astype(jnp.float64) if eqx.is_inexact_array(a) else a, model)


def network(architecture, shape, width, key, outputs=1):
    return double(finite_network(architecture, shape, width=width, outputs=outputs, key=key))


WIDE = {
    "wavy": (
        Serial(Dense(1.3, 0.2), LeakyReLU(-0.3), Dense(), Sine(1.1, 0.4), Dense(1.2), Polynomial((0.2, 1, 0.3)),
               Dense(0.7), Elementwise(jnp.tanh, 21), Dense()),
        (3,),
    ),
    "residual": (
        Serial(RMSNorm(), Dense(1.3, 0.3), Add(Identity(), Serial(GELU(), Dense(1.2, 0.2))), LayerNorm(), Erf(),
               Dense()),
        (3,),
    ),
    "pooled": (
        Serial(Conv((3, 3), 1.4, 0.1), ReLU(), Conv((3, 3), 1.4, padding=Padding.circular), ReLU(), AveragePool((2, 2)),
               Flatten(), Dense(1.2)),
        (2, 4, 4),
    ),
    "flat": (
        Serial(Conv((3,), 1.4, 0.1, stride=2), Erf(), Conv((3,), 1.4, padding=Padding.valid), ReLU(), Flatten(),
               Dense()),
        (2, 9),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WIDE)
def test_kernels_of_infinite_width_against_wide_networks(name):
    architecture, shape = WIDE[name]
    x = jnp.asarray(np.random.default_rng(1).normal(size=(3, *shape)))
    width, draws = 48, 48
    exact = network_kernels(architecture, x)
    found = jax.jit(
        lambda key: sampled_kernels(lambda k: network(architecture, shape, width, k, 8), x, draws=draws, key=key)
    )(jax.random.key(3))
    # Four standard errors, a false alarm in some 2,000 for the 12 numbers, and the bias of finite width, O(1 / width).
    for a, b, error in ((exact.nngp, found.nngp, found.nngp_error), (exact.ntk, found.ntk, found.ntk_error)):
        scale = float(jnp.max(jnp.abs(a)))
        assert float(jnp.max(error)) < 0.1 * scale
        assert bool(jnp.all(jnp.abs(a - b) < 4 * error + 2 * scale / width))


def test_dropout_against_masked_networks():
    # One mask for the whole network: variances are those of training, where each example draws its own.
    architecture, x = Serial(Dense(1.4), Erf(), Dropout(0.3), Dense()), CIRCLE[:1]
    exact = network_kernels(architecture, x)
    found = jax.jit(
        lambda key: sampled_kernels(lambda k: network(architecture, (2,), 128, k, 8), x, draws=64, key=key)
    )(jax.random.key(4))
    plain = network_kernels(Serial(Dense(1.4), Erf(), Dense()), x)
    for a, b, error, without in zip(exact, found[:2], found[2:], plain, strict=True):
        assert bool(jnp.all(jnp.abs(a - b) < 4 * error))
        assert bool(jnp.all(jnp.abs(without - b) > 4 * error))


def test_empirical_kernel_approaches_its_limit_as_the_root_of_width():
    limit = network_kernels(SHALLOW, CIRCLE).ntk
    widths, errors = (64, 256, 1024), []
    for width in widths:

        def error(key, width=width):
            theta = empirical_ntk(network(SHALLOW, (2,), width, key), CIRCLE, trace=True)
            return jnp.linalg.norm(theta - limit) / jnp.linalg.norm(limit)

        errors.append(float(jnp.mean(jax.jit(jax.vmap(error))(jax.random.split(jax.random.key(5), 24)))))  # fmt: skip
    slope = np.polyfit(np.log(widths), np.log(errors), 1)[0]
    assert abs(slope + 0.5) < 0.15


def spd(n=6, seed=2):
    a = np.random.default_rng(seed).normal(size=(n, n))
    return jnp.asarray(a @ a.T)


def targets(n=6, outputs=2, seed=3):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(n, outputs)))


def test_start_and_end_of_training():
    theta, y, f0 = spd(), targets(), targets(seed=4)
    dynamics = tangent_dynamics(theta, y, learning_rate=0.1)
    np.testing.assert_allclose(dynamics.train(0, f0), f0, atol=1e-12)
    np.testing.assert_allclose(dynamics.test(0, f0, f0[:2], theta[:2]), f0[:2], atol=1e-12)
    end = dynamics.test(math.inf, f0, f0, theta)
    assert float(jnp.max(jnp.abs(end - y))) < 1e-6
    # What the long time tends to.
    np.testing.assert_allclose(dynamics.test(1e9, f0, f0, theta), end, atol=1e-6)
    np.testing.assert_array_equal(dynamics.train(math.inf, f0), y)
    np.testing.assert_array_equal(dynamics.decay(math.inf), np.zeros(6))


def test_singular_kernels_stay_finite():
    v = targets(outputs=1)
    dynamics = tangent_dynamics(v @ v.T, v, learning_rate=0.5)
    for t in (0.0, 3.0, 1e6):
        assert bool(jnp.all(jnp.isfinite(dynamics.apply(t, v))))
    assert float(dynamics.cholesky.jitter) > 0 or bool(jnp.all(jnp.isfinite(dynamics.cholesky.factor)))
    assert float(dynamics.learning_times()[0]) < float(dynamics.learning_times()[-1])


MODEL = network(Serial(Dense(1.5, 0.2), Erf(), Dense(1.5, 0.2)), (2,), 7, jax.random.key(6), outputs=2)
INPUTS, ELSEWHERE = jnp.asarray(RNG.normal(size=(4, 2))), jnp.asarray(RNG.normal(size=(3, 2)))
LABELS = jnp.asarray(RNG.normal(size=(4, 2)))


def descend(model, rate, steps, x=INPUTS, y=LABELS):
    """Plain gradient descent on |f - y|² / (2 n outputs), by a loop."""

    @eqx.filter_jit
    def run(model):
        params, rest = eqx.partition(model, eqx.is_inexact_array)

        def step(p, _):
            slope = jax.grad(lambda q: jnp.mean((jax.vmap(eqx.combine(q, rest))(x) - y) ** 2) / 2)(p)
            return jax.tree.map(lambda a, g: a - rate * g, p, slope), None

        return eqx.combine(jax.lax.scan(step, params, None, length=steps)[0], rest)

    return run(model)


@functools.cache
def blocks():
    return empirical_ntk(MODEL, INPUTS), empirical_ntk(MODEL, ELSEWHERE, INPUTS)


def test_descent_on_the_linearised_model_is_the_discrete_formula():
    theta, across = blocks()
    dynamics = tangent_dynamics(theta, LABELS, learning_rate=0.3, discrete=True)
    model = linearise(MODEL)
    f0, f0_test = jax.vmap(model)(INPUTS), jax.vmap(model)(ELSEWHERE)
    end = descend(model, 0.3, 60)
    np.testing.assert_allclose(dynamics.train(60, f0), jax.vmap(end)(INPUTS), atol=1e-10)
    np.testing.assert_allclose(dynamics.test(60, f0, f0_test, across), jax.vmap(end)(ELSEWHERE), atol=1e-10)


def test_flow_is_the_limit_of_small_steps():
    theta, y, f0 = spd(), targets(), targets(seed=4)
    flow = tangent_dynamics(theta, y, learning_rate=1.0).train(0.4, f0)
    errors = [
        float(jnp.max(jnp.abs(tangent_dynamics(theta, y, learning_rate=0.4 / n, discrete=True).train(n, f0) - flow)))
        for n in (20, 40, 80)
    ]
    # First order in the step.
    np.testing.assert_allclose(np.log2(np.array(errors[:-1]) / errors[1:]), 1, atol=0.1)


def test_largest_rate_divides_convergence_from_divergence():
    theta, y = spd(), targets()
    limit = float(tangent_dynamics(theta, y).largest_rate())
    for factor, converges in ((0.99, True), (1.01, False)):
        dynamics = tangent_dynamics(theta, y, learning_rate=factor * limit, discrete=True)
        assert (abs(float(dynamics.decay(2000)[0])) < 1) == converges
    # Heavy ball with momentum m on the top component: roots of s² - (1 + m - rate) s + m.
    m = 0.7
    top = float(tangent_dynamics(theta, y).largest_rate(m)) * float(jnp.linalg.eigvalsh(theta)[-1]) / y.size
    for factor, converges in ((0.99, True), (1.01, False)):
        assert (max(abs(np.roots([1, -(1 + m - factor * top), m]))) < 1) == converges


def test_ensemble_is_a_linear_map_of_the_start():
    k = network_kernels(SHALLOW, jnp.concatenate([INPUTS, ELSEWHERE]))
    theta, nngp = (np.asarray(a) for a in (k.ntk, k.nngp))
    dynamics = tangent_dynamics(k.ntk[:4, :4], LABELS, learning_rate=2.0)
    mean, covariance = dynamics.ensemble(9.0, k.ntk[4:, :4], k.nngp[:4, :4], k.nngp[4:, :4], k.nngp[4:, 4:])
    values, vectors = np.linalg.eigh(theta[:4, :4])
    inverse = vectors @ np.diag((1 - np.exp(-2.0 * 9.0 * values / 8)) / values) @ vectors.T
    a = theta[4:, :4] @ inverse
    rows = np.hstack([-a, np.eye(3)])
    np.testing.assert_allclose(covariance, rows @ nngp @ rows.T, atol=1e-12)
    np.testing.assert_allclose(mean, a @ np.asarray(LABELS), atol=1e-12)
    # At training inputs nothing is left to chance once training has ended.
    _, end = dynamics.ensemble(math.inf, *(k.ntk[:4, :4], k.nngp[:4, :4], k.nngp[:4, :4], k.nngp[:4, :4]))
    np.testing.assert_allclose(end, np.zeros((4, 4)), atol=1e-8)


def test_training_the_last_layer_ends_in_the_posterior():
    kernel = NNGP(Serial(Dense(1.5, 0.1), Erf(), Dense(1.5, 0.1)))
    k, across, both = kernel.gram(INPUTS), kernel.gram(ELSEWHERE, INPUTS), kernel.gram(ELSEWHERE)
    mean, covariance = tangent_dynamics(k, LABELS).ensemble(math.inf, across, k, across, both)
    posterior = condition(kernel, INPUTS, LABELS)
    np.testing.assert_allclose(mean, posterior.mean(ELSEWHERE), atol=1e-8)
    np.testing.assert_allclose(covariance, posterior.covariance(ELSEWHERE), atol=1e-8)


def test_wide_networks_train_as_predicted():
    # Each net against the closed form with the kernel of infinite width, from its own start.
    x, x_test = CIRCLE, jnp.asarray([[0.0, 1.0], [0.0, -1.0]])
    y, steps, rate = jnp.asarray([[1.0], [-1.0], [0.5]]), 100, 0.5
    k, across = network_kernels(SHALLOW, x).ntk, network_kernels(SHALLOW, x_test, x).ntk
    dynamics = tangent_dynamics(k, y, learning_rate=rate, discrete=True)

    def deviation(key, width):
        net = network(SHALLOW, (2,), width, key)
        predicted = dynamics.test(steps, jax.vmap(net)(x), jax.vmap(net)(x_test), across)
        return jnp.max(jnp.abs(jax.vmap(descend(net, rate, steps, x, y))(x_test) - predicted))

    keys = jax.random.split(jax.random.key(8), 8)
    narrow, wide = (float(jnp.mean(jax.jit(jax.vmap(lambda k, w=w: deviation(k, w)))(keys))) for w in (64, 1024))
    # The root of the ratio of widths, 4, within the spread of eight seeds.
    assert 2 < narrow / wide < 8
    assert wide < 0.1


def test_flow_of_squared_loss_is_the_closed_form():
    theta, y, f0, ts = spd(), targets(), targets(seed=4), jnp.asarray([0.5, 2.0])
    train, test = gradient_flow(
        theta, lambda f: jnp.mean((f - y) ** 2) / 2, f0, ts, theta_test=theta[:2], f0_test=f0[:2]
    )
    dynamics = tangent_dynamics(theta, y)
    for t, a, b in zip(ts, train, test, strict=True):
        np.testing.assert_allclose(a, dynamics.train(float(t), f0), atol=1e-5)
        np.testing.assert_allclose(b, dynamics.test(float(t), f0, f0[:2], theta[:2]), atol=1e-5)


def test_flow_of_cross_entropy():
    theta, labels, f0 = spd(), np.array([0, 1, 1, 0, 1, 0]), targets(seed=4)

    def rate(t, f):
        f = f.reshape(6, 2)
        p = np.exp(f) / np.exp(f).sum(1, keepdims=True)
        return (-np.asarray(theta) @ (p - np.eye(2)[labels]) / 6).ravel()

    expected = solve_ivp(rate, (0, 3), np.asarray(f0).ravel(), rtol=1e-9, atol=1e-10).y[:, -1].reshape(6, 2)
    picked = jnp.asarray(np.eye(2)[labels])
    found, none = gradient_flow(
        theta, lambda f: -jnp.mean(jnp.sum(picked * jax.nn.log_softmax(f), axis=1)), f0, jnp.asarray([3.0])
    )
    np.testing.assert_allclose(found[-1], expected, atol=1e-5)
    assert none.shape == (1, 0, 2)


def test_bad_input():
    theta, y = spd(), targets()
    with pytest.raises(ValueError, match=r"theta of shape \(6, 6\) and y of shape \(5, 2\)"):
        tangent_dynamics(theta, y[:5])
    with pytest.raises(ValueError, match="positive rate"):
        tangent_dynamics(theta, y, learning_rate=0.0)
    with pytest.raises(TypeError, match="whole number of steps"):
        tangent_dynamics(theta, y, discrete=True).train(0.5, y)
    with pytest.raises(ValueError, match="at least 2"):
        sampled_kernels(lambda k: MODEL, INPUTS, draws=1, key=jax.random.key(0))
    with pytest.raises(ValueError, match="rising times"):
        gradient_flow(theta, jnp.sum, y, jnp.asarray([1.0, 0.5]))
    with pytest.raises(ValueError, match="belong together"):
        gradient_flow(theta, jnp.sum, y, jnp.asarray([1.0]), f0_test=y)
    with pytest.raises(ValueError, match="blocks for outputs"):
        tangent_dynamics(blocks()[0], LABELS).ensemble(1.0, theta, theta, theta, theta)
