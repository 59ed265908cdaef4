"""Several parties, each with its own unknowns and update: GANs, min-max sampling, critics."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from ._update import AbstractUpdate, Info


class Player(eqx.Module):
    """One party: its update, how often it moves in a round, and what it sees.

    `view(unknowns, batch, repeat)` makes the batch of this party from the dict of everybody's unknowns, the
    batch drawn and the number of its move in this round. By default the party's loss gets the pair
    `(unknowns, batch)` as its batch. A party never differentiates through what it sees of the others.
    """

    update: AbstractUpdate
    steps: int = eqx.field(static=True, default=1)
    view: Callable | None = None

    def __check_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"Player(steps): got {self.steps}, expected at least 1 move in a round.")


class PlayersState(eqx.Module):
    """The states of all parties by name, and the number of rounds played."""

    states: dict[str, Any]
    step: Int[Array, ""]

    @property
    def unknowns(self) -> dict[str, PyTree]:
        """Everybody's unknowns by name."""
        return {name: state.unknowns for name, state in self.states.items()}

    @property
    def averaged(self) -> dict[str, PyTree]:
        """Everybody's averaged unknowns by name."""
        return {name: state.averaged for name, state in self.states.items()}


class _Players(AbstractUpdate):
    parties: dict[str, Player]
    simultaneous: bool = eqx.field(static=True)

    def init(self, unknowns: PyTree, key: PRNGKeyArray, *, model_state: PyTree = None) -> PlayersState:
        if not isinstance(unknowns, Mapping) or set(unknowns) != set(self.parties):
            got = sorted(unknowns) if isinstance(unknowns, Mapping) else type(unknowns).__name__
            raise ValueError(f"unknowns: got {got}, expected a dict with the players {sorted(self.parties)}.")
        keys = jax.random.split(key, len(self.parties))
        model_state = {} if model_state is None else model_state
        states = {
            name: player.update.init(unknowns[name], k, model_state=model_state.get(name))
            for k, (name, player) in zip(keys, self.parties.items(), strict=True)
        }
        return PlayersState(states, jnp.zeros((), jnp.int32))

    def step(self, state: PlayersState, batch: PyTree, key: PRNGKeyArray) -> tuple[PlayersState, Info]:
        keys = jax.random.split(key, len(self.parties))
        states, info = dict(state.states), {}
        for k, (name, player) in zip(keys, self.parties.items(), strict=True):
            before = state.unknowns if self.simultaneous else _unknowns(states)
            states[name], one = _turn(player, name, states[name], before, batch, k)
            info |= {f"{name}/{field}": value for field, value in one.items()}
        info["loss"] = info[f"{next(iter(self.parties))}/loss"]
        return PlayersState(states, state.step + 1), info


def _unknowns(states: dict[str, Any]) -> dict[str, PyTree]:
    return {name: state.unknowns for name, state in states.items()}


def _turn(player: Player, name: str, state: Any, unknowns: dict, batch: PyTree, key: PRNGKeyArray) -> tuple[Any, Info]:
    """Let one party make its moves of this round; the info is that of its last move."""

    def move(state: Any, repeat: Int[Array, ""], key: PRNGKeyArray) -> tuple[Any, Info]:
        seen = unknowns | {name: state.unknowns}
        view = (seen, batch) if player.view is None else player.view(seen, batch, repeat)
        return player.update.step(state, view, key)

    if player.steps == 1:
        return move(state, jnp.zeros((), jnp.int32), key)
    dynamic, static = eqx.partition(state, eqx.is_array)

    def body(dynamic: PyTree, x: tuple) -> tuple[PyTree, Info]:
        new, info = move(eqx.combine(dynamic, static), *x)
        return eqx.filter(new, eqx.is_array), info

    moves = (jnp.arange(player.steps, dtype=jnp.int32), jax.random.split(key, player.steps))
    dynamic, infos = jax.lax.scan(body, dynamic, moves)
    return eqx.combine(dynamic, static), jax.tree.map(lambda x: x[-1], infos)


def players(parties: Mapping[str, Player | AbstractUpdate], *, simultaneous: bool = False) -> AbstractUpdate:
    """Compose the updates of several parties into one.

    **Arguments:**

    - `parties`: name → `Player(update, steps=..., view=...)`, or a bare update that moves once a round. They
        move in the order of the dict; the unknowns handed to `init` are a dict with the same names.
    - `simultaneous`: every party sees the others as they were before the round, instead of as they are now.

    **Returns:** an update. Its info holds `name/loss`, `name/grad_norm`, ... of each party's last move, and
    `loss`, which is that of the first party.
    """
    if not parties:
        raise ValueError("parties: got none, expected a dict name -> Player(update).")
    for name, party in parties.items():
        if not isinstance(party, Player | AbstractUpdate):
            raise TypeError(f"parties[{name!r}]: got {type(party).__name__}, expected a Player or an update.")
    full = {k: v if isinstance(v, Player) else Player(v) for k, v in parties.items()}
    return _Players(full, simultaneous)
