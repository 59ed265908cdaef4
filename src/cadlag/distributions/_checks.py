"""Checks of parameters; values are looked at only where they are known, not under a transformation."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array


def floats(name: str, x: Any, dtype: Any = None) -> Array:
    """A floating-point array, of `dtype` where given; integers are refused unless a dtype is given."""
    x = jnp.asarray(x)
    if dtype is None and not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"`{name}` must be floats, because they decide the precision, but are {x.dtype}.")
    if not isinstance(x, Tracer) and not np.all(np.isfinite(x)):
        raise ValueError(f"`{name}` must be finite, but hold NaN or infinite values.")
    return x if dtype is None else x.astype(dtype)


def known(x: Array) -> np.ndarray | None:
    """The values on the host, or None while tracing."""
    return None if isinstance(x, Tracer) else np.asarray(x)
