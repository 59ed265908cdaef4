"""Run a recipe: schedule its units, collect figures, judge, and leave a run folder."""

import contextlib
import dataclasses
import itertools
import os
import pathlib
import time
from collections.abc import Sequence
from typing import Any

from ._conclude import Progress, RunReport, check_claims, conclude
from ._pool import AbstractPool, DaskPool, LocalPool
from ._recipe import AbstractRecipe, Preset, Unit
from ._run_config import check_same, cores, make_config
from ._store import Journal, locked, read_unit, unit_file, write_json
from ._table import load_recipe, source_of
from ._worker import environment

_POLL_SECONDS = 0.1


class Interrupted(KeyboardInterrupt):
    """Ctrl-C stopped the run; the message says how to go on."""


def run(
    recipe: str | AbstractRecipe,
    *,
    preset: Preset | str = Preset.QUICK,
    seeds: int | Sequence[int] | None = None,
    out: str | os.PathLike | None = None,
    data: str | os.PathLike | None = None,
    equation: str | None = None,
    part: str | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    progress: Progress | None = None,
) -> RunReport:
    """Measure and judge a recipe, or go on with a run that was stopped.

    **Arguments:**

    - `recipe`: a name from the table, "module:Class", or an instance of a recipe that its module can be
      asked for.
    - `preset`: how much is measured.
    - `seeds`: how many seeds, or which; the preset's own if not given. More seeds may be added to a finished
      run.
    - `out`: the run folder, `runs/NAME-PRESET` if not given (an equation or a part stands behind the name). Units it
        already holds are not measured again; those that failed are tried again.
    - `data`: a file or folder the recipe needs.
    - `equation`: measure on this one alone of the recipe's `equations`; claims about others are not measured.
    - `part`: measure this one alone of the recipe's `parts`.
    - `workers`: how many processes at once; the number of cores if not given (one with the preset `gpu`).
    - `cluster`: address of a Dask scheduler to use in place of local processes.
    - `progress`: called with each event that goes to `metrics.jsonl`.

    Raises `ValueError` before anything is measured if the folder holds another run. Raises `Interrupted` on
    Ctrl-C.
    """
    preset = _preset(preset)
    if isinstance(recipe, AbstractRecipe):
        if data is not None or equation is not None or part is not None:
            raise ValueError(
                "data, equation and part go to the recipe's constructor when run gets an instance: run(Recipe(data))."
            )
        source = source_of(recipe)
    else:
        source, recipe = recipe, load_recipe(recipe, data=data, equation=equation, part=part)
    chosen = _seeds(recipe, preset, seeds)
    called = "-".join(name for name in (recipe.name, recipe.equation, recipe.part) if name is not None)
    folder = pathlib.Path(out if out is not None else f"runs/{called}-{preset}").absolute()
    units = [Unit(arm.name, seed) for arm in recipe.arms(preset) for seed in chosen]
    if len(set(units)) < len(units):
        raise ValueError(f"Recipe {recipe.name!r} has two arms of one name, or a seed was given twice.")
    check_claims(recipe, preset)
    workers = _workers(workers, len(recipe.group(units)), preset)
    threads = max(1, cores() // workers)
    config = make_config(recipe, source, preset, chosen, workers, threads)
    check_same(folder, config)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        write_json(folder / "config.json", config)
        with contextlib.closing(Journal(folder / "metrics.jsonl")) as journal:
            pool = LocalPool(workers) if cluster is None else DaskPool(cluster)
            measure_all(recipe, config, units, folder, pool, journal, progress or _silent)
            return conclude(recipe, config, units, folder, journal, progress or _silent)


def _silent(event: dict[str, Any]) -> None:
    pass


def _preset(preset: Preset | str) -> Preset:
    try:
        return Preset(preset)
    except ValueError:
        names = ", ".join(Preset)
        raise ValueError(f"There is no preset {str(preset)!r}; it is one of {names}.") from None


def _seeds(recipe: AbstractRecipe, preset: Preset, seeds: int | Sequence[int] | None) -> tuple[int, ...]:
    own = recipe.seeds(preset)
    if seeds is None:
        return own
    if isinstance(seeds, int):
        if seeds < 1:
            raise ValueError(f"seeds must be at least 1, got {seeds}.")
        return tuple(itertools.islice(itertools.chain(own, itertools.count(max(own) + 1)), seeds))
    return tuple(int(seed) for seed in seeds)


def _workers(workers: int | None, tasks: int, preset: Preset) -> int:
    if workers is None:
        return 1 if preset is Preset.GPU else max(1, min(cores(), tasks))
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}.")
    return workers


def measure_all(
    recipe: AbstractRecipe,
    config: dict[str, Any],
    units: Sequence[Unit],
    out: pathlib.Path,
    pool: AbstractPool,
    journal: Journal,
    progress: Progress,
) -> None:
    """Measure the units that have no figures yet, in groups, and report each as it ends."""
    missing = [unit for unit in units if (read_unit(out, unit) or {}).get("status") != "done"]
    progress(journal.write({"event": "start", "units": len(units), "done": len(units) - len(missing)}))
    for unit in missing:
        unit_file(out, unit).unlink(missing_ok=True)
    gpu = config["preset"] == Preset.GPU
    task = {
        "recipe": config["source"],
        "data": None if recipe.data is None else str(recipe.data.absolute()),
        "equation": recipe.equation,
        "part": recipe.part,
        "preset": config["preset"],
        "out": str(out),
        "env": environment(precision=recipe.precision, threads=config["machine"]["threads"], gpu=gpu),
    }
    try:
        groups = recipe.group(missing) if missing else []
        futures = [pool.submit({**task, "units": [dataclasses.asdict(u) for u in g]}) for g in groups]
        _watch(futures, missing, out, journal, progress)
    except KeyboardInterrupt:
        journal.write({"event": "interrupted"})
        raise Interrupted(
            f"Stopped. Finished units are kept; to go on: {config['command']} --out {_short(out)}"
        ) from None
    finally:
        pool.close()


def _short(path: pathlib.Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(pathlib.Path.cwd()))
    return str(path)


def _watch(
    futures: Sequence[Any], units: Sequence[Unit], out: pathlib.Path, journal: Journal, progress: Progress
) -> None:
    waiting = list(units)
    while waiting:
        ended = all(future.done() for future in futures)
        records = {unit: read_unit(out, unit) for unit in waiting}
        for record in records.values():
            if record is not None:
                keep = {k: v for k, v in record.items() if k in ("arm", "seed", "status", "error")}
                progress(journal.write({"event": "unit", **keep, "unit_seconds": record.get("wall_seconds")}))
        waiting = [unit for unit in waiting if records[unit] is None]
        if ended and waiting:
            for future in futures:
                future.result()
            lost = ", ".join(f"{u.arm}/{u.seed}" for u in waiting)
            raise RuntimeError(f"These units ended without a result: {lost}; see {out / 'logs'}.")
        if waiting:
            time.sleep(_POLL_SECONDS)
