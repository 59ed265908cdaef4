"""`minimise`: a scan of `update.step` that runs under jit, vmap and reverse-mode differentiation."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ._update import AbstractUpdate, Info

_LAST = 2**32 - 1


def reserved_key(key: Any, use: int) -> Any:
    """A key that no step uses: 0 starts the update, 1 the source, 2 observes before the first step."""
    one = lambda k: jax.random.fold_in(k, np.uint32(_LAST - use))  # noqa: E731
    return jax.vmap(one)(key) if _is_stack(key) else one(key)


def step_keys(key: Any, step: Any) -> tuple[Any, Any, Any]:
    """The keys of one step, for drawing, stepping and observing: a function of the absolute step number."""
    if _is_stack(key):
        keys = jax.vmap(lambda k: jax.random.split(jax.random.fold_in(k, step), 3))(key)
        return keys[:, 0], keys[:, 1], keys[:, 2]
    draw, step, observe = jax.random.split(jax.random.fold_in(key, step), 3)
    return draw, step, observe


def _is_stack(key: Any) -> bool:
    # A stack of typed keys, one for each seed. Old-style uint32 keys are single.
    return jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.ndim == 1


def draw_batch(source: Any, source_state: PyTree, train_state: PyTree, key: Any) -> tuple[PyTree, PyTree]:
    """Draw a batch; `None` where there is no source."""
    return (source_state, None) if source is None else source.draw(source_state, train_state, key)


def start_source(source: Any, key: Any) -> PyTree:
    """The state of the source before the first draw, its NumPy arrays made JAX arrays."""
    return None if source is None else strong(source.init(reserved_key(key, 1)))


def strong(tree: PyTree) -> PyTree:
    """NumPy arrays become JAX arrays and weak types are fixed, so that a loop can carry the tree."""

    def one(x: Any) -> Any:
        if isinstance(x, np.ndarray | np.generic):
            return jnp.asarray(x) if x.dtype.kind in "biufc" else x
        if eqx.is_array(x) and jnp.issubdtype(x.dtype, jnp.number):
            return jnp.asarray(x, x.dtype)
        return x

    return jax.tree.map(one, tree)


def as_info(info: Info) -> Info:
    """The info of a step with every value an array; `loss` must be there."""
    if "loss" not in info:
        raise ValueError(f"update.step: its info holds {sorted(info)}, expected `loss` among them.")
    info = {name: jnp.asarray(value) for name, value in info.items()}
    shapes = {name: value.shape for name, value in info.items() if value.shape}
    if shapes:
        raise ValueError(f"update.step: its info holds arrays, {shapes}; log scalars, or use a Recorder.")
    return info


def check_carry(before: PyTree, after: PyTree) -> None:
    """Raise `TypeError`, naming the leaf, when a step changed the structure, a shape or a dtype."""
    old, new = jax.tree_util.tree_flatten_with_path(before), jax.tree_util.tree_flatten_with_path(after)
    if old[1] != new[1]:
        raise TypeError(
            f"step: the state's structure changed from {old[1]} to {new[1]}; update.step and source.draw "
            "must return states of the structure they were given."
        )
    for (path, a), (_, b) in zip(old[0], new[0], strict=True):
        if a.shape != b.shape or a.dtype != b.dtype:
            raise TypeError(
                f"step: the state's leaf {jax.tree_util.keystr(path)} changed from {a.dtype}{a.shape} to "
                f"{b.dtype}{b.shape}; check the dtype of the batch against that of the unknowns."
            )


def minimise(
    update: AbstractUpdate,
    state: PyTree,
    source: Any,
    steps: int,
    *,
    key: Any,
    until: Callable | None = None,
    checkpoint: bool = False,
) -> tuple[PyTree, Info]:
    """Take up to `steps` steps. Works under `jit`, `vmap` and `grad`; writes no files, prints nothing.

    **Arguments:**

    - `update`, `state`: an update and the state its `init` returned (or an earlier `minimise`).
    - `source`: gives the batches, `init(key) -> source_state` and
        `draw(source_state, train_state, key) -> (source_state, batch)`; None: the loss gets `None` as batch.
    - `steps`: how many steps, a Python integer.
    - `key`: step number `i`, counted from the state's own `step`, uses `fold_in(key, i)`.
    - `until`: `(state, info) -> bool scalar`; steps after it is true change nothing (a masked scan, so that
        the result stays differentiable). The infos then repeat the last one and have a row `active`.
    - `checkpoint`: recompute each step in the backward pass instead of storing its intermediate values.

    **Returns:** the state and the infos, each of shape `(steps,)`.

    On a CPU a step that holds a convolution is 8-40 times slower in a scan than alone, unless the convolution
    carries its own gradient; `fit` measures that and chooses.
    """
    source_state = start_source(source, key)
    state, _, infos = advance(update, state, source, source_state, steps, key=key, until=until, checkpoint=checkpoint)
    return state, infos


def advance(
    update: AbstractUpdate,
    state: PyTree,
    source: Any,
    source_state: PyTree,
    steps: int,
    *,
    key: Any,
    until: Callable | None = None,
    checkpoint: bool = False,
) -> tuple[PyTree, PyTree, Info]:
    """Like `minimise`, from and to a given state of the source: `(state, source_state, infos)`."""
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise ValueError(f"steps: got {steps!r}, expected a Python integer >= 1 (it sets the scan's length).")
    carry, static = eqx.partition(strong((state, source_state)), eqx.is_array)

    def body(carry: PyTree, _: None) -> tuple[PyTree, Info]:
        state, source_state = eqx.combine(carry, static)
        draw_key, step_key, _ = step_keys(key, state.step)
        source_state, batch = draw_batch(source, source_state, state, draw_key)
        state, info = update.step(state, batch, step_key)
        new = eqx.filter((state, source_state), eqx.is_array)
        check_carry(carry, new)
        return new, as_info(info)

    if until is None:
        carry, infos = jax.lax.scan(jax.checkpoint(body) if checkpoint else body, carry, None, length=steps)
    else:
        carry, infos = _masked(body, carry, static, until, steps, checkpoint)
    state, source_state = eqx.combine(carry, static)
    return state, source_state, infos


def _masked(
    body: Callable, carry: PyTree, static: PyTree, until: Callable, steps: int, checkpoint: bool
) -> tuple[PyTree, Info]:
    body = jax.checkpoint(body) if checkpoint else body
    shapes = jax.eval_shape(body, carry, None)[1]
    first = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

    def masked(full: tuple, _: None) -> tuple[tuple, Info]:
        carry, info, done = full
        carry, info = jax.lax.cond(done, lambda c: (c, info), lambda c: body(c, None), carry)
        active = ~done
        state, _ = eqx.combine(carry, static)
        done = done | jnp.asarray(until(state, info), bool)
        return (carry, info, done), {**info, "active": active}

    (carry, _, _), infos = jax.lax.scan(masked, (carry, first, jnp.zeros((), bool)), None, length=steps)
    return carry, infos
