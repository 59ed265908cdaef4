"""`save` and `load`: a model is a folder, `config.json` (public names) and `arrays.npz`. No pickles.

Loading imports modules under `cadlag.` and a short list of Equinox and JAX names, and runs no code from the
file: modules are rebuilt field by field, without their `__init__`.
"""

import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ._encode import Decoder, Encoder
from ._run import versions, write_atomic

FORMAT = 1


def save(path: str | os.PathLike, module: Any) -> None:
    """Write a module, or a list, tuple or dict of modules, to the folder `path`.

    Raises `TypeError`, naming the place in the model, for what cannot be saved (lambdas, open files, ...).
    An existing saved model at `path` is replaced; any other existing folder with content is refused.
    """
    folder = Path(path)
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not _is_model(folder))):
        raise ValueError(f"save: {folder} exists and is not a saved model; choose another path.")
    encoder = Encoder()
    tree = encoder.encode(module, "model")
    config = {"kind": "cadlag model", "format": FORMAT, "versions": versions(), "model": tree}
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez(buffer, **encoder.arrays)  # pyright: ignore[reportArgumentType]
    write_atomic(folder / "arrays.npz", buffer.getvalue())
    write_atomic(folder / "config.json", json.dumps(config, indent=1).encode())


def load(path: str | os.PathLike, parts: Mapping[str, Any] | None = None) -> Any:
    """Read what `save` wrote, bit for bit.

    `parts` maps names of your own classes and functions to them, `load(path, parts={"MyDrift": MyDrift})`.
    Raises `ValueError` for a folder that is missing, damaged, of another format version, or that holds a name
    which is not allowed.
    """
    folder = Path(path)
    config = _config(folder)
    try:
        with np.load(folder / "arrays.npz", allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"load: {folder / 'arrays.npz'} cannot be read ({error}): damaged.") from None
    try:
        return Decoder(arrays, dict(parts or {})).decode(config["model"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"load: {folder} is damaged: its parts do not fit together ({error!r}).") from None


def _is_model(folder: Path) -> bool:
    try:
        return json.loads((folder / "config.json").read_text(encoding="utf-8"))["kind"] == "cadlag model"
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except OSError:
        raise ValueError(f"load: {folder} has no readable config.json; it is not a saved model.") from None
    except ValueError as error:
        raise ValueError(f"load: {folder / 'config.json'} is not JSON ({error}): damaged.") from None
    if not isinstance(config, dict) or config.get("kind") != "cadlag model" or "model" not in config:
        raise ValueError(f"load: {folder / 'config.json'} does not describe a saved model.")
    if config.get("format") != FORMAT:
        raise ValueError(
            f"load: {folder} has format version {config.get('format')!r}, this cadlag reads {FORMAT}; "
            f"it was written with {config.get('versions')}."
        )
    return config
