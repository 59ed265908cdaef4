"""The log-ODE method: a controlled equation on long windows, by Lie brackets of its own vector fields.

For dy = Σ_i V_i(y) dx^i and the log-signature Σ_w a_w [w] of x over a window (in the Lyndon basis of brackets), the
flow of dy/ds = Σ_w a_w V_[w](y), 0 <= s <= 1, has the window's end state up to words longer than the depth N, where

    V_[i] = V_i,      V_[u v] = [V_[u], V_[v]],      [V, W] = DW V - DV W

(Lyons 1998; Morrill et al., Neural rough differential equations, ICML 2021). Driven by the linear path of
log-signatures it is a controlled equation again, so every stepper and adjoint serves.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from cadlag.paths import lyndon_words, standard_factorisation
from cadlag.solve._process import CDE, AbstractProcess


class LieBrackets(eqx.Module):
    """The fields of a controlled equation and their Lie brackets, one column for each Lyndon word; `log_ode` makes it.

    Example: `LieBrackets(field, lyndon_words(2, 2))(t, y, None)` has the columns V_0, V_1 and [V_0, V_1] at y.
    """

    field: Callable
    words: tuple[tuple[int, ...], ...] = eqx.field(static=True)

    def __call__(self, t: Any, y: Array, args: Any) -> Array:
        """Columns V_[w](y), shape (state, words)."""
        matrix = self.field(t, y, args)
        channels = sum(len(word) == 1 for word in self.words)
        if matrix.shape != (*y.shape, channels):
            raise ValueError(
                f"log_ode was given channels={channels}, but the field has shape {matrix.shape} at a state of shape "
                f"{y.shape}; expected {(*y.shape, channels)}."
            )
        brackets = [self._along(word, t, args)(y) for word in self.words[channels:]]
        return jnp.concatenate([matrix, *(b[..., None] for b in brackets)], axis=-1)

    def _along(self, word: tuple[int, ...], t: Any, args: Any) -> Callable[[Array], Array]:
        """The vector field of one word."""
        if len(word) == 1:
            return lambda y: self.field(t, y, args)[..., word[0]]
        v, w = (self._along(part, t, args) for part in standard_factorisation(word))
        return lambda y: jax.jvp(w, (y,), (v(y),))[1] - jax.jvp(v, (y,), (w(y),))[1]


def log_ode(process: AbstractProcess, channels: int, depth: int) -> CDE:
    """The log-ODE of a controlled equation, for a control of `channels` channels, to words of `depth` letters.

    Solve it with the log-signatures of the control as driver:

        long = logsignature_path(times, values, window=32, depth=2, basis=LieBasis.brackets)
        solve(log_ode(CDE(field), channels=3, depth=2), y0, long.times, driver=long, steps=4)

    **Arguments:** `process`, whose field (state, channels) can be differentiated `depth - 1` times. A field that
    depends on t is taken as it is at the stepper's times; make time a channel for the full order.

    **Returns:** a `CDE` whose field has `logsignature_size(channels, depth)` columns. The local error over a window of
    size h is O(h^{depth + 1}). Cost: of order 3^{depth - 1} derivatives of the field for each longest word.

    **Raises:** `TypeError` for another kind of process, `ValueError` where `channels` is not the field's.
    """
    if not isinstance(process, CDE):
        raise TypeError(f"log_ode takes a CDE, not a {type(process).__name__}; write the equation as CDE(field).")
    return CDE(LieBrackets(process.field, lyndon_words(channels, depth)))
