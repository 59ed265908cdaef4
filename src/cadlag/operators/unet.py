"""The modern U-Net as a surrogate of a PDE's step (Gupta and Brandstetter, TMLR 2023).

    conv -> [residual blocks, coarser] * -> middle -> [residual blocks beside the way down, finer] * -> conv

The network is `cadlag.nn.UNet`, that of diffusion models, from which the modern one was taken: its noise level, which
a surrogate does not have, is held at 0.
"""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, PRNGKeyArray

from cadlag.nn import Boundary, Conv
from cadlag.nn import UNet as DenoisingUNet
from cadlag.operators._network import AbstractNetwork, check_settings


class UNet(AbstractNetwork):
    """A U-Net of residual blocks with group normalisation.

    Beside PDEArena's: SiLU for GELU, means and repetition before a convolution for strided ones, branches added and
    divided by the square root of two.

    **Arguments:**

    - `channels`, `out_channels`: of input and output.
    - `width`: channels at the finest level; level i has `width * multipliers[i]` on a grid 2^i times coarser.
    - `blocks`: residual blocks a level on the way down; one more on the way up.
    - `attention`: levels (0 is the finest) whose blocks attend.
    - `dropout`: rate, active where a `key` is given.
    - `spatial_axes`, `conditions`: axes of space; length of the vector `cond`, which every block is told.
    - `boundary`: what convolutions see beyond the edge.
    - `key`: for the initial weights.
    """

    channels: int = eqx.field(static=True)
    out_channels: int = eqx.field(static=True)
    spatial_axes: int = eqx.field(static=True)
    conditions: int = eqx.field(static=True)
    net: DenoisingUNet

    def __init__(
        self,
        channels: int,
        out_channels: int,
        *,
        width: int = 64,
        multipliers: Sequence[int] = (1, 2, 2, 4),
        blocks: int = 2,
        attention: Sequence[int] = (),
        dropout: float = 0.0,
        spatial_axes: int = 2,
        conditions: int = 0,
        boundary: Boundary = Boundary.zero,
        key: PRNGKeyArray,
    ):
        check_settings("UNet", channels=(channels, 1), out_channels=(out_channels, 1), spatial_axes=(spatial_axes, 1))
        self.channels, self.out_channels = channels, out_channels
        self.spatial_axes, self.conditions = spatial_axes, conditions
        keys = jr.split(key)
        net = DenoisingUNet(channels, width=width, multipliers=multipliers, blocks=blocks, attention=attention,
                            conditions=conditions, dropout=dropout, spatial_axes=spatial_axes, boundary=boundary,
                            key=keys[0])  # fmt: skip
        # Its last layer is near zero at first, right for a noise but not for a field; and it gives what it took.
        last = Conv(width * multipliers[0], out_channels, 3, spatial_axes=spatial_axes, boundary=boundary, key=keys[1])
        self.net = eqx.tree_at(lambda net: net.last, net, last)

    def check_size(self, size: tuple[int, ...]) -> None:
        """Raise `ValueError` for a grid that 2^(levels - 1) does not divide."""
        cell = 2 ** (len(self.net.down) - 1)
        if any(n % cell for n in size):
            larger = tuple(-(-n // cell) * cell for n in size)
            raise ValueError(
                f"u: got spatial size {size}, which {cell} = 2^(levels - 1) does not divide; pad it to {larger}, or "
                "make the UNet with fewer multipliers."
            )

    def transform(self, x: Array, cond: Any, key: PRNGKeyArray | None) -> Array:
        """(*space, out_channels) from (*space, channels)."""
        u = jnp.moveaxis(x, -1, 0)
        return jnp.moveaxis(self.net(jnp.zeros((), x.dtype), u, cond=cond, key=key), 0, -1)
