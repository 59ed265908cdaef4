"""Divergences against closed forms; Hutchinson's estimate against its exact mean and variance."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.linalg import divergence, gaussian_probes, rademacher_probes, value_and_divergence

A = np.random.default_rng(0).normal(size=(3, 3))
X = jnp.asarray([0.3, -1.1, 0.7])


@eqx.filter_jit
def compiled(f, x, probes=None, batch_size=None):
    return value_and_divergence(f, x, probes=probes, batch_size=batch_size)


def field(x):
    """A x + x³ + x₀ (1, 1, 1), of divergence tr A + 3 |x|² + 1."""
    return jnp.asarray(A, x.dtype) @ x + x**3 + x[0] * jnp.ones_like(x)


EXACT = np.trace(A) + 3 * np.sum(np.asarray(X) ** 2) + 1


@pytest.mark.parametrize("batch_size", [None, 1, 2])
def test_exact_against_the_formula(batch_size):
    value, found = compiled(field, X, batch_size=batch_size)
    np.testing.assert_allclose(value, field(X), rtol=1e-14)
    np.testing.assert_allclose(found, EXACT, rtol=1e-13)


def test_any_shape_and_single_precision():
    def image(x):
        return jnp.sin(x) * jnp.sum(x)

    x = jnp.asarray(np.random.default_rng(1).normal(size=(1, 2, 2)))
    expected = np.cos(x).sum() * np.sum(x) + np.sin(x).sum()
    np.testing.assert_allclose(compiled(image, x)[1], expected, rtol=1e-13)
    single = compiled(image, x.astype(jnp.float32))[1]
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, expected, rtol=1e-5)  # some ten roundings of 6e-8 on terms of order one
    np.testing.assert_allclose(compiled(jnp.exp, jnp.asarray(0.5))[1], np.exp(0.5), rtol=1e-14)  # a number


def test_all_signs_together_give_the_trace():
    """The mean over all 2³ sign vectors is the expectation itself: no statistics."""
    signs = jnp.asarray(list(itertools.product([-1.0, 1.0], repeat=3)))
    np.testing.assert_allclose(compiled(field, X, probes=signs)[1], EXACT, rtol=1e-13)
    np.testing.assert_allclose(compiled(field, X, probes=signs, batch_size=3)[1], EXACT, rtol=1e-13)


def test_signs_are_exact_in_one_dimension_and_normals_are_not():
    x = jnp.asarray([0.4])
    signs, normals = rademacher_probes(x, key=jr.key(0)), gaussian_probes(x, key=jr.key(0))
    np.testing.assert_allclose(compiled(jnp.tanh, x, probes=signs)[1], 1 - np.tanh(0.4) ** 2, rtol=1e-14)
    assert abs(compiled(jnp.tanh, x, probes=normals)[1] - (1 - np.tanh(0.4) ** 2)) > 1e-3


def test_variances_of_both_kinds_of_probes():
    """With S the symmetric part of J: Var = 2 (|S|² - Σ S_ii²) for signs, 2 |S|² for normals.

    20,000 probes: the mean within 4 standard errors (false alarm 6e-5 each); the variance within 6 %, which is over
    4 standard errors for a kurtosis below 6 (relative standard error sqrt(5 / 20000) = 1.6 % or less).
    """
    n = 20_000
    jacobian = np.asarray(jax.jacfwd(field)(X))
    S = (jacobian + jacobian.T) / 2
    for probes, variance in (
        (rademacher_probes(X, n, key=jr.key(1)), 2 * (np.sum(S**2) - np.sum(np.diag(S) ** 2))),
        (gaussian_probes(X, n, key=jr.key(2)), 2 * np.sum(S**2)),
    ):
        draws = np.einsum("ni,ij,nj->n", probes, jacobian, probes)
        np.testing.assert_allclose(compiled(field, X, probes=probes)[1], draws.mean(), rtol=1e-10)
        assert abs(draws.mean() - EXACT) < 4 * np.sqrt(variance / n)
        assert draws.var() == pytest.approx(variance, rel=0.06)


def test_gradient_of_the_divergence():
    """∇ of tr A + 3 |x|² + 1 is 6 x, exact and by all signs."""
    signs = jnp.asarray(list(itertools.product([-1.0, 1.0], repeat=3)))
    np.testing.assert_allclose(jax.grad(lambda x: compiled(field, x)[1])(X), 6 * X, rtol=1e-12)
    np.testing.assert_allclose(jax.grad(lambda x: compiled(field, x, probes=signs)[1])(X), 6 * X, rtol=1e-12)


def test_under_jit_and_vmap():
    points = jnp.stack([X, 2 * X])
    found = jax.jit(jax.vmap(lambda x: divergence(field, x)))(points)
    np.testing.assert_allclose(found, [EXACT, np.trace(A) + 12 * np.sum(np.asarray(X) ** 2) + 1], rtol=1e-13)


@pytest.mark.parametrize(
    ("f", "options", "error", "words"),
    [
        (lambda x: x[:2], {}, ValueError, r"`f` maps \(3,\) to \(2,\)"),
        (jnp.sum, {}, ValueError, r"`f` maps \(3,\) to \(\)"),
        (lambda x: x.astype(jnp.float32), {}, TypeError, "`f` maps float64 to float32"),
        (field, {"probes": jnp.ones(3)}, ValueError, r"must have shape \(n, \*x.shape\) .* `probe\[None\]`"),
        (field, {"probes": jnp.ones((2, 4))}, ValueError, r"but got \(2, 4\)"),
        (field, {"probes": jnp.ones((0, 3))}, ValueError, r"but got \(0, 3\)"),
        (field, {"probes": jnp.ones((2, 3), jnp.float32)}, TypeError, "are float32, but x is float64"),
        (field, {"batch_size": 0}, ValueError, "`batch_size` must be at least 1"),
    ],
)
def test_refusals(f, options, error, words):
    with pytest.raises(error, match=words):
        value_and_divergence(f, X, **options)


def test_probes_come_like_the_point():
    probes = rademacher_probes(jnp.zeros((2, 3), jnp.float32), 5, key=jr.key(0))
    assert probes.shape == (5, 2, 3)
    assert probes.dtype == jnp.float32
    assert set(np.unique(probes)) == {-1.0, 1.0}
    with pytest.raises(ValueError, match="at least 1 probe, but got 0"):
        gaussian_probes(X, 0, key=jr.key(0))
