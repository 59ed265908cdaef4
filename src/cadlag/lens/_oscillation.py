"""Does a training run oscillate? A detector for any trace of a loss, a residual or a gradient's norm."""

import enum
import math
import os
from typing import Any, NamedTuple

import numpy as np

from cadlag.train import RunDir

_BLOWN = 1e12


class Course(enum.Enum):
    """What a trace does over the window that is looked at."""

    converged = "it stays where it is"
    drifting = "it moves further than it fluctuates"
    oscillating = "it alternates from step to step"
    fluctuating = "it varies without alternating"
    diverged = "it became infinite, NaN, or 10^12 times its start"


class Oscillation(NamedTuple):
    """What `oscillation` finds.

    - `course`: see `Course`.
    - `amplitude`: deviation about the window's own straight line, in units of the trace.
    - `alternation`: minus the correlation of neighbours about that line: 1 for period two, 0 for noise, negative for
      slow waves. NaN where nothing varies.
    - `mean`: of the window. `drift`: change along the line over the window.
    - `first`: where the window starts, in steps; where it diverged, at whatever step, the first such.
    """

    course: Course
    amplitude: float
    alternation: float
    mean: float
    drift: float
    first: int


def oscillation(trace: Any, *, window: int | None = None, least: float = 1e-3) -> Oscillation:
    """Look at the end of a trace, one value a step.

    **Arguments:**

    - `trace` (steps,): an array, or the folder of a run, whose `loss` is read.
    - `window`: how many of the last steps; by default the last half.
    - `least`: amplitude and drift below this share of the trace's size, at its start or in the window, count as none.

    **Raises:** ValueError for fewer than eight steps in the window, a wrong shape, or a run without rows.
    """
    values = read_losses(trace) if isinstance(trace, str | os.PathLike | RunDir) else np.asarray(trace, float)
    if values.ndim != 1:
        raise ValueError(f"`trace` has shape {values.shape}; expected one value a step. Take one seed, or a mean.")
    window = len(values) // 2 if window is None else window
    if not 8 <= window <= len(values):
        raise ValueError(f"`trace` has {len(values)} steps and the window {window}; expected at least 8, and so many.")
    if not 0 <= least < 1:
        raise ValueError(f"least={least}: expected a share, in [0, 1).")
    # A number that the start is nothing beside has blown up, finite or not.
    bad = ~np.isfinite(values) | (np.abs(values) > _BLOWN * max(1.0, float(np.nanmax(np.abs(values[:8])))))
    if bad.any():
        nan = math.nan
        return Oscillation(Course.diverged, nan, nan, nan, nan, int(np.argmax(bad)))
    return _looked(values, window, least)


def _looked(values: np.ndarray, window: int, least: float) -> Oscillation:
    seen = values[-window:]
    steps = np.arange(window) - (window - 1) / 2
    slope = float(steps @ seen / (steps @ steps))
    rest = seen - seen.mean() - slope * steps
    amplitude, drift = float(np.sqrt(np.mean(rest**2))), slope * (window - 1)
    alternation = -float(rest[1:] @ rest[:-1] / (rest @ rest)) if amplitude > 0 else math.nan
    # The start's usual size, since a loss that falls to nothing has converged.
    start = float(np.median(np.abs(values[:8])))
    small = max(least, 64 * np.finfo(float).eps) * max(start, float(np.mean(np.abs(seen))))
    if amplitude <= small and abs(drift) <= small:
        course = Course.converged
    elif abs(drift) > 3 * amplitude:
        course = Course.drifting
    else:
        course = Course.oscillating if alternation > 0.5 else Course.fluctuating
    return Oscillation(course, amplitude, alternation, float(seen.mean()), drift, len(values) - window)


def read_losses(run: Any) -> np.ndarray:
    """The loss at every recorded step of a run; ValueError where there is none."""
    folder = run if isinstance(run, RunDir) else _opened(run)
    rows = [row["loss"] for row in folder.rows() if "loss" in row]
    if not rows:
        raise ValueError(f"{folder.path} holds no losses: it has not taken a step, or is no run of `fit`.")
    return np.asarray(rows, float)


def _opened(path: Any) -> RunDir:
    # RunDir makes folders that are not there.
    if not os.path.exists(os.path.join(path, "config.json")):
        raise ValueError(f"{path} is not the folder of a run: it has no config.json.")
    return RunDir(path)
