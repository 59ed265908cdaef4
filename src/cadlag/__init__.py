"""Cadlag: learn, solve and understand continuous dynamics with neural networks.

Importing this package imports neither JAX nor any wing; every public name is loaded on first use.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_ROOMS = (
    "linalg",
    "paths",
    "fields",
    "kernels",
    "nn",
    "distributions",
    "metrics",
    "data",
    "solve",
    "diffusion",
    "equations",
    "train",
    "series",
    "generate",
    "operators",
    "physics",
    "limits",
    "lens",
    "recipes",
    "report",
)


# The verbs and base nouns that everyone needs.
_NAMES = {
    "Estimator": "train",
    "IrregularSeries": "data",
    "fit": "train",
    "load": "train",
    "minimise": "train",
    "read_series": "data",
    "save": "train",
}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"cadlag.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(f"cadlag.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'cadlag' has no attribute {name!r}; it has {', '.join(__dir__())}")


def __dir__() -> list[str]:
    return sorted([*_ROOMS, *_NAMES, "__version__"])
