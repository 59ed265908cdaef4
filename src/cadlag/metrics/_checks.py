"""Checks of sample arrays; values are looked at only where they are known, not under a transformation."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array


def two_samples(x: Any, y: Any, names: tuple[str, str] = ("x", "y")) -> tuple[Array, Array]:
    """Both as (n, D) and (m, D): flattened behind the first axis, of one dtype, finite, two samples at least."""
    a, b = samples(names[0], x), samples(names[1], y)
    if jnp.shape(x)[1:] != jnp.shape(y)[1:]:
        raise ValueError(
            f"`{names[0]}` and `{names[1]}` must hold samples of one shape, but they have {jnp.shape(x)[1:]} and "
            f"{jnp.shape(y)[1:]} behind the sample axis."
        )
    if a.dtype != b.dtype:
        raise TypeError(f"`{names[0]}` is {a.dtype}, but `{names[1]}` is {b.dtype}; cast one with `.astype`.")
    return a, b


def samples(name: str, x: Any) -> Array:
    """Finite floating-point samples as (n, D), n ≥ 2."""
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"`{name}` must be floats, but is {x.dtype}; cast it with `.astype`.")
    if x.ndim == 0 or x.shape[0] < 2 or x.size == 0:
        raise ValueError(f"`{name}` must hold at least 2 samples along its first axis, but has shape {x.shape}.")
    flat = x.reshape(x.shape[0], -1)
    if not isinstance(x, Tracer):
        bad = np.flatnonzero(~np.isfinite(np.asarray(flat)).all(axis=1))
        if bad.size:
            raise ValueError(
                f"`{name}` holds NaN or infinite values in {bad.size} of {len(flat)} samples, the first in sample "
                f"{bad[0]}. Look where they come from, or leave those samples out."
            )
    return flat


def check_order(p: float | int) -> None:
    """Refuse orders below 1, for which there is no triangle inequality."""
    if not 1 <= p < float("inf"):
        raise ValueError(f"`p` must be a finite number of at least 1, but got {p}.")
