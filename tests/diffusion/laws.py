"""Schedules and laws that the tests of the room share."""

import jax.numpy as jnp
import numpy as np

from cadlag import diffusion
from cadlag.distributions import GaussianMixture

BETAS = np.linspace(1e-4, 0.02, 1000)
SCHEDULES = {
    "vp": diffusion.VP(),
    "sub-vp": diffusion.SubVP(),
    "ve": diffusion.VE(),
    "edm": diffusion.EDM(),
    "flow": diffusion.Flow(),
    "cosine": diffusion.Cosine(),
    "ou": diffusion.OU(rate=0.7, std=1.3),
    "mean-reverting": diffusion.MeanReverting(),
    "table": diffusion.Tabulated.from_betas(BETAS),
}


def gaussian(mean=0.2, std=0.04):
    """One normal law in one dimension, as a mixture."""
    return GaussianMixture.isotropic(jnp.ones(1), jnp.full((1, 1), mean), jnp.full(1, std))


def two_modes():
    """Two modes in the plane, not alike."""
    means = jnp.array([[-1.0, 0.5], [1.5, -0.3]])
    return GaussianMixture(
        jnp.array([0.3, 0.7]), means, jnp.array([[[0.2, 0.05], [0.05, 0.1]], [[0.1, 0.0], [0.0, 0.3]]])
    )
