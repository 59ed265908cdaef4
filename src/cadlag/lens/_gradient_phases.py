"""Signal and noise of mini-batch gradients along training: drift while the mean is the larger, diffusion after.

    m = |mean over batches of g_b|,    s = sqrt(trace of the covariance of g_b),    ratio = m / s

for each weight matrix. Of B batches of pure noise the ratio is about 1/sqrt(B). Shwartz-Ziv and Tishby, arXiv
1703.00810, section 3.3, place the switch near the peak of I(X;T); that one causes the other is disputed.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from cadlag.lens._information import _count

_LEAST = 1e-12


class GradientNoise(eqx.Module):
    """Gradients of mini-batches, an entry for each group of weights on the last axis.

    - `mean`: norm of the mean gradient. `std`: root of the trace of the covariance, unbiased. `ratio`: mean / std,
      where std counts as 1e-12 at least: a huge number for batches that agree.
    """

    mean: Float[Array, "... groups"]
    std: Float[Array, "... groups"]
    ratio: Float[Array, "... groups"]


def weight_matrices(tree: PyTree) -> list[Array]:
    """Floating arrays of two axes or more, in the order of the tree: one group of each layer's weights, no biases."""
    return [a for a in jax.tree.leaves(tree) if eqx.is_inexact_array(a) and a.ndim > 1]


def gradient_noise(
    loss: Callable,
    unknowns: PyTree,
    data: PyTree,
    *,
    batch_size: int,
    key: Any,
    groups: Callable[[PyTree], list[PyTree]] = weight_matrices,
) -> GradientNoise:
    """Signal and noise of the gradients of one epoch of mini-batches at fixed unknowns.

    **Arguments:**

    - `loss`: `loss(unknowns, batch, key) -> (scalar, dict)`, as `train.gradient` takes it.
    - `data`: PyTree of arrays, example axis first; shuffled and cut into whole batches of `batch_size`, two at least.
    - `groups`: from a gradient, of the structure of the unknowns, to a list of its parts.

    **Raises:** ValueError for fewer than two batches, a loss that is not scalar, and unknowns without a group.
    """
    count = _batches(data, batch_size)
    params, static = eqx.partition(unknowns, eqx.is_inexact_array)
    if not groups(params):
        raise ValueError("`groups`: found no weights among the unknowns (by default arrays of two axes or more).")
    shuffle, key = jax.random.split(key)
    order = jax.random.permutation(shuffle, _count(data))[: count * batch_size].reshape(count, batch_size)

    def objective(p: PyTree, batch: PyTree, k: Any) -> Array:
        value = loss(eqx.combine(p, static), batch, k)
        value = value[0] if isinstance(value, tuple) else value
        if jnp.shape(value) != ():
            raise ValueError(f"`loss` returned shape {jnp.shape(value)}, expected a scalar; take a mean.")
        return value

    def add(carry: tuple, now: tuple) -> tuple[tuple, None]:
        seen, mean, square = carry  # Welford's running mean and sum of squares: no batch's gradient is kept
        index, k = now
        g = jax.grad(objective)(params, jax.tree.map(lambda a: jnp.asarray(a)[index], data), k)
        new = jax.tree.map(lambda m, a: m + (a - m) / (seen + 1).astype(_real(a)), mean, g)
        square = jax.tree.map(lambda s, a, m, b: s + ((a - m) * jnp.conj(a - b)).real, square, g, mean, new)
        return (seen + 1, new, square), None

    start = (jnp.zeros((), jnp.int32), *(jax.tree.map(jnp.zeros_like, tree) for tree in (params, _reals(params))))
    (_, mean, square), _ = jax.lax.scan(add, start, (order, jax.random.split(key, count)))
    signal = jnp.stack([_root_sum(group, lambda a: jnp.abs(a) ** 2) for group in groups(mean)])
    noise = jnp.stack([_root_sum(group, lambda a: a / (count - 1)) for group in groups(square)])
    return GradientNoise(signal, noise, signal / jnp.maximum(noise, _LEAST))


def gradient_phases(
    loss: Callable,
    data: PyTree,
    *,
    batch_size: int,
    groups: Callable[[PyTree], list[PyTree]] = weight_matrices,
) -> Callable[[Any, Any], GradientNoise]:
    """What a `train.Recorder` observes to see drift turn to diffusion; arguments as for `gradient_noise`."""
    _batches(data, batch_size)
    return _Observe(loss, jax.tree.map(jnp.asarray, data), batch_size, groups)


class _Observe(eqx.Module):
    """A module and no closure, so that a compiled loop takes the data as an argument, not as constants."""

    loss: Callable
    data: PyTree
    batch_size: int = eqx.field(static=True)
    groups: Callable

    def __call__(self, state: Any, key: Any) -> GradientNoise:
        options = {"batch_size": self.batch_size, "groups": self.groups}
        return gradient_noise(self.loss, state.unknowns, self.data, key=key, **options)


def phase_switch(ratio: Any, at: Any, *, level: float | int = 1.0) -> np.ndarray:
    """Where a ratio of signal to noise first falls below `level` after it was there: `at` of the first figure below.

    **Arguments:** `ratio` (steps, ...) along training; `at` (steps,) the steps or epochs. **Returns:** shape (...), NaN
    where it never falls, which includes noise from the start to the end.
    """
    ratio, at = np.asarray(ratio), np.asarray(at)
    if at.ndim != 1 or ratio.shape[:1] != at.shape:
        raise ValueError(f"`ratio` has shape {ratio.shape} and `at` {at.shape}; expected one figure for each step.")
    above = np.maximum.accumulate(ratio >= level, axis=0)
    fallen = above & (ratio < level)
    return np.where(fallen.any(axis=0), at[np.argmax(fallen, axis=0)].astype(float), np.nan)


def _batches(data: PyTree, batch_size: int) -> int:
    n = _count(data)
    if batch_size < 1 or n // batch_size < 2:
        raise ValueError(f"`batch_size`: got {batch_size} for {n} examples, expected at least two whole batches.")
    return n // batch_size


def _root_sum(tree: PyTree, function: Callable[[Array], Array]) -> Array:
    return jnp.sqrt(sum(jnp.sum(function(a)) for a in jax.tree.leaves(tree)))


def _reals(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda a: a.real, tree)


def _real(a: Array) -> Any:
    return jnp.finfo(a.dtype).dtype
