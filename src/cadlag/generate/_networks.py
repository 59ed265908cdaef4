"""Networks by the shape of one sample: what an estimator's setting `network` looks like."""

from typing import Any

from jaxtyping import PRNGKeyArray

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
