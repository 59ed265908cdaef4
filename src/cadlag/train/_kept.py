"""What a run minimises, kept in its folder beside the checkpoints, so that one can look into it afterwards."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from . import _checkpoint
from ._block import Carry, Problem
from ._minimise import draw_batch, step_keys
from ._run import RunDir
from ._save import load, save
from ._update import _Gradient

BATCHES, BYTES = 16, 2**24
"""So many batches are kept at most, and so much memory of them."""


class TrainedRun(NamedTuple):
    """A run of `fit` from its folder: what it minimises, and the unknowns at its checkpoints.

    - `loss`: `(unknowns, batch, key) -> (scalar, dict)`, as `gradient` was given it.
    - `batches`: the first ones of the run, some of them, with an axis for them in front (None: it has none).
    - `key`: of the first step.
    - `steps`, `unknowns`: numbers of steps taken, 0 first, and the unknowns after them.
    """

    loss: Callable
    batches: PyTree
    key: Any
    steps: tuple[int, ...]
    unknowns: tuple[PyTree, ...]


def keep_problem(folder: RunDir, problem: Problem, carry: Carry) -> None:
    """Write loss, unknowns and some batches to `problem/`, or the reason why not to `config.json`."""
    place = folder.path / "problem"
    if "problem" in folder.config["choices"]:
        return
    shutil.rmtree(place, ignore_errors=True)  # what a killed process left
    reason = _refusal(problem)
    if not reason:
        kept = {"loss": problem.update.loss, "unknowns": carry.state.unknowns, "batches": _batches(problem, carry),
                "key": step_keys(problem.key, jnp.zeros((), jnp.int32))[1]}  # fmt: skip
        try:
            save(place, kept)
        except TypeError as error:
            reason = str(error)
    folder.record("choices", problem=reason or "kept")


def _refusal(problem: Problem) -> str:
    # Other updates may have a loss too, but weigh it or call it in a way of their own.
    if not isinstance(problem.update, _Gradient):
        return f"its update is a {type(problem.update).__name__}, not that of train.gradient"
    if problem.update.stateful:
        return "the loss changes the state of layers"
    return ""


def _batches(problem: Problem, carry: Carry) -> PyTree:
    """The batches of the first steps, which the run will see too."""
    draw = eqx.filter_jit(draw_batch)
    state, found, rest, size = carry.source_state, [], None, 0
    for step in range(BATCHES):
        key = step_keys(problem.key, jnp.asarray(step, jnp.int32))[0]
        state, batch = draw(problem.source, state, carry.state, key)
        arrays, rest = eqx.partition(batch, eqx.is_array)
        found.append(arrays)
        size += sum(x.nbytes for x in jax.tree.leaves(arrays))
        if size == 0 or size >= BYTES:
            break
    return eqx.combine(jax.tree.map(lambda *xs: jnp.stack(xs), *found), rest)


def read_run(path: str | os.PathLike, parts: Mapping[str, Any] | None = None) -> TrainedRun:
    """Read a run that `fit(…, run=path)` or `cadlag fit` left, to look into it.

    `parts` maps names of your own classes and functions to them, as for `load`.

    **Raises:** ValueError for a folder that is no run, holds no checkpoint, or kept no problem.
    """
    folder = training_folder(Path(path))
    files = _checkpoint.listing(folder / "checkpoints")
    if not files:
        raise ValueError(f"{folder} has no checkpoints: the run was stopped before its first one. Run it again.")
    if not (folder / "problem").exists():
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        reason = config.get("choices", {}).get("problem", "it was written by an earlier version")
        raise ValueError(
            f"{folder} does not hold what the run minimises ({reason}). In Python, pass loss, model and data to the "
            "functions of cadlag.lens."
        )
    kept = load(folder / "problem", parts)
    taken, found = [0], [kept["unknowns"]]
    for file in files:
        step, unknowns = _read_unknowns(file, kept["unknowns"])
        taken.append(step)
        found.append(unknowns)
    return TrainedRun(kept["loss"], kept["batches"], kept["key"], tuple(taken), tuple(found))


def training_folder(path: Path) -> Path:
    """The folder with the checkpoints: `path`, or `training` in it, where `cadlag fit` puts it."""
    for folder in (path, path / "training"):
        if (folder / "checkpoints").is_dir():
            return folder
    if (path / "units").is_dir():
        raise ValueError(f"{path} is the folder of a recipe, which keeps figures and no checkpoints; fit a model.")
    raise ValueError(f"{path} is not the folder of a run: it has no checkpoints. Give what `cadlag fit` wrote.")


def _read_unknowns(file: Path, template: PyTree) -> tuple[int, PyTree]:
    """The unknowns are the first leaves of what a checkpoint holds."""
    arrays, static = eqx.partition(template, eqx.is_array)
    leaves, tree = jax.tree.flatten(arrays)
    stored, taken = _checkpoint.read_leaves(file, len(leaves))
    found = [_checkpoint.like(x, leaf, str(file)) for x, leaf in zip(stored, leaves, strict=True)]
    return taken, eqx.combine(jax.tree.unflatten(tree, found), static)
