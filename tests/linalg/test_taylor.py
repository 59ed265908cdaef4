"""Derivatives along lines and forward Laplacians against nested forward mode, and the sharing of computations."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.linalg import derivative_along, forward_laplacian, share

W = jr.normal(jr.key(0), (5, 3))


def smooth(x):
    """Every rule once: linear maps, products, quotients, powers, and what goes through nested forward mode."""
    h = jnp.tanh(W @ x) + jnp.sin(x[0]) * jnp.cos(x[1])
    h = jnp.concatenate([h, jnp.exp(-0.3 * x)]) / (2 + jax.nn.sigmoid(h[0]))
    h = jnp.where(h > 0, h, 0.5 * h) - jnp.log(3 + x[2]) * jnp.sqrt(2 + h[1] ** 2) + h**3 / (1 + h**4)
    return jnp.sum(jax.nn.softplus(h).reshape(2, 4)[0, ::2]) + jax.nn.silu(h[3]) ** 2 + (2 + h[2]) ** 1.7


def solved(x):
    """A loop and a factorisation have no rule."""
    A = jnp.eye(3) * (4 + x[0] ** 2) + jnp.outer(x, x)
    steps = jax.lax.scan(lambda c, _: (jnp.sin(c) + x[1] * c, None), x, None, length=3)[0]
    return jnp.linalg.solve(A, steps)


def nested(f, x, v, order):
    for _ in range(order):
        f = (lambda g: lambda p: jax.jvp(g, (p,), (v,))[1])(f)
    return f(x)


POINT, DIRECTION = jnp.asarray([0.3, -0.7, 0.9]), jnp.asarray([0.5, -1.0, 2.0])


@pytest.mark.parametrize("f", [smooth, solved])
def test_derivatives_against_nested_forward_mode(f):
    orders = (1, 2, 4) if f is smooth else (1, 3)
    ours = jax.jit(lambda x: [derivative_along(f, x, DIRECTION, k) for k in orders])(POINT)
    theirs = jax.jit(lambda x: [nested(f, x, DIRECTION, k) for k in orders])(POINT)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-11)


def test_the_fourth_derivative_of_a_sine_is_exact():
    x = jnp.asarray([0.4])
    fourth = derivative_along(lambda p: jnp.sin(7 * p[0]), x, jnp.ones(1), 4)
    np.testing.assert_allclose(fourth, 7**4 * np.sin(2.8), rtol=1e-13)


@pytest.mark.parametrize("f", [smooth, solved])
def test_forward_laplacian_is_the_trace_of_the_hessian(f):
    ours = jax.jit(lambda x: forward_laplacian(f, x, jnp.eye(3)))(POINT)
    hessian = jax.jit(jax.hessian(f))(POINT)
    np.testing.assert_allclose(ours, jnp.trace(hessian, axis1=-2, axis2=-1), rtol=1e-11)


def test_other_directions_and_functions_that_do_not_bend():
    V = jnp.stack([DIRECTION, 2 * DIRECTION])
    both = jax.jit(lambda x: (forward_laplacian(smooth, x, V), derivative_along(smooth, x, DIRECTION, 2)))
    laplacian, second = both(POINT)
    np.testing.assert_allclose(laplacian, 5 * second, rtol=1e-11)
    for flat in (lambda x: W @ x, lambda x: jnp.ones(2)):
        assert not np.any(forward_laplacian(flat, POINT, V))
        assert not np.any(derivative_along(flat, POINT, DIRECTION, 2))


def network(W, x):
    return jnp.sum(jnp.tanh(W @ x))


def residual(W, x):
    u = lambda p: network(W, p)
    first, second = (derivative_along(u, x, jnp.asarray([1.0, 0, 0]), k) for k in (1, 2))
    return u(x) * first + second


def products(f, *args):
    return str(jax.make_jaxpr(f)(*args)).count("dot_general")


def test_shared_computations_are_done_once_and_keep_their_value():
    assert products(residual, W, POINT) == 1 + 2 + 2  # the second coefficient of a linear map is zero
    assert products(share(residual), W, POINT) == 2
    for of in (residual, jax.grad(residual)):
        np.testing.assert_allclose(share(of)(W, POINT), of(W, POINT), rtol=1e-13)
    np.testing.assert_allclose(jax.grad(share(residual))(W, POINT), jax.grad(residual)(W, POINT), rtol=1e-12)


def test_sharing_tells_apart_what_differs():
    f = lambda x: (jnp.sum(x), jnp.max(x), x - 1.0, x - 2.0, x.astype(jnp.float32), jnp.cumsum(x), {"a": x[1]})
    assert jax.tree.all(jax.tree.map(lambda a, b: bool(jnp.all(a == b)), share(f)(POINT), f(POINT)))
    key = jr.key(3)  # random bits and typed keys pass through
    assert share(lambda k: jr.normal(k) - jr.normal(jr.fold_in(k, 1)))(key) == jr.normal(key) - jr.normal(
        jr.fold_in(key, 1)
    )


def test_float32_stays_float32():
    x = POINT.astype(jnp.float32)
    f = lambda p: jnp.tanh(W.astype(jnp.float32) @ p) / (2 + p[0])
    eye = jnp.eye(3, dtype=jnp.float32)
    for of in (lambda x: derivative_along(f, x, x, 3), lambda x: forward_laplacian(f, x, eye)):
        assert jax.eval_shape(of, x).dtype == jnp.float32


def test_order_zero_is_refused():
    with pytest.raises(ValueError, match="order=0"):
        derivative_along(smooth, POINT, DIRECTION, 0)
