"""Time marching: one window of time after another, each starting from where the last one ended."""

import dataclasses
from collections.abc import Callable
from itertools import pairwise

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from cadlag.equations import AbstractEquation, Condition
from cadlag.fields import AbstractField, Box
from cadlag.physics._collocation import Collocation, Unknowns
from cadlag.physics._method import AbstractMethod, Task, Trained, collocate
from cadlag.physics._pinn import PINN, joined
from cadlag.train import Outcome


class TimeMarching(AbstractMethod):
    """Solve on windows of time in turn: a fresh network for each, whose initial state is the last network's end.

    **Arguments:**

    - `method`: for each window.
    - `windows`: how many, of one length.
    - `overlap`: share of a window by which training goes past its end, so that the end is not at the edge.
    """

    method: PINN
    windows: int = eqx.field(static=True)
    overlap: float = eqx.field(static=True, default=0.01)

    def __check_init__(self) -> None:
        if self.windows < 1 or not 0 <= self.overlap < 1:
            raise ValueError(
                f"TimeMarching: windows={self.windows}, overlap={self.overlap}; expected >= 1 and in [0, 1)."
            )

    def check(self, task: Task) -> None:
        """A time axis and an initial condition are needed; coefficients are not learnt window by window."""
        equation = task.equation
        equation.domain.axis("t")
        if task.learn or task.observations is not None:
            raise ValueError("TimeMarching: observations belong to all of time at once; use the inner method alone.")
        if not any(c.kind == "initial" for c in equation.conditions()):
            raise ValueError("TimeMarching: the equation has no initial condition to march from.")
        self.method.check(task)

    def solve(self, task: Task) -> Trained:
        """Window after window; the first that diverges is the last."""
        t0, t1 = task.equation.domain.bounds("t")
        edges = np.linspace(t0, t1, self.windows + 1)
        pieces: list[Piece] = []
        histories, trained, taken = [], None, 0
        for number, (start, end) in enumerate(pairwise(edges)):
            last = min(t1, end + self.overlap * (end - start)) if number + 1 < self.windows else t1
            window = Window(task.equation, float(start), float(last), pieces[-1] if pieces else None)
            trained = self.method.solve(self._task(task, window, number))
            pieces.append(Piece(trained.problem, trained.unknowns))
            histories.append(trained.history)
            taken += trained.result.step
            if trained.result.outcome is Outcome.non_finite:
                break
        assert trained is not None
        problem, _ = collocate(task, ())
        network = Windows(tuple(float(e) for e in edges[1 : len(pieces)]), tuple(pieces), task.equation.domain)
        result = dataclasses.replace(trained.result, step=taken)
        return Trained(Unknowns(network, None), problem, joined(histories), result)

    def _task(self, task: Task, window: "Window", number: int) -> Task:
        run = None if task.run is None else f"{task.run}/window-{number}"
        key = jr.fold_in(task.key, number)
        return Task(window, None, None, key, task.dtype, run, task.progress, task.throw)


class Piece(eqx.Module):
    """The solution on one window, a function of a point."""

    problem: Collocation
    unknowns: Unknowns

    def __call__(self, point: Float[Array, " d"]) -> Float[Array, "..."]:
        return self.problem.field(self.unknowns)(point)


class Windows(eqx.Module):
    """The piece that a point's time belongs to; the right one where two meet."""

    edges: tuple[float, ...] = eqx.field(static=True)
    pieces: tuple[Piece, ...]
    domain: Box

    def __call__(self, point: Float[Array, " d"]) -> Float[Array, "..."]:
        value = self.pieces[0](point)
        for edge, piece in zip(self.edges, self.pieces[1:], strict=True):
            value = jnp.where(point[self.domain.axis("t")] >= edge, piece(point), value)
        return value


class Window(AbstractEquation):
    """An equation on a part of its time, starting from a given solution, or from its own initial state."""

    equation: AbstractEquation
    domain: Box
    before: Piece | None
    components: int = eqx.field(static=True)
    exact: Callable | None

    def __init__(self, equation: AbstractEquation, start: float, end: float, before: Piece | None) -> None:
        box = equation.domain
        bounds = {name: (start, end) if name == "t" else box.bounds(name) for name in box.names}
        self.equation, self.before = equation, before
        self.domain = Box(bounds, periodic=box.periodic)
        self.components, self.exact = equation.components, equation.exact

    def residual(self, u: AbstractField) -> AbstractField | tuple[AbstractField, ...]:
        """That of the equation."""
        return self.equation.residual(u)

    def conditions(self) -> tuple[Condition, ...]:
        """Those of the equation, the initial ones replaced by the solution so far."""
        own = self.equation.conditions()
        if self.before is None:
            return own
        start, before = self.domain.bounds("t")[0], self.before

        def difference(u: AbstractField) -> AbstractField:
            return u - u.function(lambda *coordinates: before(jnp.stack(coordinates)))

        return (
            Condition({"t": start}, difference, kind="initial"),
            *(c for c in own if c.kind != "initial"),
        )
