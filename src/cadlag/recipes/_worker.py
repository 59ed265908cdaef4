"""One task in a process of its own: the units of a group, one after another.

The process is started with the environment it needs (precision, threads, compilation cache) before JAX is
imported, reads its task from standard input, and ends when that input closes: it never outlives the run that
started it.
"""

import json
import os
import pathlib
import sys
import threading
import time
import traceback
from typing import Any

from ._recipe import Arm, Preset, Unit
from ._store import plain, unit_folder, write_unit
from ._table import load_recipe


def environment(*, precision: int, threads: int, gpu: bool) -> dict[str, str]:
    """Variables a worker starts with. What the user has set already is kept, except the precision.

    `NPROC` is what sizes the thread pool of XLA's CPU client (jax 0.10); the older
    `--xla_cpu_multi_thread_eigen` flags have no effect there any more.
    """
    threading_of = dict.fromkeys(
        ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"),
        str(threads),
    )
    defaults = {
        **threading_of,
        "JAX_COMPILATION_CACHE_DIR": str(cache_folder()),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.3",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "MPLBACKEND": "agg",
        **({} if gpu else {"JAX_PLATFORMS": "cpu"}),
    }
    kept = {key: os.environ.get(key, value) for key, value in defaults.items()}
    return {**kept, "JAX_ENABLE_X64": "1" if precision == 64 else "0"}


def cache_folder() -> pathlib.Path:
    """Where compiled code is kept: one folder a machine, since compiled code is for one kind of processor."""
    import platform

    base = os.environ.get("CADLAG_CACHE") or os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "cadlag" / "jax" / (platform.node() or "local")


def main() -> None:
    """Entry point of the worker process."""
    task = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    out, preset = pathlib.Path(task["out"]), Preset(task["preset"])
    units = [Unit(**unit) for unit in task["units"]]
    try:
        recipe = load_recipe(task["recipe"], data=task["data"], equation=task["equation"], part=task["part"])
        arms = {arm.name: arm for arm in recipe.arms(preset)}
    except Exception as error:
        for unit in units:
            _record_failure(out, unit, error, 0.0)
        return
    for unit in units:
        measure_unit(recipe, arms[unit.arm], preset, unit, out)


def measure_unit(recipe: Any, arm: Arm, preset: Preset, unit: Unit, out: pathlib.Path) -> None:
    """Measure `unit` and record its figures, or the error it ended with."""
    folder = unit_folder(out, unit)
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    try:
        figures = plain(recipe.measure(arm, preset, unit.seed, folder))
        if not isinstance(figures, dict):
            raise TypeError(f"measure must return a dictionary of figures, got {type(figures).__name__}.")
    except Exception as error:
        _record_failure(out, unit, error, time.monotonic() - start)
    else:
        write_unit(out, unit, status="done", figures=figures, wall_seconds=round(time.monotonic() - start, 3))
    if folder.exists() and not any(folder.iterdir()):
        folder.rmdir()


def _record_failure(out: pathlib.Path, unit: Unit, error: BaseException, seconds: float) -> None:
    write_unit(
        out,
        unit,
        status="failed",
        error=f"{type(error).__name__}: {error}",
        traceback="".join(traceback.format_exception(error)),
        wall_seconds=round(seconds, 3),
    )


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)
