"""Signatures of series: time, lead and lag as one piecewise linear path."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.data import IrregularSeries
from cadlag.paths import fill_linear, signature
from cadlag.series._model import control_points


def interleaved(points: Float[Array, "time channels"]) -> Float[Array, "twice_time both"]:
    """(lead, lag) at 2 time - 1 points: the lead moves first, the lag follows.

    Of its signature's level two, the lead-lag area is half the quadratic variation of the points.
    """
    lead = jnp.repeat(points, 2, axis=0)[1:]
    lag = jnp.repeat(points, 2, axis=0)[:-1]
    return jnp.concatenate([lead, lag], axis=1)


def path_signature(series: IrregularSeries, *, depth: int, lead_lag: bool) -> Float[Array, " size"]:
    """Signature of (time, values), from a base point where all values are zero; gaps are filled by straight lines."""
    times, values, mask = control_points(series)
    filled = fill_linear(times, values, mask)
    # A signature forgets where a path starts; one that starts at zero has its first value as its first increment.
    points = jnp.concatenate([filled[:1].at[:, 1:].set(0), filled])
    if lead_lag:
        clock = jnp.repeat(points[:, :1], 2, axis=0)[1:]
        points = jnp.concatenate([clock, interleaved(points[:, 1:])], axis=1)
    return signature(points, depth)
