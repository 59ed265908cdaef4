"""Estimators of how many bits a layer T keeps of the input X and of the label Y.

T is a function of X, so I(X;T) of a continuous layer is infinite; each estimator answers for the layer seen through
bins or noise, and its figure means something only beside their width. The examples are taken for all there are, each
equally likely.
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from cadlag.lens._binning import AbstractBinning
from cadlag.lens._symbols import entropy, row_symbols, symbol_joint, table_information
from cadlag.linalg import pairwise_matvec, squared_distances


class Information(eqx.Module):
    """What a layer keeps, in bits; arrays of one shape, the last axis over layers where there are several.

    - `input`: I(X;T). `label`: I(T;Y).
    - `resolution`: width of a bin, or standard deviation of the noise, in units of the activations; 0 where exact.
    """

    input: Float[Array, "..."]
    label: Float[Array, "..."]
    resolution: Float[Array, "..."]


class AbstractEstimator(eqx.Module):
    """Bits of one layer.

    To write your own, give `estimate(values, targets)` for activations (n, d) and class probabilities p(y | x) (n, k)
    of n equally likely examples; it is traced.
    """

    @abc.abstractmethod
    def estimate(self, values: Float[Array, "n d"], targets: Float[Array, "n k"]) -> Information:
        """I(X;T), I(T;Y) and the resolution."""


class Binned(AbstractEstimator):
    """Count the symbols that bins make of a layer: I(X;T) = H(T), for T is a function of X; I(T;Y) = H(T) - H(T|Y).

    Counting is biased upwards where symbols are about as many as examples: a wide layer sticks at log2 n.

    **Arguments:** `binning`: `FixedEdges`, `FixedWidth`, `CurrentRange`, `Quantiles`, or your own.
    """

    binning: AbstractBinning

    def estimate(self, values: Float[Array, "n d"], targets: Float[Array, "n k"]) -> Information:
        """Plug-in figures."""
        return _counted(self.binning.codes(values), targets, self.binning.resolution(values))


class Exact(AbstractEstimator):
    """For a layer of discrete values: two examples share a symbol where all units are equal to the last bit."""

    def estimate(self, values: Float[Array, "n d"], targets: Float[Array, "n k"]) -> Information:
        """Figures without any bins."""
        wide = values if values.dtype.itemsize >= 4 else values.astype(jnp.float32)
        bits = jax.lax.bitcast_convert_type(jnp.where(wide == 0, 0, wide), jnp.uint32)  # -0 is 0
        return _counted(bits.reshape(values.shape[0], -1), targets, jnp.zeros((), values.dtype))


def _counted(codes: Integer[Array, "n d"], targets: Float[Array, "n k"], width: Float[Array, ""]) -> Information:
    joint = symbol_joint(row_symbols(codes), targets)
    return Information(entropy(jnp.sum(joint, axis=1)), table_information(joint), width)


class PairwiseUpper(AbstractEstimator):
    """Upper bound of I(X;T + N(0, variance)) by distances of pairs (Kolchinsky and Tracey, 2017), with its label part.

        I(X;T) <= -Σ_i p_i log2 Σ_j p_j exp(-|t_i - t_j|² / (2 variance)),    I(T;Y) = I(X;T) - Σ_y p(y) I(X;T | y)

    The first is a bound. The second is a difference of two bounds, hence an estimate.

    **Arguments:** `variance` of the noise, positive; `block`: rows of distances held at a time.
    """

    variance: float | int = eqx.field(static=True, default=1e-3)
    block: int = eqx.field(static=True, default=512)

    def __check_init__(self) -> None:
        _check_noise(self.variance, self.block)

    def estimate(self, values: Float[Array, "n d"], targets: Float[Array, "n k"]) -> Information:
        """The bound, its label part, the standard deviation of the noise."""
        return _pairwise(values, targets, 2 * self.variance, self.variance, self.block)


class PairwiseLower(AbstractEstimator):
    """Lower bound of I(X;T + N(0, variance)): as `PairwiseUpper` with exp(-|t_i - t_j|² / (8 variance)).

    **Arguments:** `variance` of the noise, positive; `block`: rows of distances held at a time.
    """

    variance: float | int = eqx.field(static=True, default=1e-3)
    block: int = eqx.field(static=True, default=512)

    def __check_init__(self) -> None:
        _check_noise(self.variance, self.block)

    def estimate(self, values: Float[Array, "n d"], targets: Float[Array, "n k"]) -> Information:
        """The bound, its label part, the standard deviation of the noise."""
        return _pairwise(values, targets, 8 * self.variance, self.variance, self.block)


def _pairwise(values: Array, targets: Array, scale: Any, variance: Any, block: int) -> Information:
    n = targets.shape[0]
    classes = jnp.sum(targets, axis=0)
    within = targets / jnp.where(classes > 0, classes, 1)[None]  # p(x | y)
    weights = jnp.concatenate([jnp.full((n, 1), 1 / n, values.dtype), within.astype(values.dtype)], axis=1)

    def kernel(a: Array, b: Array) -> Array:
        return jnp.exp(-squared_distances(a, b) / scale)

    # A point is at distance 0 from itself, so a sum that counts is at least its own weight: no logarithmic sum is
    # needed, and the rounding of distances in wide layers cannot add bits.
    sums = jnp.maximum(pairwise_matvec(kernel, values, values, weights, block=block), weights)
    bits = -jnp.sum(jnp.where(weights > 0, weights * jnp.log2(jnp.where(weights > 0, sums, 1)), 0), axis=0)
    bits = jnp.maximum(bits, 0)
    label = jnp.maximum(bits[0] - jnp.sum(classes / n * bits[1:]), 0)
    return Information(bits[0], label, jnp.asarray(variance**0.5, values.dtype))


def _check_noise(variance: float | int, block: int) -> None:
    if not (np.isfinite(variance) and variance > 0):
        raise ValueError(f"`variance` of the noise must be a positive finite number, but got {variance}.")
    if block < 1:
        raise ValueError(f"`block` must be at least 1 row, but got {block}.")
