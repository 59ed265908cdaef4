"""Hooks: what `fit` calls between blocks, `(state, info) -> state or Stop`.

A plain function will do. One with a memory is an `AbstractHook`, whose memory is part of every checkpoint, so
that a resumed run decides as the uninterrupted one would have.
"""

import abc
import dataclasses
import math
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ._checkpoint import like


@dataclasses.dataclass(frozen=True)
class Stop:
    """Returned by a hook to end the run."""

    reason: str = "a hook said so"


class AbstractHook(abc.ABC):
    """A hook with a memory.

    To write your own, give `start()`, which forgets everything, and `__call__(state, info)`, where `info`
    holds the means over the block just taken, the validation's values where there are new ones, and `step`.
    If it remembers, also `save() -> (dict for JSON, list of arrays)` and `load(memory, arrays, state)`.
    """

    @abc.abstractmethod
    def start(self) -> None:
        """Forget everything: a run begins."""

    @abc.abstractmethod
    def __call__(self, state: Any, info: dict[str, Any]) -> Any:
        """Return the state to go on with, or `Stop(reason)`."""

    def save(self) -> tuple[dict[str, Any], list[Any]]:
        """The memory, as a dict for JSON and a list of arrays."""
        return {}, []

    def load(self, memory: dict[str, Any], arrays: list[Any], state: Any) -> None:
        """Take back what `save` returned; `state` shows the structure of a state."""
        del memory, arrays, state

    def finish(self, state: Any) -> Any:
        """Return the state to hand to the user at the end of the run."""
        return state


class EarlyStopping(AbstractHook):
    """Stop when `monitor` has not fallen for `patience` looks in a row.

    It looks whenever `monitor` is in the info: after every block for training values, after every validation
    for its values. `restore_best=True` returns the state of the best look at the end, however the run ended.
    `min_delta` is the least fall that counts; for a score that should rise, log its negative.
    """

    def __init__(self, monitor: str, patience: int, *, restore_best: bool = True, min_delta: float = 0.0):
        if patience < 1:
            raise ValueError(f"EarlyStopping(patience): got {patience}, expected at least 1.")
        self.monitor, self.patience = monitor, patience
        self.restore_best, self.min_delta = restore_best, min_delta
        self.start()

    def start(self) -> None:
        """Forget everything."""
        self.best, self.bad, self.state = math.inf, 0, None

    def __call__(self, state: Any, info: dict[str, Any]) -> Any:
        """Compare with the best so far."""
        if self.monitor not in info:
            return state
        if info[self.monitor] < self.best - self.min_delta:
            self.best, self.bad = float(info[self.monitor]), 0
            self.state = state if self.restore_best else None
            return state
        self.bad += 1
        if self.bad < self.patience:
            return state
        return Stop(f"{self.monitor} has not fallen below {self.best:.6g} for {self.patience} looks")

    def save(self) -> tuple[dict[str, Any], list[Any]]:
        """Best value, looks without progress, best state."""
        arrays = jax.tree.leaves(eqx.filter(self.state, eqx.is_array))
        return {"best": self.best, "bad": self.bad}, arrays

    def load(self, memory: dict[str, Any], arrays: list[Any], state: Any) -> None:
        """Take the memory back."""
        self.best, self.bad, self.state = memory["best"], memory["bad"], None
        if arrays:
            dynamic, static = eqx.partition(state, eqx.is_array)
            leaves, tree = jax.tree.flatten(dynamic)
            leaves = [like(a, leaf, "the best state") for a, leaf in zip(arrays, leaves, strict=True)]
            self.state = eqx.combine(jax.tree.unflatten(tree, leaves), static)

    def finish(self, state: Any) -> Any:
        """The best state, if wanted and seen."""
        return state if self.state is None else self.state


class ReduceOnPlateau(AbstractHook):
    """Multiply the learning rate by `factor` when `monitor` has not fallen for `patience` looks in a row.

    The optimiser must carry its rate in its state:
    `optax.inject_hyperparams(optax.adam)(learning_rate=1e-3)`.
    """

    def __init__(self, monitor: str, patience: int, *, factor: float = 0.5, minimum: float = 0.0):
        if not 0 < factor < 1 or patience < 1:
            raise ValueError(
                f"ReduceOnPlateau: got factor={factor}, patience={patience}; expected 0 < factor < 1 <= patience."
            )
        self.monitor, self.patience, self.factor, self.minimum = monitor, patience, factor, minimum
        self.start()

    def start(self) -> None:
        """Forget everything."""
        self.best, self.bad = math.inf, 0

    def __call__(self, state: Any, info: dict[str, Any]) -> Any:
        """Compare with the best so far."""
        if self.monitor not in info:
            return state
        if info[self.monitor] < self.best:
            self.best, self.bad = float(info[self.monitor]), 0
            return state
        self.bad += 1
        if self.bad < self.patience:
            return state
        self.bad = 0
        return scale_rate(state, self.factor, self.minimum)

    def save(self) -> tuple[dict[str, Any], list[Any]]:
        """Best value and looks without progress."""
        return {"best": self.best, "bad": self.bad}, []

    def load(self, memory: dict[str, Any], arrays: list[Any], state: Any) -> None:
        """Take the memory back."""
        self.best, self.bad = memory["best"], memory["bad"]


def scale_rate(state: Any, factor: float, minimum: float = 0.0) -> Any:
    """Multiply every injected `learning_rate` in the state by `factor`."""

    def injected(x: Any) -> bool:
        return isinstance(getattr(x, "hyperparams", None), dict) and "learning_rate" in x.hyperparams

    if not any(injected(x) for x in jax.tree.leaves(state, is_leaf=injected)):
        raise ValueError(
            "hook: the optimiser's state holds no learning rate. Build the optimiser with "
            "optax.inject_hyperparams, for instance optax.inject_hyperparams(optax.adam)(learning_rate=1e-3)."
        )

    def one(x: Any) -> Any:
        if not injected(x):
            return x
        rate = x.hyperparams["learning_rate"]
        new = jnp.maximum(rate * factor, minimum).astype(rate.dtype)
        return x._replace(hyperparams=x.hyperparams | {"learning_rate": new})

    return jax.tree.map(one, state, is_leaf=injected)


class TimeLimit(AbstractHook):
    """Stop after so many seconds of training. The first block is not counted, as it compiles the step.

    What was learnt in a given time depends on the machine; use it to compare methods at equal time, on one machine. A
    resumed run goes on counting.

    **Arguments:** `seconds`, positive.
    """

    def __init__(self, seconds: float):
        if not seconds > 0:
            raise ValueError(f"TimeLimit(seconds): got {seconds}, expected a positive number.")
        self.seconds = seconds
        self.start()

    def start(self) -> None:
        """Forget everything."""
        self.spent, self.last = 0.0, None

    def __call__(self, state: Any, info: dict[str, Any]) -> Any:
        """Count the time since the last call."""
        now = time.perf_counter()
        self.spent += 0.0 if self.last is None else now - self.last
        self.last = now
        return state if self.spent < self.seconds else Stop(f"{self.seconds} seconds of training are over")

    def save(self) -> tuple[dict[str, Any], list[Any]]:
        """Seconds spent."""
        return {"spent": self.spent}, []

    def load(self, memory: dict[str, Any], arrays: list[Any], state: Any) -> None:
        """Take the count back."""
        self.spent, self.last = memory["spent"], None
