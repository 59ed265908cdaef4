"""The log-ODE: on linear fields against matrix exponentials, its order, brackets that vanish, refusals."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

from cadlag.paths import LieBasis, logsignature, logsignature_path, lyndon_words
from cadlag.solve import CDE, ODE, RungeKutta, log_ode, solve

A = np.random.default_rng(0).normal(size=(2, 3, 3))
TIMES = np.array([0.0, 1.0, 2.0])


def linear_field(t, y, args):
    return jnp.stack([jnp.asarray(a) @ y for a in A], axis=1)


def curved_field(t, y, args):
    return jnp.stack([jnp.sin(y[::-1]), 1.0 + y * y[::-1]], axis=1)


def two_lines(h):
    return h * np.array([[0.0, 0.0], [1.0, 0.2], [0.7, 1.1]])


@jax.jit
def field_at(y):
    process = log_ode(CDE(curved_field), 2, 3)
    return process.diffusion(jnp.asarray(0.0), y, None)


def test_brackets_of_linear_fields_are_commutators():
    columns = jax.jit(lambda y: log_ode(CDE(linear_field), 2, 3).diffusion(jnp.asarray(0.0), y, None))(jnp.arange(3.0))
    comm = lambda p, q: q @ p - p @ q  # of y' = p y, y' = q y: the field (q p - p q) y
    one = comm(A[0], A[1])
    expected = [A[0], A[1], one, comm(A[0], one), comm(one, A[1])]
    assert lyndon_words(2, 3) == ((0,), (1,), (0, 1), (0, 0, 1), (0, 1, 1))
    np.testing.assert_allclose(columns, np.stack([m @ np.arange(3.0) for m in expected], 1), rtol=1e-12, atol=1e-12)


def test_window_matrix_of_the_card():
    """y1 = expm(Σ A_i x^i + Σ_{i<j} a^{ij} (A_j A_i - A_i A_j)) y0 at depth two."""
    points = two_lines(0.4)
    path = logsignature_path(jnp.asarray(TIMES), jnp.asarray(points), 2, 2, basis=LieBasis.brackets)
    run = jax.jit(lambda y0: solve(log_ode(CDE(linear_field), 2, 2), y0, path.times, driver=path, steps=40,
                                   stepper=diffrax.Dopri5()).y1)  # fmt: skip
    x = points[-1]
    area = 0.5 * (points[1, 0] * (x - points[1])[1] - points[1, 1] * (x - points[1])[0])
    matrix = A[0] * x[0] + A[1] * x[1] + area * (A[1] @ A[0] - A[0] @ A[1])
    # A fifth-order method with 40 steps.
    np.testing.assert_allclose(run(jnp.ones(3)), expm(matrix) @ np.ones(3), rtol=1e-9)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_local_order(depth):
    """One window over two lines of size h: error O(h^{depth + 1}) against the lines one after the other."""
    small = np.array([0.04, 0.02, 0.01])

    @jax.jit
    def errors(scaled):
        def one(points):
            path = logsignature_path(jnp.asarray(TIMES), points, 2, depth, basis=LieBasis.brackets)
            fine = logsignature_path(jnp.asarray(TIMES), points, 1, 1)
            y0 = jnp.asarray([0.3, -0.5])
            stepper = RungeKutta(diffrax.Dopri5())
            ours = solve(log_ode(CDE(curved_field), 2, depth), y0, path.times, driver=path, steps=16, stepper=stepper)
            true = solve(CDE(curved_field), y0, fine.times, driver=fine, steps=16, stepper=stepper)
            return jnp.linalg.norm(ours.y1 - true.y1)

        return jax.vmap(one)(scaled)

    found = np.asarray(errors(jnp.stack([jnp.asarray(two_lines(h)) for h in small])))
    # The next order still shows at these sizes.
    assert np.polyfit(np.log(small), np.log(found), 1)[0] == pytest.approx(depth + 1, abs=0.15)


def test_brackets_are_antisymmetric_and_satisfy_jacobi():
    """[0,[0,1]] and [[0,1],1] by finite differences of [0,1], which is itself one of two fields."""
    y = jnp.array([0.3, -0.8])
    column = lambda k: lambda z: field_at(z)[:, k]

    def derivative(v, w, eps=1e-6):
        return (v(y + eps * w(y)) - v(y - eps * w(y))) / (2 * eps)

    v0, v1, v01 = (column(k) for k in range(3))
    brackets = [derivative(v1, v0) - derivative(v0, v1), derivative(v01, v0) - derivative(v0, v01)]
    brackets.append(derivative(v1, v01) - derivative(v01, v1))
    # Central differences of step 1e-6: about 1e-10.
    np.testing.assert_allclose(field_at(y)[:, 2:], np.stack(brackets, 1), atol=1e-8)


def test_refuses():
    with pytest.raises(TypeError, match="log_ode takes a CDE, not a ODE"):
        log_ode(ODE(lambda t, y, a: y), 2, 2)
    with pytest.raises(ValueError, match="channels=3, but the field has shape"):
        log_ode(CDE(curved_field), 3, 2).diffusion(jnp.asarray(0.0), jnp.ones(2), None)
    assert logsignature(jnp.eye(3), 1).shape == (3,)
