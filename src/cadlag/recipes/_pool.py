"""Where tasks run: processes on this machine, or the workers of a Dask cluster."""

import abc
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from ._recipe import Unit
from ._store import read_unit, write_unit

_START = "from cadlag.recipes._worker import main; main()"


def run_task(task: dict[str, Any], started: Callable[[subprocess.Popen], None] | None = None) -> None:
    """Run `task` in a process of its own until each of its units has a result.

    A unit that takes the process down with it (a crash of compiled code, no memory) is recorded as failed,
    and the units after it go on in a new process.
    """
    out = pathlib.Path(task["out"])
    open_units = [Unit(**unit) for unit in task["units"]]
    while open_units:
        log = out / "logs" / f"{open_units[0].arm}.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            code = _run_process({**task, "units": [vars(u) for u in open_units]}, output, started)
        if code == _STOPPED:
            return
        open_units = [unit for unit in open_units if read_unit(out, unit) is None]
        if open_units:
            end = f"signal {-code}" if code < 0 else f"exit code {code}"
            write_unit(out, open_units[0], status="failed", error=f"the process ended with {end}; see {log}")
            open_units = open_units[1:]


_STOPPED = -15  # SIGTERM, which the pool sends when it is closed


def _run_process(task: dict[str, Any], output: Any, started: Callable[[subprocess.Popen], None] | None) -> int:
    process = subprocess.Popen(
        [sys.executable, "-c", _START],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={**os.environ, **task["env"]},
        start_new_session=True,  # Ctrl-C reaches the run, which then stops its workers
    )
    assert process.stdin is not None
    if started is not None:
        started(process)
    try:
        process.stdin.write(json.dumps(task).encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass
    try:
        return process.wait()
    finally:
        process.stdin.close()


class AbstractPool(abc.ABC):
    """Runs tasks. `submit` returns a handle with `done()`; `close` stops what still runs."""

    @abc.abstractmethod
    def submit(self, task: dict[str, Any]) -> Any:
        """Start `task` as soon as there is room."""

    @abc.abstractmethod
    def close(self) -> None:
        """Stop tasks that run, forget those that wait."""


class LocalPool(AbstractPool):
    """Up to `workers` processes on this machine."""

    def __init__(self, workers: int):
        self._executor = concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix="cadlag-task")
        self._processes: list[subprocess.Popen] = []
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, task: dict[str, Any]) -> concurrent.futures.Future:
        """See the base class."""
        path = os.pathsep.join(dict.fromkeys(os.path.abspath(p) for p in sys.path))
        return self._executor.submit(run_task, {**task, "env": {**task["env"], "PYTHONPATH": path}}, self._started)

    def _started(self, process: subprocess.Popen) -> None:
        with self._lock:
            self._processes.append(process)
            if self._closed:
                process.terminate()

    def close(self) -> None:
        """See the base class."""
        with self._lock:
            self._closed = True
            for process in self._processes:
                if process.poll() is None:
                    process.terminate()
        self._executor.shutdown(wait=True, cancel_futures=True)


class DaskPool(AbstractPool):
    """The workers of a Dask cluster, by address. They must see the run folder under the same path."""

    def __init__(self, address: str):
        try:
            from dask.distributed import Client  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ValueError(
                "--cluster needs dask.distributed, which is not installed: python -m pip install distributed"
            ) from error
        try:
            self._client = Client(address, timeout=20)
        except (OSError, TimeoutError) as error:
            raise ValueError(f"No Dask scheduler answers at {address!r} ({error}).") from error
        self._futures: list[Any] = []

    def submit(self, task: dict[str, Any]) -> Any:
        """See the base class."""
        future = self._client.submit(run_task, task, pure=False)
        self._futures.append(future)
        return future

    def close(self) -> None:
        """See the base class."""
        self._client.cancel([future for future in self._futures if not future.done()])
        self._client.close()
