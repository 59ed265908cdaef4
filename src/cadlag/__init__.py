"""Cadlag: learn, solve and understand continuous dynamics with neural networks.

Importing this package imports neither JAX nor any wing; every public name is loaded on first use.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_ROOMS = (
    "paths",
    "nn",
    "metrics",
    "data",
    "solve",
    "equations",
    "train",
    "series",
    "recipes",
    "report",
)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"cadlag.{name}")
    raise AttributeError(f"module 'cadlag' has no attribute {name!r}; its rooms are {', '.join(_ROOMS)}")


def __dir__() -> list[str]:
    return sorted([*_ROOMS, "__version__"])
