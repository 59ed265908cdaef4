"""The dilated residual network (Stachenfeld et al., ICLR 2022), in the form of Gupta and Brandstetter (TMLR 2023).

    v = P(u);    v <- v + (conv_1 σ) (conv_2 σ) (conv_4 σ) (conv_8 σ) (conv_4 σ) (conv_2 σ) (conv_1 σ) v;    out = Q(v)

Convolutions dilated by up to eight points see far at full resolution, without pooling.
"""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.random as jr
from jaxtyping import Array, PRNGKeyArray

from cadlag.nn import Boundary, Conv, GroupNorm
from cadlag.operators._network import AbstractNetwork, Conditions, Told, check_settings


class _Block(eqx.Module):
    """v + the chain of dilated convolutions of v, each after a norm and before an activation."""

    convs: tuple[Conv, ...]
    norms: tuple[GroupNorm, ...]
    told: Told
    activation: Callable = eqx.field(static=True)

    def __call__(self, v: Array, e: Array | None) -> Array:
        h = self.told(v, e)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            h = self.activation(conv(norm(h)))
        return v + h


class DilatedResNet(AbstractNetwork):
    """The dilated residual network; 4,172,929 parameters from and to one channel by default.

    **Arguments:**

    - `channels`, `out_channels`: of input and output.
    - `width`: channels inside; `blocks`: how many; `dilations`: of the convolutions of a block.
    - `spatial_axes`, `conditions`: axes of space; length of the vector `cond`, which every block is told.
    - `boundary`: what convolutions see beyond the edge. Other than zero, it needs as many points on each axis as the
        largest dilation.
    - `activation`: σ.
    - `key`: for the initial weights.
    """

    channels: int = eqx.field(static=True)
    out_channels: int = eqx.field(static=True)
    spatial_axes: int = eqx.field(static=True)
    conditions: int = eqx.field(static=True)
    boundary: Boundary = eqx.field(static=True)
    dilations: tuple[int, ...] = eqx.field(static=True)
    activation: Callable = eqx.field(static=True)
    condition: Conditions
    lift: tuple[Conv, Conv]
    blocks: tuple[_Block, ...]
    project: tuple[Conv, Conv]

    def __init__(
        self,
        channels: int,
        out_channels: int,
        *,
        width: int = 128,
        blocks: int = 4,
        dilations: Sequence[int] = (1, 2, 4, 8, 4, 2, 1),
        spatial_axes: int = 2,
        conditions: int = 0,
        boundary: Boundary = Boundary.zero,
        activation: Callable = jax.nn.gelu,
        key: PRNGKeyArray,
    ):
        check_settings("DilatedResNet", channels=(channels, 1), out_channels=(out_channels, 1), width=(width, 1),
                       blocks=(blocks, 1), dilations=(min(dilations, default=0), 1), conditions=(conditions, 0),
                       spatial_axes=(spatial_axes, 1))  # fmt: skip
        self.channels, self.out_channels = channels, out_channels
        self.spatial_axes, self.conditions, self.boundary = spatial_axes, conditions, boundary
        self.dilations, self.activation = tuple(dilations), activation
        keys = iter(jr.split(key, 5 + blocks * (len(dilations) + 1)))

        def conv(m: int, n: int, kernel: int = 1, dilation: int = 1) -> Conv:
            return Conv(m, n, kernel, spatial_axes=spatial_axes, dilation=dilation, boundary=boundary, key=next(keys))

        self.lift = conv(channels, width), conv(width, width)
        self.blocks = tuple(
            _Block(
                tuple(conv(width, width, 3, d) for d in dilations),
                tuple(GroupNorm(width, 1, eps=1e-5) for _ in dilations),
                Told(conditions, width, width, key=next(keys)),
                activation,
            )
            for _ in range(blocks)
        )
        self.project = conv(width, width), conv(width, out_channels)
        self.condition = Conditions(conditions, width, key=next(keys))

    def check_size(self, size: tuple[int, ...]) -> None:
        """Raise `ValueError` for a grid shorter than the boundary must be copied."""
        least = {Boundary.circular: max(self.dilations), Boundary.reflect: max(self.dilations) + 1}
        if min(size) < least.get(self.boundary, 1):
            raise ValueError(
                f"u: got spatial size {size}, but {self.boundary} with a dilation of {max(self.dilations)} needs "
                f"{least[self.boundary]} points on each axis; use smaller dilations=, Boundary.zero or a finer grid."
            )

    def transform(self, x: Array, cond: Any, key: PRNGKeyArray | None) -> Array:
        """(*space, out_channels) from (*space, channels)."""
        del key
        e = self.condition(cond)
        v = self.activation(self.lift[1](self.activation(self.lift[0](x))))
        for block in self.blocks:
            v = block(v, e)
        return self.project[1](self.activation(self.project[0](v)))
