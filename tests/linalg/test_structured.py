"""Kronecker, Toeplitz and Cholesky against dense matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from cadlag.linalg import (
    apply_along,
    kronecker_apply,
    kronecker_logdet,
    kronecker_quadratic,
    kronecker_whiten,
    safe_cholesky,
    toeplitz,
)

RNG = np.random.default_rng(0)


def covariance(n):
    a = RNG.standard_normal((n, n))
    return a @ a.T + 0.1 * np.eye(n)


SIZES = (6, 5, 3)
COVARIANCES = [covariance(n) for n in SIZES]
FACTORS = [jnp.asarray(np.linalg.cholesky(c)) for c in COVARIANCES]
DENSE = np.kron(np.kron(COVARIANCES[0], COVARIANCES[1]), COVARIANCES[2])
U = RNG.standard_normal(SIZES)


def test_kronecker_identities_against_the_dense_product():
    # 90 x 90, condition about 1e6: identities to 1e-8 relative.
    np.testing.assert_allclose(kronecker_logdet(FACTORS), np.linalg.slogdet(DENSE)[1], rtol=1e-10)
    quadratic = U.ravel() @ np.linalg.solve(DENSE, U.ravel())
    np.testing.assert_allclose(kronecker_quadratic(FACTORS, jnp.asarray(U)), quadratic, rtol=1e-8)
    np.testing.assert_allclose(
        kronecker_apply([jnp.asarray(c) for c in COVARIANCES], jnp.asarray(U)).ravel(), DENSE @ U.ravel(), rtol=1e-10
    )
    white = kronecker_whiten(FACTORS, jnp.asarray(U))
    np.testing.assert_allclose(kronecker_apply(FACTORS, white), U, atol=1e-10)


def test_rectangular_matrices_batches_and_float32():
    a, b = (jnp.asarray(RNG.standard_normal(s), jnp.float32) for s in ((4, 6), (2, 5)))
    u = jnp.asarray(RNG.standard_normal((7, 6, 5)), jnp.float32)
    out = kronecker_apply([a, b], u)
    assert out.shape == (7, 4, 2)
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(out, np.einsum("ai,bj,kij->kab", a, b, u), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(apply_along(a, u, 1), np.einsum("ai,kij->kaj", a, u), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("n", "m"), [(4, 4), (3, 5), (5, 2), (1, 3), (3, 1)])
def test_toeplitz_against_scipy(n, m):
    column, row = RNG.standard_normal(n), RNG.standard_normal(m)
    row[0] = column[0]
    np.testing.assert_array_equal(toeplitz(jnp.asarray(column), jnp.asarray(row)), scipy.linalg.toeplitz(column, row))
    np.testing.assert_array_equal(toeplitz(jnp.asarray(column)), scipy.linalg.toeplitz(column))


def test_gradient_of_toeplitz_counts_entries():
    # The sum of all entries holds lag k 2 (n - k) times, lag 0 n times.
    counts = jax.grad(lambda c: jnp.sum(toeplitz(c)))(jnp.ones(5))
    np.testing.assert_array_equal(counts, [5, 8, 6, 4, 2])


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_safe_cholesky_reports_what_it_added(dtype):
    good = safe_cholesky(jnp.asarray(COVARIANCES[0], dtype))
    assert good.jitter == 0
    np.testing.assert_allclose(
        good.factor @ good.factor.T, COVARIANCES[0], rtol=1e-4 if dtype == jnp.float32 else 1e-12
    )
    v = jnp.asarray(RNG.standard_normal((8, 2)), dtype)
    # Indefinite by rounding only: rank two, with an eigenvalue pushed a little below zero.
    singular = v @ v.T - 10 * jnp.finfo(dtype).eps * jnp.eye(8, dtype=dtype)
    assert not jnp.all(jnp.isfinite(jnp.linalg.cholesky(singular)))
    found = safe_cholesky(singular)
    assert 0 < found.jitter < 1e4 * jnp.finfo(dtype).eps * jnp.trace(singular)
    assert found.factor.dtype == dtype
    whole = np.asarray(singular + found.jitter * jnp.eye(8, dtype=dtype), np.float64)
    np.testing.assert_allclose(found.factor @ found.factor.T, whole, atol=20 * jnp.finfo(dtype).eps * np.trace(whole))


def test_safe_cholesky_is_differentiable_and_solves():
    c = jnp.asarray(COVARIANCES[1])
    grad = jax.grad(lambda m: safe_cholesky(m).logdet)(c)
    # d log det C = tr(C^-1 dC); the factor reads one triangle, so the gradient is compared symmetrised.
    np.testing.assert_allclose((grad + grad.T) / 2, np.linalg.inv(COVARIANCES[1]), rtol=1e-8)
    b = jnp.asarray(RNG.standard_normal(5))
    np.testing.assert_allclose(c @ safe_cholesky(c).solve(b), b, rtol=1e-9)


def test_what_cannot_be_factored_is_nan():
    assert jnp.all(jnp.isnan(safe_cholesky(-jnp.eye(3)).factor[0, 0]))
    assert jnp.any(jnp.isnan(safe_cholesky(jnp.eye(3).at[0, 0].set(jnp.nan)).factor))


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="square"):
        safe_cholesky(jnp.ones((2, 3)))
    with pytest.raises(ValueError, match="as many columns as points"):
        apply_along(jnp.ones((2, 3)), jnp.ones((4, 4)), 0)
    with pytest.raises(ValueError, match="one for each last axis"):
        kronecker_apply([jnp.eye(2), jnp.eye(2)], jnp.ones(2))
