"""Checks on arrays that come from outside, with messages that say where and what to do."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def floats(name: str, array: Any) -> np.ndarray:
    """A real floating-point NumPy array: floats keep their precision, the rest is float64."""
    array = np.asarray(array)
    if np.issubdtype(array.dtype, np.floating):
        return array
    if array.dtype == object:
        raise TypeError(
            f"`{name}` must be numbers, but is an array of objects, such as {array.ravel()[0]!r} "
            "(rows of unequal length? use `IrregularSeries.from_ragged`)."
        )
    if not (np.issubdtype(array.dtype, np.integer) or array.dtype == bool):
        example = repr(array.ravel()[0].item()) if array.size else "nothing"
        raise TypeError(f"`{name}` must be real numbers, but its dtype is {array.dtype}, such as {example}.")
    return array.astype(np.float64)


def check_finite(name: str, array: np.ndarray) -> None:
    """Refuse infinite values, naming the first; NaN passes, because it means missing."""
    bad = np.argwhere(np.isinf(array))
    if len(bad):
        where = ", ".join(map(str, bad[0]))
        raise ValueError(
            f"`{name}` holds {len(bad)} infinite value(s), the first at index ({where}). Use NaN for what is missing."
        )


def check_times(times: np.ndarray, lengths: np.ndarray, how: str = "") -> None:
    """Refuse times that are not finite or do not increase within each length."""
    real = np.arange(times.shape[1])[None] < lengths[:, None]
    bad = np.argwhere(real & ~np.isfinite(times))
    if len(bad):
        raise ValueError(f"`times` must be finite, but that of series {bad[0][0]}, step {bad[0][1]} is not.")
    steps = np.where(real[:, 1:], np.diff(np.where(real, times, 0), axis=1), 1)
    bad = np.argwhere(steps <= 0)
    if len(bad):
        i, j = bad[0]
        word = "repeat" if steps[i, j] == 0 else "decrease"
        raise ValueError(
            f"`times` must increase strictly{how}, but those of series {i} {word} from step {j} to {j + 1} "
            f"({times[i, j]:g}, {times[i, j + 1]:g}). "
            "Sort each series by time and merge observations at one time."
        )


def encode_labels(labels: Any, n: int, classes: Sequence | np.ndarray | None) -> tuple[np.ndarray | None, tuple | None]:
    """Classes to integer codes (N,), real targets to (N, K)."""
    if labels is None:
        return None, None if classes is None else _names(classes)
    labels = np.asarray(labels)
    if labels.ndim not in (1, 2) or len(labels) != n:
        raise ValueError(f"`labels` must have shape ({n},) or ({n}, targets), but got {labels.shape}.")
    if np.issubdtype(labels.dtype, np.floating):
        if not np.all(np.isfinite(labels)):
            raise ValueError("`labels` hold NaN or infinite values; leave those out.")
        return (labels[:, None] if labels.ndim == 1 else labels), None
    if labels.ndim == 2:
        raise ValueError(f"`labels` of shape {labels.shape} must be floats (targets), but are {labels.dtype}.")
    if classes is None:
        names, codes = np.unique(labels, return_inverse=True)
        return codes.astype(np.int32), tuple(names.tolist())
    classes = _names(classes)
    return _codes(labels, classes), classes


def _names(classes: Sequence | np.ndarray) -> tuple:
    return tuple(x.item() if isinstance(x, np.generic) else x for x in classes)


def _codes(labels: np.ndarray, classes: tuple) -> np.ndarray:
    if np.issubdtype(labels.dtype, np.integer):
        if labels.min() < 0 or labels.max() >= len(classes):
            raise ValueError(f"`labels` are codes into {len(classes)} `classes`, but range to {labels.max()}.")
        return labels.astype(np.int32)
    table = {name: code for code, name in enumerate(classes)}
    unseen = sorted({str(x) for x in labels.tolist() if x not in table})
    if unseen:
        raise ValueError(f"`labels` hold {', '.join(unseen)}, not among `classes` {', '.join(map(str, classes))}.")
    return np.array([table[x] for x in labels.tolist()], np.int32)
