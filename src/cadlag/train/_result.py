"""What a training run ends as."""

import dataclasses
import enum
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import PyTree


class Outcome(enum.Enum):
    """How a run ended."""

    finished = "finished"
    stopped = "stopped"
    non_finite = "non-finite"


@dataclasses.dataclass(frozen=True)
class Ending:
    """The named result of a run.

    `step` is the number of steps taken; for a non-finite loss it is the number, counted from 0, of the step
    that failed, `batch` and `source_state` are what it was given, and `checkpoint` is the last good one.
    """

    outcome: Outcome
    step: int
    reason: str = ""
    batch: PyTree = None
    source_state: PyTree = None
    checkpoint: Path | None = None


@dataclasses.dataclass(frozen=True)
class FitResult:
    """State, history and result of `fit`.

    `history` maps each logged name to an array over the logged steps (NaN where a name was not logged), with
    the number of steps taken under `step`. `records` holds the recorder's rows. After a failure the state is
    the last finite one.
    """

    state: Any
    history: dict[str, np.ndarray]
    result: Ending
    records: PyTree = None
    source_state: PyTree = None


class NonFiniteLoss(FloatingPointError):  # noqa: N818
    """The loss or its gradient became NaN or infinite; `.fit` is the `FitResult` with the last good state."""

    def __init__(self, fit: FitResult):
        super().__init__(fit.result.reason)
        self.fit = fit


class Interrupted(KeyboardInterrupt):
    """Ctrl-C: the run can be resumed as the message says."""
