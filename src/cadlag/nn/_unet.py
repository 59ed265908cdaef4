"""A U-Net that is told the noise level: DDPM++ in the small (Song et al. 2021, appendix H; Ho et al. 2020).

    e = W silu(W φ(level) + c(cond));    x -> conv -> [blocks, coarser] * -> middle -> [blocks + 1, finer] * -> conv

Every block of the way up also sees what one block of the way down put out. No anti-aliasing filters and no
progressive branch (those are NCSN++'s).
"""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, Real

from cadlag.nn._attention import Attention
from cadlag.nn._conv import Boundary, Conv
from cadlag.nn._embed import (
    AbstractEmbedding,
    ClassEmbedding,
    SinusoidalEmbedding,
    VectorEmbedding,
    condition_embedding,
)
from cadlag.nn._group_norm import GroupNorm
from cadlag.nn._init import linear, shrink
from cadlag.nn._resample import Downsample, Upsample
from cadlag.nn._residual import ResidualBlock


class _Stage(eqx.Module):
    """A residual block and, at some levels, attention."""

    block: ResidualBlock
    attention: Attention | None

    def __call__(self, x: Array, e: Array, key: PRNGKeyArray | None) -> Array:
        x = self.block(x, e, key=key)
        return x if self.attention is None else self.attention(x)


class UNet(eqx.Module):
    """`net(level, x, *, cond=None, key=None)`: a field of x's shape `(channel, *space)`, near zero before training.

    Channels come first at the door, as fields do everywhere; inside they are last, which is faster.

    **Arguments:**

    - `channels`: of x and of the output.
    - `width`: channels at the finest level; level i has `width * multipliers[i]` on a grid 2^i times coarser, so
        that 2^(levels - 1) must divide every spatial size.
    - `blocks`: residual blocks a level on the way down; one more on the way up.
    - `attention`: levels (0 is the finest) whose blocks attend; if there are any, the middle attends too.
    - `conditions`, `classes`: as of `ScoreMLP`; `cond` is the vector or the class.
    - `extra_channels`: of an image `(extra, *space)` that is seen beside x; `cond` is that image, or the pair
        (image, vector or class) where both are asked for.
    - `dropout`: rate, active where a `key` is given and `inference` is false (`eqx.nn.inference_mode`).
    - `spatial_axes`: 1, 2 or 3; `boundary`: what the convolutions see beyond the edge.
    - `embedding`: features of the level; by default sinusoids for a log noise-to-signal ratio.
    - `key`: for the initial weights.
    """

    channels: int = eqx.field(static=True)
    extra_channels: int = eqx.field(static=True)
    spatial_axes: int = eqx.field(static=True)
    embedding: AbstractEmbedding
    condition: ClassEmbedding | VectorEmbedding | None
    level: tuple[eqx.nn.Linear, eqx.nn.Linear]
    first: Conv
    down: tuple[tuple[_Stage, ...], ...]
    middle: tuple[_Stage, _Stage]
    up: tuple[tuple[_Stage, ...], ...]
    norm: GroupNorm
    last: Conv

    def __init__(
        self,
        channels: int,
        *,
        width: int = 32,
        multipliers: Sequence[int] = (1, 2, 2),
        blocks: int = 2,
        attention: Sequence[int] = (),
        conditions: int = 0,
        classes: int | None = None,
        extra_channels: int = 0,
        dropout: float = 0.0,
        spatial_axes: int = 2,
        boundary: Boundary = Boundary.zero,
        embedding: AbstractEmbedding | None = None,
        key: PRNGKeyArray,
    ):
        _check_settings(channels, width, multipliers, blocks, attention, conditions, extra_channels, spatial_axes)
        keys = iter(jr.split(key, 8 + 2 * len(multipliers) * (2 * blocks + 4)))
        self.channels, self.extra_channels, self.spatial_axes = channels, extra_channels, spatial_axes
        self.embedding = SinusoidalEmbedding(2 * width) if embedding is None else embedding
        told = 4 * width
        self.condition = condition_embedding(conditions, classes, told, key=next(keys))
        self.level = (
            linear(self.embedding.size, told, key=next(keys)),
            linear(told, told, key=next(keys)),
        )

        def conv(m: int, n: int) -> Conv:
            return Conv(m, n, 3, spatial_axes=spatial_axes, boundary=boundary, key=next(keys))

        def stage(m: int, n: int, attends: bool = False, resample: Any = None) -> _Stage:
            block = ResidualBlock(m, n, told, spatial_axes=spatial_axes, boundary=boundary, resample=resample,
                                  dropout=dropout, key=next(keys))  # fmt: skip
            return _Stage(block, Attention(n, key=next(keys)) if attends else None)

        widths = [width * m for m in multipliers]
        self.first = conv(channels + extra_channels, width)
        self.down, skips = _way_down(stage, width, widths, blocks, attention)
        self.middle = stage(widths[-1], widths[-1], bool(attention)), stage(widths[-1], widths[-1])
        self.up = _way_up(stage, skips, widths, blocks, attention)
        self.norm = GroupNorm(widths[0])
        self.last = shrink(conv(widths[0], channels))

    def __call__(
        self,
        level: Real[ArrayLike, ""],
        x: Float[Array, "channels *space"],
        *,
        cond: Any = None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "out *space"]:
        """The output at one noise level, of x's shape and dtype; a `key` switches dropout on."""
        self._check(x)
        image, cond = self._split(cond, x)
        e = self._embed(jnp.asarray(level, x.dtype), cond)
        keys = iter([None] * self._count() if key is None else jr.split(key, self._count()))
        h = self.first(jnp.moveaxis(x if image is None else jnp.concatenate([x, image]), 0, -1))
        skips = [h]
        for stages in self.down:
            for stage in stages:
                h = stage(h, e, next(keys))
                skips.append(h)
        for stage in self.middle:
            h = stage(h, e, next(keys))
        for stages in self.up:
            for stage in stages:
                grows = isinstance(stage.block.resample, Upsample)
                h = stage(h if grows else jnp.concatenate([h, skips.pop()], axis=-1), e, next(keys))
        return jnp.moveaxis(self.last(jax.nn.silu(self.norm(h))), -1, 0)

    def _count(self) -> int:
        return sum(map(len, self.down)) + len(self.middle) + sum(map(len, self.up))

    def _embed(self, level: Array, cond: Any) -> Array:
        e = self.level[1](jax.nn.silu(self.level[0](self.embedding(level))))
        if self.condition is not None:
            e = e + self.condition(cond)
        elif cond is not None:
            raise ValueError(
                "cond: this UNet takes no vector or class; make it with conditions=, classes= or extra_channels=."
            )
        return jax.nn.silu(e)

    def _split(self, cond: Any, x: Array) -> tuple[Array | None, Any]:
        if not self.extra_channels:
            return None, cond
        image, rest = cond if isinstance(cond, tuple) and len(cond) == 2 else (cond, None)
        shape = (self.extra_channels, *x.shape[1:])
        if getattr(image, "shape", None) != shape:
            raise ValueError(
                f"cond: got {getattr(image, 'shape', image)!r}, expected an image of shape {shape} (extra_channels, "
                "*space), or the pair (image, vector or class)."
            )
        return jnp.asarray(image, x.dtype), rest

    def _check(self, x: Array) -> None:
        if x.ndim != 1 + self.spatial_axes or x.shape[0] != self.channels:
            raise ValueError(
                f"x: got shape {x.shape}, expected {self.channels} channels and then {self.spatial_axes} spatial "
                "axes, one example; jax.vmap over a batch."
            )
        cell = 2 ** (len(self.down) - 1)
        if any(n % cell for n in x.shape[1:]):
            larger = tuple(-(-n // cell) * cell for n in x.shape[1:])
            raise ValueError(
                f"x: got spatial size {x.shape[1:]}, which {cell} = 2^(levels - 1) does not divide; pad it to "
                f"{larger}, or make the UNet with fewer multipliers."
            )


def _way_down(stage: Any, width: int, widths: list[int], blocks: int, attention: Sequence[int]) -> tuple[tuple, list]:
    """The levels from fine to coarse, and the channels of everything put out on the way."""
    now, skips, levels = width, [width], []
    for i, n in enumerate(widths):
        stages = [stage(now if b == 0 else n, n, i in attention) for b in range(blocks)]
        if i < len(widths) - 1:
            stages.append(stage(n, n, resample=Downsample()))
        skips += [n] * len(stages)
        levels.append(tuple(stages))
        now = n
    return tuple(levels), skips


def _way_up(stage: Any, skips: list[int], widths: list[int], blocks: int, attention: Sequence[int]) -> tuple:
    """The levels from coarse to fine."""
    now, skips, levels = widths[-1], list(skips), []
    for i, n in reversed(list(enumerate(widths))):
        stages = []
        for _ in range(blocks + 1):
            stages.append(stage(now + skips.pop(), n, i in attention))
            now = n
        if i > 0:
            stages.append(stage(n, n, resample=Upsample()))
        levels.append(tuple(stages))
    return tuple(levels)


def _check_settings(
    channels: int,
    width: int,
    multipliers: Sequence[int],
    blocks: int,
    attention: Sequence[int],
    conditions: int,
    extra_channels: int,
    spatial_axes: int,
) -> None:
    least = (("channels", channels, 1), ("width", width, 1), ("blocks", blocks, 1), ("conditions", conditions, 0),
             ("extra_channels", extra_channels, 0), ("spatial_axes", spatial_axes, 1))  # fmt: skip
    for name, value, smallest in least:
        if value < smallest:
            raise ValueError(f"{name}={value} of a UNet must be at least {smallest}.")
    if not multipliers or min(multipliers) < 1:
        raise ValueError(f"multipliers={multipliers} of a UNet: expected a positive integer for each level.")
    if any(not 0 <= i < len(multipliers) for i in attention):
        raise ValueError(
            f"attention={tuple(attention)} of a UNet: expected levels among 0..{len(multipliers) - 1}, 0 the finest."
        )
