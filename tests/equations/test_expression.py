"""Expressions: what they print is what they compute, padded populations, changes that keep trees, constants."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.equations import (
    ADD,
    ARITHMETIC,
    COS,
    DIVIDE,
    EXP,
    LOG,
    MULTIPLY,
    NEGATE,
    SIN,
    SQUARE,
    SUBTRACT,
    Expression,
    ExpressionEquation,
    Operator,
    Vocabulary,
    evaluate_tokens,
    expression_ode,
)
from cadlag.equations._constants import Data, tune
from cadlag.equations._expression import to_expression
from cadlag.equations._variation import KINDS, Tree, draws_of, first_leaf, grown, vary
from cadlag.fields import CallableField
from cadlag.solve import solve
from cadlag.train import load, save

WORDS = Vocabulary(2, (*ARITHMETIC, NEGATE, SIN, SQUARE))
LENGTH, COUNT = 11, 400
NUMPY = {"sin": np.sin, "cos": np.cos, "exp": np.exp, "log": np.log, "square": np.square}
POINTS = np.random.default_rng(0).uniform(0.2, 1.5, (2, 7))


def expression(*tokens, constants=()):
    return Expression(tokens, jnp.asarray(constants, float))


def read(text):
    """The value of a printed formula, by Python's own grammar."""
    return np.broadcast_to(eval(text, {"x0": POINTS[0], "x1": POINTS[1], **NUMPY}), 7)


@pytest.fixture(scope="module")
def population():
    """Trees grown and changed at random; constants with four digits, so that printing loses nothing."""

    @jax.jit
    def make(key):
        draws = jr.uniform(key, (COUNT, 3 + 4 * 10 + draws_of(LENGTH)))

        def one(u):
            tree = first_leaf(WORDS, LENGTH, u[:3])
            tree, _ = jax.lax.scan(lambda t, row: (grown(t, WORDS, row), None), tree, u[3:43].reshape(4, 10))
            return Tree(tree.tokens, jnp.round(tree.constants, 3))

        trees = jax.vmap(one)(draws)
        fathers = jax.tree.map(lambda a: jnp.roll(a, 1, axis=0), trees)
        return trees, [
            jax.vmap(lambda m, f, u, k=k: vary(m, f, WORDS, tuple(float(i == k) for i in range(len(KINDS))), u))(
                trees, fathers, draws[:, 43:]
            )
            for k in range(len(KINDS))
        ]

    return jax.tree.map(np.asarray, make(jr.key(1)))


def expressions(trees):
    return [to_expression(t, c, WORDS) for t, c in zip(trees.tokens, trees.constants, strict=True)]


def test_a_padded_population_computes_what_it_prints(population):
    trees, _ = population
    values = jax.jit(jax.vmap(lambda t, c: evaluate_tokens(t, c, jnp.asarray(POINTS), WORDS)))(*trees)
    found = expressions(trees)
    assert len({e.size for e in found}) >= 5
    with np.errstate(all="ignore"):
        for value, formula in zip(np.asarray(values), found, strict=True):
            np.testing.assert_allclose(value, read(str(formula)), rtol=1e-9)


def test_one_expression_computes_what_the_population_does(population):
    trees, _ = population
    for i in range(0, COUNT, 40):
        one = to_expression(trees.tokens[i], trees.constants[i], WORDS)
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(one(jnp.asarray(POINTS)), read(str(one)), rtol=1e-9)


@pytest.mark.parametrize("kind", range(len(KINDS)), ids=[k.__name__ for k in KINDS])
def test_changes_keep_trees(population, kind):
    """Every child is one expression in prefix order (the constructor counts), and differs as its kind says."""
    trees, children = population
    before, after = expressions(trees), expressions(children[kind])
    grows = np.array([b.size for b in after]) - np.array([a.size for a in before])
    changed = [str(a) != str(b) for a, b in zip(before, after, strict=True)]
    assert np.mean(changed) > 0.2
    name = KINDS[kind].__name__
    if name in ("_stay", "_exchange"):
        assert np.all(grows == 0)
    if name in ("_grow", "_insert"):
        assert np.all((grows == 0) | (grows == 1) | (grows == 2))
        assert np.all((grows > 0) | (np.array([a.size for a in before]) >= LENGTH - 1))
    if name == "_delete":
        assert np.all((grows < 0) | (np.array([a.size for a in before]) == 1))
    if name == "_cross":
        assert grows.min() < -2 < 2 < grows.max()
    if name == "_stay":
        assert all(a.tokens == b.tokens for a, b in zip(before, after, strict=True))
    if name == "_exchange":
        same = [
            sum(p == q for p, q in zip(a.tokens, b.tokens, strict=True)) for a, b in zip(before, after, strict=True)
        ]
        assert all(s >= a.size - 1 for s, a in zip(same, before, strict=True))


def test_printing():
    c = 1.5
    cases = {
        "x1 / (x1 + 1.5)": (DIVIDE, 1, ADD, 1, None),
        "x0 - (x1 - 1.5)": (SUBTRACT, 0, SUBTRACT, 1, None),
        "x0 - x1 + 1.5": (ADD, SUBTRACT, 0, 1, None),
        "x0 / (x1 / 1.5)": (DIVIDE, 0, DIVIDE, 1, None),
        "x0 / x1 * 1.5": (MULTIPLY, DIVIDE, 0, 1, None),
        "sin(x0 + 1.5) * cos(x1)": (MULTIPLY, SIN, ADD, 0, None, COS, 1),
        "exp(-x0) - log(1.5)": (SUBTRACT, EXP, NEGATE, 0, LOG, None),
        "x0 - x1 * 1.5": (ADD, 0, NEGATE, MULTIPLY, 1, None),
    }
    cases["x0 - (x1 * 1.5)"] = cases.pop("x0 - x1 * 1.5")
    for text, tokens in cases.items():
        made = expression(*tokens, constants=[c])
        assert str(made) == text
        np.testing.assert_allclose(made(jnp.asarray(POINTS)), read(text), rtol=1e-12)
    assert str(expression(ADD, 0, None, constants=[-2.0])) == "x0 - 2"
    assert str(expression(SUBTRACT, 0, None, constants=[-2.0])) == "x0 + 2"
    assert str(expression(DIVIDE, 0, None, constants=[-2.0])) == "x0 / (-2)"
    assert str(expression(DIVIDE, None, 0, constants=[-2.0])) == "-2 / x0"
    assert str(expression(None, constants=[0.99951]).rounded(2)) == "1"
    own = Operator("tanh", 1, jnp.tanh)
    assert str(expression(own, 0)) == "tanh(x0)"


def test_constants_are_leaves_that_learn_and_processes_that_run():
    """y' = -a y with a = 2: its solution, and d y(1) / d a = -e^{-a}."""
    decay = expression(MULTIPLY, None, 0, constants=[-2.0])

    @jax.jit
    @jax.value_and_grad
    def final(e):
        return solve(expression_ode(e), jnp.ones(1), jnp.array([0.0, 1.0]), steps=40, stepper=diffrax.Dopri5()).y1[0]

    value, slope = final(decay)
    assert float(value) == pytest.approx(np.exp(-2.0), rel=1e-7)
    assert float(slope.constants[0]) == pytest.approx(np.exp(-2.0), rel=1e-6)
    single = decay(jnp.ones((1, 3), jnp.float32))
    assert (single.dtype, single.shape) == (jnp.float32, (3,))


def test_an_equation_vanishes_on_its_solution_and_not_elsewhere():
    """q' = p, p' = -q from (1, 0): (cos t, -sin t); and alone y' = 2 - y."""
    swing = ExpressionEquation(expression(1), expression(NEGATE, 0), start=(1.0, 0.0), time=(0.0, 3.0))
    decay = ExpressionEquation(expression(SUBTRACT, None, 0, constants=[2.0]), start=(0.5,), time=(0.0, 1.0))
    cases = (
        (swing, lambda t: jnp.stack([jnp.cos(t), -jnp.sin(t)]), lambda t: jnp.stack([jnp.cos(t), jnp.sin(t)])),
        (decay, lambda t: 2 - 1.5 * jnp.exp(-t), lambda t: jnp.exp(-t)),
    )
    for equation, solution, other in cases:
        at = jnp.linspace(0.1, 0.9, 5)[:, None]
        for f, vanishes in ((solution, True), (other, False)):
            u = CallableField(domain=equation.domain, f=lambda p, f=f: f(p[0]))
            left = jax.vmap(equation.residual(u))(at)
            assert bool(jnp.all(jnp.abs(left) < 1e-12)) is vanishes
        np.testing.assert_array_equal(equation.conditions()[0].residual(
            CallableField(domain=equation.domain, f=lambda p, f=solution: f(p[0])))(jnp.zeros(1)), 0)  # fmt: skip
    with pytest.raises(ValueError, match=r"start has shape \(2,\); 1 expressions want \(1,\)"):
        ExpressionEquation(expression(0), start=(1.0, 2.0), time=(0.0, 1.0))


def test_saves_and_loads(tmp_path):
    every = expression(
        ADD, SUBTRACT, 0, NEGATE, None, MULTIPLY, SIN, 1, DIVIDE, COS, 0, SQUARE, EXP, LOG, 1, constants=[1.5]
    )
    save(tmp_path / "law", expression_ode(every, every))
    again = load(tmp_path / "law").field.components[0]
    assert str(again) == str(every)
    np.testing.assert_array_equal(again(jnp.asarray(POINTS)), every(jnp.asarray(POINTS)))


def test_tuned_constants_of_a_linear_formula_are_least_squares():
    """c0 x0 + c1 with weights, padded behind, in two steps, against numpy."""
    rng = np.random.default_rng(2)
    x, y, w = rng.normal(size=(2, 30)), rng.normal(size=30), rng.uniform(0.5, 2.0, 30)
    tree = Tree(jnp.array([4, 6, 1, 2, 1, 0, 0]), jnp.array([0.0, 0.0, 0.3, 0.0, -0.2, 0.0, 0.0]))
    data = Data(jnp.asarray(x), jnp.asarray(y), jnp.asarray(w))
    tuned, loss = jax.jit(lambda t: tune(t, jnp.arange(7), data, WORDS, 12))(tree)
    design = np.stack([x[0], np.ones(30)], 1) * np.sqrt(w)[:, None]
    best, residual, *_ = np.linalg.lstsq(design, y * np.sqrt(w), rcond=None)
    assert str(to_expression(tuned.tokens, np.array([0, 0, 2.0, 0, 3.0, 0, 0]), WORDS)) == "2 * x0 + 3"
    np.testing.assert_allclose(tuned.constants[jnp.array([2, 4])], best, rtol=1e-6)
    assert float(loss) == pytest.approx(residual[0] / 30, rel=1e-10)


def test_a_constant_of_the_wrong_sign_is_found():
    """x0 / (c - x0) has a pole between c = 1.1 and the truth c = -1, which no small step crosses."""
    x = jnp.linspace(-0.4, 0.5, 40)[None]
    data = Data(x, -x[0] / (x[0] + 1), jnp.ones(40))
    words = Vocabulary(1, ARITHMETIC)
    tree = Tree(jnp.array([6, 2, 4, 1, 2]), jnp.array([0.0, 0.0, 0.0, 1.1, 0.0]))
    draws = jnp.full((1, 1), 0.5)
    run = jax.jit(lambda draws: tune(tree, jnp.array([3]), data, words, 6, draws)[0].constants[3])
    assert float(run(draws)) == pytest.approx(-1, abs=1e-6)
    assert float(run(None)) > 0.5


def test_refuses():
    for tokens in ((ADD, 0), (0, 1), (ADD, 0, 1, 1), ()):
        with pytest.raises(ValueError, match="are not one expression in prefix order"):
            expression(*tokens)
    with pytest.raises(ValueError, match="each None takes one constant"):
        expression(ADD, 0, None)
    with pytest.raises(ValueError, match="expected an Operator, a variable's number >= 0, or None"):
        expression(ADD, 0, -1)
    with pytest.raises(ValueError, match="but the expression reads x1"):
        expression(ADD, 0, 1)(jnp.ones((1, 4)))
    with pytest.raises(ValueError, match="arity 3; expected 1 or 2"):
        Operator("if", 3, jnp.where)
    with pytest.raises(ValueError, match="reads x1, but 1 expressions"):
        expression_ode(expression(ADD, 0, 1))
    with pytest.raises(ValueError, match="needs an expression for each"):
        expression_ode()
    assert eqx.is_array(expression(None, constants=[1.0]).constants)
