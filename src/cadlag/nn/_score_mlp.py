"""A network for scores, velocities and the like of vectors: residual layers that are told the noise level.

    e = silu(E φ(level) + c(cond))                         (features φ, embedding c of the condition)
    h_0 = W_in x,   h_{k+1} = h_k + W_k silu((1 + s_k) h_k + b_k),   (s_k, b_k) = the k-th rows of M e
    out = W_out silu(h_depth),                             W_out small at first

All shifts and scales come from one matrix product, which a batch at one level (a sampling step) pays once:
`jax.vmap(net, in_axes=(None, 0))`. FiLM: Perez et al. (2018); residual layers as in Song et al. (2021).
"""

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, Real

from cadlag.nn._embed import (
    AbstractEmbedding,
    ClassEmbedding,
    SinusoidalEmbedding,
    VectorEmbedding,
    condition_embedding,
)
from cadlag.nn._init import linear, shrink


class ScoreMLP(eqx.Module):
    """`net(level, x, *, cond=None, key=None)`: an array of x's shape, near zero before training.

    **Arguments:**

    - `size`: length of the vector x, or a shape (a tuple), which is flattened inside.
    - `width`: length of the hidden layers; `depth`: how many residual layers.
    - `conditions`: length of a vector of conditions, 0 for none; `cond` is then that vector, and None or a
        vector with a NaN in it means 'no condition'.
    - `classes`: number of classes K, or None; `cond` is then an integer in 0..K, and K or None means 'no class'.
    - `embedding`: features of the level; by default 64 sinusoids for a log noise-to-signal ratio.
    - `key`: for the initial weights.
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    embedding: AbstractEmbedding
    condition: ClassEmbedding | VectorEmbedding | None
    level: eqx.nn.Linear
    modulation: eqx.nn.Linear
    first: eqx.nn.Linear
    layers: tuple[eqx.nn.Linear, ...]
    last: eqx.nn.Linear

    def __init__(
        self,
        size: int | Sequence[int],
        *,
        width: int = 128,
        depth: int = 3,
        conditions: int = 0,
        classes: int | None = None,
        embedding: AbstractEmbedding | None = None,
        key: PRNGKeyArray,
    ):
        self.shape = (size,) if isinstance(size, int) else tuple(size)
        if not self.shape or min(self.shape) < 1:
            raise ValueError(f"size={size} of a ScoreMLP: expected a positive length, or a shape of positive lengths.")
        for name, value, least in (("width", width, 1), ("depth", depth, 1), ("conditions", conditions, 0)):
            if value < least:
                raise ValueError(f"{name}={value} of a ScoreMLP must be at least {least}.")
        keys = jr.split(key, 5 + depth)
        length = math.prod(self.shape)
        self.embedding = SinusoidalEmbedding(64) if embedding is None else embedding
        hidden = self.embedding.size
        self.condition = condition_embedding(conditions, classes, hidden, key=keys[0])
        self.level = linear(hidden, hidden, key=keys[1])
        self.modulation = linear(hidden, 2 * depth * width, key=keys[2])
        self.first = linear(length, width, key=keys[3])
        self.last = shrink(linear(width, length, key=keys[4]), 1e-2)
        self.layers = tuple(linear(width, width, key=k) for k in keys[5:])

    def __call__(
        self, level: Real[ArrayLike, ""], x: Float[Array, "..."], *, cond: Any = None, key: PRNGKeyArray | None = None
    ) -> Float[Array, "..."]:
        """The output at one noise level, of x's shape and dtype; `key` is not used."""
        del key
        if x.shape != self.shape:
            raise ValueError(f"x: got shape {x.shape}, expected {self.shape} (one example; jax.vmap over a batch).")
        scales, shifts = self._modulate(jnp.asarray(level, x.dtype), cond)
        h = self.first(x.reshape(-1))
        for layer, scale, shift in zip(self.layers, scales, shifts, strict=True):
            h = h + layer(jax.nn.silu(h * scale + shift))
        return self.last(jax.nn.silu(h)).reshape(self.shape)

    def _modulate(self, level: Array, cond: Any) -> tuple[Array, Array]:
        e = self.level(self.embedding(level))
        if self.condition is not None:
            e = e + self.condition(cond)
        elif cond is not None:
            raise ValueError("cond: this ScoreMLP takes no condition; make it with conditions= or classes=.")
        both = self.modulation(jax.nn.silu(e)).reshape(2, len(self.layers), -1)
        return 1 + both[0], both[1]
