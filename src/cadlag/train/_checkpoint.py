"""Checkpoints: one `.npz` file each, complete or absent, the last two and the best kept. No pickles."""

import dataclasses
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ._run import write_atomic

KEEP = 2


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """Everything that decides the rest of a run: arrays, steps taken, the hooks' memories, the best value."""

    carry: PyTree
    taken: int
    hooks: tuple[tuple[dict[str, Any], list[Any]], ...] = ()
    best: float = float("inf")
    ending: str = ""


def to_numpy(x: Any) -> np.ndarray:
    """A JAX array on the host; PRNG keys as their data."""
    is_key = isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(x) if is_key else x)


def like(data: np.ndarray, template: Any, where: str) -> Any:
    """Host data as a JAX array of the template's kind; raises `ValueError` when it does not fit."""
    host = to_numpy(template)
    if data.dtype.kind == "V":  # NumPy writes bfloat16 and its kin as raw bytes
        data = data.view(host.dtype)
    if data.shape != host.shape or data.dtype != host.dtype:
        raise ValueError(
            f"run: {where} holds {data.dtype}{data.shape} where this run has {host.dtype}{host.shape}; "
            "the folder belongs to another model, optimiser or source. Choose another folder."
        )
    if jnp.issubdtype(template.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(jnp.asarray(data), impl=jax.random.key_impl(template))
    return jnp.asarray(data)


def write(folder: Path, name: str, snapshot: Snapshot) -> Path:
    """Write a snapshot as `name.npz` atomically."""
    leaves = jax.tree.leaves(eqx.filter(snapshot.carry, eqx.is_array))
    arrays = {f"carry/{i}": to_numpy(x) for i, x in enumerate(leaves)}
    for i, (_, kept) in enumerate(snapshot.hooks):
        arrays |= {f"hook/{i}/{j}": to_numpy(x) for j, x in enumerate(kept)}
    meta = {
        "taken": snapshot.taken,
        "hooks": [memory for memory, _ in snapshot.hooks],
        "best": snapshot.best,
        "ending": snapshot.ending,
    }
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    path = folder / f"{name}.npz"
    write_arrays(path, arrays)
    return path


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an `.npz` atomically."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # pyright: ignore[reportArgumentType]
    write_atomic(path, buffer.getvalue())


def write_next(folder: Path, snapshot: Snapshot) -> Path:
    """Write the checkpoint of a step and delete all but the last two."""
    path = write(folder, f"step-{snapshot.taken:010d}", snapshot)
    for old in listing(folder)[:-KEEP]:
        old.unlink()
    return path


def listing(folder: Path) -> list[Path]:
    """The checkpoints of steps, oldest first."""
    return sorted(folder.glob("step-*.npz"))


def read(path: Path, carry: PyTree) -> Snapshot:
    """Read a checkpoint into the structure of `carry`."""
    arrays, meta = _open(path)
    template, static = eqx.partition(carry, eqx.is_array)
    leaves, tree = jax.tree.flatten(template)
    found = sum(name.startswith("carry/") for name in arrays)
    if found != len(leaves):
        raise ValueError(
            f"run: {path} holds {found} arrays, this run has {len(leaves)}; the folder belongs to another "
            "model, optimiser, source or recorder. Choose another folder."
        )
    leaves = [like(arrays[f"carry/{i}"], leaf, str(path)) for i, leaf in enumerate(leaves)]
    hooks = tuple((memory, _kept(arrays, i)) for i, memory in enumerate(meta["hooks"]))
    carry = eqx.combine(jax.tree.unflatten(tree, leaves), static)
    return Snapshot(carry, meta["taken"], hooks, meta["best"], meta["ending"])


def read_leaves(path: Path, count: int) -> tuple[list[np.ndarray], int]:
    """The first `count` arrays of the carry, and how many steps were taken."""
    arrays, meta = _open(path)
    return [arrays[f"carry/{i}"] for i in range(count)], meta["taken"]


def _open(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return arrays, json.loads(arrays.pop("meta").tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DamagedCheckpointError(f"{path} is damaged ({error})") from None


def _kept(arrays: dict[str, np.ndarray], hook: int) -> list[np.ndarray]:
    count = sum(name.startswith(f"hook/{hook}/") for name in arrays)
    return [arrays[f"hook/{hook}/{j}"] for j in range(count)]


def read_latest(folder: Path, carry: PyTree) -> Snapshot | None:
    """Read the newest checkpoint that is whole; `None` when there is none at all."""
    problems = []
    for path in reversed(listing(folder)):
        try:
            return read(path, carry)
        except DamagedCheckpointError as error:
            problems.append(str(error))
    if problems:
        raise ValueError(f"run: no checkpoint can be read: {'; '.join(problems)}. Choose another folder.")
    return None


class DamagedCheckpointError(ValueError):
    """A checkpoint file that cannot be read."""
