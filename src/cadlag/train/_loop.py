"""The host's side of `fit`: visits between blocks, for metrics, hooks, validation and checkpoints."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from . import _checkpoint
from ._block import Carry, Problem, run_block
from ._checkpoint import Snapshot
from ._hooks import AbstractHook, Stop
from ._mesh import replicate
from ._minimise import check_carry, draw_batch, step_keys, strong
from ._progress import AbstractProgress
from ._result import Ending, Outcome
from ._run import RunDir

BLOCK = 50


@dataclasses.dataclass
class Loop:
    """The mutable state of one run; `fit` makes it and throws it away."""

    problem: Problem
    carry: Carry
    steps: int
    in_loop: bool
    block: int
    validate_every: int
    checkpoint_every: int
    log_every: int
    hooks: Sequence[Callable]
    validate: Callable | None
    monitor: str | None
    progress: AbstractProgress
    folder: RunDir | None
    taken: int = 0
    best: float = float("inf")
    ending: str = ""
    good: Snapshot | None = None  # as of the last complete visit, for an interruption in the middle of one
    rows: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def run(self) -> Ending:
        """Visit after visit until the steps are taken, a hook stops, or the loss is not finite."""
        while self.taken < self.steps and not self.ending:
            failure = self._visit()
            if failure is not None:
                return failure
            self.good = self.snapshot()
        return Ending(Outcome.stopped if self.ending else Outcome.finished, self.taken, self.ending)

    def snapshot(self) -> Snapshot:
        """What a checkpoint holds now."""
        memories = tuple(h.save() if isinstance(h, AbstractHook) else ({}, []) for h in self.hooks)
        return Snapshot(self.carry, self.taken, memories, self.best, self.ending)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot."""
        self.carry, self.taken = snapshot.carry, snapshot.taken
        self.best, self.ending, self.good = snapshot.best, snapshot.ending, snapshot
        if len(snapshot.hooks) != len(self.hooks):
            raise ValueError(
                f"hooks: got {len(self.hooks)}, but the run to resume had {len(snapshot.hooks)}; "
                "pass the same hooks in the same order."
            )
        for hook, memory in zip(self.hooks, snapshot.hooks, strict=True):
            if isinstance(hook, AbstractHook):
                hook.load(*memory, self.carry.state)

    def _visit(self) -> Ending | None:
        n = self._until_next()
        carry, infos = run_block(self.problem, self.in_loop, self.block, self.carry, self.taken, n)
        bad = _first_bad(infos)
        if bad is not None:
            return self._failure(infos, bad)
        self.carry, self.taken = carry, self.taken + n
        values = self._validation(n)
        self._log(infos, values)
        self._call_hooks({k: float(v.mean()) for k, v in infos.items()} | values | {"step": self.taken})
        self._keep_best(infos, values)
        if self.folder is not None and (self._due(self.checkpoint_every, n) or self.ending):
            _checkpoint.write_next(self.folder.checkpoints, self.snapshot())
        return None

    def _until_next(self) -> int:
        periods = {self.block, self.checkpoint_every} | ({self.validate_every} if self.validate else set())
        return min(self.steps - self.taken, *(p - self.taken % p for p in periods))

    def _due(self, every: int, n: int) -> bool:
        return self.taken // every > (self.taken - n) // every or self.taken == self.steps

    def _validation(self, n: int) -> dict[str, float]:
        if self.validate is None or not self._due(self.validate_every, n):
            return {}
        key = step_keys(self.problem.key, jnp.asarray(self.taken - 1, jnp.int32))[2]
        return {name: float(value) for name, value in self.validate(self.carry.state, key).items()}

    def _log(self, infos: dict[str, np.ndarray], values: dict[str, float]) -> None:
        n = len(infos["loss"])
        new = []
        for i in range(n):
            step = self.taken - n + i + 1
            if step % self.log_every == 0:
                new.append({"step": step} | {k: v[i].item() for k, v in infos.items()})
        if values:
            if not new or new[-1]["step"] != self.taken:
                new.append({"step": self.taken})
            new[-1] |= values
        self.rows += new
        if self.folder is not None:
            self.folder.append(new)
        latest = {k: v[-1].item() for k, v in infos.items()}
        self.progress.update(self.taken, latest | values)

    def _call_hooks(self, info: dict[str, Any]) -> None:
        for hook in self.hooks:
            state = hook(self.carry.state, info)
            if isinstance(state, Stop):
                self.ending = state.reason
                continue
            if state is not self.carry.state:
                state = replicate(strong(state), self.problem.mesh)
                check_carry(eqx.filter(self.carry.state, eqx.is_array), eqx.filter(state, eqx.is_array))
                self.carry = Carry(state, self.carry.source_state, self.carry.rows)

    def _keep_best(self, infos: dict[str, np.ndarray], values: dict[str, float]) -> None:
        if self.monitor is None:
            return
        known = {k: float(v.mean()) for k, v in infos.items()} | values
        if self.monitor not in known and self.monitor not in infos and self.validate is None:
            raise ValueError(f"monitor: {self.monitor!r} is not among the values {sorted(known)}.")
        if known.get(self.monitor, float("inf")) < self.best:
            self.best = known[self.monitor]
            if self.folder is not None:
                _checkpoint.write(self.folder.checkpoints, "best", self.snapshot())

    def _failure(self, infos: dict[str, np.ndarray], bad: int) -> Ending:
        """Replay up to the failing step, to hand over its batch and the last finite state."""
        step = self.taken + bad
        if bad > 0:
            self.carry, _ = run_block(self.problem, self.in_loop, self.block, self.carry, self.taken, bad)
        key = step_keys(self.problem.key, jnp.asarray(step, jnp.int32))[0]
        draw = eqx.filter_jit(draw_batch)
        _, batch = draw(self.problem.source, self.carry.source_state, self.carry.state, key)
        last = self._last_checkpoint()
        what = ", ".join(f"{k} = {infos[k][bad]}" for k in ("loss", "grad_norm") if k in infos)
        reason = (
            f"step {step}: {what}. The batch of that step, the state of the source and the last finite state "
            f"are in the result; the last good checkpoint is {last or 'none (no run folder, or none yet)'}. "
            "Lower the learning rate, clip gradients, or look at the batch."
        )
        return Ending(Outcome.non_finite, step, reason, batch, self.carry.source_state, last)

    def _last_checkpoint(self) -> Path | None:
        found = [] if self.folder is None else _checkpoint.listing(self.folder.checkpoints)
        return found[-1] if found else None


def _first_bad(infos: dict[str, np.ndarray]) -> int | None:
    finite = np.isfinite(infos["loss"])
    if "grad_norm" in infos:
        finite = finite & np.isfinite(infos["grad_norm"])
    return None if finite.all() else int(np.argmin(finite))
