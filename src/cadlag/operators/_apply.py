"""A trained operator on many examples, a chunk at a time."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from cadlag.operators._operator import AbstractOperator, check_rollout, rollout

CHUNK = 16
"""Examples at a time."""


class CallOnce(eqx.Module):
    """One call of the operator on one example."""

    def __call__(self, operator: AbstractOperator, u: Array, cond: Any, inputs: Any, key: PRNGKeyArray) -> Array:
        """(horizon, channel, *space)."""
        return operator(u, cond=cond, key=key if operator.stochastic else None)


class RollOut(eqx.Module):
    """Roll-outs of one example: `samples` of them, or one with no axis for it."""

    steps: int = eqx.field(static=True)
    samples: int | None = eqx.field(static=True, default=None)

    def __call__(self, operator: AbstractOperator, u: Array, cond: Any, inputs: Any, key: PRNGKeyArray) -> Array:
        """(steps, channel, *space), with the samples in front."""

        def one(k: PRNGKeyArray) -> Array:
            drawing = k if operator.stochastic else None
            return rollout(operator, u, self.steps, inputs=inputs, cond=cond, key=drawing)

        if self.samples is None:
            return one(key)
        if self.samples < 1 or not operator.stochastic:
            raise ValueError(
                f"samples={self.samples}: expected a positive number and a stochastic operator, such as a Refiner; "
                "the others give one and the same roll-out."
            )
        return jax.vmap(one)(jr.split(key, self.samples))


def in_chunks(
    function: eqx.Module, operator: AbstractOperator, u: Array, cond: Array | None, seed: int, inputs: Any = None
) -> np.ndarray:
    """The function of every example; all see the same key, so that an answer does not depend on who else is there.

    The last chunk is filled up, so that all have one shape and compile once.
    """
    if isinstance(function, RollOut):
        check_rollout(operator, u[0], function.steps, None if inputs is None else inputs[0], jr.key(seed))
    n, size = len(u), min(CHUNK, len(u))
    parts = []
    for first in range(0, n, size):
        index = np.minimum(np.arange(first, first + size), n - 1)
        rows = jax.tree.map(lambda x, i=index: x[i], (u, cond, inputs))
        parts.append(np.asarray(_apply(function, operator, rows, jr.key(seed)))[: n - first])
    return np.concatenate(parts)


@eqx.filter_jit
def _apply(function: Any, operator: AbstractOperator, rows: tuple, key: PRNGKeyArray) -> Array:
    return jax.vmap(lambda row: function(operator, *row, key))(jax.tree.map(jnp.asarray, rows))
