"""`fit`: the only loop on the host. Everything between two visits is one compiled block."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import PyTree

from . import _checkpoint
from ._block import Carry, Problem, may_matter, measure
from ._hooks import AbstractHook
from ._kept import keep_problem
from ._loop import BLOCK, Loop
from ._mesh import as_mesh, replicate
from ._minimise import reserved_key, start_source, strong
from ._progress import AbstractProgress, Silent
from ._recorder import Recorder
from ._result import FitResult, Interrupted, NonFiniteLoss, Outcome
from ._run import RunDir
from ._update import AbstractUpdate


def fit(
    update: AbstractUpdate,
    unknowns: PyTree,
    source: Any,
    *,
    steps: int,
    key: Any,
    model_state: PyTree = None,
    block: int | str | None = None,
    run: str | Path | RunDir | None = None,
    hooks: Sequence[Callable] = (),
    validate: Callable | None = None,
    validate_every: int | None = None,
    checkpoint_every: int | None = None,
    log_every: int = 1,
    monitor: str | None = None,
    recorder: Recorder | None = None,
    progress: AbstractProgress | None = None,
    mesh: str | Mesh | None = None,
    resume: bool = True,
    throw: bool = True,
) -> FitResult:
    """Train for `steps` steps, in compiled blocks, resumably.

    **Arguments:**

    - `update`, `unknowns`, `source`, `key`: as for `minimise`; the run is a function of these alone.
    - `model_state`: the first state of stateful layers, for `gradient(..., stateful=True)`.
    - `block`: steps between two visits of the host, at most: an integer (a compiled loop of that many),
        `"step"` (50 single compiled steps), or `"measure"` (the faster of the two). By default loops of 50,
        measured only where it could matter: on a CPU, for a step that holds a convolution which is not one of
        `cadlag.nn`, in runs of 50 steps or more. The choice is written to `config.json`, and resuming repeats it.
    - `run`: a folder for `config.json`, `metrics.jsonl`, `checkpoints/`, and `problem/`, for `read_run`. A run that
        was interrupted, even by SIGKILL, goes on when `fit` is called again with the same arguments, and ends with the
        same bits.
    - `hooks`: called after every block, `(state, info) -> state or Stop`; `info` holds means over the block.
    - `validate`: `(state, key) -> dict of scalars` every `validate_every` steps (default: every block) and at
        the end. It is called as it is; wrap it in `eqx.filter_jit` unless it works on the host.
    - `checkpoint_every`: in steps; by default ten checkpoints a run. The last two are kept.
    - `log_every`: a row of metrics every so many steps.
    - `monitor`: a name in the info or the validation; the state where it was least is kept as
        `checkpoints/best.npz`.
    - `recorder`: `Recorder(observe, at)`; its rows are returned, and saved as `records.npz`.
    - `progress`: `progress()` for a display; silent by default.
    - `mesh`: `"data=4"` or a `jax.sharding.Mesh` with an axis `data`: batches are sharded along it.
    - `resume`: False refuses a folder that already holds a run.
    - `throw`: False returns a result that says `Outcome.non_finite` instead of raising `NonFiniteLoss`.
    """
    _check(steps, block, log_every, validate_every, checkpoint_every)
    folder = run if run is None or isinstance(run, RunDir) else RunDir(run)
    grid = as_mesh(mesh)
    problem = Problem(update, strong(source), recorder, grid, as_key(key))
    problem = replicate(problem, grid)
    carry = replicate(first_carry(problem, unknowns, model_state), grid)
    for hook in hooks:
        if isinstance(hook, AbstractHook):
            hook.start()
    snapshot, rows = _find(folder, carry, problem.key, resume)
    taken = 0 if snapshot is None else snapshot.taken
    in_loop, size = choose_block(problem, carry, block, steps, taken, folder)
    loop = Loop(
        problem, carry, steps, in_loop, size, validate_every or size,
        checkpoint_every or -(-steps // (10 * size)) * size, log_every, hooks, validate, monitor,
        Silent() if progress is None else progress, folder, rows=rows,
    )  # fmt: skip
    if folder is not None:
        keep_problem(folder, problem, carry)
    if snapshot is not None:
        loop.restore(snapshot)
        loop.carry = replicate(loop.carry, grid)
    return _finish(loop, _guarded(loop), throw)


def as_key(key: Any) -> Any:
    """A typed key, or a stack of them; old-style uint32 keys are wrapped."""
    if jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key):
        return key
    return jax.random.wrap_key_data(key)


def _check(steps: int, block: int | str | None, *periods: int | None) -> None:
    if not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps: got {steps!r}, expected an integer >= 1.")
    if isinstance(block, str) and block not in ("step", "measure"):
        raise ValueError(f"block: got {block!r}, expected an integer, 'step', 'measure' or None.")
    for name, value in zip(("log_every", "validate_every", "checkpoint_every"), periods, strict=True):
        if value is not None and value < 1:
            raise ValueError(f"{name}: got {value}, expected at least 1.")
    if isinstance(block, int) and block < 1:
        raise ValueError(f"block: got {block}, expected at least 1.")


def first_carry(problem: Problem, unknowns: PyTree, model_state: PyTree) -> Carry:
    """The carry before the first step."""
    key = problem.key
    state = strong(problem.update.init(unknowns, reserved_key(key, 0), model_state=model_state))
    rows = None if problem.recorder is None else problem.recorder.start(state, key)
    return Carry(state, start_source(problem.source, key), rows)


def _find(folder: RunDir | None, carry: Carry, key: Any, resume: bool) -> tuple[Any, list]:
    """The snapshot to go on from and the rows up to it."""
    if folder is None:
        return None, []
    words = np.asarray(jax.random.key_data(key)).ravel().tolist()
    known = folder.config["settings"].get("key")
    if known is not None and not resume:
        raise ValueError(f"run: {folder.path} already holds a run and resume=False; choose another folder.")
    if known not in (None, words):
        raise ValueError(
            f"key: {folder.path} holds a run with the key {known}, got {words}. "
            "Resume with the same key, or choose another folder."
        )
    folder.record("settings", key=words)
    snapshot = _checkpoint.read_latest(folder.checkpoints, carry)
    if snapshot is not None and not folder.metrics_path.exists():
        raise ValueError(f"run: {folder.path} has checkpoints but no metrics.jsonl; the folder is damaged.")
    rows = folder.truncate(0 if snapshot is None else snapshot.taken)
    return snapshot, rows


def choose_block(
    problem: Problem, carry: Carry, block: int | str | None, steps: int, taken: int, folder: RunDir | None
) -> tuple[bool, int]:
    """Whether blocks are compiled loops, and how long; as recorded, as asked, or as measured."""
    known = {} if folder is None else folder.config["choices"].get("block", {})
    size = block if isinstance(block, int) else known.get("size", BLOCK)
    if known:
        asked = (block != "step", size) if isinstance(block, int) or block == "step" else None
        if asked not in (None, (known["loop"], known["size"])):
            raise ValueError(
                f"block: got {block!r}, but this run chose loop={known['loop']}, size={known['size']}; "
                "a resumed run repeats the choice. Leave block= out, or choose another folder."
            )
        return known["loop"], known["size"]
    choice: dict[str, Any] = {"loop": block != "step", "size": size}
    if block == "measure" or (block is None and may_matter(problem, size, carry, steps - taken)):
        choice |= measure(problem, size, carry, 0)
    if folder is not None:
        folder.record("choices", block=choice)
    return choice["loop"], size


def _guarded(loop: Loop) -> Any:
    """Run; on Ctrl-C save the last visit and say how to go on."""
    loop.progress.start(loop.steps, loop.taken)
    try:
        return loop.run()
    except KeyboardInterrupt:
        raise Interrupted(_interrupted(loop)) from None
    finally:
        loop.progress.stop()


def _interrupted(loop: Loop) -> str:
    if loop.folder is None:
        return f"Interrupted at step {loop.taken}; nothing was saved. Pass run='folder' to resume."
    if loop.good is not None:
        _checkpoint.write_next(loop.folder.checkpoints, loop.good)
    at = 0 if loop.good is None else loop.good.taken
    return (
        f"Interrupted; saved at step {at} of {loop.steps}. "
        f"To resume, run the same call again with run={str(loop.folder.path)!r}."
    )


def _finish(loop: Loop, ending: Any, throw: bool) -> FitResult:
    state, failed = loop.carry.state, ending.outcome is Outcome.non_finite
    for hook in loop.hooks:
        if isinstance(hook, AbstractHook) and not failed:
            state = hook.finish(state)
    rows = jax.device_get(loop.carry.rows)
    if loop.folder is not None and rows is not None:
        save_rows(loop.folder, rows)
    result = FitResult(state, _history(loop.rows), ending, rows, loop.carry.source_state)
    if failed and throw:
        raise NonFiniteLoss(result)
    return result


def save_rows(folder: RunDir, rows: PyTree) -> None:
    """Save the recorder's rows, named by their place in the PyTree."""
    leaves = jax.tree_util.tree_flatten_with_path(rows)[0]
    named = {jax.tree_util.keystr(path) or "value": np.asarray(x) for path, x in leaves}
    _checkpoint.write_arrays(folder.records_path, named)


def _history(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    names = dict.fromkeys(name for row in rows for name in row)
    history = {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}
    return history or {"step": np.zeros((0,), int)}
