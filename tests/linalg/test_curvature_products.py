"""Curvature products against dense matrices; Lanczos, quadrature and traces against dense eigenvalues."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from cadlag.linalg import (
    extreme_eigenpairs,
    fisher_product,
    ggn_product,
    hessian_product,
    lanczos,
    spectral_density,
    trace_estimate,
)

DRAW = np.random.default_rng(0)


class Net(eqx.Module):
    """One hidden layer, an integer array and an activation among its leaves."""

    first: jax.Array
    second: jax.Array
    classes: jax.Array
    act: object = jnp.tanh

    def __call__(self, x):
        return self.second @ self.act(self.first @ x)


MODEL = Net(jnp.asarray(DRAW.normal(size=(4, 3))), jnp.asarray(DRAW.normal(size=(3, 4))), jnp.arange(3))
DATA = (jnp.asarray(DRAW.normal(size=(11, 3))), jnp.asarray(DRAW.integers(0, 3, 11)))
FLAT, UNRAVEL = ravel_pytree(eqx.filter(MODEL, eqx.is_inexact_array))
V = UNRAVEL(jnp.asarray(DRAW.normal(size=FLAT.size)))


def forward(model, example):
    return model(example[0])


def cross_entropy(output, example):
    return jax.nn.logsumexp(output) - output[example[1]]


def loss(model, example):
    return cross_entropy(forward(model, example), example)


def of_flat(p):
    """Outputs of all examples from a flat vector of parameters."""
    tree = UNRAVEL(p)
    return jax.vmap(lambda x: tree.second @ jnp.tanh(tree.first @ x))(DATA[0])


def losses(p):
    out = of_flat(p)
    return -jax.nn.log_softmax(out)[jnp.arange(len(out)), DATA[1]]


def dense():
    """Hessian, Gauss-Newton and Fisher matrices from Jacobians of all parameters."""
    hessian = jax.hessian(lambda p: jnp.mean(losses(p)))(FLAT)
    jacobian = np.asarray(jax.jacobian(of_flat)(FLAT))
    p = np.asarray(jax.nn.softmax(of_flat(FLAT)))
    inner = np.einsum("ij,jk->ijk", p, np.eye(3)) - np.einsum("ij,ik->ijk", p, p)
    slopes = np.asarray(jax.jacobian(losses)(FLAT))
    ggn = np.einsum("iap,iab,ibq->pq", jacobian, inner, jacobian) / len(p)
    return np.asarray(hessian), ggn, slopes.T @ slopes / len(p)


MATRICES = dense()


@pytest.mark.parametrize("batch_size", [None, 4])
def test_products_are_those_of_dense_matrices(batch_size):
    """Chunks of 4 leave 3 of 11 examples over."""
    products = (
        hessian_product(loss, MODEL, DATA, batch_size=batch_size),
        ggn_product(forward, cross_entropy, MODEL, DATA, batch_size=batch_size),
        fisher_product(loss, MODEL, DATA, batch_size=batch_size),
    )
    for product, matrix in zip(products, MATRICES, strict=True):
        np.testing.assert_allclose(ravel_pytree(product(V))[0], matrix @ ravel_pytree(V)[0], rtol=1e-9, atol=1e-12)
    assert products[0].size == 24
    assert products[0].examples == 11


def test_batches_are_means_over_their_examples():
    product = hessian_product(loss, MODEL, DATA)
    parts = [ravel_pytree(product.take(jnp.asarray(i))(V))[0] for i in ([0, 1, 2, 3, 4], [5, 6, 7, 8, 9])]
    last = ravel_pytree(product.of_example(V, (DATA[0][10], DATA[1][10])))[0]
    np.testing.assert_allclose(
        (5 * parts[0] + 5 * parts[1] + last) / 11, ravel_pytree(product(V))[0], rtol=1e-9, atol=1e-12
    )


def test_gauss_newton_is_semidefinite_and_the_hessian_of_a_linear_model():
    assert np.linalg.eigvalsh(MATRICES[0])[0] < -1e-3  # the Hessian is not
    product = ggn_product(forward, cross_entropy, MODEL, DATA)
    low = extreme_eigenpairs(product, product.parameters, steps=24, largest=0, smallest=1, key=jr.key(0))
    assert low.values[0] > -1e-12
    weight = jnp.asarray(DRAW.normal(size=(3, 3)))
    linear = lambda w, e: w @ e[0]
    a = ggn_product(linear, cross_entropy, weight, DATA)(weight)
    b = hessian_product(lambda w, e: cross_entropy(w @ e[0], e), weight, DATA)(weight)
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def symmetric(values):
    q = np.linalg.qr(np.random.default_rng(1).normal(size=(len(values),) * 2))[0]
    return jnp.asarray(q @ np.diag(values) @ q.T)


def test_lanczos_finds_all_eigenvalues_and_extreme_ones_early():
    values = np.concatenate([DRAW.uniform(-1, 1, 47), [1.3, 1.3, 1.6]])  # one of them twice
    matrix = symmetric(values)
    product = lambda v: matrix @ v
    found = lanczos(product, jnp.asarray(DRAW.normal(size=50)), 50)
    np.testing.assert_allclose(found.eigh()[0], np.sort(values), atol=1e-8)
    np.testing.assert_allclose(found.basis @ found.basis.T, np.eye(50), atol=1e-12)

    top = extreme_eigenpairs(product, jnp.zeros(50), steps=30, largest=1, smallest=1, key=jr.key(1))
    np.testing.assert_allclose(top.values[0], 1.6, rtol=1e-3)
    assert top.values[1] >= values.min() - 1e-12
    left = np.linalg.norm(matrix @ top.vectors.T - top.vectors.T * top.values[None, :], axis=0)
    np.testing.assert_allclose(top.residuals, left, atol=1e-12)


def test_an_invariant_subspace_does_not_end_the_search():
    """Zero and the identity are over after one step; a projection after two."""
    for values in (np.zeros(6), np.ones(6), np.array([1.0, 1, 0, 0, 0, -2])):
        matrix = symmetric(values)
        found = lanczos(lambda v, m=matrix: m @ v, jnp.ones(6), 6)
        np.testing.assert_allclose(found.eigh()[0], np.sort(values), atol=1e-12)


def test_single_precision_leaves_no_copies():
    values = np.concatenate([np.linspace(0, 1, 99), [100.0]])
    matrix = symmetric(values).astype(jnp.float32)
    found = np.asarray(lanczos(lambda v: matrix @ v, jnp.ones(100, jnp.float32), 60).eigh()[0])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[-1], 100, rtol=1e-5)
    assert found[-2] < 1.001


def test_quadrature_has_the_moments_of_its_probes_and_the_trace():
    matrix = symmetric(DRAW.normal(size=50) + 0.5)
    product = lambda v: matrix @ v
    density = spectral_density(product, jnp.zeros(50), steps=12, probes=8, key=jr.key(2))
    z = np.asarray(jr.rademacher(jr.key(2), (8, 50), jnp.float64)) / 50**0.5
    for k, expected in enumerate((np.ones(8), ((z @ matrix) * z).sum(1), ((z @ matrix) ** 2).sum(1))):
        np.testing.assert_allclose(np.sum(density.weights * density.nodes**k, 1), expected, rtol=1e-9)
        mean, error = density.moment(k)
        np.testing.assert_allclose(mean, expected.mean(), rtol=1e-9)
        np.testing.assert_allclose(error, expected.std(ddof=1) / 8**0.5, rtol=1e-6, atol=1e-12)
    for estimate, error in (
        trace_estimate(product, jnp.zeros(50), probes=64, key=jr.key(3)),
        (50 * density.moment(1)[0], 50 * density.moment(1)[1]),
    ):
        assert abs(estimate - np.trace(matrix)) < 3 * error


def test_density_is_of_mass_one_and_where_the_eigenvalues_are():
    values = np.concatenate([np.full(30, -1.0), np.full(10, 2.0)])
    matrix = symmetric(values)
    found = spectral_density(lambda v: matrix @ v, jnp.zeros(40), steps=3, probes=60, key=jr.key(4))
    grid = jnp.linspace(-3, 4, 701)
    density, error = found.density(grid, 0.1)
    np.testing.assert_allclose(np.trapezoid(density, grid), 1, rtol=1e-6)
    share, spread = found.share_below(jnp.asarray([-1.5, 0.5, 3.0]))
    np.testing.assert_allclose(share, [0, 0.75, 1], atol=1e-9 + 4 * float(spread[1]))
    assert np.all(error >= 0)
    assert np.isnan(
        spectral_density(lambda v: matrix @ v, jnp.zeros(40), steps=3, probes=1, key=jr.key(4)).moment(1)[1]
    )


def test_refusals():
    with pytest.raises(ValueError, match=r"loss: returned shape \(3,\) for one example, expected a scalar"):
        hessian_product(forward, MODEL, DATA)
    with pytest.raises(ValueError, match="loss: returned tuple for one example"):
        fisher_product(lambda m, e: (loss(m, e), {}), MODEL, DATA)
    with pytest.raises(TypeError, match="loss: returned int"):
        hessian_product(lambda m, e: jnp.argmax(m(e[0])), MODEL, DATA)
    with pytest.raises(ValueError, match="nothing to differentiate"):
        hessian_product(loss, {"table": jnp.arange(3)}, DATA)
    with pytest.raises(TypeError, match=r"parameters are .*complex128.*expected real"):
        hessian_product(loss, jnp.ones(3, jnp.complex128), DATA)
    with pytest.raises(ValueError, match=r"layers with a state.*LayerNorm"):
        hessian_product(loss, eqx.nn.BatchNorm(3, "batch", mode="batch"), DATA)
    with pytest.raises(ValueError, match="expected a PyTree of arrays with one first axis"):
        hessian_product(loss, MODEL, (DATA[0], DATA[1][:5]))
    with pytest.raises(ValueError, match="data holds no example"):
        hessian_product(loss, MODEL, (DATA[0][:0], DATA[1][:0]))
    with pytest.raises(ValueError, match="batch_size=0: expected 1 or more"):
        hessian_product(loss, MODEL, DATA, batch_size=0)
    with pytest.raises(ValueError, match="steps=7 of Lanczos: expected 1 to 6"):
        lanczos(lambda v: v, jnp.ones(6), 7)
    with pytest.raises(ValueError, match="largest=4, smallest=3: expected together 1 to steps=5"):
        extreme_eigenpairs(lambda v: v, jnp.ones(6), steps=5, largest=4, smallest=3, key=jr.key(0))
    with pytest.raises(ValueError, match="at least 1 probe"):
        trace_estimate(lambda v: v, jnp.ones(6), probes=0, key=jr.key(0))
    with pytest.raises(ValueError, match="width=0 of a spectral density"):
        spectral_density(lambda v: v, jnp.ones(6), steps=2, key=jr.key(0)).density(jnp.ones(2), 0)
