"""Linear state-space layers: HiPPO matrices against closed forms, three views of one system against each other."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial import Laguerre, Legendre
from scipy.linalg import expm

from cadlag.nn import (
    LMU,
    LagT,
    LegS,
    LegT,
    RandomMemory,
    StateSpace,
    generalised_bilinear,
    quasiseparable_product,
    quasiseparable_solve,
    zero_order_hold,
)

KEY = jax.random.key(0)
MEMORIES = [LegS(), LegT(), LegT(0.5), LagT()]


def legendre(n):
    return Legendre.basis(n)


@pytest.mark.parametrize("memory", [*MEMORIES, LMU(), RandomMemory()])
def test_structured_form_is_the_matrix(memory):
    a, b = memory.matrices(7)
    f = memory.factors(7)
    if f is None:
        assert a.shape == (7, 7)
        return
    t = np.diag(f.diagonal) + np.diag(f.lower[1:], -1) + np.diag(f.upper[:-1], 1)
    np.testing.assert_allclose(-np.diag(f.left) @ (np.diag(f.c) + np.linalg.inv(t)) @ np.diag(f.right), a, atol=1e-11)
    np.testing.assert_allclose(f.left * f.b, b, rtol=1e-14)
    x = np.random.default_rng(0).normal(size=7)
    f = type(f)(*map(jnp.asarray, f))
    np.testing.assert_allclose(quasiseparable_product(f, jnp.asarray(x)), a @ x, atol=1e-10)
    expected = np.linalg.solve(np.eye(7) - 0.3 * a, x)
    np.testing.assert_allclose(quasiseparable_solve(f, 0.3, jnp.asarray(x)), expected, atol=1e-11)


def test_impulse_responses_are_the_polynomials():
    t = 0.7
    a, b = LegS().matrices(6)
    expected = [np.exp(-t) * np.sqrt(2 * n + 1) * legendre(n)(2 * np.exp(-t) - 1) for n in range(6)]
    np.testing.assert_allclose(expm(t * a) @ b, expected, atol=1e-12)
    a, b = LagT().matrices(6)
    expected = [np.exp(-t / 2) * Laguerre.basis(n)(t) for n in range(6)]
    np.testing.assert_allclose(expm(t * a) @ b, expected, atol=1e-12)


def test_lmu_is_legt_in_another_normalisation():
    scale = np.sqrt(2 * np.arange(5) + 1.0) * (-1.0) ** np.arange(5)
    a, b = LegT().matrices(5)
    np.testing.assert_allclose(LMU().matrices(5)[0], scale[:, None] * a / scale[None], atol=1e-12)
    np.testing.assert_allclose(LMU().matrices(5)[1], scale * b, atol=1e-12)


def test_systems_are_stable_for_every_step():
    a, b = LegS().matrices(9)
    np.testing.assert_allclose(np.sort(np.linalg.eigvals(a).real), np.arange(-9.0, 0), atol=1e-6)
    np.testing.assert_allclose(a + a.T, -(np.eye(9) + np.outer(b, b)), atol=1e-12)
    sign = (-1.0) ** np.arange(9)
    c, _ = LegT().matrices(9)
    np.testing.assert_allclose(c + c.T, -(np.outer(b, b) + np.outer(sign * b, sign * b)), atol=1e-12)
    for matrix in (a, c):
        for alpha in (0.5, 1.0):
            for step in (1e-3, 0.1, 10.0):
                assert np.abs(np.linalg.eigvals(generalised_bilinear(matrix, b, step, alpha)[0])).max() < 1
    # Euler's forward rule is not: its largest eigenvalue is 1 - 9 h.
    assert np.abs(np.linalg.eigvals(generalised_bilinear(a, b, 0.3, 0.0)[0])).max() > 1


def window(order, theta, t):
    """The state of LegT after a smooth input, u(s) = sin 3s from long ago, by the exact solution of its ODE."""
    a, b = LegT(theta).matrices(order)
    # x' = A x + B Im e^(3is) has the periodic solution Im (3i - A)^-1 B e^(3it).
    return np.imag(np.linalg.solve(3j * np.eye(order) - a, b) * np.exp(3j * t))


@pytest.mark.parametrize(("order", "error"), [(4, 6.6e-2), (16, 1.9e-8), (32, 6e-11)])
def test_legt_holds_the_last_window(order, error):
    t = 1.3
    x = window(order, 1.0, t)
    s = np.linspace(t - 1, t, 200)
    found = sum(x[n] * np.sqrt(2 * n + 1) * legendre(n)(2 * (s - t) + 1) for n in range(order))
    worst = np.abs(found - np.sin(3 * s)).max()
    # Within a factor of three of what the card measured; the window's start is the hardest.
    assert worst < 3 * error


def test_order_of_the_rules():
    a, b = LegS().matrices(4)
    exact = np.imag(np.linalg.solve(3j * np.eye(4) - a, b) * np.exp(3j * 2.0))

    def error(alpha, n):
        step = 2.0 / n
        ad, bd = generalised_bilinear(a, b, step, alpha)
        x = np.imag(np.linalg.solve(3j * np.eye(4) - a, b))
        for k in range(n):
            # The input averaged over the step, so that the rule alone counts.
            mean = (np.cos(3 * k * step) - np.cos(3 * (k + 1) * step)) / (3 * step)
            x = ad @ x + bd * mean
        return np.abs(x - exact).max()

    for alpha, order in ((0.0, 1), (0.5, 2), (1.0, 1)):
        assert abs(np.log2(error(alpha, 400) / error(alpha, 800)) - order) < 0.05
    ad, bd = zero_order_hold(a, b, 0.1)
    np.testing.assert_allclose(ad, expm(0.1 * a), atol=1e-13)
    np.testing.assert_allclose(bd, np.linalg.solve(a, (ad - np.eye(4)) @ b), atol=1e-12)


@pytest.mark.parametrize("memory", [LegS(), RandomMemory(1)])
def test_recurrence_convolution_and_naive_powers_agree(memory):
    learn = memory.factors(2) is not None
    layer = StateSpace(3, 16, outputs=2, memory=memory, learn=learn, key=KEY)
    u = jax.random.normal(jax.random.key(1), (50, 3))
    y, last = eqx.filter_jit(layer.scan)(u)
    np.testing.assert_allclose(eqx.filter_jit(layer)(u), y, atol=1e-10)
    parallel, end = eqx.filter_jit(layer.parallel_scan)(u)
    np.testing.assert_allclose(parallel, y, atol=1e-10)
    np.testing.assert_allclose(end, last, atol=1e-10)
    # By hand, feature by feature.
    a, b = memory.matrices(16)
    for h, step in enumerate(np.geomspace(1e-3, 1e-1, 3)):
        ad, bd = generalised_bilinear(a, b, step)
        kernel = [np.asarray(layer.c[h]) @ np.linalg.matrix_power(ad, k) @ bd for k in range(50)]
        np.testing.assert_allclose(layer.kernel(50)[h].T, kernel, atol=1e-10)
        expected = sum(kernel[k] * u[49 - k, h] for k in range(50)) + layer.d[h] * u[49, h]
        np.testing.assert_allclose(y[49, h], expected, atol=1e-10)


def test_views_agree_in_single_precision():
    layer = jax.tree.map(lambda x: x.astype(jnp.float32), StateSpace(4, 32, key=KEY))
    u = jax.random.normal(jax.random.key(1), (256, 4), jnp.float32)
    y, one = eqx.filter_jit(layer.scan)(u)[0], eqx.filter_jit(layer)(u)
    assert y.dtype == one.dtype == jnp.float32
    np.testing.assert_allclose(one, y, atol=1e-4 * float(jnp.abs(y).max()))


def test_learnt_systems_keep_their_structure():
    layer = StateSpace(2, 8, key=KEY)
    moved = eqx.tree_at(lambda s: s.shift, layer, jax.tree.map(lambda z: jax.random.normal(KEY, z.shape), layer.shift))
    u = jax.random.normal(jax.random.key(1), (20, 2))
    np.testing.assert_allclose(moved(u), moved.scan(u)[0], atol=1e-10)
    assert not np.allclose(moved.system()[0], layer.system()[0])
    assert not np.allclose(moved.step, layer.step)
    grads = eqx.filter_grad(lambda s: jnp.sum(s(u) ** 2))(moved)
    assert all(bool(jnp.all(jnp.isfinite(g)) & jnp.any(g != 0)) for g in jax.tree.leaves(grads))
    fixed = StateSpace(2, 8, learn=False, key=KEY)
    assert len(jax.tree.leaves(fixed)) == 2
    np.testing.assert_allclose(fixed(u), layer(u), atol=1e-10)


def test_a_system_of_order_one_is_the_gate_of_a_recurrent_net():
    z = np.log([0.3, 2.0])
    layer = StateSpace(2, 1, memory=LegS(), learn=False, alpha=1.0, steps=tuple(np.exp(z)), key=KEY)
    layer = eqx.tree_at(lambda s: (s.c, s.d), layer, (jnp.ones((2, 1, 1)), jnp.zeros((2, 1))))
    u = jax.random.normal(jax.random.key(1), (6, 2))
    gate = 1 / (1 + np.exp(-z))
    x = np.zeros(2)
    for k in range(6):
        x = (1 - gate) * x + gate * np.asarray(u[k])
    np.testing.assert_allclose(layer.scan(u)[0][-1, :, 0], x, rtol=1e-12)


def test_half_the_rate_is_twice_the_step():
    layer = StateSpace(1, 8, learn=False, steps=(2e-3, 2e-3), key=KEY)
    fine, coarse = layer.kernel(400)[0, 0], layer.kernel(200, scale=2.0)[0, 0]
    # The kernel is smooth beyond its first entries; the difference falls with the step.
    difference = jnp.abs(fine[1::2] - coarse / 2)[10:] / jnp.abs(fine).max()
    half = StateSpace(1, 8, learn=False, steps=(1e-3, 1e-3), key=KEY)
    finer, coarser = half.kernel(800)[0, 0], half.kernel(400, scale=2.0)[0, 0]
    smaller = jnp.abs(finer[1::2] - coarser / 2)[20:] / jnp.abs(finer).max()
    assert float(difference.max()) < 0.05
    assert float(smaller.max()) < 0.7 * float(difference.max())


def test_nothing_comes_before_its_cause():
    layer = StateSpace(2, 8, key=KEY)
    u = jax.random.normal(jax.random.key(1), (30, 2))
    y = layer(u)
    changed = layer(u.at[11].add(1.0))
    np.testing.assert_allclose(changed[:11], y[:11], atol=1e-12)
    assert float(jnp.abs(changed[11] - y[11]).min()) > 1e-6


def test_pieces_with_the_state_handed_on_and_rows_of_no_time():
    layer = StateSpace(2, 8, key=KEY)
    u = jax.random.normal(jax.random.key(1), (30, 2))
    whole, last = layer.scan(u)
    first, state = layer.scan(u[:13])
    second, end = layer.scan(u[13:], state=state)
    np.testing.assert_allclose(jnp.concatenate([first, second]), whole, atol=1e-12)
    np.testing.assert_allclose(end, last, atol=1e-12)
    np.testing.assert_allclose(layer.parallel_scan(u[13:], state=state)[1], last, atol=1e-10)
    gaps = jnp.where(jnp.arange(30) < 13, 1.0, 0.0)
    np.testing.assert_allclose(layer.scan(u, gaps=gaps)[1], state, atol=1e-14)


def test_uneven_rows_follow_the_equation():
    """A long gap is one long step: against the rule by hand, with each row's own step."""
    memory, gaps = LegS(), np.array([1.0, 0.2, 5.0, 1.5])
    layer = StateSpace(1, 5, memory=memory, learn=False, steps=(0.05, 0.05), key=KEY)
    u = jax.random.normal(jax.random.key(1), (4, 1))
    a, b = memory.matrices(5)
    x = np.zeros(5)
    for k in range(4):
        ad, bd = generalised_bilinear(a, b, 0.05 * gaps[k])
        x = ad @ x + bd * float(u[k, 0])
    np.testing.assert_allclose(layer.scan(u, gaps=jnp.asarray(gaps))[1][0], x, atol=1e-11)
    np.testing.assert_allclose(layer.parallel_scan(u, gaps=jnp.asarray(gaps))[1][0], x, atol=1e-11)


def test_a_delay_is_read_out_of_the_window():
    errors = []
    for order in (4, 8, 12):
        c = np.sqrt(2 * np.arange(order) + 1) * [legendre(n)(1 - 2 * 0.4 / 0.8) for n in range(order)]
        errors.append(max(abs(c @ window(order, 0.8, t) - np.sin(3 * (t - 0.4))) for t in np.linspace(1, 3, 20)))
    # Spectral: every four orders gain two decimal places and more.
    assert errors[0] > 100 * errors[1] > 1e4 * errors[2]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: StateSpace(0, key=KEY), "features=0"),
        (lambda: StateSpace(1, steps=(0.1, 0.01), key=KEY), "smallest <= largest"),
        (lambda: StateSpace(1, alpha=2.0, key=KEY), "alpha"),
        (lambda: StateSpace(1, memory=LMU(), key=KEY), "learn=False"),
        (lambda: LegT(-1.0), "window"),
    ],
)
def test_settings_out_of_range(make, text):
    with pytest.raises(ValueError, match=text):
        make()
