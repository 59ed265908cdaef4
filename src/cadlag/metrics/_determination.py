"""The coefficient of determination of predictions."""

from typing import Any

import numpy as np


def r_squared(truth: Any, predicted: Any) -> float:
    """R² = 1 - Σ (y - ŷ)² / Σ (y - mean y)², averaged over targets; 1 is perfect, 0 what their mean gives.

    A target that is constant counts its squared error as it is.

    **Arguments:** `truth` and `predicted`, real, (n,) or (n, targets).

    **Raises:** ValueError for shapes that differ.
    """
    predicted = np.asarray(predicted, float)
    truth = np.asarray(truth, float)
    if truth.size != predicted.size or len(truth) != len(predicted):
        raise ValueError(f"r_squared: truth of shape {truth.shape} and predictions of shape {predicted.shape}.")
    truth = truth.reshape(predicted.shape)
    spread = np.sum((truth - truth.mean(0)) ** 2, axis=0)
    error = np.sum((truth - predicted) ** 2, axis=0)
    return float(np.mean(1 - error / np.where(spread > 0, spread, 1)))
