"""Distances that are means over pairs of samples: maximum mean discrepancy and energy distance.

Both have the form 2 E h(X, Y) - E h(X, X') - E h(Y, Y') up to sign, estimated without bias by leaving out the pairs of
a sample with itself. The pairs are summed in blocks of rows, so that ten thousand samples fit in memory.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from cadlag.linalg import pairwise_matvec, squared_distances
from cadlag.metrics._checks import two_samples

_SCALES = np.array([0.25, 0.5, 1.0, 2.0, 4.0])


def mmd(x: Any, y: Any, *, bandwidths: Any = None, block: int = 512) -> Float[Array, ""]:
    """The squared maximum mean discrepancy of two sets of samples, unbiased: it may come out negative.

    E k(X, X') + E k(Y, Y') - 2 E k(X, Y) with k the mean of exp(-|a - b|² / (2 bandwidth²)) over `bandwidths`. Gretton
    et al., A Kernel Two-Sample Test, JMLR 13 (2012), Lemma 6.

    **Arguments:**

    - `x` (n, ...), `y` (m, ...): floats, flattened behind the first axis.
    - `bandwidths`: one or several; None: ¼, ½, 1, 2 and 4 times `median_distance(x, y)`. Values are comparable only
      for equal bandwidths: fix them where several sets are compared.
    - `block`: rows of the kernel matrix held at a time.

    **Raises:** ValueError for fewer than two samples, other shapes, values that are not finite, bandwidths that are not
    positive; TypeError for integers and mixed precision.
    """
    x, y = two_samples(x, y)
    if bandwidths is None:
        bandwidths = median_distance(x, y) * jnp.asarray(_SCALES, x.dtype)
    bandwidths = jnp.atleast_1d(jnp.asarray(bandwidths, x.dtype))
    if not isinstance(bandwidths, Tracer) and not np.all(np.asarray(bandwidths) > 0):
        raise ValueError(
            f"`bandwidths` must be positive, but are {np.asarray(bandwidths).tolist()}"
            " (by default multiples of the median distance, which is zero if most samples coincide)."
        )
    return _mmd(x, y, bandwidths, block=block)


def energy_distance(x: Any, y: Any, *, block: int = 512) -> Float[Array, ""]:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'|, unbiased: it may come out negative.

    Zero in the mean exactly for equal laws; in one dimension 2 ∫ (F - G)². Székely and Rizzo, J. Stat. Plan. Inference
    143 (2013). Arguments and errors as of `mmd`.
    """
    x, y = two_samples(x, y)
    return _energy(x, y, block=block)


def median_distance(x: Any, y: Any, *, most: int = 500) -> Float[Array, ""]:
    """The median distance between two different samples of x and y pooled, of `most` evenly spaced ones of each."""
    x, y = two_samples(x, y)
    return _median(*(a[np.linspace(0, len(a) - 1, min(len(a), most)).astype(int)] for a in (x, y)))


@functools.partial(jax.jit, static_argnames="block")
def _mmd(x: Array, y: Array, bandwidths: Array, *, block: int) -> Array:
    def kernel(a: Array, b: Array) -> Array:
        squares = squared_distances(a, b)
        return sum((jnp.exp(squares * (-0.5 / w**2)) for w in bandwidths), jnp.zeros_like(squares)) / len(bandwidths)

    xx, xy, yy = _means(kernel, 1.0, x, y, block)
    return xx + yy - 2 * xy


@functools.partial(jax.jit, static_argnames="block")
def _energy(x: Array, y: Array, *, block: int) -> Array:
    def distance(a: Array, b: Array) -> Array:
        squares = squared_distances(a, b)
        # The root's slope at zero would make gradients NaN.
        return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)

    xx, xy, yy = _means(distance, 0.0, x, y, block)
    return 2 * xy - xx - yy


def _means(h: Callable, diagonal: float, x: Array, y: Array, block: int) -> tuple[Array, Array, Array]:
    """Means of h over pairs of different samples within x, between x and y, within y; h(a, a) = `diagonal`."""
    n, m = len(x), len(y)
    # One sweep over the pooled samples: the columns of v pick out those of x and those of y.
    z = jnp.concatenate([x, y])
    v = jnp.zeros((n + m, 2), x.dtype).at[:n, 0].set(1).at[n:, 1].set(1)
    sums = pairwise_matvec(h, z, z, v, block=block)
    xx = (jnp.sum(sums[:n, 0]) - n * diagonal) / (n * (n - 1))
    yy = (jnp.sum(sums[n:, 1]) - m * diagonal) / (m * (m - 1))
    return xx, jnp.sum(sums[:n, 1]) / (n * m), yy


@jax.jit
def _median(x: Array, y: Array) -> Array:
    z = jnp.concatenate([x, y])
    return jnp.median(jnp.sqrt(squared_distances(z, z)[np.triu_indices(len(z), 1)]))
