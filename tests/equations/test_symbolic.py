"""Symbolic regression: laws found again, the front and its choice by hand, the oldest die, precision, refusals."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.equations import (
    ADD,
    ARITHMETIC,
    DIVIDE,
    MULTIPLY,
    SIN,
    Evolution,
    Expression,
    Front,
    Vocabulary,
    expression_ode,
    symbolic_regression,
)
from cadlag.equations._constants import Data
from cadlag.equations._evolve import evolve_round, migrate, settle
from cadlag.solve import solve

SMALL = Evolution(max_size=7, islands=4, population=32, children=8)
X = np.random.default_rng(0).uniform(-0.375, 0.5, (30, 2))
FRESH = np.random.default_rng(1).uniform(-0.375, 0.5, (2, 1000))


def search(y, x=X, rounds=40, **settings):
    """With settings this small a search may need most of its rounds, or fail; from this key it does not."""
    return symbolic_regression(x, y, key=jr.key(2), settings=SMALL, rounds=rounds, patience=1, **settings)


@pytest.fixture(scope="module")
def laws():
    """The two laws of the nonlinear oscillator x = y / (1 + y), from exact values."""
    return search(X[:, 1] / (1 + X[:, 1])), search(-X[:, 0] / (1 + X[:, 0]))


def test_recovers_the_laws_of_the_card(laws):
    for front, truth in zip(laws, (FRESH[1] / (1 + FRESH[1]), -FRESH[0] / (1 + FRESH[0])), strict=True):
        formula = front.pick()
        np.testing.assert_allclose(formula(jnp.asarray(FRESH)), truth, atol=1e-9)
        # In round numbers the constant is one, so the formula is the law.
        np.testing.assert_allclose(formula.rounded(2)(jnp.asarray(FRESH)), truth, atol=1e-14)
        assert formula.size <= 7


def test_the_recovered_laws_are_a_process(laws):
    """Against the exact solution: with q = y / (1 + y) the system is q1' = (1 - q1)^2 q2 ..., here by fine steps."""
    system = expression_ode(*(front.pick().rounded(2) for front in laws))
    run = jax.jit(lambda y0: solve(system, y0, jnp.array([0.0, 1.0]), steps=200).y1)
    y, h = np.array([0.3, 0.2]), 1 / 4000
    for _ in range(4000):
        f = lambda y: np.array([y[1] / (1 + y[1]), -y[0] / (1 + y[0])])
        y = y + h * f(y + h / 2 * f(y))
    # Both are of second order, the coarser with h = 1/200.
    np.testing.assert_allclose(run(jnp.array([0.3, 0.2])), y, atol=1e-5)


def test_front_falls_and_prints(laws):
    front = laws[0]
    assert list(front.sizes) == sorted(set(front.sizes))
    assert jnp.all(jnp.diff(front.losses) < 0)
    for formula, loss in zip(front.expressions, front.losses, strict=True):
        error = np.mean((np.asarray(formula(jnp.asarray(X.T))) - X[:, 1] / (1 + X[:, 1])) ** 2)
        assert float(loss) == pytest.approx(error, rel=1e-6, abs=1e-20)
    lines = str(front).splitlines()
    assert len(lines) == len(front.sizes)
    assert all(str(e) in line for e, line in zip(front.expressions, lines, strict=True))


def test_choice_is_the_steepest_fall_of_the_logarithm_among_the_good():
    made = [Expression((0,), jnp.zeros(0)), Expression((ADD, 0, None), jnp.ones(1))]
    made += [
        Expression((ADD, 0, MULTIPLY, 0, None), jnp.ones(1)),
        Expression((ADD, 0, ADD, 0, DIVIDE, 0, 1), jnp.zeros(0)),
    ]
    front = Front(tuple(made), jnp.array([1.0, 0.01, 0.0011, 0.001]), jnp.asarray(1e-30))
    np.testing.assert_allclose(front.scores, [0, np.log(100) / 2, np.log(0.01 / 0.0011) / 2, np.log(1.1) / 2])
    # The second falls fastest, but is ten times worse than the best; the third is nearly as good as the last.
    assert front.pick() is made[2]
    assert front.pick(within=100) is made[1]
    assert front.pick(within=1.0) is made[3]
    # Below the floor a difference is rounding: the shortest is taken.
    low = Front(tuple(made), jnp.array([1.0, 1e-31, 1e-33, 1e-35]), jnp.asarray(1e-30))
    assert low.pick() is made[1]


def test_noise_does_not_buy_tokens_and_weights_count():
    """y = 2 x0 + noise, with some points more that are wrong and of no weight."""
    y = 2 * X[:, 0] + 0.02 * np.random.default_rng(3).normal(size=30)
    weights = np.append(np.ones(30), np.zeros(6))
    formula = search(np.append(y, np.full(6, 99.0)), x=np.append(X, X[:6], axis=0), weights=weights, rounds=6).pick(2)
    np.testing.assert_allclose(formula(jnp.asarray(FRESH)), 2 * FRESH[0], atol=0.03)
    assert formula.size <= 3


def test_single_precision_and_other_operators():
    x = X[:, :1].astype(np.float32) * 4
    front = search(jnp.sin(1.7 * jnp.asarray(x[:, 0])), x=x, operators=(MULTIPLY, SIN))
    formula = front.pick()
    assert front.losses.dtype == formula.constants.dtype == jnp.float32
    np.testing.assert_allclose(formula(jnp.asarray(FRESH[:1])), np.sin(1.7 * FRESH[0]), atol=1e-4)
    assert formula.size == 4


def test_the_oldest_die_and_the_best_stay():
    """After population / children generations nobody of the first is left, while the best of each size never gets
    worse."""
    words = Vocabulary(2, ARITHMETIC)
    data = Data(jnp.asarray(X.T), jnp.asarray(X[:, 1] / (1 + X[:, 1])), jnp.ones(30))
    start = settle(SMALL, words, data, jr.uniform(jr.key(0), SMALL.settle_shape()))
    marked = eqx.tree_at(lambda s: s.losses, start, jnp.full_like(start.losses, 1e-3))
    draws = jr.uniform(jr.key(1), SMALL.round_shape())
    after = [marked]
    for i in range(4):
        after.append(evolve_round(after[-1], SMALL, words, data, draws[i : i + 1]))
    # Losses of the first generation are marked by a number no child has: 8 of 32 die in each generation.
    assert np.all(np.sum(np.asarray(after[3].losses) == 1e-3, axis=1) == 8)
    assert not np.any(np.asarray(after[4].losses) == 1e-3)
    assert np.all(after[3].losses[:, :8] != 1e-3)
    assert np.all(after[4].best_losses <= start.best_losses)
    moved = migrate(after[4], SMALL, jr.uniform(jr.key(2), SMALL.migration_shape()))
    share = np.mean(np.any(np.asarray(moved.members.tokens != after[4].members.tokens), axis=-1))
    # A tenth of the members at most, some of them by their equals.
    assert 0.01 < share < 0.25


def test_refuses():
    y = X[:, 0]
    with pytest.raises(ValueError, match=r"expected \(points, variables\) and \(points,\)"):
        search(y, x=X[:, 0])
    with pytest.raises(ValueError, match="y holds NaN or infinite"):
        search(np.where(y > 0.4, np.nan, y))
    with pytest.raises(TypeError, match="x has dtype int"):
        search(y, x=np.ones((30, 1), int))
    with pytest.raises(ValueError, match="operators is empty"):
        search(y, operators=())
    with pytest.raises(ValueError, match="none negative and some positive"):
        search(y, weights=np.zeros(30))
    with pytest.raises(ValueError, match="rounds=0"):
        symbolic_regression(X, y, key=jr.key(0), rounds=0)
    with pytest.raises(ValueError, match="max_size=2 of Evolution"):
        Evolution(max_size=2)
    with pytest.raises(ValueError, match="children=0 of Evolution"):
        Evolution(children=0)
    with pytest.raises(ValueError, match="population=8 of Evolution must hold"):
        Evolution(population=8)
    with pytest.raises(ValueError, match="rates of Evolution are odds of 7"):
        Evolution(rates=(1.0,))
