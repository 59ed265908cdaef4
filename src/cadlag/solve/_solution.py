"""What a solve returns."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PyTree


class RESULTS(diffrax.RESULTS):  # pyright: ignore[reportGeneralTypeIssues]
    """How a solve ended. `successful`, or a reason with advice."""

    nonfinite_state = (
        "The state became infinite or NaN. `solution.last` holds the last finite state. Take smaller steps, a stepper "
        "for stiff equations, or bound the coefficients."
    )


class Stats(eqx.Module):
    """Solver statistics, computed only when asked for.

    `evaluations` of the coefficients (start-up included), `steps` tried, `rejections`; per accepted step, with
    padding zero, `error` (root mean square of the local error estimate over `atol + rtol |y|`), `stiffness` (an
    estimate of the largest eigenvalue of the Jacobian, 1/time) and `sizes` (the steps' widths). Error and
    stiffness are differentiable.
    """

    evaluations: Int[Array, ""]
    steps: Int[Array, ""]
    rejections: Int[Array, ""]
    error: Array | None = None
    stiffness: Array | None = None
    sizes: Array | None = None


class Solution(eqx.Module):
    """Output times and states, statistics where asked for, and how it ended.

    `ys` has a leading axis of output times; `last` is (time, state) of the last finite state reached.
    """

    ts: Array
    ys: PyTree[Array]
    stats: Stats | None
    result: RESULTS
    last: tuple[Array, PyTree[Array]]

    @property
    def y1(self) -> PyTree[Array]:
        """State at the last output time."""
        return jax.tree.map(lambda y: y[-1], self.ys)

    def at(self, index: Int[Array, ""] | int) -> PyTree[Array]:
        """State at one output time, e.g. a sample's own final index (traced indices are fine)."""
        return jax.tree.map(lambda y: jax.lax.dynamic_index_in_dim(y, index, 0, keepdims=False), self.ys)


def all_finite(tree: PyTree[Array]) -> Bool[Array, ""]:
    """Whether every entry is finite."""
    flags = [jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(tree)]
    return jnp.all(jnp.stack(flags)) if len(flags) > 1 else flags[0]


def finish(solution: Solution, throw: bool) -> Solution:
    """Raise at run time when the solve failed and `throw` says so."""
    if not throw:
        return solution
    ok: Any = (solution.result == RESULTS.successful) | (solution.result == RESULTS.event_occurred)
    ys = solution.result.error_if(solution.ys, ~ok)  # pyright: ignore[reportAttributeAccessIssue]
    return eqx.tree_at(lambda s: s.ys, solution, ys)
