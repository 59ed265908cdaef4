"""What estimators with inducing points share: the optimiser, blocks of rows, checks of labels and counts."""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array


@functools.lru_cache(maxsize=64)
def adam(rate: float, steps: int) -> Any:
    """Adam along a cosine to a hundredth of the rate, the group `frozen` left alone. Made once, or it compiles anew."""
    return {"learnt": optax.adam(optax.cosine_decay_schedule(rate, steps, 0.01)), "frozen": None}


def padded_blocks(x: Array, size: int = 512) -> list[tuple[Array, int]]:
    """Blocks of `size` rows (all of them, where there are fewer) and how many of them count."""
    size = min(size, len(x))
    blocks = []
    for start in range(0, len(x), size):
        part = x[start : start + size]
        blocks.append((jnp.concatenate([part, jnp.repeat(part[:1], size - len(part), axis=0)]), len(part)))
    return blocks


def check_counts(estimator: Any, *names: str) -> None:
    """Refuse settings that are not positive whole numbers."""
    for name in names:
        value = getattr(estimator, name)
        if not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name}={value!r} of {type(estimator).__name__}: expected a whole number of at least 1.")
