"""Words in the letters 0 ... c-1, and those that number a basis of the free Lie algebra.

A Lyndon word is smaller than each of its own rotations. There are β_k = (1/k) Σ_{d|k} μ(d) c^{k/d} of length k (Witt),
and to each belongs a bracket: that of its standard factorisation w = u v, where v is the longest proper suffix that is
a Lyndon word (Reutenauer, Free Lie Algebras, 1993, chapters 4 and 5).
"""

import functools

import numpy as np

Word = tuple[int, ...]


def signature_size(channels: int, depth: int) -> int:
    """Numbers in a signature of levels 1 to `depth`: the sum of channels^k.

    Example: `signature_size(3, 2)` is 3 + 9 = 12.
    """
    check_sizes(channels, depth)
    return sum(channels**k for k in range(1, depth + 1))


def logsignature_size(channels: int, depth: int) -> int:
    """Numbers in a log-signature of levels 1 to `depth`, by Witt's formula.

    Example: `logsignature_size(3, 2)` is 6: three increments and three areas.
    """
    check_sizes(channels, depth)
    return sum(
        sum(_moebius(d) * channels ** (k // d) for d in range(1, k + 1) if k % d == 0) // k for k in range(1, depth + 1)
    )


@functools.cache
def lyndon_words(channels: int, depth: int) -> tuple[Word, ...]:
    """Lyndon words of up to `depth` letters out of `channels`, by length and within a length in lexical order.

    By Duval's algorithm: repeat the word to the full length, drop trailing last letters, raise the last one left.
    Example: `lyndon_words(2, 3)` is `((0,), (1,), (0, 1), (0, 0, 1), (0, 1, 1))`.
    """
    check_sizes(channels, depth)
    found, word = [], [-1]
    while word:
        word[-1] += 1
        found.append(tuple(word))
        word = [word[i % len(word)] for i in range(depth)]
        while word and word[-1] == channels - 1:
            word.pop()
    return tuple(sorted(found, key=lambda w: (len(w), w)))


def standard_factorisation(word: Word) -> tuple[Word, Word]:
    """The standard factorisation of a Lyndon word of two letters or more.

    Example: `standard_factorisation((0, 0, 1))` is `((0,), (0, 1))`, so its bracket is [0, [0, 1]].
    """
    cut = min(range(1, len(word)), key=lambda i: word[i:])
    return word[:cut], word[cut:]


def positions(channels: int, depth: int) -> tuple[np.ndarray, ...]:
    """Where the Lyndon words of each level stand among all channels^k words of that level."""
    words = lyndon_words(channels, depth)
    return tuple(
        np.asarray([_number(w, channels) for w in words if len(w) == k], np.int32) for k in range(1, depth + 1)
    )


@functools.cache
def bracket_matrices(channels: int, depth: int) -> tuple[np.ndarray, ...]:
    """For each level, entry (v, w): the coefficient of the word v in the bracket of w, both Lyndon; unit triangular."""
    expanded = {w: _expand(w) for w in lyndon_words(channels, depth)}
    levels = [[w for w in expanded if len(w) == k] for k in range(1, depth + 1)]
    return tuple(np.asarray([[expanded[w].get(v, 0) for w in level] for v in level], float) for level in levels)


def _expand(word: Word) -> dict[Word, int]:
    """The bracket of a Lyndon word as a sum of words."""
    if len(word) == 1:
        return {word: 1}
    left, right = map(_expand, standard_factorisation(word))
    total: dict[Word, int] = {}
    for u, a in left.items():
        for v, b in right.items():
            total[u + v] = total.get(u + v, 0) + a * b
            total[v + u] = total.get(v + u, 0) - a * b
    return total


def _number(word: Word, channels: int) -> int:
    return functools.reduce(lambda n, letter: n * channels + letter, word, 0)


def _moebius(n: int) -> int:
    """1, -1 or 0 as n has an even or odd number of prime factors, or one twice."""
    sign, prime = 1, 2
    while n > 1:
        if n % prime == 0:
            n, sign = n // prime, -sign
            if n % prime == 0:
                return 0
        prime += 1
    return sign


def check_sizes(channels: int, depth: int) -> None:
    """Raise `ValueError` unless there are a channel and a level."""
    for name, value in (("channels", channels), ("depth", depth)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}={value!r} of a signature must be an integer of at least 1.")
