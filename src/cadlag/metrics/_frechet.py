"""The Fréchet distance between Gaussians: W_2² = |m - m'|² + tr(C + C' - 2 (C^½ C' C^½)^½).

Dowson and Landau, J. Multivariate Anal. 12 (1982); Heusel et al., NeurIPS 2017, on features of a classifier.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.linalg import symmetric_sqrt
from cadlag.metrics._checks import two_samples


def frechet_distance(x: Any, y: Any) -> Float[Array, ""]:
    """The squared Fréchet distance of Gaussians fitted to two sets of samples (or of features of them).

    **Arguments:** `x` (n, ...) and `y` (m, ...), floats, flattened behind the first axis. Its bias is of the order
    D / n: compare only at equal n and m, or see `debiased`.

    **Raises:** ValueError for fewer than two samples, other shapes, values that are not finite; TypeError for integers
    and mixed precision.
    """
    x, y = two_samples(x, y)
    return _between_samples(x, y)


def frechet_of_gaussians(
    mean: Float[Array, "D"],
    covariance: Float[Array, "D D"],
    other_mean: Float[Array, "D"],
    other_covariance: Float[Array, "D D"],
) -> Float[Array, ""]:
    """W_2² between N(mean, covariance) and N(other_mean, other_covariance)."""
    root, other_root = symmetric_sqrt(covariance), symmetric_sqrt(other_covariance)
    # The trace of (C^½ C' C^½)^½ is the sum of the singular values of C^½ C'^½.
    cross = jnp.sum(jnp.linalg.svd(jnp.matmul(root, other_root, precision="highest"), compute_uv=False))
    gap = mean - other_mean
    return jnp.sum(gap * gap) + jnp.trace(covariance) + jnp.trace(other_covariance) - 2 * cross


@jax.jit
def _between_samples(x: Array, y: Array) -> Array:
    return frechet_of_gaussians(*_moments(x), *_moments(y))


def _moments(x: Array) -> tuple[Array, Array]:
    mean = jnp.mean(x, axis=0)
    centred = x - mean[None]
    return mean, jnp.matmul(centred.T, centred, precision="highest") / (len(x) - 1)
