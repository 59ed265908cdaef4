"""Errors of fields on grids: relative norms in space, errors in units of the variance, of conserved totals.

All take arrays (..., *space), with the number of spatial axes named, and give one number for each leading index: with
(example, time, channel, *space) one for each frame and channel, which the caller averages as it likes.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def relative_l2(prediction: Any, truth: Any, *, spatial_axes: int) -> Float[Array, "..."]:
    """|prediction - truth| / |truth|, Euclidean norms over space: 1 for the prediction 0, whatever the scale.

    Over leading axes (time, channel) its mean is the training loss of SineNet (Zhang et al., ICLR 2024). A frame of
    truth that is 0 gives inf or NaN: leave failed simulations out.

    **Raises:** ValueError for other shapes or too few axes; TypeError for integers and mixed precision.
    """
    prediction, truth = two_fields(prediction, truth, spatial_axes)
    axes = tuple(range(-spatial_axes, 0))
    return _ratio(_square(prediction - truth, axes), _square(truth, axes))


def relative_sobolev(
    prediction: Any, truth: Any, *, spatial_axes: int, order: float | int = 1, modes: int | None = None
) -> Float[Array, "..."]:
    """The relative error in H^order of periodic fields, Σ_k (1 + |k|²)^order |û_k|² with integer mode numbers k.

    With order 1 the loss of MgNO (He et al., ICLR 2024), where it is used on fields that are not periodic as well.

    **Arguments:** `order`, any real; `modes`, mode numbers of at least so much count as 0 along their axis, so that
    high frequencies have the weight 1 (MgNO's code: 20); None for the norm itself. Errors as of `relative_l2`.
    """
    prediction, truth = two_fields(prediction, truth, spatial_axes)
    if modes is not None and modes < 1:
        raise ValueError(f"`modes` must be at least 1 or None, but got {modes}.")
    weight = _sobolev_weight(truth.shape[truth.ndim - spatial_axes :], float(order), modes)
    weight = weight.reshape((1,) * (truth.ndim - spatial_axes) + weight.shape)
    axes = tuple(range(-spatial_axes, 0))

    def square(u: Array) -> Array:
        hat = jnp.fft.rfftn(u, axes=axes)
        return jnp.sum((jnp.square(hat.real) + jnp.square(hat.imag)) * jnp.asarray(weight, u.dtype), axis=axes)

    return _ratio(square(prediction - truth), square(truth))


def relative_h1(
    prediction: Any, truth: Any, *, spatial_axes: int, spacing: float | int | Sequence[float | int] = 1.0
) -> Float[Array, "..."]:
    """The relative error in H1 by differences: |u|² + Σ_axis |∂u|², for grids that are not periodic.

    Central differences inside, one-sided ones of second order at the ends; three points an axis at least.

    **Arguments:** `spacing`, of all axes or of each, in the unit of length; it weighs slopes against values.
    """
    prediction, truth = two_fields(prediction, truth, spatial_axes)
    spacing = (spacing,) * spatial_axes if isinstance(spacing, float | int) else tuple(spacing)
    if len(spacing) != spatial_axes or min(spacing) <= 0:
        raise ValueError(f"`spacing` must be positive, one or {spatial_axes} numbers, but got {spacing}.")
    if min(truth.shape[truth.ndim - spatial_axes :]) < 3:
        raise ValueError(f"`truth` has shape {truth.shape}; differences need three points along each spatial axis.")
    axes = tuple(range(-spatial_axes, 0))

    def square(u: Array) -> Array:
        slopes = (_square(_slope(u, axis, h), axes) for axis, h in zip(axes, spacing, strict=True))
        return sum(slopes, _square(u, axes))

    return _ratio(square(prediction - truth), square(truth))


def vrmse(prediction: Any, truth: Any, *, spatial_axes: int) -> Float[Array, "..."]:
    """The root mean square error in units of the truth's deviation over space: 1 for predicting the mean.

    The measure of The Well (Ohana et al., NeurIPS 2024), without its ε: a constant truth gives inf or NaN.
    """
    prediction, truth = two_fields(prediction, truth, spatial_axes)
    axes = tuple(range(-spatial_axes, 0))
    return _ratio(_square(prediction - truth, axes), _square(truth - jnp.mean(truth, axis=axes, keepdims=True), axes))


def conserved_error(prediction: Any, truth: Any, *, spatial_axes: int) -> Float[Array, "..."]:
    """The error of the mean over space, |mean(prediction) - mean(truth)|: of mass, momentum, whatever is conserved."""
    prediction, truth = two_fields(prediction, truth, spatial_axes)
    return jnp.abs(jnp.mean(prediction - truth, axis=tuple(range(-spatial_axes, 0))))


def two_fields(prediction: Any, truth: Any, spatial_axes: int) -> tuple[Array, Array]:
    """Both as arrays of floats of one shape and dtype, with at least so many axes."""
    a, b = jnp.asarray(prediction), jnp.asarray(truth)
    if spatial_axes < 1 or a.shape != b.shape or a.ndim < spatial_axes or a.size == 0:
        raise ValueError(
            f"`prediction` and `truth` have shapes {a.shape} and {b.shape}; expected one shape (..., *space) with "
            f"spatial_axes={spatial_axes} >= 1 axes of space last."
        )
    if a.dtype != b.dtype or not jnp.issubdtype(a.dtype, jnp.floating):
        raise TypeError(f"`prediction` is {a.dtype} and `truth` {b.dtype}; expected floats of one precision.")
    return a, b


def _square(u: Array, axes: tuple[int, ...]) -> Array:
    return jnp.sum(jnp.square(u), axis=axes)


def _ratio(error: Array, size: Array) -> Array:
    """sqrt(error / size), whose gradient is 0 where the error is: a root has none there."""
    some = error > 0
    return jnp.where(some, jnp.sqrt(jnp.where(some, error, 1)), error) / jnp.sqrt(size)


def _sobolev_weight(shape: tuple[int, ...], order: float, modes: int | None) -> np.ndarray:
    """(1 + |k|²)^order of `rfftn`'s coefficients; those that stand for a conjugate pair count twice."""
    last = len(shape) - 1
    numbers = [(np.fft.rfftfreq if i == last else np.fft.fftfreq)(n, 1 / n) for i, n in enumerate(shape)]
    k2 = sum(
        np.where((modes is None) | (abs(k) < (modes or 0)), k, 0) ** 2 for k in np.meshgrid(*numbers, indexing="ij")
    )
    pair = np.full(shape[-1] // 2 + 1, 2.0)
    pair[0] = 1
    if shape[-1] % 2 == 0:
        pair[-1] = 1
    return (1 + k2) ** order * pair


def _slope(u: Array, axis: int, h: float | int) -> Array:
    n = u.shape[axis]
    part = lambda i, j: jnp.take(u, np.arange(i, j), axis=axis)  # noqa: E731
    first = -3 * part(0, 1) + 4 * part(1, 2) - part(2, 3)
    final = 3 * part(n - 1, n) - 4 * part(n - 2, n - 1) + part(n - 3, n - 2)
    return jnp.concatenate([first, part(2, n) - part(0, n - 2), final], axis=axis) / (2 * h)
