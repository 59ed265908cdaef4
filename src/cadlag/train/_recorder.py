"""`Recorder`: look at the state at listed steps, inside the compiled loop."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from ._minimise import reserved_key


class Recorder(eqx.Module):
    """Call `observe(state, key) -> PyTree of arrays` when the number of steps taken is in `at`.

    Step 0 is the state before training. The values of all listed steps are kept on the device with a leading
    axis as long as `at`; rows of steps not reached stay zero.
    """

    observe: Callable
    at: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, observe: Callable, at: Sequence[int]):
        steps = tuple(int(s) for s in at)
        if not steps or min(steps) < 0 or len(set(steps)) < len(steps):
            raise ValueError(f"Recorder(at): got {at!r}, expected distinct step numbers >= 0.")
        self.observe = observe
        self.at = tuple(sorted(steps))

    def start(self, state: PyTree, key: Any) -> PyTree:
        """Empty rows, with that of step 0 filled if it is listed."""
        first = eqx.filter_jit(self.observe) if self.at[0] == 0 else None
        key = reserved_key(key, 2)
        shapes = eqx.filter_eval_shape(self.observe, state, key)
        rows = jax.tree.map(lambda s: jnp.zeros((len(self.at), *s.shape), s.dtype), shapes)
        if first is None:
            return rows
        return jax.tree.map(lambda r, v: r.at[0].set(v), rows, first(state, key))

    def write(self, rows: PyTree, state: PyTree, taken: Any, key: Any) -> PyTree:
        """Fill the row of step `taken`, if it is listed."""
        hits = jnp.asarray(self.at, jnp.int32) == taken
        dynamic, static = eqx.partition(state, eqx.is_array)

        def fill(rows: PyTree, dynamic: PyTree) -> PyTree:
            values = self.observe(eqx.combine(dynamic, static), key)
            return jax.tree.map(lambda r, v: r.at[jnp.argmax(hits)].set(v), rows, values)

        return jax.lax.cond(jnp.any(hits), fill, lambda rows, _: rows, rows, dynamic)
