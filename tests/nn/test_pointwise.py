"""A convolution of kernel one, whose weight gradient has a way of its own."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.nn import Conv


@pytest.mark.parametrize(("m", "n"), [(2, 5), (5, 2), (3, 1)])
def test_its_gradients_are_those_of_a_matrix_product(m, n):
    draw = lambda seed, *shape: jnp.asarray(np.random.default_rng(seed).normal(size=shape))
    conv = eqx.tree_at(lambda c: c.weight, Conv(m, n, 1, bias=False, key=jr.key(0)), draw(0, 1, 1, m, n))
    x, target = draw(1, 3, 4, 6, m), draw(2, 3, 4, 6, n)
    apply = lambda w, x: jax.vmap(eqx.tree_at(lambda c: c.weight, conv, w))(x)
    product = lambda w, x: jnp.einsum("bijm,mn->bijn", x, w[0, 0])

    def everything(f):
        loss = lambda w, x: jnp.sum(jnp.sin(f(w, x)) * target)
        slopes = jax.grad(loss, (0, 1))
        return f(conv.weight, x), slopes(conv.weight, x), jax.jvp(slopes, (conv.weight, x), (conv.weight, x))[1]

    for a, b in zip(*(jax.tree.leaves(jax.jit(lambda f=f: everything(f))()) for f in (apply, product)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-11)
