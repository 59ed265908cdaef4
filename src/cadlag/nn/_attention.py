"""Attention between all points of one field, channels last."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.nn._conv import Conv
from cadlag.nn._group_norm import GroupNorm
from cadlag.nn._init import shrink


class Attention(eqx.Module):
    """(x + out softmax(q k^T / sqrt(c)) v) / sqrt 2 with q, k, v linear in the normalised x; `out` is small at first.

    Self-attention over all points of a field, as in the U-Nets of Ho et al. (2020) and Song et al. (2021). Its
    memory grows with the square of the number of points.

    **Arguments:**

    - `channels`: length of the last axis; `heads`: a divisor of it.
    - `key`: for the initial weights.
    """

    norm: GroupNorm
    qkv: Conv
    out: Conv
    heads: int = eqx.field(static=True)

    def __init__(self, channels: int, *, heads: int = 1, key: PRNGKeyArray):
        if heads < 1 or channels % heads:
            raise ValueError(f"heads={heads} of an Attention does not divide channels={channels}.")
        keys = jr.split(key)
        self.norm, self.heads = GroupNorm(channels), heads
        self.qkv = Conv(channels, 3 * channels, 1, spatial_axes=1, key=keys[0])
        self.out = shrink(Conv(channels, channels, 1, spatial_axes=1, key=keys[1]))

    def __call__(self, x: Float[Array, "*space channels"]) -> Float[Array, "*space channels"]:
        """The field of x's shape."""
        flat = self.norm(x).reshape(-1, x.shape[-1])
        q, k, v = jnp.split(self.qkv(flat).reshape(flat.shape[0], 3 * self.heads, -1), 3, axis=1)
        # Not jax.nn.dot_product_attention, which refuses float64 under strict promotion.
        weights = jax.nn.softmax(jnp.einsum("ihc,jhc->hij", q, k) / q.shape[-1] ** 0.5)
        attended = jnp.einsum("hij,jhc->ihc", weights, v).reshape(flat.shape)
        return (x + self.out(attended).reshape(x.shape)) / 2**0.5
