"""Several seeds of one problem: side by side by vmap where a measurement says that it pays, else in turn."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from . import _fit
from ._block import Problem
from ._minimise import strong
from ._recorder import Recorder
from ._result import FitResult
from ._run import RunDir
from ._timing import seconds_per_step
from ._update import AbstractUpdate, Info


class _SeedsState(eqx.Module):
    """The states of all seeds with a leading axis, behind the face of one state."""

    states: PyTree
    step: Any

    @property
    def unknowns(self) -> PyTree:
        return self.states.unknowns


class _SeedsUpdate(AbstractUpdate):
    update: AbstractUpdate

    def init(self, unknowns: PyTree, key: Any, *, model_state: PyTree = None) -> _SeedsState:
        def one(u: PyTree, k: Any) -> PyTree:
            return self.update.init(u, k, model_state=model_state)

        return _SeedsState(eqx.filter_vmap(one)(unknowns, key), jnp.zeros((), jnp.int32))

    def step(self, state: _SeedsState, batch: PyTree, key: Any) -> tuple[_SeedsState, Info]:
        states, info = eqx.filter_vmap(self.update.step)(state.states, batch, key)
        each = {f"{name}/{i}": v[i] for name, v in info.items() for i in range(key.shape[0])}
        # A NaN of any seed shows in the mean.
        means = {name: jnp.mean(v) for name, v in info.items() if jnp.issubdtype(v.dtype, jnp.inexact)}
        return _SeedsState(states, state.step + 1), each | means


class _SeedsSource(eqx.Module):
    source: Any

    def init(self, key: Any) -> PyTree:
        return eqx.filter_vmap(lambda k: strong(self.source.init(k)))(key)

    def draw(self, source_state: PyTree, train_state: _SeedsState, key: Any) -> tuple[PyTree, PyTree]:
        return eqx.filter_vmap(self.source.draw)(source_state, train_state.states, key)


def pick(tree: PyTree, seed: int) -> PyTree:
    """The part of one seed."""
    return jax.tree.map(lambda x: x[seed] if eqx.is_array(x) else x, tree)


def fit_seeds(
    update: AbstractUpdate,
    make_unknowns: Callable[[Any], PyTree],
    source: Any,
    *,
    keys: Any,
    steps: int,
    side_by_side: bool | None = None,
    run: str | Path | None = None,
    hooks: Callable[[], Sequence[Callable]] | None = None,
    validate: Callable | None = None,
    recorder: Recorder | None = None,
    mesh: Any = None,
    **options: Any,
) -> list[FitResult]:
    """Train the same problem from several seeds; the results are those of one `fit` after another.

    **Arguments:**

    - `make_unknowns`: `key -> unknowns`; the key is that of the seed.
    - `keys`: typed keys of shape `(seeds,)`, for instance `jax.random.split(jax.random.key(0), 3)`.
    - `side_by_side`: True vmaps over the seeds, False trains one after another, None times both where a
        choice exists and the run is long enough for it to pay (200 steps), takes the faster, and records it
        in the `config.json` of `run`. On a CPU small networks gain 1.5 times, large ones and
        convolutions lose.
    - `hooks`: a function that makes the hooks of one seed. They decide for each seed alone, so with hooks or
        a mesh the seeds are trained one after another.
    - `run`: a folder; `seeds/` inside it for all at once, `seed-0/`, `seed-1/`, ... for one after another.
    - `validate`, `recorder` and the other options are those of `fit`.

    Side by side, floating sums are grouped differently, so results agree to rounding, not bit for bit.
    """
    keys = _fit.as_key(keys)
    if keys.ndim != 1:
        raise ValueError(f"keys: got shape {keys.shape}, expected (seeds,), as jax.random.split gives.")
    if side_by_side and (hooks is not None or mesh is not None):
        raise ValueError("side_by_side: hooks and meshes need seeds trained one after another; leave it out.")
    folder = None if run is None else RunDir(run)
    if hooks is not None or mesh is not None or len(keys) == 1:
        side_by_side = False
    if side_by_side is None:
        side_by_side = _choose(update, make_unknowns, source, keys, steps, folder)
    if not side_by_side:
        return [
            _fit.fit(
                update, make_unknowns(keys[i]), source, steps=steps, key=keys[i], validate=validate,
                hooks=() if hooks is None else hooks(), recorder=recorder, mesh=mesh,
                run=None if folder is None else folder.path / f"seed-{i}", **options,
            )
            for i in range(len(keys))
        ]  # fmt: skip
    result = _fit.fit(
        _SeedsUpdate(update),
        eqx.filter_vmap(make_unknowns)(keys),
        None if source is None else _SeedsSource(source),
        steps=steps,
        key=keys,
        validate=None if validate is None else _each(validate, len(keys)),
        recorder=None if recorder is None else _stacked(recorder),
        run=None if folder is None else folder.path / "seeds",
        **options,
    )
    return [_part(result, i) for i in range(len(keys))]


def _each(validate: Callable, seeds: int) -> Callable:
    def all_seeds(state: _SeedsState, keys: Any) -> dict[str, float]:
        found = [validate(pick(state.states, i), keys[i]) for i in range(seeds)]
        each = {f"{name}/{i}": float(v) for i, values in enumerate(found) for name, v in values.items()}
        return each | {name: float(np.mean([float(v[name]) for v in found])) for name in found[0]}

    return all_seeds


def _stacked(recorder: Recorder) -> Recorder:
    def observe(state: _SeedsState, keys: Any) -> PyTree:
        return eqx.filter_vmap(recorder.observe)(state.states, keys)

    return Recorder(observe, recorder.at)


def _part(result: FitResult, seed: int) -> FitResult:
    """The result of one seed. The recorder's rows are (listed step, seed, ...)."""
    end = f"/{seed}"
    history = {n.removesuffix(end): v for n, v in result.history.items() if n == "step" or n.endswith(end)}
    records = jax.tree.map(lambda x: x[:, seed], result.records)
    return FitResult(pick(result.state.states, seed), history, result.result, records, pick(result.source_state, seed))


def _choose(update: AbstractUpdate, make: Callable, source: Any, keys: Any, steps: int, folder: RunDir | None) -> bool:
    """As recorded; else by timing ten steps of all seeds against ten steps of one, times the seeds."""
    known = {} if folder is None else folder.config["choices"].get("seeds", {})
    if known:
        return known["side_by_side"]
    choice: dict[str, Any] = {"side_by_side": False}
    if steps >= 200:
        one = seconds_per_step(Problem(update, strong(source), None, None, keys[0]), make(keys[0]))
        stack = None if source is None else _SeedsSource(strong(source))
        problem = Problem(_SeedsUpdate(update), stack, None, None, keys)
        every = seconds_per_step(problem, eqx.filter_vmap(make)(keys))
        choice = {
            "seconds_per_step_in_turn": one * len(keys),
            "seconds_per_step_side_by_side": every,
            "side_by_side": every < one * len(keys),
        }
    if folder is not None:
        folder.record("choices", seeds=choice)
    return choice["side_by_side"]
