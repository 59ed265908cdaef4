"""Spectra of Hessians: data and sizes that all contestants share. NumPy alone."""

import numpy as np

# 994,570 parameters; 4,954.
TASKS = {
    "mlp": {"examples": 512, "input": (512,), "widths": (768, 768)},
    "conv": {"examples": 256, "input": (1, 16, 16), "channels": (16, 16, 16)},
}
CLASSES, STEPS = 10, 20


def data(task):
    """Inputs (n, ...) and classes (n,)."""
    size, rng = TASKS[task], np.random.default_rng(0)
    x = rng.normal(size=(size["examples"], *size["input"])).astype(np.float32)
    return x, rng.integers(0, CLASSES, size["examples"])
