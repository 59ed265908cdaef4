"""Simulated series for examples and tests."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from cadlag.data._series import IrregularSeries


def spirals(n: int, *, key: PRNGKeyArray, steps: int = 100, noise: float = 0.0) -> IrregularSeries:
    """Clockwise and anticlockwise decaying spirals in the plane (Kidger 2022; Chen et al. 2018).

    theta ~ U(0, 2 pi) and y(t) = exp(t A) (cos theta, sin theta), A = [[-0.3, 2], [-2, -0.3]], on `steps`
    even times of [0, 4 pi]. The first half is mirrored in its first channel and has label 1. `noise` is the
    standard deviation of Gaussian noise added to every value.
    """
    if n < 2 or steps < 2:
        raise ValueError(f"`n` and `steps` must be at least 2, but got {n} and {steps}.")
    angle_key, noise_key = jax.random.split(key)
    theta = jax.random.uniform(angle_key, (n, 1), maxval=2 * jnp.pi)
    t = jnp.linspace(0, 4 * jnp.pi, steps, dtype=theta.dtype)[None]
    # exp(tA) is a decay times a rotation by -2t.
    values = jnp.exp(-0.3 * t)[..., None] * jnp.stack([jnp.cos(theta - 2 * t), jnp.sin(theta - 2 * t)], axis=-1)
    labels = np.arange(n) < n // 2
    sign = jnp.asarray(np.where(labels, -1, 1), values.dtype)
    values = values.at[:, :, 0].multiply(sign[:, None])
    values = values + noise * jax.random.normal(noise_key, values.shape, values.dtype)
    return IrregularSeries.from_arrays(t[0], values, labels=labels.astype(np.int32), classes=(0, 1))
