"""`config.json` of a run folder: what was asked for, by what, on which machine."""

import importlib.metadata
import os
import pathlib
import platform
from collections.abc import Sequence
from typing import Any

from ._recipe import AbstractRecipe, Preset
from ._store import digest, plain, read_json

FORMAT = 1
_PACKAGES = ("jax", "jaxlib", "equinox", "diffrax", "lineax", "optax", "numpy", "scikit-learn", "aeon")


def versions() -> dict[str, str]:
    """Versions of Python, of Cadlag and of the packages its figures depend on, without importing them."""
    from cadlag import __version__

    found = {"python": platform.python_version(), "cadlag": __version__}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_config(
    recipe: AbstractRecipe, source: str, preset: Preset, seeds: Sequence[int], workers: int, threads: int
) -> dict[str, Any]:
    """The content of `config.json`. `settings_hash` covers all that makes figures comparable."""
    settings = plain(recipe.settings(preset), "settings")
    same = {
        "recipe": recipe.name,
        "preset": str(preset),
        "precision": recipe.precision,
        "settings": settings,
        "data": _data(recipe.data),
    }
    # Left out where there is none, so that folders of earlier runs can be gone on with.
    same |= {key: value for key in ("equation", "part") if (value := getattr(recipe, key)) is not None}
    return {
        "format": FORMAT,
        **same,
        "settings_hash": digest(same),
        "source": source,
        "seeds": list(seeds),
        "arms": [{"name": a.name, "kind": a.kind, "description": a.description} for a in recipe.arms(preset)],
        "versions": versions(),
        "machine": {
            "cores": cores(),
            "workers": workers,
            "threads": threads,
            "system": platform.system(),
            "processor": platform.machine(),
        },
        "command": command(source, preset, seeds, recipe),
    }


def command(source: str, preset: Preset, seeds: Sequence[int], recipe: AbstractRecipe) -> str:
    """The command that repeats the run."""
    words = ["cadlag", "run", source, "--preset", str(preset)]
    if tuple(seeds) != recipe.seeds(preset):
        words += ["--seeds", str(len(seeds))]
    if recipe.data is not None:
        words += ["--data", str(recipe.data)]
    for key in ("equation", "part"):
        if getattr(recipe, key) is not None:
            words += [f"--{key}", getattr(recipe, key)]
    return " ".join(words)


def _data(path: pathlib.Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    if not path.exists():
        raise ValueError(f"--data names {path}, which does not exist.")
    return {"name": path.name, "bytes": path.stat().st_size if path.is_file() else None}


def check_same(out: pathlib.Path, config: dict[str, Any]) -> None:
    """Refuse a folder that holds a run under other settings, or something that is not a run."""
    path = out / "config.json"
    if not path.exists():
        if out.exists() and any(p.name != ".lock" for p in out.iterdir()):
            raise ValueError(f"{out} is not empty and holds no run (no config.json); give another --out.")
        return
    old = read_json(path)
    if not isinstance(old, dict) or old.get("format") != FORMAT:
        raise ValueError(f"{path} is from another version of Cadlag; start in another folder with --out.")
    if old.get("settings_hash") == config["settings_hash"]:
        return
    parts = ("recipe", "preset", "precision", "settings", "data", "equation", "part")
    changed = [key for key in parts if old.get(key) != config.get(key)]
    raise ValueError(
        f"{out} holds a run that differs in {', '.join(changed) or 'configuration'} "
        f"({old.get('recipe')}, preset {old.get('preset')}), so its figures cannot be mixed with this one's. "
        "Give another --out, or delete the folder."
    )
