"""Averages of the unknowns along training: exponential (EMA) and uniform over the tail (SWA)."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree


class AbstractAverage(eqx.Module):
    """A running average of the unknowns' inexact arrays.

    To write your own, give `fold(average, current, step)`: the next average, where `current` holds the
    unknowns after step number `step` (counted from 0). The average starts as the initial unknowns.
    """

    @abstractmethod
    def fold(self, average: PyTree, current: PyTree, step: Int[Array, ""]) -> PyTree:
        """Return the average after the unknowns `current` of step `step` have been seen."""


class EMA(AbstractAverage):
    """Exponential moving average with a warm-up, `decay_t = min(decay, (1 + t) / (10 + t))`.

    The warm-up keeps the initial unknowns from lingering in short runs (as in TensorFlow's
    `ExponentialMovingAverage` with `num_updates`). Good values: 0.99 for thousands of steps, 0.9999 for
    hundreds of thousands.
    """

    decay: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        if not 0.0 <= self.decay < 1.0:
            raise ValueError(f"EMA(decay): got {self.decay}, expected 0 <= decay < 1, for instance 0.999.")

    def fold(self, average: PyTree, current: PyTree, step: Int[Array, ""]) -> PyTree:
        """Return `decay_t * average + (1 - decay_t) * current`."""

        def one(a: Array, c: Array) -> Array:
            t = step.astype(jnp.finfo(c.dtype).dtype)
            rate = jnp.maximum(1 - self.decay, 9.0 / (10.0 + t)).astype(c.dtype)
            return a + rate * (c - a)

        return jax.tree.map(one, average, current)


class SWA(AbstractAverage):
    """Stochastic weight averaging: the plain mean of the unknowns after steps `start`, `start + 1`, ...

    Before `start` the average equals the current unknowns (Izmailov et al., 2018).
    """

    start: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        if self.start < 0:
            raise ValueError(f"SWA(start): got {self.start}, expected a step number >= 0.")

    def fold(self, average: PyTree, current: PyTree, step: Int[Array, ""]) -> PyTree:
        """Return the mean of the unknowns seen since `start`."""
        seen = jnp.maximum(step - self.start, 0) + 1

        def one(a: Array, c: Array) -> Array:
            return a + (c - a) / seen.astype(jnp.finfo(c.dtype).dtype).astype(c.dtype)

        return jax.tree.map(one, average, current)


def averaged(average: Any, unknowns: PyTree) -> PyTree:
    """Put the averaged arrays into the unknowns; the unknowns themselves where there is no average."""
    return unknowns if average is None else eqx.combine(average, unknowns)
