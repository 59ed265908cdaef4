"""Regularised evolution of expressions: tournaments choose the parents, and the OLDEST members die, not the worst.

Real, Aggarwal, Huang and Le (AAAI 2019) for the ageing, Cranmer (PySR, 2023) for islands and a front of the best of
each size. Members are judged by that front: an expression is as fit as it is good for its size, so that short ones are
tried out while long ones grow. Every array has a fixed shape, so that a round of generations is one compiled call; the
members of an island sit in a ring, the next to be replaced being the oldest.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from cadlag.equations._constants import Data, loss_of, some_places, tune
from cadlag.equations._expression import PAD, Vocabulary
from cadlag.equations._variation import GROWTH, KINDS, Tree, draws_of, first_leaf, grown, vary


class Evolution(eqx.Module):
    """Settings of the search, e.g. `Evolution(max_size=9, islands=4)` for a quick look.

    **Arguments:**

    - `max_size`: tokens of the longest expression; each one more doubles what there is to search.
    - `islands`, `population`: populations that mix only by migration, and members of each.
    - `children`: born on each island in a generation, in the place of as many of the oldest.
    - `contestants`: of a tournament.
    - `generations`: in a round, after which members migrate.
    - `constants`: how many constants of a child, drawn at random, are tuned, by `tuning` Levenberg-Marquardt steps from
      the best of their own values, those with the other sign, and `starts - 1` others: an expression is judged by what
      it can be, not by what it is born with.
    - `migrants`: share of an island that is replaced after a round, half by the best of each size.
    - `crowding`: by how much the logarithm of its loss a member must be better if its size has the whole island.
    - `rates`: odds of the kinds of change: shaken constants, another token, a grown leaf, a replaced subtree, an
      inserted operator, a deleted one, a crossover.
    """

    max_size: int = eqx.field(static=True, default=15)
    islands: int = eqx.field(static=True, default=8)
    population: int = eqx.field(static=True, default=64)
    children: int = eqx.field(static=True, default=16)
    contestants: int = eqx.field(static=True, default=6)
    generations: int = eqx.field(static=True, default=10)
    constants: int = eqx.field(static=True, default=4)
    tuning: int = eqx.field(static=True, default=3)
    starts: int = eqx.field(static=True, default=3)
    migrants: float = eqx.field(static=True, default=0.1)
    crowding: float = eqx.field(static=True, default=4.0)
    rates: tuple[float, ...] = eqx.field(static=True, default=(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0))

    def __check_init__(self):
        if self.max_size < 3:
            raise ValueError(
                f"max_size={self.max_size} of Evolution must be at least 3: an operator and its arguments."
            )
        for name in (
            "islands",
            "population",
            "children",
            "contestants",
            "generations",
            "constants",
            "tuning",
            "starts",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} of Evolution must be at least 1.")
        if max(self.children, self.contestants) > self.population:
            raise ValueError(
                f"population={self.population} of Evolution must hold the children ({self.children}) and the "
                f"contestants ({self.contestants})."
            )
        if len(self.rates) != len(KINDS) or min(self.rates) < 0 or sum(self.rates) == 0:
            raise ValueError(f"rates of Evolution are odds of {len(KINDS)} kinds of change, but got {self.rates}.")

    @property
    def tuned(self) -> int:
        """Constants of a child that are tuned."""
        return min(self.constants, self.max_size)

    def settle_shape(self) -> tuple[int, ...]:
        """Shape of the uniform numbers that `settle` takes."""
        return self.islands, self.population, 3 + 3 * (GROWTH + 1)

    def round_shape(self) -> tuple[int, ...]:
        """Shape of the uniform numbers that `evolve_round` takes."""
        child = draws_of(self.max_size) + self.max_size + self.starts * self.tuned + 2 * self.contestants
        return self.generations, self.islands, self.children, child

    def migration_shape(self) -> tuple[int, ...]:
        """Shape of the uniform numbers that `migrate` takes."""
        return 4, self.islands, self.population


class Islands(eqx.Module):
    """All members (islands, population, length), their losses, the place of the oldest, and the best of each size."""

    members: Tree
    losses: Float[Array, "islands population"]
    oldest: Int[Array, ""]
    best: Tree
    best_losses: Float[Array, " sizes"]


@eqx.filter_jit
def settle(settings: Evolution, vocabulary: Vocabulary, data: Data, draws: Float[Array, "..."]) -> Islands:
    """Islands of small random expressions."""

    def one(draws: Array) -> Tree:
        tree = first_leaf(vocabulary, settings.max_size, draws[:3])

        def grow(tree: Tree, row: Array) -> tuple[Tree, None]:
            more = grown(tree, vocabulary, row[1:])
            return jax.tree.map(lambda a, b: jnp.where(row[0] < 0.6, a, b), more, tree), None

        return jax.lax.scan(grow, tree, draws[3:].reshape(3, GROWTH + 1))[0]

    members = jax.vmap(jax.vmap(one))(draws)
    losses = jax.vmap(jax.vmap(lambda t: loss_of(t, data, vocabulary)))(members)
    best = jax.tree.map(lambda a: jnp.zeros((settings.max_size, *a.shape[2:]), a.dtype), members)
    worst = jnp.full(settings.max_size, jnp.inf, losses.dtype)
    return remember(Islands(members, losses, jnp.zeros((), jnp.int32), best, worst), members, losses)


def _sizes(tree: Tree) -> Array:
    return jnp.sum(tree.tokens != PAD, axis=-1, dtype=jnp.int32)


def remember(state: Islands, trees: Tree, losses: Array) -> Islands:
    """The best of each size among those known and these."""
    trees = jax.tree.map(lambda a: a.reshape(-1, a.shape[-1]), trees)
    losses, size = losses.reshape(-1), _sizes(trees)
    rows = jnp.arange(1, state.best_losses.shape[0] + 1, dtype=jnp.int32)
    table = jnp.where(size[None] == rows[:, None], losses[None], jnp.full_like(losses[None], jnp.inf))
    winner = jnp.argmin(table, axis=1)
    won = jnp.min(table, axis=1)
    better = won < state.best_losses
    best = jax.tree.map(lambda new, old: jnp.where(better[:, None], new[winner], old), trees, state.best)
    return Islands(state.members, state.losses, state.oldest, best, jnp.where(better, won, state.best_losses))


def _scores(members: Tree, losses: Array, front: Array, crowding: float) -> Array:
    """What a tournament compares on one island: log(loss) beyond the front's at that size, and how common a size is."""
    size = _sizes(members)
    floor = jnp.finfo(losses.dtype).eps ** 2
    crowd = jnp.mean((size[:, None] == size[None]).astype(losses.dtype), axis=1)
    return jnp.log(losses + floor) - jnp.log(front[size - 1] + floor) + crowding * crowd


def _born(
    members: Tree,
    losses: Array,
    front: Array,
    settings: Evolution,
    vocabulary: Vocabulary,
    data: Data,
    draws: Array,
) -> tuple[Tree, Array]:
    """The children of one island and their losses; `draws` has a row of uniform numbers for each child."""
    scores = _scores(members, losses, front, settings.crowding)
    parts = (draws_of(settings.max_size), settings.max_size, settings.starts * settings.tuned)
    ends = [sum(parts[: i + 1]) for i in range(len(parts))]
    changes, places, starts, entered = jnp.split(draws, ends, axis=1)
    entered = (entered * settings.population).astype(jnp.int32).reshape(settings.children, 2, settings.contestants)
    winners = jnp.take_along_axis(entered, jnp.argmin(scores[entered], axis=-1)[..., None], axis=-1)[..., 0]
    mothers, fathers = (jax.tree.map(lambda a, i=i: a[winners[:, i]], members) for i in (0, 1))

    def one(mother: Tree, father: Tree, change: Array, place: Array, start: Array) -> tuple[Tree, Array]:
        child = vary(mother, father, vocabulary, settings.rates, change)
        chosen = some_places(child, place, settings.tuned)
        start = start.reshape(settings.starts, settings.tuned)
        return tune(child, chosen, data, vocabulary, settings.tuning, start)

    return jax.vmap(one)(mothers, fathers, changes, places, starts)


def _generation(state: Islands, settings: Evolution, vocabulary: Vocabulary, data: Data, draws: Array) -> Islands:
    front = jax.lax.cummin(state.best_losses)
    born = lambda m, l, u: _born(m, l, front, settings, vocabulary, data, u)  # noqa: E731
    children, losses = jax.vmap(born)(state.members, state.losses, draws)
    place = (state.oldest + jnp.arange(settings.children, dtype=jnp.int32)) % settings.population
    members = jax.tree.map(lambda old, new: old.at[:, place].set(new), state.members, children)
    all_losses = state.losses.at[:, place].set(losses)
    oldest = (state.oldest + settings.children) % settings.population
    return remember(Islands(members, all_losses, oldest, state.best, state.best_losses), children, losses)


@eqx.filter_jit
def evolve_round(
    state: Islands, settings: Evolution, vocabulary: Vocabulary, data: Data, draws: Float[Array, "..."]
) -> Islands:
    """So many generations."""

    def one(carry: Islands, row: Array) -> tuple[Islands, None]:
        return _generation(carry, settings, vocabulary, data, row), None

    return jax.lax.scan(one, state, draws)[0]


@eqx.filter_jit
def polish(state: Islands, vocabulary: Vocabulary, data: Data, steps: int) -> Islands:
    """The best of each size with all their constants tuned."""
    everywhere = jnp.arange(state.best.tokens.shape[-1], dtype=jnp.int32)
    return remember(state, *jax.vmap(lambda t: tune(t, everywhere, data, vocabulary, steps))(state.best))


@eqx.filter_jit
def migrate(state: Islands, settings: Evolution, draws: Float[Array, "..."]) -> Islands:
    """Some members everywhere are replaced by the best of a random size, or by a member of any island."""
    moves, from_best, which, other = draws
    known = jnp.cumsum(jnp.isfinite(state.best_losses).astype(jnp.int32))
    which = (which * known[-1].astype(which.dtype)).astype(jnp.int32)
    size = jnp.sum(which[..., None] >= known[None, None], axis=-1)
    size = jnp.minimum(size, known.size - 1)
    other = (other * state.losses.size).astype(jnp.int32)
    moves, from_best = (moves < settings.migrants) & (known[-1] > 0), from_best < 0.5

    def arrive(old: Array, best: Array) -> Array:
        flat = old.reshape(-1, *old.shape[2:])
        wide = lambda mask: mask.reshape(*mask.shape, *[1] * (old.ndim - 2))  # noqa: E731
        return jnp.where(wide(moves), jnp.where(wide(from_best), best[size], flat[other]), old)

    members = jax.tree.map(arrive, state.members, state.best)
    return Islands(members, arrive(state.losses, state.best_losses), state.oldest, state.best, state.best_losses)
