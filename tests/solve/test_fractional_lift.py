"""Fractional noise as a lift: its covariance, its limits, its energy, and the bridge whose best control is known."""

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

from cadlag.paths import BrownianGrid, BrownianNoise, FractionalKind, MarkovApproximation
from cadlag.solve import ODE, SDE, NoiseKind, controlled, fractional, solve

TWO = FractionalKind.causal
ZERO = SDE(lambda t, x, a: jnp.zeros_like(x), lambda t, x, a: jnp.ones_like(x), NoiseKind.additive)


@pytest.mark.parametrize("kind", list(FractionalKind))
def test_simulated_noise_has_the_covariance(kind):
    approximation = MarkovApproximation(3, kind=kind)
    lifted = fractional(ZERO, jnp.asarray(0.3), approximation)
    ts = jnp.linspace(0.0, 1.0, 5)

    def path(key):
        k1, k2 = jax.random.split(key)
        return solve(lifted, lifted.start(jnp.zeros(1), key=k1), ts, key=k2, steps=100).ys[0][:, 0]

    x = np.asarray(jax.jit(jax.vmap(path))(jax.random.split(jax.random.key(0), 8000)))[:, 1:]
    w = approximation.weights(0.3)
    cov = np.array([[float(approximation.covariance(w, s, t)) for s in ts[1:]] for t in ts[1:]])
    error = np.sqrt((cov**2 + np.outer(np.diag(cov), np.diag(cov))) / len(x))
    # Euler's steps: γ dt is 0.2 for the fastest process, whose variance is 11 % too large, a small part of the sum.
    assert np.all(np.abs(x.T @ x / len(x) - cov) < 4 * error + 0.01 * np.max(cov))


def test_plain_brownian_motion_is_a_special_case_path_by_path():
    process = SDE(lambda t, x, a: -x, lambda t, x, a: 0.3 + 0.1 * x)
    lifted = fractional(process, 0.5, BrownianNoise())
    x0, ts, key = jnp.array([1.0, -0.5]), jnp.linspace(0.0, 2.0, 9), jax.random.key(1)
    plain = solve(process, x0, ts, key=key).ys
    x, y = solve(lifted, lifted.start(x0), ts, key=key).ys
    np.testing.assert_allclose(x, plain, rtol=1e-12)
    noise = BrownianGrid(ts, (2,), key=key)
    np.testing.assert_allclose(y[..., 0], noise.evaluate(), atol=1e-12)


MATRIX = jnp.array([[0.3, 0.1, 0.0], [0.0, 0.2, 0.4]])
CASES = {
    "diagonal": (SDE(lambda t, x, a: -x, lambda t, x, a: 0.3 + 0.1 * x), (2,)),
    "scalar": (SDE(lambda t, x, a: -x, lambda t, x, a: 0.3 * x, NoiseKind.scalar), ()),
    "matrix": (SDE(lambda t, x, a: -x, lambda t, x, a: MATRIX, NoiseKind.additive), (3,)),
    "operator": (SDE(lambda t, x, a: -x, lambda t, x, a: lx.MatrixLinearOperator(MATRIX), NoiseKind.operator), (3,)),
}


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_noise_by_a_loop_in_numpy(name):
    process, shape = CASES[name]
    approximation = MarkovApproximation(2, fastest=4)
    lifted = fractional(process, 0.7, approximation)
    x0, ts, key = jnp.array([1.0, -0.5]), jnp.linspace(0.0, 1.0, 6), jax.random.key(2)
    start = lifted.start(x0, key=jax.random.key(3))
    assert start[1].shape == (*shape, 2)
    found, _ = solve(lifted, start, ts, key=key).ys
    db = np.asarray(BrownianGrid(ts, shape, key=key).increments().dw)
    w, g = np.asarray(approximation.weights(0.7)), np.asarray(approximation.rates)
    x, y, seen = np.asarray(x0), np.asarray(start[1]), [np.asarray(x0)]
    for i in range(5):
        dy = -g * y * 0.2 + db[i][..., None]
        noise = dy @ w
        sigma = {"diagonal": 0.3 + 0.1 * x, "scalar": 0.3 * x}
        x = x - 0.2 * x + (sigma[name] * noise if name in sigma else np.asarray(MATRIX) @ noise)
        y = y + dy
        seen.append(x)
    np.testing.assert_allclose(found, seen, rtol=1e-10)


def test_controls_cost_their_energy_and_none_costs_nothing():
    process, key, ts = CASES["diagonal"][0], jax.random.key(4), jnp.linspace(0.0, 2.0, 41)
    lifted = fractional(process, 0.7, MarkovApproximation(kind=TWO))
    start = lifted.start(jnp.array([1.0, -0.5]))
    still = controlled(lifted, lambda t, z, args: jnp.zeros(2))
    (x, _), energy = solve(still, (start, jnp.zeros(())), ts, key=key).ys
    np.testing.assert_allclose(x, solve(lifted, start, ts, key=key).ys[0], rtol=1e-12)
    np.testing.assert_array_equal(energy, 0)
    pushed = controlled(lifted, lambda t, z, args: jnp.array([0.7, -0.2]))
    np.testing.assert_allclose(solve(pushed, (start, jnp.zeros(())), ts, key=key).y1[1], 0.53, rtol=1e-12)


@pytest.mark.parametrize(("h", "wanted"), [(0.3, 2.6181), (0.5, 2.6516), (0.7, 2.7065)])
def test_evidence_of_a_bridge(h, wanted):
    approximation = MarkovApproximation(horizon=2.0, kind=TWO)
    v = approximation.covariance(approximation.weights(h), 2.0, 2.0)
    np.testing.assert_allclose(0.5 * np.log1p(v / 0.01), wanted, atol=6e-5)


def bridge_loss(h, steps, paths, scale=1.0):
    """E[energy + X_T²/(2s²)] under the best control of X(2) = 0 seen with s = 0.1, times `scale`."""
    approximation = MarkovApproximation(horizon=2.0, kind=TWO)
    lifted, w, g = fractional(ZERO, h, approximation), approximation.weights(h), jnp.asarray(approximation.rates)

    def control(t, z, args):
        x, y = z
        fall = jnp.exp(-g * (2.0 - t))
        v = approximation.covariance(w, 2.0 - t, 2.0 - t)
        return -scale * jnp.sum(w * fall) * (x + y @ (w * (fall - 1))) / (v + 0.01)

    def one(key):
        start = (lifted.start(jnp.zeros(1)), jnp.zeros(()))
        (x, _), energy = solve(controlled(lifted, control), start, jnp.array([0.0, 2.0]), key=key, steps=steps).y1
        return energy + x[0] ** 2 / 0.02

    found = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(5), paths))
    return float(found.mean()), float(found.std()) / paths**0.5


def test_the_best_control_of_a_bridge_attains_the_evidence_as_steps_shrink():
    coarse, error = bridge_loss(0.7, 200, 6000)
    assert abs(coarse - 2.79) < 0.05 + 3 * error
    fine, error = bridge_loss(0.7, 1600, 2000)
    assert 2.7065 - 4 * error < fine < 2.7065 + 0.04 + 4 * error
    # No control can beat the evidence, this one's double no more than others.
    worse, error = bridge_loss(0.7, 200, 2000, scale=0.5)
    assert worse > coarse + 5 * error


def test_h_by_entry_and_by_time():
    hs = jnp.array([0.3, 0.8])
    start_of = lambda lifted: lifted.start(jnp.zeros(2))
    approximation, key, ts = MarkovApproximation(kind=TWO), jax.random.key(6), jnp.linspace(0.0, 1.0, 41)
    both = fractional(ZERO, hs, approximation)
    x, _ = solve(both, start_of(both), ts, key=key).ys
    for i, h in enumerate((0.3, 0.8)):
        alone = fractional(ZERO, h, approximation)
        np.testing.assert_allclose(x[:, i], solve(alone, start_of(alone), ts, key=key).ys[0][:, i], rtol=1e-9)
    moving = fractional(ZERO, lambda t, args: 0.3 + 0.0 * t, approximation)
    found, _ = solve(moving, start_of(moving), ts, key=key).ys
    np.testing.assert_allclose(found[:, 0], x[:, 0], rtol=1e-9)


def test_gradients_in_h_equal_differences():
    approximation, ts = MarkovApproximation(2, fastest=4), jnp.linspace(0.0, 1.0, 6)
    langevin = SDE(lambda t, x, a: -(x**3), lambda t, x, a: jnp.full_like(x, 0.5), NoiseKind.additive)

    @jax.jit
    def end(h):
        lifted = fractional(langevin, h, approximation)
        return jnp.sum(solve(lifted, lifted.start(jnp.ones(2), key=jax.random.key(0)), ts, key=jax.random.key(7)).y1[0])

    h = jnp.asarray(0.6)
    np.testing.assert_allclose(jax.grad(end)(h), (end(h + 1e-5) - end(h - 1e-5)) / 2e-5, rtol=1e-6)


def test_single_precision_stays():
    lifted = fractional(ZERO, 0.3, MarkovApproximation(kind=TWO))
    ts = jnp.linspace(0, 1, 41, dtype=jnp.float32)
    x, y = solve(lifted, lifted.start(jnp.zeros(2, jnp.float32)), ts, key=jax.random.key(0)).ys
    assert x.dtype == y.dtype == jnp.float32
    assert np.all(np.isfinite(x))


def test_bad_input_gets_advice():
    with pytest.raises(ValueError, match="no noise"):
        fractional(ODE(lambda t, y, a: y), 0.5)
    with pytest.raises(ValueError, match="several drivers"):
        fractional(SDE(ZERO.drift_field, ZERO.diffusion_field, (NoiseKind.additive,) * 2), 0.5)
    with pytest.raises(ValueError, match=r"hurst=1.5 must lie"):
        fractional(ZERO, 1.5)
    with pytest.raises(TypeError, match="MarkovApproximation"):
        fractional(ZERO, 0.5, 5)
    with pytest.raises(ValueError, match="one array"):
        fractional(SDE(lambda t, x, a: x, lambda t, x, a: x), 0.5).start((jnp.zeros(1), jnp.zeros(1)))
