"""Optional dependencies, imported only when asked for."""

import importlib
from typing import Any


def aeon_datasets() -> Any:
    """The module `aeon.datasets`, or an ImportError that says how to get it."""
    try:
        return importlib.import_module("aeon.datasets")
    except ImportError as error:
        raise ImportError(
            "aeon is needed for .ts files and the bundled series, but cannot be imported. "
            "Install it with `pip install 'cadlag[series]'`."
        ) from error
