"""The residual block of a U-Net, told the level; channels last."""

import equinox as eqx
import jax
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.nn._conv import Boundary, Conv
from cadlag.nn._group_norm import GroupNorm
from cadlag.nn._init import linear, shrink
from cadlag.nn._resample import Resample


class ResidualBlock(eqx.Module):
    """h = conv(silu(norm(x))) + W e; h = conv(dropout(silu(norm(h)))); (skip(x) + h) / sqrt 2.

    BigGAN's block as Song et al. (2021), appendix H, use it: a change of grid sits between the first activation and
    the first convolution, and on the skip; the skip is the identity, or a linear map where channels change. The
    second convolution is small at first.

    **Arguments:**

    - `in_channels`, `out_channels`; `embedding`: length of the vector e.
    - `spatial_axes`, `boundary`: as of `Conv`.
    - `resample`: `Downsample()`, `Upsample()` or None.
    - `dropout`: the rate.
    - `key`: for the initial weights.
    """

    norms: tuple[GroupNorm, GroupNorm]
    convs: tuple[Conv, Conv]
    told: eqx.nn.Linear
    skip: Conv | None
    resample: Resample | None
    dropout: eqx.nn.Dropout

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        embedding: int,
        *,
        spatial_axes: int = 2,
        boundary: Boundary = Boundary.zero,
        resample: Resample | None = None,
        dropout: float = 0.0,
        key: PRNGKeyArray,
    ):
        keys = jr.split(key, 4)
        self.norms = GroupNorm(in_channels), GroupNorm(out_channels)
        first = Conv(in_channels, out_channels, 3, spatial_axes=spatial_axes, boundary=boundary, key=keys[0])
        last = Conv(out_channels, out_channels, 3, spatial_axes=spatial_axes, boundary=boundary, key=keys[1])
        self.convs = first, shrink(last)
        self.told = linear(embedding, out_channels, key=keys[2])
        change = in_channels != out_channels
        self.skip = Conv(in_channels, out_channels, 1, spatial_axes=spatial_axes, key=keys[3]) if change else None
        self.resample, self.dropout = resample, eqx.nn.Dropout(dropout)

    def __call__(
        self, x: Float[Array, "*space in"], e: Float[Array, " embedding"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*space_out out"]:
        """The field (*space_out, out_channels); without a key nothing is dropped."""
        h = jax.nn.silu(self.norms[0](x))
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)
        h = self.convs[0](h)
        h = jax.nn.silu(self.norms[1](h + self.told(e).reshape((1,) * (h.ndim - 1) + (-1,))))
        h = self.convs[1](self.dropout(h, key=key, inference=True if key is None else None))
        return ((x if self.skip is None else self.skip(x)) + h) / 2**0.5
