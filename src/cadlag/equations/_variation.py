"""Changes of expressions as padded tokens, under `vmap`: all of them put a piece in the place of a subtree.

In prefix order a subtree is a run of tokens, so that replacing one is cutting out a run and putting another there.
Chance comes as a row of uniform numbers, drawn once for all children: kinds of change that exclude one another share
them, and a compiler meets one generator instead of thirty.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from cadlag.equations._expression import CONSTANT, FIRST_VARIABLE, PAD, Vocabulary, subtree_sizes

GROWTH = 9
"""Uniform numbers that growing a leaf takes: a place, an operator, and two leaves of three."""


class Tree(NamedTuple):
    """Tokens and, at the positions of constants, their values; shapes (length,) or with leading axes."""

    tokens: Int[Array, "... length"]
    constants: Float[Array, "... length"]


class Piece(NamedTuple):
    """What comes in the place of the tokens from start to stop: the first `size` entries of a tree."""

    tree: Tree
    size: Int[Array, ""]
    start: Int[Array, ""]
    stop: Int[Array, ""]


class _Parents(NamedTuple):
    """Mother and father with the sizes of their subtrees, and the arity of the mother's tokens (-1 for padding)."""

    mother: Tree
    father: Tree
    sizes: Int[Array, " length"]
    their_sizes: Int[Array, " length"]
    arity: Int[Array, " length"]


def draws_of(length: int) -> int:
    """Uniform numbers that `vary` takes for expressions of this length."""
    return GROWTH + 3 + 2 * length


def vary(
    mother: Tree, father: Tree, vocabulary: Vocabulary, rates: tuple[float, ...], draws: Float[Array, " draws"]
) -> Tree:
    """A child: one change of the mother, of a kind drawn with odds `rates` (see `KINDS`)."""
    parents = _parents(mother, father, vocabulary)
    levels = jnp.cumsum(jnp.asarray(rates, draws.dtype))
    kind = jnp.sum(draws[:1] * levels[-1] >= levels, dtype=jnp.int32)
    moves = [move(parents, vocabulary, draws[1:]) for move in KINDS]
    chosen = jax.tree.map(lambda *options: jnp.stack(options)[kind], *moves)
    child = splice(mother, chosen)
    shaken = _shaken(child.constants, draws[GROWTH + 3 :])
    return Tree(child.tokens, jnp.where(kind == 0, shaken, child.constants))


def grown(tree: Tree, vocabulary: Vocabulary, draws: Float[Array, " draws"]) -> Tree:
    """The tree with a random leaf replaced by an operator on leaves; from a leaf, a few of these give a first tree."""
    return splice(tree, _grow(_parents(tree, tree, vocabulary), vocabulary, draws))


def first_leaf(vocabulary: Vocabulary, length: int, draws: Float[Array, "3"]) -> Tree:
    """A tree of one token: a variable, or in one case of four a constant."""
    token, value = _leaf(vocabulary, draws)
    return Tree(jnp.zeros(length, jnp.int32).at[0].set(token), jnp.zeros(length, draws.dtype).at[0].set(value))


def splice(tree: Tree, piece: Piece) -> Tree:
    """The tree with the piece in it; the tree itself where that would be too long."""
    length = tree.tokens.shape[0]
    i = jnp.arange(length, dtype=jnp.int32)
    added = piece.size - (piece.stop - piece.start)
    total = jnp.sum(tree.tokens != PAD, dtype=jnp.int32) + added
    inside = (i >= piece.start) & (i < piece.start + piece.size)
    source = jnp.clip(jnp.where(i < piece.start, i, i - added), 0, length - 1)
    own = jnp.clip(i - piece.start, 0, length - 1)

    def put(old: Array, new: Array) -> Array:
        made = jnp.where(i < total, jnp.where(inside, new[own], old[source]), jnp.zeros_like(old))
        return jnp.where(total <= length, made, old)

    return Tree(put(tree.tokens, piece.tree.tokens), put(tree.constants, piece.tree.constants))


def _parents(mother: Tree, father: Tree, vocabulary: Vocabulary) -> _Parents:
    both = jnp.stack([mother.tokens, father.tokens])
    sizes, theirs = jax.vmap(lambda t: subtree_sizes(t, vocabulary))(both)
    return _Parents(mother, father, sizes, theirs, _arities(vocabulary)[mother.tokens])


def _arities(vocabulary: Vocabulary) -> Array:
    return jnp.asarray((-1, *vocabulary.arities[1:]), jnp.int32)


def _index(draw: Array, count: Array | int) -> Array:
    """One of 0 ... count - 1 by a uniform number."""
    scaled = draw * jnp.asarray(count).astype(draw.dtype)
    return jnp.minimum(scaled.astype(jnp.int32), count - 1)


def _where(mask: Bool[Array, " length"], draw: Array) -> Array:
    """A random position where the mask is true; 0 where it never is."""
    so_far = jnp.cumsum(mask.astype(jnp.int32))
    return jnp.argmax(so_far > _index(draw, so_far[-1])).astype(jnp.int32)


def normal(draw: Array) -> Array:
    """Uniform numbers made normal."""
    edge = jnp.finfo(draw.dtype).eps
    return 2**0.5 * jax.lax.erf_inv(jnp.clip(2 * draw - 1, edge - 1, 1 - edge))


def _leaf(vocabulary: Vocabulary, draws: Array) -> tuple[Array, Array]:
    """A token without arguments and its value, by three numbers."""
    constant = draws[0] < 0.25
    token = jnp.where(constant, CONSTANT, FIRST_VARIABLE + _index(draws[1], vocabulary.variables))
    return token, jnp.where(constant, normal(draws[2]), jnp.zeros_like(draws[2]))


def _run(tree: Tree, start: Array) -> Tree:
    """The tree's tokens from a position on."""
    length = tree.tokens.shape[0]
    at = jnp.minimum(start + jnp.arange(length, dtype=jnp.int32), length - 1)
    return Tree(tree.tokens[at], tree.constants[at])


def _operator(vocabulary: Vocabulary, draw: Array) -> tuple[Array, Array]:
    number = _index(draw, len(vocabulary.operators))
    return vocabulary.first_operator + number, _arities(vocabulary)[vocabulary.first_operator + number]


def _shaken(constants: Array, draws: Array) -> Array:
    """Constants times a factor about one, and in one case of ten of the other sign."""
    turned, spread = jnp.split(draws, 2)
    return constants * jnp.where(turned < 0.1, -1.0, 1.0).astype(draws.dtype) * jnp.exp(0.5 * normal(spread))


def _fresh(tree: Tree, start: Array, stop: Array, vocabulary: Vocabulary, draws: Array) -> Piece:
    """An operator on leaves."""
    token, count = _operator(vocabulary, draws[0])
    (left, a), (right, b) = _leaf(vocabulary, draws[1:4]), _leaf(vocabulary, draws[4:7])
    zero = jnp.zeros_like(a)
    tokens = tree.tokens.at[:3].set(jnp.stack([token, left, right]))
    return Piece(Tree(tokens, tree.constants.at[:3].set(jnp.stack([zero, a, b]))), 1 + count, start, stop)


def _stay(parents: _Parents, vocabulary: Vocabulary, draws: Array) -> Piece:
    """No token changes; `vary` then shakes the constants."""
    zero = jnp.zeros((), jnp.int32)
    return Piece(parents.mother, zero, zero, zero)


def _exchange(parents: _Parents, vocabulary: Vocabulary, draws: Array) -> Piece:
    """One token for another of the same arity; the constant counts as one among the variables."""
    at = _where(parents.sizes > 0, draws[0])
    token = _where(_arities(vocabulary) == parents.arity[at], draws[1])
    tokens = parents.mother.tokens.at[0].set(token)
    tree = Tree(tokens, parents.mother.constants.at[0].set(normal(draws[2])))
    return Piece(tree, jnp.ones((), jnp.int32), at, at + 1)


def _grow(parents: _Parents, vocabulary: Vocabulary, draws: Array) -> Piece:
    """An operator on leaves for a leaf."""
    at = _where(parents.sizes == 1, draws[0])
    return _fresh(parents.mother, at, at + 1, vocabulary, draws[1:])


def _replace(parents: _Parents, vocabulary: Vocabulary, draws: Array) -> Piece:
    """An operator on leaves for any subtree."""
    at = _where(parents.sizes > 0, draws[0])
    return _fresh(parents.mother, at, at + parents.sizes[at], vocabulary, draws[1:])


def _insert(parents: _Parents, vocabulary: Vocabulary, draws: Array) -> Piece:
    """An operator above a subtree, which becomes its first or second argument; a leaf is the other."""
    at = _where(parents.sizes > 0, draws[0])
    size = parents.sizes[at]
    token, count = _operator(vocabulary, draws[1])
    leaf, value = _leaf(vocabulary, draws[2:5])
    second = (draws[5] < 0.5) & (count == 2)
    old = _run(parents.mother, at)
    i = jnp.arange(old.tokens.shape[0], dtype=jnp.int32)
    source = jnp.clip(i - jnp.where(second, 2, 1), 0, i.size - 1)
    leaf_at = jnp.where(second, 1, 1 + size)

    def lay(kept: Array, head: Array, other: Array) -> Array:
        return jnp.where(i == 0, head, jnp.where(i == leaf_at, other, kept[source]))

    tree = Tree(lay(old.tokens, token, leaf), lay(old.constants, jnp.zeros_like(value), value))
    return Piece(tree, size + count, at, at + size)


def _delete(parents: _Parents, vocabulary: Vocabulary, draws: Array) -> Piece:
    """One of its arguments for an operator with all its arguments; nothing changes in a leaf."""
    sizes, last = parents.sizes, parents.sizes.shape[0] - 1
    at = _where(parents.arity > 0, draws[0])
    first = jnp.minimum(at + 1, last)
    second = (draws[1] < 0.5) & (parents.arity[at] == 2)
    argument = jnp.minimum(jnp.where(second, first + sizes[first], first), last)
    child = jnp.where(parents.arity[at] == 0, at, argument)
    return Piece(_run(parents.mother, child), sizes[child], at, at + sizes[at])


def _cross(parents: _Parents, vocabulary: Vocabulary, draws: Array) -> Piece:
    """A subtree of the father for one of the mother."""
    at, there = _where(parents.sizes > 0, draws[0]), _where(parents.their_sizes > 0, draws[1])
    return Piece(_run(parents.father, there), parents.their_sizes[there], at, at + parents.sizes[at])


KINDS = (_stay, _exchange, _grow, _replace, _insert, _delete, _cross)
"""Kinds of change, in the order of `vary`'s rates: shake the constants, exchange a token, grow a leaf, replace a
subtree, insert an operator, delete one, cross over."""
