"""Equilibrium layers: rest points, gradients against unrolled iterations and dense algebra, named failures."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import lineax as lx
import numpy as np
import optimistix as optx
import pytest

from cadlag.nn import Anderson, Equilibrium, FixedPointSolve, jacobian_penalty


class Cell(eqx.Module):
    """tanh(W z + U x) with |W| = 0.9."""

    w: jax.Array
    u: jax.Array

    def __init__(self, size=6, inputs=3, norm=0.9, dtype=float, seed=0):
        rng = np.random.default_rng(seed)
        w = rng.normal(size=(size, size))
        self.w = jnp.asarray(norm * w / np.linalg.norm(w, 2), dtype)
        self.u = jnp.asarray(rng.normal(size=(size, inputs)), dtype)

    def __call__(self, z, x):
        return jnp.tanh(self.w @ z + self.u @ x)


X = jnp.array([0.4, -1.2, 0.3])
SEEN = jnp.linspace(-1.0, 1.0, 6)
SOLVERS = {
    "anderson": None,
    "damped": Anderson(rtol=1e-10, atol=1e-10, memory=0, damping=0.8),
    "newton": optx.Newton(rtol=1e-10, atol=1e-10),
}


@eqx.filter_jit
def solve(layer, x, start=None):
    return layer.solve(x, start)


@eqx.filter_jit
@eqx.filter_value_and_grad
def gradient(pair):
    layer, x = pair
    return jnp.vdot(SEEN.astype(x.dtype), layer(x))


@pytest.fixture(scope="module")
def unrolled():
    """Value and gradient of 200 plain iterations."""

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def run(pair):
        cell, x = pair
        return jnp.vdot(SEEN, jax.lax.scan(lambda z, _: (cell(z, x), None), jnp.zeros(6), None, length=200)[0])

    return run((Cell(), X))


def same(a, b, **tolerance):
    jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, **tolerance), a, b)


@pytest.mark.parametrize("name", SOLVERS)
def test_gradient_is_that_of_two_hundred_iterations(name, unrolled):
    layer = Equilibrium(Cell(), 6, solver=SOLVERS[name], max_steps=200)
    value, (grad, grad_x) = gradient((layer, X))
    assert float(value) == pytest.approx(float(unrolled[0]), abs=1e-6)
    same((grad.cell, grad_x), unrolled[1], atol=1e-5)


@pytest.mark.parametrize("linear", [FixedPointSolve(), lx.AutoLinearSolver(well_posed=True)], ids=["iterated", "dense"])
def test_other_ways_to_solve_for_the_gradient(linear, unrolled):
    layer = Equilibrium(Cell(), 6, linear_solver=linear)
    grad, grad_x = gradient((layer, X))[1]
    same((grad.cell, grad_x), unrolled[1], atol=1e-5)


def test_unrolled_adjoint_is_there_too(unrolled):
    layer = Equilibrium(Cell(), 6, adjoint=optx.RecursiveCheckpointAdjoint(), solver=Anderson(1e-10, 1e-10))
    same(gradient((layer, X))[1][0].cell, unrolled[1][0], atol=1e-5)


def test_forward_mode_is_the_dense_formula():
    """dz/dx = (I - J)^{-1} ∂f/∂x."""
    cell = Cell()
    layer = Equilibrium(cell, 6, solver=Anderson(1e-12, 1e-12))
    z = solve(layer, X).value
    slope = 1 - np.asarray(z) ** 2
    dense = np.linalg.solve(np.eye(6) - slope[:, None] * cell.w, slope[:, None] * np.asarray(cell.u))
    np.testing.assert_allclose(jax.jit(jax.jacfwd(layer))(X), dense, atol=1e-9)


def test_start_does_not_matter_and_a_small_loss_keeps_its_gradient():
    layer = Equilibrium(Cell(), 6)
    far = 5 * jr.normal(jr.key(1), (6,))
    same(solve(layer, X).value, solve(layer, X, far).value, atol=1e-6)
    tiny = eqx.filter_jit(eqx.filter_grad(lambda layer: 1e-12 * read_out(layer)))(layer)
    same(jax.tree.map(lambda g: 1e12 * g, tiny.cell), gradient((layer, X))[1][0].cell, atol=1e-6)


def read_out(layer):
    return jnp.vdot(SEEN, layer(X))


def test_anderson_on_an_affine_map_ends_like_a_krylov_method():
    """z -> A z + b with eigenvalues 0.99 in modulus and two blocks: four unknowns need about five steps, not 2000."""
    turn = lambda r, a: r * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    a = np.kron(np.diag([1.0, 0.0]), turn(0.99, 2.0)) + np.kron(np.diag([0.0, 1.0]), turn(-0.99, 0.4))
    f = lambda z, b: jnp.asarray(a) @ z + b
    run = lambda memory: optx.fixed_point(
        f, Anderson(1e-8, 1e-8, memory=memory, ridge=1e-14), jnp.zeros(4), jnp.ones(4), max_steps=5000
    )
    fast, slow = (jax.jit(run, static_argnums=0)(m) for m in (4, 0))
    assert int(fast.stats["num_steps"]) <= 12
    assert int(slow.stats["num_steps"]) > 500
    np.testing.assert_allclose(fast.value, np.linalg.solve(np.eye(4) - a, np.ones(4)), rtol=1e-6)


def test_batches_stop_one_by_one_and_single_precision():
    cell = Cell(dtype=jnp.float32)
    layer = Equilibrium(cell, 6)
    xs = jnp.asarray(np.random.default_rng(2).normal(size=(4, 3)) * [[0.0], [0.1], [1.0], [3.0]], jnp.float32)
    found = eqx.filter_jit(jax.vmap(layer.solve))(xs)
    assert found.value.dtype == jnp.float32
    assert len(set(np.asarray(found.stats["num_steps"]).tolist())) > 1
    again = jax.vmap(cell)(found.value, xs)
    np.testing.assert_allclose(found.value, again, atol=1e-3)
    assert gradient((layer, xs[1]))[1][0].cell.w.dtype == jnp.float32


def test_a_search_that_does_not_end_is_named():
    turn = lambda z, x: x - 3 * z
    stuck = Equilibrium(turn, 3, max_steps=5, throw=False, solver=Anderson(memory=0))
    assert solve(stuck, X).result == optx.RESULTS.nonlinear_max_steps_reached
    with pytest.raises(Exception, match="maximum number of steps"):
        jax.block_until_ready(solve(Equilibrium(turn, 3, max_steps=5, solver=Anderson(memory=0)), X).value)
    # Accelerated it is found, though the iteration runs away.
    np.testing.assert_allclose(solve(Equilibrium(turn, 3), X).value, X / 4, rtol=1e-6)


def test_penalty_is_the_frobenius_norm_on_average():
    cell, z = Cell(), jnp.linspace(-0.5, 0.5, 6)
    estimate = jax.jit(lambda key: jacobian_penalty(cell, z, X, key=key, probes=4000))
    slope = 1 - np.asarray(cell(z, X)) ** 2
    exact = np.sum((slope[:, None] * cell.w) ** 2) / 6
    # The spread of one probe is below the mean: four standard errors of 4000 probes.
    assert float(estimate(jr.key(0))) == pytest.approx(exact, rel=4 / np.sqrt(4000))


def test_refuses():
    with pytest.raises(ValueError, match="max_steps=0 of an Equilibrium"):
        Equilibrium(Cell(), 6, max_steps=0)
    with pytest.raises(ValueError, match="it must give what it takes"):
        Equilibrium(lambda z, x: x, 6)(X)
    with pytest.raises(TypeError, match="takes its dtype from x"):
        Equilibrium(Cell(), 6)(jnp.arange(3))
    with pytest.raises(ValueError, match="memory=-1 of Anderson"):
        Anderson(memory=-1)
    with pytest.raises(ValueError, match=r"damping=0.0 of Anderson must be in \(0, 1\]"):
        Anderson(damping=0.0)
