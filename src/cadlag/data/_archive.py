"""NumPy archives from outside: plain arrays only, nothing in them is executed."""

import pathlib

import numpy as np


def read_archive(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays of an NPZ by name, or of an NPY under the name "values"; arrays of Python objects are refused."""
    kind = path.suffix.lower().removeprefix(".").upper() or "NPZ"
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"values": loaded}
        with loaded as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file.") from None
    except Exception as error:
        raise ValueError(f"{path}: this is not a readable {kind} of plain arrays: {error}") from error
