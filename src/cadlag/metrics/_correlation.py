"""How long a roll-out resembles the truth."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.metrics._fields import two_fields


def correlation(prediction: Any, truth: Any, *, spatial_axes: int) -> Float[Array, "..."]:
    """Pearson's correlation over space of fields (..., *space), for each leading index; NaN for a constant field."""
    a, b = two_fields(prediction, truth, spatial_axes)
    axes = tuple(range(-spatial_axes, 0))
    a, b = (_centred(u, axes) for u in (a, b))
    norms = jnp.sqrt(jnp.sum(jnp.square(a), axis=axes)) * jnp.sqrt(jnp.sum(jnp.square(b), axis=axes))
    return jnp.sum(a * b, axis=axes) / norms


def pairwise_correlation(samples: Any, *, spatial_axes: int) -> Float[Array, "..."]:
    """The mean over pairs of different samples of their correlation over space; samples (sample, ..., *space).

    1 while all samples agree. **Raises:** ValueError for fewer than two samples.
    """
    samples, _ = two_fields(samples, samples, spatial_axes)
    if samples.ndim == spatial_axes or len(samples) < 2:
        raise ValueError(f"`samples` has shape {samples.shape}; expected at least two samples along the first axis.")
    axes = tuple(range(-spatial_axes, 0))
    z = _centred(samples, axes)
    z = z / jnp.sqrt(jnp.sum(jnp.square(z), axis=axes, keepdims=True))
    n = len(samples)
    return (jnp.sum(jnp.square(jnp.sum(z, axis=0)), axis=axes) - n) / (n * (n - 1))


def high_correlation_time(correlations: Any, ts: Any, *, threshold: float = 0.8) -> float:
    """The first time at which the mean over trajectories of the correlation falls below `threshold`.

    Where it never does, the last time: then a lower bound (Lippe et al., NeurIPS 2023). A roll-out that is no longer
    finite has the correlation NaN, which counts as 0, as does that of a constant field.

    **Arguments:** `correlations` (trajectories, times), such as `correlation`; `ts` (times,), ascending.

    **Raises:** ValueError for shapes that do not fit, times that do not ascend, a threshold outside (0, 1).
    """
    values, times = np.asarray(correlations, float), np.asarray(ts, float)
    if values.ndim != 2 or values.size == 0 or times.shape != values.shape[1:] or not np.all(np.diff(times) > 0):
        raise ValueError(
            f"`correlations` has shape {values.shape} and `ts` {times.shape}; expected (trajectories, times) and "
            "ascending (times,)."
        )
    if not 0 < threshold < 1:
        raise ValueError(f"`threshold` must lie in (0, 1), but got {threshold}.")
    below = np.flatnonzero(np.mean(np.nan_to_num(values), axis=0) < threshold)
    return float(times[below[0]] if below.size else times[-1])


def _centred(u: Array, axes: tuple[int, ...]) -> Array:
    """Less its mean, and of largest entry 1: squares of what a roll-out blown up gives would overflow."""
    u = u / jnp.max(jnp.abs(u), axis=axes, keepdims=True)
    u = u - jnp.mean(u, axis=axes, keepdims=True)
    # Values equal but for rounding are a constant.
    largest = jnp.max(jnp.abs(u), axis=axes, keepdims=True)
    return jnp.where(largest > 8 * jnp.finfo(u.dtype).eps, u, 0) / jnp.where(largest > 0, largest, 1)
