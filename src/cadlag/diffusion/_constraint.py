"""Constraints on samples: a part is known, and is put back after every step (Song et al., ICLR 2021, appendix I).

The known part is noised to the level of the step, so the replacement conditions on a noisy copy of it: cheap and
approximate. For measurements with noise, and for exactness on Gaussian data, see `LinearGuidance`.
"""

import abc
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, PRNGKeyArray

from cadlag.diffusion._schedule import AbstractSchedule


class AbstractConstraint(eqx.Module):
    """Acts on one x after each step of a sampler.

    To write your own: give `apply(schedule, t, x, key)`, x at time t with the constraint imposed at that noise level,
    and `finish(x)`, imposed without noise at the end.
    """

    @abc.abstractmethod
    def apply(self, schedule: AbstractSchedule, t: Array, x: Array, key: PRNGKeyArray) -> Array:
        """Impose at the level of t."""

    @abc.abstractmethod
    def finish(self, x: Array) -> Array:
        """Impose on the finished sample."""


class Inpainting(AbstractConstraint):
    """Some entries are known.

    **Arguments:** `known`, the values, like x (anything where unknown); `mask`, booleans like x, True where known.
    """

    known: Array
    mask: Array

    def __check_init__(self):
        if self.mask.shape != self.known.shape or self.mask.dtype != jnp.bool_:
            raise ValueError(
                f"Inpainting: mask has shape {self.mask.shape} and dtype {self.mask.dtype}; expected booleans of the "
                f"shape {self.known.shape} of `known`, True where a value is known."
            )

    def apply(self, schedule: AbstractSchedule, t: Array, x: Array, key: PRNGKeyArray) -> Array:
        """x off the mask, the known values noised to t on it."""
        noised = schedule.noised(t, self.known, jr.normal(key, x.shape, x.dtype))
        return jnp.where(self.mask, noised, x)

    def finish(self, x: Array) -> Array:
        """The known values themselves on the mask."""
        return jnp.where(self.mask, self.known, x)


class Rotated(AbstractConstraint):
    """A constraint in other coordinates, e.g. a known grey level (`grey_level`).

    **Arguments:** `inner`, the constraint there; `rotate` and `back`, an orthonormal map of x and its inverse, so that
    white noise stays white.
    """

    inner: AbstractConstraint
    rotate: Callable
    back: Callable

    def apply(self, schedule: AbstractSchedule, t: Array, x: Array, key: PRNGKeyArray) -> Array:
        """Rotate, impose, rotate back."""
        return self.back(self.inner.apply(schedule, t, self.rotate(x), key))

    def finish(self, x: Array) -> Array:
        """The same without noise."""
        return self.back(self.inner.finish(self.rotate(x)))


class _Mix(eqx.Module):
    matrix: Array

    def __call__(self, x: Array) -> Array:
        return jnp.tensordot(self.matrix.astype(x.dtype), x, axes=1)


def colour_rotation(channels: int = 3) -> Array:
    """An orthonormal matrix M (channels, channels) whose first column is (1, …, 1)/sqrt(channels)."""
    # A Householder reflection that takes the first axis there.
    target = jnp.full((channels,), channels**-0.5)
    v = target - jnp.eye(channels)[0]
    return jnp.eye(channels) - 2 * jnp.outer(v, v) / jnp.maximum(v @ v, 1e-12)


def grey_level(grey: Array, channels: int = 3) -> Rotated:
    """Colourisation: the mean over channels is known, `grey` of shape (*space,); x has shape (channels, *space)."""
    matrix = colour_rotation(channels)
    known = jnp.zeros((channels, *grey.shape), grey.dtype).at[0].set(grey * channels**0.5)
    mask = jnp.zeros(known.shape, bool).at[0].set(True)
    return Rotated(Inpainting(known, mask), _Mix(matrix.T), _Mix(matrix))
