"""Pairwise sums against whole matrices; roots of symmetric matrices."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from scipy.spatial.distance import cdist

from cadlag.linalg import map_blocks, pairwise_matvec, squared_distances, symmetric_sqrt

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("features", [1, 3, 40])
def test_distances_against_scipy(features):
    x, y = RNG.normal(5, 1, (7, features)), RNG.normal(5, 1, (4, features))
    found = squared_distances(jnp.asarray(x), jnp.asarray(y))
    np.testing.assert_allclose(found, cdist(x, y, "sqeuclidean"), rtol=1e-12)


@pytest.mark.parametrize("features", [2, 40])
def test_distances_survive_a_far_origin_in_single_precision(features):
    """At a distance of 1000 the products would be 1e6 with a rounding of 0.1; the points themselves round by 3e-5."""
    x = (1000 + RNG.normal(size=(6, features))).astype(np.float32)
    found = squared_distances(jnp.asarray(x), jnp.asarray(x))
    np.testing.assert_allclose(found, cdist(x.astype(float), x.astype(float), "sqeuclidean"), atol=1e-4)
    assert found.dtype == jnp.float32


@pytest.mark.parametrize("block", [1, 3, 7, 100])
def test_blocks_do_not_matter(block):
    x, y, v = (jnp.asarray(RNG.normal(size=shape)) for shape in ((7, 2), (5, 2), (5, 3)))
    found = pairwise_matvec(squared_distances, x, y, v, block=block)
    np.testing.assert_allclose(found, cdist(x, y, "sqeuclidean") @ v, rtol=1e-12)
    np.testing.assert_array_equal(map_blocks(lambda rows: rows[:, 0] > 0, x, block=block), x[:, 0] > 0)


def test_no_rows_at_a_time_are_refused():
    with pytest.raises(ValueError, match="`block` must be at least 1 row, but got 0"):
        pairwise_matvec(squared_distances, jnp.ones((2, 1)), jnp.ones((2, 1)), jnp.ones((2, 1)), block=0)


def test_symmetric_root():
    factor = RNG.normal(size=(2, 4, 4))
    a = factor @ np.swapaxes(factor, -1, -2)
    root = symmetric_sqrt(jnp.asarray(a))
    np.testing.assert_allclose(root[0], scipy.linalg.sqrtm(a[0]).real, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(root @ root, a, rtol=1e-12, atol=1e-12)
    singular = symmetric_sqrt(jnp.asarray([[1.0, 1.0], [1.0, 1.0]]))  # an eigenvalue that is zero, or -1e-17
    np.testing.assert_allclose(singular, np.full((2, 2), 0.5**0.5), atol=1e-8)
