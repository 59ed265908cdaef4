"""Losses on frames (frame, channel, *space): means over frames and channels of errors over space."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.metrics import relative_h1, relative_l2, relative_sobolev

Frames = Float[Array, "frames channels *space"]


class MeanSquare(eqx.Module):
    """The mean squared error."""

    def __call__(self, prediction: Frames, truth: Frames) -> Float[Array, ""]:
        """Of one example."""
        return jnp.mean(jnp.square(prediction - truth))


class RelativeL2(eqx.Module):
    """The mean over frames and channels of |prediction - truth| / |truth|; see `cadlag.metrics.relative_l2`.

    A frame of truth that is 0 counts by its deviation from 0, in all the relative losses.
    """

    def __call__(self, prediction: Frames, truth: Frames) -> Float[Array, ""]:
        """Of one example."""
        return _mean(relative_l2, prediction, truth)


class RelativeSobolev(eqx.Module):
    """The relative error in H^order by Fourier modes; see `cadlag.metrics.relative_sobolev`.

    **Arguments:** `order`; `modes`, from which on frequencies have the weight 1, or None.
    """

    order: float | int = eqx.field(static=True, default=1)
    modes: int | None = eqx.field(static=True, default=None)

    def __call__(self, prediction: Frames, truth: Frames) -> Float[Array, ""]:
        """Of one example."""
        return _mean(relative_sobolev, prediction, truth, order=self.order, modes=self.modes)


class RelativeH1(eqx.Module):
    """The relative error in H1 by differences, for fields that are not periodic; see `cadlag.metrics.relative_h1`.

    **Arguments:** `spacing` of the grid, of all axes or of each.
    """

    spacing: float | int | tuple[float | int, ...] = eqx.field(static=True, default=1.0)

    def __call__(self, prediction: Frames, truth: Frames) -> Float[Array, ""]:
        """Of one example."""
        return _mean(relative_h1, prediction, truth, spacing=self.spacing)


def _mean(metric: Callable, prediction: Array, truth: Array, **options: object) -> Array:
    d = truth.ndim - 2
    blank = jnp.all(truth == 0, axis=tuple(range(-d, 0)), keepdims=True).astype(truth.dtype)
    return jnp.mean(metric(prediction + blank, truth + blank, spatial_axes=d, **options))
