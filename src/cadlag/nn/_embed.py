"""Embeddings of a scalar (time, noise level), of a class and of a vector of conditions."""

import math
from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, Real

from cadlag.nn._init import linear


class AbstractEmbedding(eqx.Module):
    """Features of a scalar.

    To write your own, give the property `size` and `__call__(scalar) -> (size,)`, smooth in the scalar and of
    order one; the networks that take an embedding ask for nothing else.
    """

    @property
    @abstractmethod
    def size(self) -> int:
        """How many features."""

    @abstractmethod
    def __call__(self, scalar: Real[ArrayLike, ""]) -> Float[Array, " size"]:
        """The features, in the dtype of `scalar`."""


class FourierFeatures(AbstractEmbedding):
    """cos(2π f s) and sin(2π f s) for frequencies f drawn once from N(0, scale²) and never trained.

    Tancik et al., Fourier features let networks learn high frequency functions (2020), eq. 5; Song et al. (2021)
    embed log σ with scale 16. The gradient to the frequencies is zero; an optimiser with weight decay must
    leave them out, since it would shrink them all the same.

    **Arguments:**

    - `size`: how many features, even.
    - `scale`: standard deviation of the frequencies, in cycles per unit of the scalar.
    - `key`: for the frequencies.
    """

    frequencies: Float[Array, " half"]

    def __init__(self, size: int, *, scale: float = 1.0, key: PRNGKeyArray):
        _check_even("FourierFeatures", size)
        if not scale > 0:
            raise ValueError(f"scale={scale} of FourierFeatures must be positive, in cycles per unit of the scalar.")
        self.frequencies = scale * jr.normal(key, (size // 2,))

    @property
    def size(self) -> int:
        """How many features."""
        return 2 * self.frequencies.shape[-1]

    def __call__(self, scalar: Real[ArrayLike, ""]) -> Float[Array, " size"]:
        """The features, cosines first, in the dtype of `scalar` (the frequencies' for a Python number)."""
        frequencies = jax.lax.stop_gradient(self.frequencies)
        return _waves(scalar, frequencies * (2 * math.pi))


class SinusoidalEmbedding(AbstractEmbedding):
    """cos(2π s/P) and sin(2π s/P) for periods P in geometric progression from `shortest` to `longest`.

    Vaswani et al., Attention is all you need (2017), section 3.5, with both ends named. The defaults suit a log
    noise-to-signal ratio, which runs from about -10 to 10: the longest period is four times that range, so that
    the slowest pair tells the ends apart.

    **Arguments:**

    - `size`: how many features, even.
    - `shortest`, `longest`: the periods at the ends, in units of the scalar.
    """

    pairs: int = eqx.field(static=True)
    shortest: float = eqx.field(static=True)
    longest: float = eqx.field(static=True)

    def __init__(self, size: int, *, shortest: float = 2.0, longest: float = 80.0):
        _check_even("SinusoidalEmbedding", size)
        if not 0 < shortest <= longest:
            raise ValueError(
                f"SinusoidalEmbedding: got shortest={shortest} and longest={longest}, expected 0 < shortest <= longest."
            )
        self.pairs, self.shortest, self.longest = size // 2, shortest, longest

    @property
    def size(self) -> int:
        """How many features."""
        return 2 * self.pairs

    def __call__(self, scalar: Real[ArrayLike, ""]) -> Float[Array, " size"]:
        """The features, cosines first, in the dtype of `scalar` (the default for a Python number)."""
        return _waves(scalar, 2 * np.pi / np.geomspace(self.longest, self.shortest, self.pairs))


class ClassEmbedding(eqx.Module):
    """A learnt vector for each class, and one more for 'no class' (classifier-free guidance, Ho and Salimans 2022).

    **Arguments:**

    - `classes`: how many classes, K. Index K, or None, stands for 'no class'.
    - `size`: length of the vectors.
    - `key`: for the initial vectors, standard normal.
    """

    table: Float[Array, "null_and_classes size"]

    def __init__(self, classes: int, size: int, *, key: PRNGKeyArray):
        if classes < 1:
            raise ValueError(f"classes={classes} of a ClassEmbedding must be at least 1; use None for no classes.")
        self.table = jr.normal(key, (classes + 1, size))

    @property
    def classes(self) -> int:
        """K, without the null class."""
        return self.table.shape[0] - 1

    def __call__(self, index: Any) -> Float[Array, " size"]:
        """The vector of a class, an integer scalar in 0..K or None. NaN where a traced index is out of range."""
        if index is None:
            return self.table[self.classes]
        index = jnp.asarray(index)
        if index.shape != () or not jnp.issubdtype(index.dtype, jnp.integer):
            raise ValueError(
                f"cond: got {index.dtype}{list(index.shape)}, expected one integer class in 0..{self.classes}, "
                f"where {self.classes} (or None) means 'no class'; jax.vmap over a batch."
            )
        if not isinstance(index, Tracer) and not 0 <= int(index) <= self.classes:
            raise ValueError(
                f"cond={int(index)} is not among the classes 0..{self.classes} ({self.classes}: no class)."
            )
        # The gather would clamp a class that does not exist to one that does.
        return jnp.where((index >= 0) & (index <= self.classes), self.table[index], jnp.nan)


class VectorEmbedding(eqx.Module):
    """An affine map of a vector of conditions, and a learnt vector for 'no condition'.

    **Arguments:**

    - `in_size`: length of the vector of conditions; `size`: length of the embedding.
    - `key`: for the initial weights.
    """

    linear: eqx.nn.Linear
    null: Float[Array, " size"]

    def __init__(self, in_size: int, size: int, *, key: PRNGKeyArray):
        if in_size < 1:
            raise ValueError(f"conditions={in_size} of a VectorEmbedding must be at least 1.")
        self.linear = linear(in_size, size, key=key)
        self.null = jnp.zeros(size, self.linear.weight.dtype)

    def __call__(self, vector: Any) -> Float[Array, " size"]:
        """The embedding of a vector `(in_size,)`. None, or a vector with a NaN in it, is 'no condition'."""
        if vector is None:
            return self.null
        vector = jnp.asarray(vector)
        if vector.shape != (self.linear.in_features,) or not jnp.issubdtype(vector.dtype, jnp.inexact):
            raise ValueError(
                f"cond: got {vector.dtype}{list(vector.shape)}, expected a floating vector of length "
                f"{self.linear.in_features}, or None for 'no condition'; jax.vmap over a batch."
            )
        missing = jnp.isnan(vector)
        known = self.linear(jnp.where(missing, 0, vector).astype(self.null.dtype))
        return jnp.where(jnp.any(missing), self.null, known)


def condition_embedding(
    conditions: int, classes: int | None, size: int, *, key: PRNGKeyArray
) -> ClassEmbedding | VectorEmbedding | None:
    """The embedding that `conditions=` and `classes=` of a network ask for; None where both say none."""
    if conditions and classes is not None:
        raise ValueError(
            f"Got conditions={conditions} and classes={classes}; a network takes one or the other. "
            "Append a one-hot class to the vector of conditions where both are wanted."
        )
    if classes is not None:
        return ClassEmbedding(classes, size, key=key)
    return VectorEmbedding(conditions, size, key=key) if conditions else None


def _check_even(name: str, size: int) -> None:
    if size < 2 or size % 2:
        raise ValueError(f"size={size} of {name} must be even and at least 2: it counts cosines and sines.")


def _waves(scalar: Any, omega: Any) -> Array:
    scalar = jnp.asarray(scalar)
    if scalar.shape != ():
        raise ValueError(f"Embedding: got shape {scalar.shape}, expected one scalar; jax.vmap over a batch.")
    if not jnp.issubdtype(scalar.dtype, jnp.inexact):
        scalar = scalar.astype(jnp.result_type(float))
    phase = scalar * jnp.asarray(omega, scalar.dtype)
    return jnp.concatenate([jnp.cos(phase), jnp.sin(phase)])
