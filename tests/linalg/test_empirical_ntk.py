"""Empirical tangent kernels: two ways and the definition agree, within a budget; linearised models."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from cadlag.linalg import NTKMethod, empirical_ntk, linearise, ntk_product

DRAW = np.random.default_rng(0).normal
X, Z = jnp.asarray(DRAW(size=(5, 4))), jnp.asarray(DRAW(size=(3, 4)))


def double(model):
    return jax.tree.map(lambda a: a.astype(jnp.float64) if eqx.is_inexact_array(a) else a, model)


MODEL = double(eqx.nn.MLP(4, 3, 6, 2, activation=jnp.tanh, key=jax.random.key(0)))
PARAMETERS = sum(a.size for a in jax.tree.leaves(eqx.filter(MODEL, eqx.is_array)))
ONE = 4 * 3 * PARAMETERS * 8  # bytes of two blocks of one Jacobian, and as much again


def jacobian(model, x):
    """All derivatives in one matrix, (n, o, parameters), in forward mode."""
    params, rest = eqx.partition(model, eqx.is_inexact_array)
    flat, unravel = ravel_pytree(params)
    f = lambda p: jax.vmap(eqx.combine(unravel(p), rest))(x)
    return np.asarray(jax.jacfwd(f)(flat))


def test_contraction_products_and_definition_agree():
    a, b = jacobian(MODEL, X), jacobian(MODEL, Z)
    expected = np.einsum("iop,jqp->ijoq", a, b)
    for method in NTKMethod:
        np.testing.assert_allclose(empirical_ntk(MODEL, X, Z, method=method), expected, rtol=1e-10, atol=1e-12)
        mean = empirical_ntk(MODEL, X, Z, method=method, trace=True)
        np.testing.assert_allclose(mean, np.einsum("ijoo->ij", expected) / 3, rtol=1e-10, atol=1e-12)


def test_budgets_give_the_same_and_symmetric_matrices():
    expected = np.einsum("iop,jqp->ijoq", *(jacobian(MODEL, X),) * 2)
    for memory in (2 * ONE, 3 * ONE, 100 * ONE):
        found = np.asarray(empirical_ntk(MODEL, X, memory=memory))
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    matrix = found.transpose(0, 2, 1, 3).reshape(15, 15)
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-12, atol=1e-14)
    assert np.linalg.eigvalsh(matrix).min() > -1e-12 * np.linalg.eigvalsh(matrix).max()


def test_convolutional_model_of_single_precision():
    k0, k1 = jax.random.split(jax.random.key(1))
    layers = [eqx.nn.Conv2d(1, 2, 3, key=k0), eqx.nn.Lambda(jnp.tanh), eqx.nn.Lambda(jnp.ravel)]
    model = eqx.nn.Sequential([*layers, eqx.nn.Linear(8, 3, key=k1)])
    x = jax.random.normal(jax.random.key(2), (2, 1, 4, 4), jnp.float32)
    model = jax.tree.map(lambda a: a.astype(jnp.float32) if eqx.is_inexact_array(a) else a, model)
    expected = empirical_ntk(double(model), x.astype(jnp.float64))
    for method in (NTKMethod.contraction, NTKMethod.structured):
        found = empirical_ntk(model, x, method=method)
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def image_model():
    """A convolution, a layer seen through vmap, a tied one, and affine layers called on vectors; three outputs."""
    k0, k1, k2 = jax.random.split(jax.random.key(1), 3)
    return double(Mixed(eqx.nn.Conv2d(1, 2, 3, key=k0), eqx.nn.Linear(2, 2, key=k1), eqx.nn.Linear(8, 3, key=k2)))


class Mixed(eqx.Module):
    conv: eqx.nn.Conv2d
    tied: eqx.nn.Linear
    last: eqx.nn.Linear

    def __call__(self, x):
        y = jnp.tanh(self.conv(x)).reshape(4, 2)
        y = jnp.tanh(jax.vmap(self.tied)(y)) @ self.tied.weight
        return self.last(y.reshape(-1))


def test_three_ways_agree_where_layers_are_of_every_kind():
    model, x = image_model(), jnp.asarray(DRAW(size=(3, 1, 4, 4)))
    expected = np.einsum("iop,jqp->ijoq", *(jacobian(model, x),) * 2)
    for method in NTKMethod:
        np.testing.assert_allclose(empirical_ntk(model, x, method=method), expected, rtol=1e-10, atol=1e-12)


def test_structured_derivatives_keep_to_a_smaller_budget():
    expected = np.einsum("iop,jqp->ijoq", *(jacobian(MODEL, X),) * 2)
    # Inputs and outputs of three layers instead of their weights.
    need = 4 * 3 * (4 + 6 + 6 + 6 + 6 + 3) * 8
    assert need < ONE
    found = empirical_ntk(MODEL, X, method=NTKMethod.structured, memory=2 * need)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    with pytest.raises(ValueError, match=f"takes {need};"):
        empirical_ntk(MODEL, X, method=NTKMethod.structured, memory=need - 1)


def test_product_is_that_of_the_matrix():
    v = jnp.asarray(DRAW(size=(3, 3)))
    expected = np.einsum("ijoq,jq->io", np.asarray(empirical_ntk(MODEL, X, Z)), np.asarray(v))
    for block in (2, 256):
        np.testing.assert_allclose(ntk_product(MODEL, v, X, Z, block=block), expected, rtol=1e-10)
    with pytest.raises(ValueError, match=r"expected that of the outputs at z, \(3, 3\)"):
        ntk_product(MODEL, v[:2], X, Z)


def test_linear_model_and_functions_of_a_pytree():
    def f(params, x):
        return params["w"] @ x

    model = jax.tree_util.Partial(f, {"w": jnp.asarray(DRAW(size=(2, 4)))})
    expected = np.einsum("ij,oq->ijoq", np.asarray(X @ Z.T), np.eye(2))
    np.testing.assert_allclose(empirical_ntk(model, X, Z), expected, rtol=1e-12, atol=1e-14)


def test_some_leaves_alone():
    where = jax.tree.map(lambda _: False, MODEL)
    where = eqx.tree_at(lambda m: m.layers[-1].bias, where, True)
    for method in NTKMethod:
        found = empirical_ntk(MODEL, X, trace=True, where=where, method=method)
        np.testing.assert_allclose(found, np.ones((5, 5)))
    weights = eqx.tree_at(lambda m: (m.layers[0].weight, m.layers[1].bias), jax.tree.map(lambda _: False, MODEL),
                          (True, True))  # fmt: skip
    first, second = (empirical_ntk(MODEL, X, where=weights, method=m)
                     for m in (NTKMethod.contraction, NTKMethod.structured))  # fmt: skip
    np.testing.assert_allclose(first, second, rtol=1e-10, atol=1e-14)


def test_refusals():
    with pytest.raises(ValueError, match=f"takes {ONE}; raise it, or use NTKMethod.products"):
        empirical_ntk(MODEL, X, memory=ONE - 1)
    with pytest.raises(ValueError, match="one copy of the parameters"):
        empirical_ntk(MODEL, X, memory=8, method=NTKMethod.products)
    batch = eqx.nn.Sequential([eqx.nn.BatchNorm(4, "batch", mode="batch"), eqx.nn.Lambda(jnp.tanh)])
    with pytest.raises(ValueError, match="batch statistics"):
        empirical_ntk(batch, X)
    with pytest.raises(ValueError, match="nothing to differentiate"):
        empirical_ntk(eqx.nn.Identity(), X)
    with pytest.raises(ValueError, match="order=0"):
        linearise(MODEL, order=0)


def moved(size):
    params = eqx.filter(MODEL, eqx.is_inexact_array)
    flat, unravel = ravel_pytree(params)
    step = unravel(size * jnp.asarray(np.random.default_rng(7).normal(size=flat.shape)))
    return step, eqx.apply_updates(MODEL, step)


@pytest.mark.parametrize("order", [1, 2])
def test_remainder_of_the_taylor_polynomial(order):
    remainder = []
    for size in (1e-2, 5e-3):
        step, end = moved(size)
        model = eqx.tree_at(lambda m: m.shift, linearise(MODEL, order=order), step)
        remainder.append(float(jnp.max(jnp.abs(model(X[0]) - end(X[0])))))
    # Halving the step divides it by 2^(order + 1), within what the next order adds.
    assert abs(np.log2(remainder[0] / remainder[1]) - (order + 1)) < 0.15


def test_linearised_model_keeps_kernel_and_learns_by_its_shift():
    model = linearise(MODEL)
    np.testing.assert_allclose(jax.vmap(model)(X), jax.vmap(MODEL)(X), rtol=1e-13)
    far = eqx.tree_at(lambda m: m.shift, model, moved(1.0)[0])
    np.testing.assert_allclose(empirical_ntk(far, X), empirical_ntk(MODEL, X), rtol=1e-10, atol=1e-12)
    slopes = eqx.filter_grad(lambda m: jnp.sum(m(X[0])))(model)
    assert all(float(jnp.max(jnp.abs(a))) == 0 for a in jax.tree.leaves(slopes.model))
    assert any(float(jnp.max(jnp.abs(a))) > 0 for a in jax.tree.leaves(slopes.shift))
