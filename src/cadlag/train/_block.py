"""Compiled blocks of steps for `fit`, and the measurement that decides between a loop and single steps.

A block is a loop whose number of turns is known only at run time, so one compiled program serves the
measurement, every block, the shorter last one and the replay that finds a failing batch.
"""

import re
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ._mesh import keep_replicated, shard_batch
from ._minimise import as_info, check_carry, draw_batch, step_keys
from ._update import Info

_PLAIN = re.compile(
    r"stablehlo\.convolution\([^)]*\) dim_numbers = \[b, ([\d, ]*)f\]x\[\1i, o\]->\[b, \1f\], .*"
    r"batch_group_count = 1 : i64, feature_group_count = 1 : i64"
)
"""A convolution of images, kernel and result with channels last, not in groups."""


class Carry(eqx.Module):
    """What goes from block to block: the update's state, the source's, and the recorder's rows."""

    state: PyTree
    source_state: PyTree
    rows: PyTree


class Problem(eqx.Module):
    """What stays the same: update, source, recorder, devices, key."""

    update: Any
    source: Any
    recorder: Any
    mesh: Any = eqx.field(static=True)
    key: Any

    def step(self, carry: Carry, step: Any) -> tuple[Carry, Info]:
        """Step number `step`, counted from 0."""
        draw_key, step_key, look_key = step_keys(self.key, step)
        source_state, batch = draw_batch(self.source, carry.source_state, carry.state, draw_key)
        batch = shard_batch(batch, self.mesh)
        state, info = self.update.step(carry.state, batch, step_key)
        rows = carry.rows
        if self.recorder is not None:
            rows = self.recorder.write(rows, state, step + 1, look_key)
        return Carry(state, source_state, rows), as_info(info)


def _array_step(problem: Problem, static: PyTree) -> Callable:
    """The step on the carry's arrays alone."""

    def body(arrays: PyTree, step: Any) -> tuple[PyTree, Info]:
        carry, info = problem.step(eqx.combine(arrays, static), step)
        new = eqx.filter(carry, eqx.is_array)
        check_carry(arrays, new)
        return keep_replicated(new, problem.mesh), info

    return body


@eqx.filter_jit
def run_loop(problem: Problem, capacity: int, carry: Carry, start: Any, n: Any) -> tuple[Carry, Info]:
    """Take `n <= capacity` steps; the infos have `capacity` rows, of which the first `n` are filled."""
    arrays, static = eqx.partition(carry, eqx.is_array)
    # Traced once here; the loop below evaluates what was traced.
    body = eqx.filter_closure_convert(_array_step(problem, static), arrays, start)
    shapes = body.out_struct[1]
    rows = jax.tree.map(lambda s: jnp.zeros((capacity, *s.shape), s.dtype), shapes)

    def turn(i: Any, full: tuple) -> tuple:
        arrays, rows = full
        arrays, info = body(arrays, start + i)
        return arrays, jax.tree.map(lambda r, x: r.at[i].set(x), rows, info)

    arrays, rows = jax.lax.fori_loop(jnp.zeros((), jnp.int32), n, turn, (arrays, rows))
    return eqx.combine(arrays, static), rows


@eqx.filter_jit(donate="all-except-first")
def _donated_step(fixed: tuple, arrays: PyTree) -> tuple[PyTree, Info]:
    problem, static, step = fixed
    return _array_step(problem, static)(arrays, step)


def run_steps(problem: Problem, carry: Carry, start: int, n: int) -> tuple[Carry, Info]:
    """Take `n` steps one compiled call each; the buffers of the state are reused from step to step."""
    arrays, static = eqx.partition(carry, eqx.is_array)
    arrays, infos = jax.tree.map(jnp.copy, arrays), []  # the caller's carry must survive the donation
    for i in range(start, start + n):
        arrays, info = _donated_step((problem, static, jnp.asarray(i, jnp.int32)), arrays)
        infos.append(info)
    return eqx.combine(arrays, static), jax.tree.map(lambda *xs: np.stack(xs), *infos)


def run_block(
    problem: Problem, loop: bool, capacity: int, carry: Carry, start: int, n: int
) -> tuple[Carry, dict[str, np.ndarray]]:
    """Take `n` steps from step number `start`, wait for them, and return infos of shape `(n,)`."""
    if loop:
        carry, rows = run_loop(problem, capacity, carry, *(jnp.asarray(i, jnp.int32) for i in (start, n)))
    else:
        carry, rows = run_steps(problem, carry, start, n)
    infos = {name: np.asarray(row)[:n] for name, row in jax.device_get(rows).items()}
    jax.block_until_ready(eqx.filter(carry, eqx.is_array))
    return carry, infos


def may_matter(problem: Problem, capacity: int, carry: Carry, steps: int) -> bool:
    """Whether timing could pay: on a CPU, for a step with a convolution of unusual layout, in 50 steps or more.

    XLA's CPU backend runs such convolutions, which its own rules for gradients make, inside a loop without its fast
    kernel. Channels-last ones, and so all of `cadlag.nn` with their gradients, and other operations cost the same
    inside and outside, and on accelerators the loop never loses. Timing means compiling the step twice.
    """
    if steps < 50 or jax.default_backend() != "cpu":
        return False
    zero = jnp.zeros((), jnp.int32)
    text = run_loop.lower(problem, capacity, carry, zero, zero).as_text()
    return text.count("stablehlo.convolution") > len(_PLAIN.findall(text))


def measure(problem: Problem, capacity: int, carry: Carry, start: int) -> dict[str, Any]:
    """Time single steps against a block of ten (three for steps over 0.1 s), all compiled before."""
    single = _seconds(lambda n: run_steps(problem, carry, start, n), 1 + min(2, capacity))
    n = min(10 if single < 0.1 else 3, capacity)
    single = min(single, _seconds(lambda n: run_steps(problem, carry, start, n), n))
    block = _seconds(lambda n: run_block(problem, True, capacity, carry, start, n)[0], n)
    return {"seconds_per_single_step": single, "seconds_per_step_in_block": block, "loop": block <= single}


def _seconds(run: Callable, n: int) -> float:
    jax.block_until_ready(eqx.filter(run(1), eqx.is_array))
    begin = time.perf_counter()
    jax.block_until_ready(eqx.filter(run(n), eqx.is_array))
    return (time.perf_counter() - begin) / n
