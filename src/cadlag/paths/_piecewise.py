"""Finding the interval a time falls in; shared by all piecewise paths."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int


def two_knots(*arrays: Array) -> tuple[Array, ...]:
    """Repeat a single observation, so that there is always one interval (of width zero)."""
    return tuple(jnp.concatenate([x, x]) if x.shape[0] == 1 else x for x in arrays)


def locate(knots: Float[Array, "T"], t: ArrayLike) -> tuple[Int[Array, ""], Float[Array, ""], Array]:
    """The interval i with knots[i] <= t < knots[i+1], the offset t - knots[i], and whether t is within the
    ends.

    Intervals of width zero at the end (padding) are never chosen: at or after the last time the answer is the
    last interval of positive width with its full width as the offset. Before the first time the offset is 0.
    """
    t = jnp.asarray(t, knots.dtype)
    inside = (t >= knots[0]) & (t <= knots[-1])
    t = jnp.clip(t, knots[0], knots[-1])
    final = jnp.sum(knots < knots[-1], dtype=jnp.int32) - 1
    i = jnp.searchsorted(knots, t, side="right").astype(jnp.int32) - 1
    i = jnp.maximum(jnp.minimum(i, final), 0)
    return i, t - knots[i], inside
