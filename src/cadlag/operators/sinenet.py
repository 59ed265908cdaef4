"""SineNet: U-Nets in series, each of which moves the latent state by a small step (Zhang et al., ICLR 2024).

    x_0 = P(u);    x_k = x_{k-1} + V_k(x_{k-1}),  k = 1..K;    out = Q(x_K)

A skip connection of a U-Net joins features from before and after the transport of a step, which do not lie above one
another. In a wave V_k, one K-th of the step, they nearly do. On its way down, a wave also sees its own input on the
coarser grids, untouched by convolutions (the paper's disentangled branch).
"""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, PRNGKeyArray

from cadlag.nn import Boundary, Conv, Downsample, GroupNorm, Interpolate, Kernel
from cadlag.operators._network import AbstractNetwork, Conditions, Told, check_settings


class _Block(eqx.Module):
    """[3 x 3 convolution, norm, activation] twice, plus a linear map of the feature that changed its grid."""

    convs: tuple[Conv, Conv]
    norms: tuple[GroupNorm, GroupNorm]
    shortcut: Conv
    told: Told
    activation: Callable = eqx.field(static=True)

    def __call__(self, x: Array, moved: Array, e: Array | None) -> Array:
        h = self.told(self.activation(self.norms[0](self.convs[0](x))), e)
        return self.activation(self.norms[1](self.convs[1](h))) + self.shortcut(moved)


class Wave(eqx.Module):
    """V_k: one U-Net, from and to (*space, width)."""

    down: tuple[_Block, ...]
    up: tuple[_Block, ...]
    coarser: Downsample
    finer: Interpolate
    disentangled: bool = eqx.field(static=True)

    def __call__(self, x: Array, e: Array | None) -> Array:
        """The increment of the latent state."""
        seen, skips = x, [x]
        for level, block in enumerate(self.down):
            seen, moved = self.coarser(seen), self.coarser(skips[-1])
            both = self.disentangled and level > 0
            skips.append(block(jnp.concatenate([moved, seen], -1) if both else moved, moved, e))
        h = skips.pop()
        for block in self.up:
            moved = self.finer(h)
            h = block(jnp.concatenate([skips.pop(), moved], -1), moved, e)
        return h


class SineNet(AbstractNetwork):
    """K narrow U-Nets in series; 35,490,219 parameters from 12 to 3 channels by default.

    A factor of growth keeps the number of parameters while the number of waves changes: 8 waves 1.425, 6 waves 1.5,
    4 waves 1.611, 2 waves 1.8075, one wave 2.

    **Arguments:**

    - `channels`, `out_channels`: of input and output.
    - `waves`: K; `width`: channels of the latent state; `growth`: level l has floor(width growth^l) channels.
    - `levels`: how often a wave halves the grid; 2^levels must divide every spatial size.
    - `wave_residual`: whether V_k is added to its input, or replaces it.
    - `disentangled`: whether a wave sees its input on the coarser grids.
    - `rematerialise`: keep a wave's input only and compute the wave anew in the backward pass: memory of one wave.
    - `kernel`: of the interpolation on the way up.
    - `spatial_axes`, `conditions`: axes of space; length of the vector `cond`, which every block is told.
    - `boundary`: what convolutions see beyond the edge; with circular, interpolation wraps around too.
    - `activation`: of the blocks.
    - `key`: for the initial weights.

    With a circular boundary the network commutes with shifts by multiples of 2^levels points, not with others.
    """

    channels: int = eqx.field(static=True)
    out_channels: int = eqx.field(static=True)
    spatial_axes: int = eqx.field(static=True)
    conditions: int = eqx.field(static=True)
    wave_residual: bool = eqx.field(static=True)
    rematerialise: bool = eqx.field(static=True)
    condition: Conditions
    lift: Conv
    waves: tuple[Wave, ...]
    project: Conv

    def __init__(
        self,
        channels: int,
        out_channels: int,
        *,
        waves: int = 8,
        width: int = 64,
        growth: float | int = 1.425,
        levels: int = 4,
        wave_residual: bool = True,
        disentangled: bool = True,
        rematerialise: bool = False,
        kernel: Kernel = Kernel.bicubic,
        spatial_axes: int = 2,
        conditions: int = 0,
        boundary: Boundary = Boundary.zero,
        activation: Callable = jax.nn.gelu,
        key: PRNGKeyArray,
    ):
        check_settings("SineNet", channels=(channels, 1), out_channels=(out_channels, 1), waves=(waves, 1),
                       width=(width, 1), levels=(levels, 1), conditions=(conditions, 0),
                       spatial_axes=(spatial_axes, 1))  # fmt: skip
        if not growth > 0 or math.floor(width * min(growth, 1) ** levels) < 1:
            raise ValueError(f"growth={growth} of a SineNet leaves no channels on level {levels} of width {width}.")
        self.channels, self.out_channels = channels, out_channels
        self.spatial_axes, self.conditions = spatial_axes, conditions
        self.wave_residual, self.rematerialise = wave_residual, rematerialise
        keys = iter(jr.split(key, 3 + 8 * waves * levels))

        def conv(m: int, n: int, kernel: int = 3) -> Conv:
            return Conv(m, n, kernel, spatial_axes=spatial_axes, boundary=boundary, key=next(keys))

        def block(m: int, moved: int, n: int) -> _Block:
            norms = GroupNorm(n, 1, eps=1e-5), GroupNorm(n, 1, eps=1e-5)
            told = Told(conditions, width, n, key=next(keys))
            return _Block((conv(m, n), conv(n, n)), norms, conv(moved, n, 1), told, activation)

        c = [math.floor(width * growth**level) for level in range(levels + 1)]
        branch = [width if disentangled and level > 1 else 0 for level in range(levels + 1)]

        def wave() -> Wave:
            return Wave(
                tuple(block(c[i - 1] + branch[i], c[i - 1], c[i]) for i in range(1, levels + 1)),
                tuple(block(c[i] + c[i - 1], c[i], c[i - 1]) for i in range(levels, 0, -1)),
                Downsample(),
                Interpolate(kernel, boundary),
                disentangled,
            )

        self.lift = conv(channels, width)
        self.waves = tuple(wave() for _ in range(waves))
        self.project = conv(width, out_channels)
        self.condition = Conditions(conditions, width, key=next(keys))

    def check_size(self, size: tuple[int, ...]) -> None:
        """Raise `ValueError` for a grid that 2^levels does not divide."""
        cell = 2 ** len(self.waves[0].down)
        if any(n % cell for n in size):
            larger = tuple(-(-n // cell) * cell for n in size)
            raise ValueError(
                f"u: got spatial size {size}, which {cell} = 2^levels does not divide; pad it to {larger}, or make "
                "the SineNet with fewer levels."
            )

    def transform(self, x: Array, cond: Any, key: PRNGKeyArray | None) -> Array:
        """(*space, out_channels) from (*space, channels)."""
        del key
        e, x = self.condition(cond), self.lift(x)
        for wave in self.waves:
            step = eqx.filter_checkpoint(wave)(x, e) if self.rematerialise else wave(x, e)
            x = x + step if self.wave_residual else step
        return self.project(x)
