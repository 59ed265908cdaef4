"""The loss term by term against sums by hand; weights of terms and of points against closed forms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.equations import Condition, Equation, dirichlet
from cadlag.fields import Box
from cadlag.physics import (
    AbstractPointWeights,
    Batch,
    Collocation,
    FixedWeights,
    GradientNormWeights,
    NTKWeights,
    Observations,
    PhysicsLoss,
    ResidualAttention,
    Terms,
    Unknowns,
    WeightState,
)

BOX = Box({"t": (0.0, 1.0), "x": (0.0, 1.0)})


class Polynomial(eqx.Module):
    """a t + b x²."""

    a: jax.Array
    b: jax.Array

    def __call__(self, p):
        return self.a * p[0] + self.b * p[1] ** 2


def system(u, nu):
    """Residuals a - 2 b nu and a t + b x² - 1 of the polynomial."""
    return u.d("t") - nu * u.d("x", 2), u - 1.0


START = Condition({"t": 0.0}, lambda u: u, kind="initial")
COEFFICIENTS, KNOWN = eqx.partition(
    Equation(domain=BOX, residual_of=system, given=(START, *dirichlet(BOX, 2.0)), parameters=jnp.asarray(0.5)),
    eqx.is_inexact_array,
)
UNKNOWNS = Unknowns(Polynomial(jnp.asarray(3.0), jnp.asarray(-2.0)), COEFFICIENTS)
DATA = Observations(jnp.asarray([[0.5, 1.0]]), jnp.asarray([4.0]), lambda u: u * u)


def make(point_weights=None, observations=DATA, chunk=None):
    problem = Collocation(KNOWN, (), (), observations, "float64")
    return PhysicsLoss(problem, ("initial", "boundary"), 2, point_weights, chunk)


POINTS = jr.uniform(jr.key(0), (7, 2))
FACES = (jnp.asarray([[0.0, 0.5], [0.0, 1.0]]), jnp.asarray([[0.2, 0.0], [0.4, 1.0]]))
BATCH = Batch(POINTS, FACES)


def by_hand():
    t, x = np.asarray(POINTS).T
    u = lambda t, x: 3 * t - 2 * x**2
    return np.array(
        [
            (3 - 0.5 * -4) ** 2,
            np.mean((u(t, x) - 1) ** 2),
            np.mean(np.array([u(0, 0.5), u(0, 1)]) ** 2),
            np.mean((np.array([u(0.2, 0), u(0.4, 1)]) - 2) ** 2),
            (u(0.5, 1) ** 2 - 4) ** 2,
        ]
    )


def test_terms_and_their_sum_against_a_sum_by_hand():
    loss = make()
    assert loss.names == ("residual[0]", "residual[1]", "initial", "boundary", "data")
    weights = FixedWeights({"residual": 2.0, "residual[1]": 3, "initial": 10.0})
    state = loss.init(weights, 7)
    np.testing.assert_allclose(state.terms, [2, 3, 10, 1, 1])
    value, (after, infos) = eqx.filter_jit(loss)(UNKNOWNS, state, BATCH)
    np.testing.assert_allclose([infos[n] for n in loss.names], by_hand(), rtol=1e-12)
    np.testing.assert_allclose(value, by_hand() @ [2, 3, 10, 1, 1], rtol=1e-12)
    rows = eqx.filter_jit(loss.vector)(UNKNOWNS, state.terms, BATCH)
    np.testing.assert_allclose(sum(float(jnp.sum(r**2)) for r in rows), value, rtol=1e-12)
    assert after.points is None


def test_learnt_coefficients_have_gradients():
    loss = make()
    state = loss.init(FixedWeights(), 7)
    at = lambda nu: eqx.tree_at(lambda u: u.coefficients.parameters, UNKNOWNS, nu)
    slope = jax.jit(jax.grad(lambda nu: loss(at(nu), state, BATCH)[0]))(jnp.asarray(0.5))
    np.testing.assert_allclose(slope, 2 * (3 + 4 * 0.5) * 4, rtol=1e-12)


class Late(AbstractPointWeights):
    """w = (1 + state) t + r²: depends on what it must not be differentiated through."""

    def init(self, problem, count):
        return jnp.zeros((), problem.dtype)

    def weigh(self, state, points, squared, others):
        return (1 + state) * points[:, 0] + squared, state + others


def test_no_gradient_flows_through_pointwise_weights():
    loss = make(Late())
    state = loss.init(FixedWeights({"data": 2.0}), 7)
    params, static = eqx.partition(UNKNOWNS, eqx.is_inexact_array)
    full = lambda p: loss(eqx.combine(p, static), state, BATCH)
    (_, (after, infos)), ours = jax.jit(jax.value_and_grad(full, has_aux=True))(params)
    squares = [np.asarray(jnp.square(r)) for r in loss.problem.residual(UNKNOWNS, POINTS)]
    frozen = np.asarray(POINTS[:, 0]) + sum(squares)
    np.testing.assert_allclose(infos["residual[0]"], np.mean(frozen * squares[0]), rtol=1e-12)
    np.testing.assert_allclose(infos["least_weight"], frozen.min(), rtol=1e-12)
    np.testing.assert_allclose(after.points, by_hand()[2:] @ [1, 1, 2], rtol=1e-12)

    def constant(p):
        unknowns = eqx.combine(p, static)
        inside = sum(jnp.mean(frozen * jnp.square(r)) for r in loss.problem.residual(unknowns, POINTS))
        plain = make()
        others = plain(unknowns, state, BATCH)[1][1]
        return inside + others["initial"] + others["boundary"] + 2 * others["data"]

    theirs = jax.jit(jax.grad(constant))(params)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("point_weights", [None, Late()])
def test_chunks_change_neither_value_nor_gradient(point_weights):
    params, static = eqx.partition(UNKNOWNS, eqx.is_inexact_array)
    state = WeightState(jnp.asarray([2.0, 3.0, 1.0, 1.0, 1.0]), jnp.zeros(()))

    def both(chunk):
        loss = make(point_weights, chunk=chunk)
        return jax.jit(jax.value_and_grad(lambda p: loss(eqx.combine(p, static), state, BATCH), has_aux=True))(params)

    whole, cut = both(None), both(4)  # seven points in two chunks, the last filled up
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(cut), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)
    loss = make(point_weights, chunk=4)
    values = eqx.filter_jit(loss.terms(state, BATCH).values)(UNKNOWNS)
    np.testing.assert_allclose(values, [whole[0][1][1][n] for n in loss.names], rtol=1e-13)


def test_residual_attention_grows_where_the_residual_is_largest():
    weights = ResidualAttention(decay=0.9, rate=0.1)
    state, squared = weights.init(make().problem, 3), jnp.asarray([0.0, 1.0, 4.0])
    for _ in range(200):
        w, state = weights.weigh(state, POINTS[:3], squared, jnp.zeros(()))
    # The fixed point of λ ← 0.9 λ + 0.1 |r| / max|r| is |r| / max|r|.
    np.testing.assert_allclose(w, [0, 0.25, 1], atol=1e-8)


A = jnp.asarray([[3.0, 4.0], [0.0, 0.5], [0.0, 0.0]])
LINEAR = Terms(("residual", "initial", "data"), lambda u: A @ u, lambda u: (A[:1] @ u, A[:2] @ u, A[2:] @ u))


@pytest.mark.parametrize(
    ("make_weights", "size"), [(GradientNormWeights, [5, 0.5, 0]), (NTKWeights, [25, 0.5 * (25 + 0.25), 0])]
)
def test_adaptive_weights_of_linear_terms(make_weights, size):
    weights = make_weights(every=3, momentum=0.75)
    first = weights.init(LINEAR.names)
    update = jax.jit(lambda w, step: weights.update(w, step, LINEAR, jnp.ones(2)))
    mean = np.mean(size)
    expected = 0.75 + 0.25 * np.array([mean / size[0], mean / size[1], 1])  # a term without gradient keeps its weight
    np.testing.assert_allclose(update(first, jnp.asarray(3)), expected, rtol=1e-12)
    np.testing.assert_array_equal(update(first, jnp.asarray(4)), first)


def test_adaptive_weights_take_the_terms_of_a_loss():
    loss = make(observations=None)
    state = WeightState(jnp.ones(4), None)
    terms = loss.terms(state, BATCH)
    np.testing.assert_allclose(terms.values(UNKNOWNS), by_hand()[:4], rtol=1e-12)
    rows = terms.rows(UNKNOWNS)
    assert [r.shape for r in rows] == [(7,), (7,), (2,), (2,)]
    np.testing.assert_allclose(rows[0] ** 2, by_hand()[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("make_it", "message"),
    [
        (lambda: FixedWeights({"x": -1.0}), "finite number"),
        (lambda: make().init(FixedWeights({"walls": 1.0}), 7), "no terms \\['walls'\\]"),
        (lambda: GradientNormWeights(every=0), "every=0"),
        (lambda: NTKWeights(momentum=1), "momentum=1"),
        (lambda: ResidualAttention(decay=1), "decay=1"),
    ],
)
def test_bad_weights_are_refused(make_it, message):
    with pytest.raises(ValueError, match=message):
        make_it()
