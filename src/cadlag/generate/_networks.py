"""Networks by the shape of one sample: what an estimator's setting `network` looks like."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from cadlag.nn import ScoreMLP, UNet


def mlp(
    shape: tuple[int, ...],
    *,
    conditions: int = 0,
    classes: int | None = None,
    width: int = 256,
    depth: int = 4,
    key: PRNGKeyArray,
) -> ScoreMLP:
    """A residual MLP on the flattened sample: vectors, short series, small images."""
    return ScoreMLP(shape, width=width, depth=depth, conditions=conditions, classes=classes, key=key)


def unet(
    shape: tuple[int, ...],
    *,
    conditions: int = 0,
    classes: int | None = None,
    key: PRNGKeyArray,
    **options: Any,
) -> UNet:
    """A U-Net for samples (channel, *space), images or series; `options` are those of `cadlag.nn.UNet`."""
    if len(shape) < 2:
        raise ValueError(
            f"unet: a sample has shape {shape}; expected (channel, *space): images are (samples, channel, height, "
            "width), series (samples, channel, time). For vectors use `mlp`."
        )
    return UNet(shape[0], conditions=conditions, classes=classes, spatial_axes=len(shape) - 1, key=key, **options)


class Beside(eqx.Module):
    """A vector network that sees another sample `cond` of the same shape beside its input."""

    net: ScoreMLP

    def __call__(self, level: Array, x: Array, *, cond: Array, key: PRNGKeyArray | None = None) -> Array:
        """The first half of the output, of x's shape."""
        return self.net(level, jnp.concatenate([x, cond]), key=key)[: x.shape[0]]


def mlp_beside(shape: tuple[int, ...], *, width: int = 256, depth: int = 4, key: PRNGKeyArray) -> Beside:
    """A residual MLP that sees the degraded sample too."""
    return Beside(ScoreMLP((2 * shape[0], *shape[1:]), width=width, depth=depth, key=key))


def unet_beside(shape: tuple[int, ...], *, key: PRNGKeyArray, **options: Any) -> UNet:
    """A U-Net that sees the degraded image too."""
    return unet(shape, key=key, extra_channels=shape[0], **options)
