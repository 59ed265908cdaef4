"""What networks between fields on one grid have in common: the door, and the vector of conditions."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.nn import VectorEmbedding, linear


class AbstractNetwork(eqx.Module):
    """`network(u, *, cond=None, key=None)`: `(out_channels, *space)` from `(channels, *space)`, one example.

    Channels come first at the door, as fields do everywhere; inside they are last, which is faster on a CPU.

    To write your own, give the four static fields, `check_size`, which refuses a grid that the network cannot take and
    says which one it could, and `transform`, the network itself on channels last.
    """

    channels: eqx.AbstractVar[int]
    out_channels: eqx.AbstractVar[int]
    spatial_axes: eqx.AbstractVar[int]
    conditions: eqx.AbstractVar[int]

    @abstractmethod
    def check_size(self, size: tuple[int, ...]) -> None:
        """Raise `ValueError`, with advice, for a spatial size that the network cannot take."""

    @abstractmethod
    def transform(self, x: Array, cond: Any, key: PRNGKeyArray | None) -> Array:
        """(*space, out_channels) from (*space, channels)."""

    def __call__(
        self, u: Float[Array, "channels *space"], *, cond: Any = None, key: PRNGKeyArray | None = None
    ) -> Float[Array, "out_channels *space"]:
        """The output on the grid of u.

        `cond` is a vector of length `conditions`; None is 'not known'. Raises `ValueError` for shapes, grids and
        conditions that do not fit, before anything compiles.
        """
        self._check(u, cond)
        return jnp.moveaxis(self.transform(jnp.moveaxis(u, 0, -1), cond, key), -1, 0)

    def _check(self, u: Array, cond: Any) -> None:
        if u.ndim != 1 + self.spatial_axes or u.shape[0] != self.channels:
            raise ValueError(
                f"u: got shape {u.shape}, expected {self.channels} channels and then {self.spatial_axes} spatial axes, "
                "one example; jax.vmap over a batch, jnp.moveaxis from channels last."
            )
        if cond is not None and not self.conditions:
            raise ValueError(f"cond: this {type(self).__name__} takes no conditions; make it with conditions=.")
        self.check_size(u.shape[1:])


class Conditions(eqx.Module):
    """e = silu(W silu(embedding(cond))): what blocks are told, or nothing where there are no conditions."""

    embedding: VectorEmbedding | None
    mix: eqx.nn.Linear | None

    def __init__(self, conditions: int, size: int, *, key: PRNGKeyArray):
        keys = jr.split(key)
        self.embedding = VectorEmbedding(conditions, size, key=keys[0]) if conditions else None
        self.mix = linear(size, size, key=keys[1]) if conditions else None

    def __call__(self, cond: Any) -> Array | None:
        """e (size,), or None."""
        if self.embedding is None or self.mix is None:
            return None
        return jax.nn.silu(self.mix(jax.nn.silu(self.embedding(cond))))


class Told(eqx.Module):
    """h + W e at every point; h itself where there are no conditions."""

    linear: eqx.nn.Linear | None

    def __init__(self, conditions: int, size: int, channels: int, *, key: PRNGKeyArray):
        self.linear = linear(size, channels, key=key) if conditions else None

    def __call__(self, h: Array, e: Array | None) -> Array:
        """The field h (*space, channels), told e (size,)."""
        if self.linear is None or e is None:
            return h
        return h + self.linear(e).astype(h.dtype).reshape((1,) * (h.ndim - 1) + (-1,))


def check_settings(name: str, **least: tuple[int, int]) -> None:
    """Refuse a setting (value, least) below its least."""
    for setting, (value, smallest) in least.items():
        if value < smallest:
            raise ValueError(f"{setting}={value} of a {name} must be at least {smallest}.")
    if least.get("spatial_axes", (1, 1))[0] > 3:
        raise ValueError(f"spatial_axes={least['spatial_axes'][0]} of a {name}: expected 1, 2 or 3.")
