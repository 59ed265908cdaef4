"""Ways to cut the activations of a layer into bins. Which one is taken decides what an information plane shows.

With fixed edges or a fixed width a unit that grows keeps more symbols; with bins stretched to the current range the
resolution falls as the largest activation grows, and a layer may seem to compress that does not (Saxe et al., ICLR
2018). The resolution therefore goes with every figure.
"""

import abc
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

_MOST = 2**30


class AbstractBinning(eqx.Module):
    """Cuts values into bins.

    To write your own, give `codes(values)`, integers of the shape (n, d) of the values, and `resolution(values)`, the
    width of a bin (a scalar; the mean where widths differ). Both are traced.
    """

    @abc.abstractmethod
    def codes(self, values: Float[Array, "n d"]) -> Int[Array, "n d"]:
        """The bin of each value."""

    @abc.abstractmethod
    def resolution(self, values: Float[Array, "n d"]) -> Float[Array, ""]:
        """The width of a bin, in units of the activations."""


class FixedEdges(AbstractBinning):
    """Bins between edges that never move; what lies outside falls into two bins of its own.

    The paper's: `FixedEdges(np.linspace(-1, 1, 30))`, which makes 29 intervals; the value 1 itself is in the bin above.

    **Arguments:** `edges`: two rising finite numbers or more.
    """

    edges: Array | np.ndarray

    def __init__(self, edges: Sequence[float | int] | np.ndarray | Array):
        if not isinstance(edges, Tracer):
            known = np.asarray(edges, float)
            if known.ndim != 1 or len(known) < 2 or not np.all(np.isfinite(known)) or not np.all(np.diff(known) > 0):
                raise ValueError(
                    f"`edges` must be two rising finite numbers or more, but got {np.array2string(known, threshold=6)}."
                )
        self.edges = edges if isinstance(edges, jax.Array) else np.asarray(edges, float)

    def codes(self, values: Float[Array, "n d"]) -> Int[Array, "n d"]:
        """The number of edges at or below each value."""
        return jnp.searchsorted(jnp.asarray(self.edges, values.dtype), values, side="right").astype(jnp.int32)

    def resolution(self, values: Float[Array, "n d"]) -> Float[Array, ""]:
        """The mean distance of two edges."""
        edges = jnp.asarray(self.edges, values.dtype)
        return (edges[-1] - edges[0]) / (len(edges) - 1)


class FixedWidth(AbstractBinning):
    """Bins [k w, (k + 1) w) for all integers k. **Arguments:** `width` w, positive; the critique's code takes 0.07."""

    width: float | int = eqx.field(static=True)

    def __check_init__(self) -> None:
        if not (np.isfinite(self.width) and self.width > 0):
            raise ValueError(f"`width` of a bin must be a positive finite number, but got {self.width}.")

    def codes(self, values: Float[Array, "n d"]) -> Int[Array, "n d"]:
        """floor(value / width); beyond ±2^30 all values share a bin."""
        return jnp.clip(jnp.floor(values / self.width), -_MOST, _MOST).astype(jnp.int32)

    def resolution(self, values: Float[Array, "n d"]) -> Float[Array, ""]:
        """The width."""
        return jnp.asarray(self.width, values.dtype)


class CurrentRange(AbstractBinning):
    """Equal bins from the least to the largest activation of the layer now. A known source of artefacts, see the head.

    **Arguments:** `count`: the number of bins, one or more.
    """

    count: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        _check_count(self.count)

    def codes(self, values: Float[Array, "n d"]) -> Int[Array, "n d"]:
        """The bin of each value; all in one where the layer is constant."""
        width = self.resolution(values)
        place = (values - jnp.min(values)) / jnp.where(width > 0, width, 1)
        return jnp.clip(jnp.floor(place), 0, self.count - 1).astype(jnp.int32)

    def resolution(self, values: Float[Array, "n d"]) -> Float[Array, ""]:
        """The range over the number of bins."""
        return (jnp.max(values) - jnp.min(values)) / self.count


class Quantiles(AbstractBinning):
    """Bins with equal numbers of different activations of the layer now, as in Chelombiev et al. (ICLR 2019).

    A value that occurs often, as the zero of a ReLU does, counts once.

    **Arguments:** `count`: the number of bins, one or more.
    """

    count: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        _check_count(self.count)

    def codes(self, values: Float[Array, "n d"]) -> Int[Array, "n d"]:
        """The rank of each value among the different ones, in so many equal parts."""
        flat = values.reshape(-1)
        order = jnp.argsort(flat)
        rising = flat[order]
        new = (rising[1:] > rising[:-1]).astype(jnp.int32)
        rank = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(new, dtype=jnp.int32)])
        part = rank * self.count // (rank[-1] + 1)
        return jnp.zeros_like(part).at[order].set(part, unique_indices=True).reshape(values.shape)

    def resolution(self, values: Float[Array, "n d"]) -> Float[Array, ""]:
        """The mean width, the range over the number of bins."""
        return (jnp.max(values) - jnp.min(values)) / self.count


def _check_count(count: int) -> None:
    if count < 1:
        raise ValueError(f"`count` of bins must be at least 1, but got {count}.")
