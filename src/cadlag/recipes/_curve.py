"""Curves for the page: long histories made short, several seeds made a mean with its error."""

import statistics
from collections.abc import Sequence
from typing import Any


def thin(curve: Any, points: int = 60) -> list[float]:
    """A curve of at most so many points, each the mean of its stretch."""
    import numpy as np

    return [float(np.mean(part)) for part in np.array_split(np.asarray(curve), min(points, len(curve)))]


def mean_and_error(points: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    """Mean over seeds and its standard error (0 of a single seed) at each point; a point holds a value a seed."""
    error = [statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0 for values in points]
    return [statistics.fmean(values) for values in points], error
