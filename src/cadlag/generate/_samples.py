"""Samples on their way into the wing's estimators and out of them: checks, scaling, chunks of one size."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cadlag.data import Affine, Samples

CHUNK = 512


def in_chunks(function: Callable, rows: tuple) -> np.ndarray:
    """Apply to so many rows at a time; the last chunk is filled up, so that all have one shape and compile once."""
    n = len(rows[0])
    size = min(CHUNK, n)
    parts = []
    for first in range(0, n, size):
        index = np.minimum(np.arange(first, first + size), n - 1)
        out = function(*jax.tree.map(lambda x, i=index: x[i], rows))
        parts.append(np.asarray(out)[: n - first])
    return np.concatenate(parts)


def as_samples(X: Any, y: Any, what: str) -> Samples:
    """A record from a record or an array (n, *shape); at least two samples to fit."""
    if isinstance(X, Samples):
        if y is None:
            return X
        return Samples.from_arrays(X.values, labels=y, conditions=X.conditions, columns=X.columns or None)
    values = np.asarray(X)
    if values.ndim < 2:
        raise ValueError(
            f"X of {what} has shape {values.shape}; expected (samples, ...): vectors (n, D), images (n, C, H, W). "
            "A single column is X[:, None]."
        )
    return Samples.from_arrays(values, labels=y)


def check_spread(samples: Samples, standardise: bool) -> None:
    """Refuse one sample, and vectors with a column that never changes: they have no density."""
    samples.require(2, "Generator.fit")
    values = np.asarray(samples.values)
    if np.all(values == values[:1]):
        raise ValueError(f"All {len(values)} samples are the same: there is no law to learn.")
    constant = samples.constant_columns() if values.ndim == 2 and standardise else ()
    if constant:
        raise ValueError(
            f"The column(s) {', '.join(constant[:5])} are the same in all samples, so the data have no density. Leave "
            "them out, or pass standardise=False."
        )
    largest = np.max(np.abs(values))
    if largest > 1e30:
        raise ValueError(f"X holds a value of {largest:.3g}, too large for single precision; change its unit.")


def make_scaling(values: np.ndarray, standardise: bool) -> Affine:
    """Per column for vectors, one number for images and series; the identity where not wanted."""
    if standardise:
        return Affine.fit(values, shared=values.ndim > 2)
    return Affine(jnp.zeros(values.shape[1:], values.dtype), jnp.ones(values.shape[1:], values.dtype))
