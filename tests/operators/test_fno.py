"""The Fourier neural operator: symmetry of its layers, other grids, padding."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from cadlag.nn import Boundary, identity
from cadlag.operators import FNO


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float64)


def tiny(**settings):
    net = FNO(1, 1, **{"modes": 3, "width": 4, "layers": 2, "coordinates": False, "key": jr.key(0), **settings})
    return jax.tree.map(lambda a: a.astype(jnp.float64) if eqx.is_inexact_array(a) else a, net)


call = eqx.filter_jit(lambda net, u: net(u))


def test_without_coordinates_it_commutes_with_every_shift():
    net, u = tiny(), draw(1, 1, 9, 8)
    shift = lambda a: jnp.roll(a, (2, -3), (1, 2))
    np.testing.assert_allclose(call(net, shift(u)), shift(call(net, u)), atol=1e-12)
    seen = tiny(coordinates=True)
    assert float(jnp.max(jnp.abs(call(seen, shift(u)) - shift(call(seen, u))))) > 1e-3


def test_on_a_finer_grid_it_is_the_same_function():
    """Exactly so for an affine network and a field whose waves the coarse grid holds."""
    net = tiny(activation=identity)
    mesh = lambda n: np.meshgrid(np.arange(n) / n, np.arange(n) / n, indexing="ij")
    wave = lambda x, y: jnp.asarray(np.cos(2 * np.pi * (2 * x - y)) + np.sin(2 * np.pi * y) + 0.3)[None]
    np.testing.assert_allclose(call(net, wave(*mesh(16)))[:, ::2, ::2], call(net, wave(*mesh(8))), atol=1e-12)


def test_padding_unties_the_ends_where_the_boundary_is_not_circular():
    """The last point, seen from the first: a neighbour on a circle, a stranger behind a padding."""
    impulse = jnp.zeros((1, 16, 16)).at[0, -1, 8].set(1.0)
    reach = {}
    for boundary in (Boundary.circular, Boundary.zero):
        net = tiny(boundary=boundary, padding=1.0, modes=8, width=1, layers=1, activation=identity)
        ones = eqx.tree_at(lambda n: n.layers[0].spectral.weight, net, _identity(net))
        out = call(ones, impulse) - call(ones, jnp.zeros_like(impulse))
        reach[boundary] = abs(float(out[0, 0, 8] / out[0, -1, 8]))
    assert reach[Boundary.circular] > 2 * reach[Boundary.zero]


def _identity(net):
    """A layer that drops the highest waves and keeps the others: a narrow kernel."""
    weight = net.layers[0].spectral.weight
    smooth = np.exp(-0.1 * np.add.outer(np.r_[0:8, -8:0] ** 2, np.arange(8) ** 2))
    return jnp.zeros_like(weight).at[..., 0, 0, 0].set(jnp.asarray(smooth, weight.dtype))
