"""Training shared by the wing's estimators: Adam with warm-up and cosine decay, averaged weights, resumable."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import PyTree

from cadlag.data import Batches
from cadlag.train import EMA, fit, gradient, warmed_adam


class Training(NamedTuple):
    """How a network is trained."""

    steps: int
    batch_size: int
    learning_rate: float
    average: float
    seed: int
    run: Any
    progress: Any


def make_update(loss: Callable, learning_rate: float, steps: int, average: float) -> Any:
    """Adam with warm-up and decay, averaged weights."""
    return gradient(loss, warmed_adam(learning_rate, steps), average=EMA(average))


def train(model: PyTree, data: PyTree, loss: Callable, settings: Training) -> tuple[PyTree, dict[str, np.ndarray]]:
    """Train on examples (a PyTree with the example axis first); the averaged model, and the history."""
    update = make_update(loss, settings.learning_rate, settings.steps, settings.average)
    source = Batches(data, settings.batch_size)
    result = fit(
        update, model, source, steps=settings.steps, key=jr.key(settings.seed), run=settings.run,
        progress=settings.progress, block=min(settings.steps, 200) if not _convolves(model) else None,
    )  # fmt: skip
    return result.state.averaged, result.history


def _convolves(model: PyTree) -> bool:
    """Whether a weight has the axes of a convolution; then `fit` measures how to run its steps."""
    return any(hasattr(x, "ndim") and x.ndim >= 3 for x in jax.tree.leaves(model))


def check_positive(owner: Any, *names: str) -> None:
    """Refuse settings that must be positive and are not."""
    for name in names:
        value = getattr(owner, name)
        if not value > 0:
            raise ValueError(f"{name}={value} of {type(owner).__name__} must be positive.")


def network_dtype() -> Any:
    """Precision that new weights have: float64 where JAX is told so, float32 otherwise."""
    return jnp.zeros(()).dtype
