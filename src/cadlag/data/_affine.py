"""Scaling of samples with its log-determinant, and integers made continuous, for models of densities."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.data._samples import Samples


class Affine(eqx.Module):
    """z = (x - shift) / scale, entry by entry: log p(x) = log p(z) + `log_det`.

    **Arguments:** `shift` and `scale`, of the shape of one sample.
    """

    shift: Float[Array, "..."]
    scale: Float[Array, "..."]

    @classmethod
    def fit(cls, samples: Samples | np.ndarray | Array, *, shared: bool = False) -> "Affine":
        """Mean and standard deviation over at least two samples: of each entry, or with `shared` one for all entries.

        One for all keeps the geometry, as images and curves want. What is constant is only shifted: its scale is 1.

        **Raises:** ValueError for fewer than two samples.
        """
        values = samples.values if isinstance(samples, Samples) else samples
        if np.ndim(values) < 2 or len(values) < 2:
            raise ValueError(f"`Affine.fit` needs at least 2 samples (n, ...), but got shape {np.shape(values)}.")
        values = np.asarray(values)
        axis = None if shared else 0
        mean, spread = values.mean(axis), values.std(axis)
        # A constant's deviation is not zero but a rounding of its mean.
        spread = np.where(spread > 8 * np.finfo(values.dtype).eps * abs(mean), spread, 1)
        full = (np.broadcast_to(a, values.shape[1:]).astype(values.dtype) for a in (mean, spread))
        return cls(*map(jnp.asarray, full))

    def apply(self, x: Any) -> Any:
        """Samples or an array (..., *shape), scaled."""
        return self._map(x, lambda v, shift, scale: (v - shift) / scale)

    def invert(self, z: Any) -> Any:
        """Back to the data's own unit."""
        return self._map(z, lambda v, shift, scale: v * scale + shift)

    @property
    def log_det(self) -> Float[Array, ""]:
        """log |det ∂z/∂x| of one sample, in nats."""
        return -jnp.sum(jnp.log(self.scale))

    def _map(self, x: Any, function: Any) -> Any:
        if isinstance(x, Samples):
            return eqx.tree_at(lambda s: s.values, x, self._map(x.values, function))
        x = jnp.asarray(x)
        shape = self.shift.shape
        if x.shape[x.ndim - len(shape) :] != shape or x.ndim < len(shape):
            raise ValueError(f"This scaling was fitted on samples of shape {shape}, but got an array {x.shape}.")
        ones = (1,) * (x.ndim - len(shape))
        return function(x, *(a.astype(x.dtype).reshape(ones + shape) for a in (self.shift, self.scale)))


def dequantise(
    x: Float[Array, "..."], levels: int, *, low: float | int = -1, high: float | int = 1, key: PRNGKeyArray
) -> Float[Array, "..."]:
    """Spread `levels` evenly spaced values from `low` to `high` uniformly over equal cells of [low, high).

    The k-th value becomes low + (high - low) (k + u) / levels with u uniform on [0, 1): (x + u) / 256 for bytes given
    as k / 255 from 0 to 1. The probability of an integer sample of D entries is the mean density over its cell times
    ((high - low) / levels)^D; `quantise` is the inverse. Theis et al., ICLR 2016.

    **Raises:** ValueError for fewer than two levels, high ≤ low, and values that are not levels.
    """
    x = jnp.asarray(x)
    _check_range(levels, low, high)
    step = (high - low) / (levels - 1)
    place = (x - low) / step
    k = jnp.round(place)
    if not isinstance(x, Tracer) and not bool(jnp.all((abs(place - k) < 1e-2) & (k >= 0) & (k < levels))):
        raise ValueError(
            f"`x` holds values that are not among {levels} levels from {low} to {high}, in steps of {step:g}. Give the "
            "range and the number of levels that the data have."
        )
    cell = (high - low) / levels
    # Rounding must not carry a value into the next cell.
    margin = 2 * float(jnp.finfo(x.dtype).eps) * max(abs(low), abs(high)) / cell
    inside = jnp.clip(k + jr.uniform(key, x.shape, x.dtype), k + margin, k + 1 - margin)
    return low + inside * cell


def quantise(
    x: Float[Array, "..."], levels: int, *, low: float | int = -1, high: float | int = 1
) -> Float[Array, "..."]:
    """The nearest of `levels` evenly spaced values by cells of [low, high): what `dequantise` came from, clipped."""
    _check_range(levels, low, high)
    k = jnp.clip(jnp.floor((x - low) * (levels / (high - low))), 0, levels - 1)
    return low + k * ((high - low) / (levels - 1))


def _check_range(levels: int, low: float | int, high: float | int) -> None:
    if levels < 2 or not high > low:
        raise ValueError(f"At least 2 `levels` and low < high are needed, but got {levels} from {low} to {high}.")
