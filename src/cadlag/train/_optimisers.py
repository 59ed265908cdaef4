"""Optimisers whose numbers are arrays: sweeps over rates and lengths of training compile once.

`optax` closes over its settings, so that every rate makes another program; here they are leaves of a `Module`.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree


class _Adam(eqx.Module):
    """What `warmed_adam` makes."""

    learning_rate: Array
    weight_decay: Array
    warm_up: Array
    steps: Array

    def init(self, params: PyTree) -> Any:
        """The first state."""
        return self._chain().init(params)

    def update(self, updates: PyTree, state: Any, params: PyTree = None) -> tuple[PyTree, Any]:
        """One step."""
        return self._chain().update(updates, state, params)

    def _chain(self) -> optax.GradientTransformation:
        adam = optax.adamw(self._rate, weight_decay=self.weight_decay)
        return optax.chain(optax.clip_by_global_norm(1.0), adam)

    def _rate(self, count: Any) -> Array:
        rising = count / self.warm_up
        fallen = jnp.clip((count - self.warm_up) / (self.steps - self.warm_up), 0, 1)
        return self.learning_rate * jnp.where(count < self.warm_up, rising, (1 + jnp.cos(jnp.pi * fallen)) / 2)


def warmed_adam(learning_rate: float | int, steps: int, *, weight_decay: float | int = 0.0) -> Any:
    """AdamW (Loshchilov and Hutter, ICLR 2019) on gradients clipped at norm one, for so many steps.

    The rate rises linearly over a twentieth of the steps, 500 at most, then falls along half a cosine to zero.
    """
    warm_up = min(max(1, steps // 20), 500)
    numbers = (learning_rate, weight_decay, warm_up, max(steps, warm_up + 1))
    adam = _Adam(*(jnp.asarray(float(x)) for x in numbers))
    return optax.GradientTransformation(adam.init, adam.update)
