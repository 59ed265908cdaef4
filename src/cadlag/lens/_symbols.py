"""Entropies and mutual informations of symbols that were counted: exact for the empirical law, in bits.

    H(Z) = -Σ p(z) log2 p(z),    I(A;B) = H(A) + H(B) - H(A,B)

Rows of integers become numbers 0, 1, ... by sorting two independent 32-bit hashes of them, a static shape and one sort
whatever the number of columns. Two different rows among n are taken for one with a probability of about n² 2^-65.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import entr
from jaxtyping import Array, Float, Int, Integer, UInt32

_LN2 = 0.6931471805599453


def entropy(probabilities: Float[Array, "..."]) -> Float[Array, ""]:
    """H in bits of a table of probabilities of any shape; zeros count as nothing."""
    return jnp.sum(entr(probabilities)) / _LN2


def table_information(joint: Float[Array, "a b"]) -> Float[Array, ""]:
    """I(A;B) in bits of a joint table p(a, b), never negative."""
    apart = entropy(jnp.sum(joint, axis=1)) + entropy(jnp.sum(joint, axis=0))
    return jnp.maximum(apart - entropy(joint), 0)


@jax.jit
def row_symbols(codes: Integer[Array, "n d"]) -> Int[Array, " n"]:
    """A number in 0 … n - 1 for each row, the same for equal rows only."""
    first, second = _hashes(codes)
    place = jnp.arange(codes.shape[0], dtype=jnp.int32)
    first, second, place = jax.lax.sort((first, second, place), num_keys=2)
    new = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    number = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(new.astype(jnp.int32))])
    return jnp.zeros_like(place).at[place].set(number, unique_indices=True)


def symbol_joint(symbols: Int[Array, " n"], targets: Float[Array, "n k"]) -> Float[Array, "n k"]:
    """p(t, y) of symbols and class probabilities of n equally likely examples; rows of unused symbols are 0."""
    n = targets.shape[0]
    return jax.ops.segment_sum(targets, symbols, num_segments=n) / n


def discrete_information(a: Integer[Array, "n ..."], b: Integer[Array, "m ..."]) -> Float[Array, ""]:
    """I(A;B) in bits of the empirical law of n pairs of integers, or of rows of integers; exact, no bias corrected.

    For a layer that is discrete (spikes, codes, quantised) or for a stochastic one drawn several times at each input.

    **Arguments:** `a`, `b`: (n,) or (n, columns). **Raises:** ValueError for different lengths.
    """
    if a.shape[0] != b.shape[0]:
        raise ValueError(f"`a` has {a.shape[0]} rows and `b` has {b.shape[0]}; expected as many.")
    a, b = (row_symbols(z.reshape(z.shape[0], -1)) for z in (a, b))
    both = row_symbols(jnp.stack([a, b], axis=1))
    apart = _counted_entropy(a) + _counted_entropy(b)
    return jnp.maximum(apart - _counted_entropy(both), 0)


def _counted_entropy(symbols: Int[Array, " n"]) -> Float[Array, ""]:
    n = symbols.shape[0]
    return entropy(jnp.bincount(symbols, length=n).astype(float) / n)


def _hashes(codes: Integer[Array, "n d"]) -> UInt32[Array, "2 n"]:
    # A sum over columns of a mixed, salted value of each: salts make columns and the two hashes independent.
    salts = np.random.default_rng(30).integers(0, 2**32, (2, 1, codes.shape[1]), np.uint32)
    return jnp.sum(_mix(codes.astype(jnp.uint32)[None] ^ salts), axis=2, dtype=jnp.uint32)


def _mix(h: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    # The finaliser of MurmurHash3 (A. Appleby, public domain): a bijection that spreads every bit.
    h = (h ^ (h >> jnp.uint32(16))) * jnp.uint32(0x85EBCA6B)
    h = (h ^ (h >> jnp.uint32(13))) * jnp.uint32(0xC2B2AE35)
    return h ^ (h >> jnp.uint32(16))
