"""Kernels of wide networks: the inputs and sizes that all contestants share. NumPy and scikit-learn alone."""

import numpy as np

# Hidden layers, digits, and for images whether they are pooled.
TASKS = {
    "dense-1000": {"layers": 5, "points": 1000},
    "dense-1797": {"layers": 5, "points": 1797},
    "conv-flat": {"layers": 4, "points": 500, "pool": False},
    "conv-pool": {"layers": 3, "points": 40, "pool": True},
    "empirical": {"layers": 2, "points": 60, "width": 32, "outputs": 10},
}
WEIGHT, BIAS = 2**0.5, 0.1


def digits(task):
    """Rows (n, 64), or images (n, 8, 8), float32."""
    from sklearn.datasets import load_digits

    rows = load_digits().data[: TASKS[task]["points"]].astype(np.float32) / 16
    return rows if task.startswith("dense") else rows.reshape(-1, 8, 8)
