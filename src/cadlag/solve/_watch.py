"""A Diffrax solver that looks at its own steps while it takes them.

The state (y, memory) goes through the loop as one: a rejected step is thrown away with what was seen of it, so the
memory holds accepted steps only. The error estimate and the stages are those of the step itself: nothing is evaluated
twice, and a discrete adjoint differentiates the memory as it does the state.
"""

import abc
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, PRNGKeyArray, PyTree

from cadlag.solve._one_step import Tolerance, end_stages, ratio_of_norms, scaled_error
from cadlag.solve._penalty import AbstractStepPenalty
from cadlag.solve._terms import Paired


class Seen(eqx.Module):
    """One step: where it started and ended, its error estimate, and two stages at its end where the solver has them."""

    t0: Array
    h: Array
    y0: PyTree[Array]
    y1: PyTree[Array]
    error: PyTree[Array]
    stages: tuple[Any, Any] | None

    def stiffness(self) -> Array | None:
        """Shampine's estimate, 1/time; None without the two stages."""
        return None if self.stages is None else ratio_of_norms(*self.stages, self.h)


class AbstractWatcher(eqx.Module):
    """What is kept of the steps.

    To write your own: `start(y0, t0)`, a PyTree of floating arrays, and `see(memory, seen)`, the memory after a step.
    """

    @abc.abstractmethod
    def start(self, y0: PyTree[Array], t0: Array) -> PyTree[Array]:
        """The memory before the first step."""

    @abc.abstractmethod
    def see(self, memory: PyTree[Array], seen: Seen) -> PyTree[Array]:
        """The memory after one more step."""


class Tally(AbstractWatcher):
    """Running totals of penalties, and the number of accepted steps."""

    penalties: tuple[AbstractStepPenalty, ...]
    tolerance: Tolerance

    def start(self, y0: PyTree[Array], t0: Array) -> PyTree[Array]:
        """Zeros."""
        return jnp.zeros_like(t0), tuple(jnp.zeros_like(t0) for _ in self.penalties)

    def see(self, memory: PyTree[Array], seen: Seen) -> PyTree[Array]:
        """Add one step to each."""
        count, totals = memory
        new = []
        for penalty, total in zip(self.penalties, totals, strict=True):
            error = scaled_error(seen.error, seen.y0, seen.y1, penalty.tolerance or self.tolerance)
            assert error is not None
            value = penalty.of_step(error, seen.stiffness() if penalty.needs_stiffness else None, seen.h)
            new.append(penalty.aggregate.add(total, value.astype(total.dtype)))
        return count + 1, tuple(new)

    def of_stats(self, stats: Any, stepper: Any) -> PyTree[Array]:
        """The same, from arrays with one row a step, of which those of zero width are padding."""
        name = type(stepper).__name__
        if stats.error is None:
            raise ValueError(
                f"{name} has no local error estimate for a penalty on its steps: pass stepper=Heun() or a Runge-Kutta "
                "pair, AdaptiveSteps, or a LocalPenalty, whose step is another's."
            )
        if stats.stiffness is None and any(p.needs_stiffness for p in self.penalties):
            raise ValueError(f"{name} has no two stages at the end of its step to tell stiffness from; use Tsit5.")
        real = stats.sizes > 0
        totals = []
        for penalty in self.penalties:
            values = penalty.of_step(stats.error, stats.stiffness, stats.sizes)
            totals.append(penalty.aggregate.over(jnp.where(real, values, jnp.zeros_like(values))))
        return jnp.sum(real, dtype=stats.sizes.dtype), tuple(totals)


class Reservoir(AbstractWatcher):
    """Accepted steps at random, each as likely as any other: start, width and state of `points` draws.

    The j-th step replaces a draw with probability 1/j, so no more than the draws are kept, however many steps there
    are. The end of the last step is never drawn.
    """

    key: PRNGKeyArray
    points: int = eqx.field(static=True)

    def start(self, y0: PyTree[Array], t0: Array) -> PyTree[Array]:
        """The start of the interval, and no step yet."""
        many = lambda x: jnp.broadcast_to(x, (self.points, *x.shape))  # noqa: E731
        return jnp.zeros_like(t0), many(t0), many(jnp.zeros_like(t0)), jax.tree.map(many, y0)

    def see(self, memory: PyTree[Array], seen: Seen) -> PyTree[Array]:
        """Keep the step, or what there is."""
        count, t, h, y = jax.lax.stop_gradient(memory)
        count = count + 1
        key = jr.fold_in(self.key, count.astype(jnp.int32))
        take = jr.uniform(key, (self.points,), count.dtype) * count < 1

        def pick(new: Array, old: Array) -> Array:
            return jnp.where(take.reshape(-1, *[1] * (old.ndim - 1)), jax.lax.stop_gradient(new)[None], old)

        return count, pick(seen.t0, t), pick(seen.h, h), jax.tree.map(pick, seen.y0, y)


class Several(AbstractWatcher):
    """Several watchers at once; with none there is nothing to watch."""

    watchers: tuple[AbstractWatcher, ...]

    def start(self, y0: PyTree[Array], t0: Array) -> PyTree[Array]:
        """Of each."""
        return tuple(w.start(y0, t0) for w in self.watchers)

    def see(self, memory: PyTree[Array], seen: Seen) -> PyTree[Array]:
        """By each."""
        return tuple(w.see(m, seen) for w, m in zip(self.watchers, memory, strict=True))

    def tolerance(self, asked: Tolerance | None) -> Tolerance | None:
        """What errors of fixed steps are measured against: one tolerance for all penalties and the statistics."""
        wanted = [p.tolerance for w in self.watchers if isinstance(w, Tally) for p in w.penalties]
        if not wanted:
            return asked
        given = [t for t in (*wanted, asked) if t is not None]
        if any(t != given[0] for t in given):
            raise ValueError(f"On fixed steps there is one tolerance, but penalties and stats ask for {given}.")
        return given[0] if given else Tolerance()

    def of_stats(self, stats: Any, stepper: Any) -> tuple:
        """The memories after fixed steps, from their statistics."""
        return tuple(w.of_stats(stats, stepper) for w in self.watchers if isinstance(w, Tally))


class _Both(diffrax.AbstractLocalInterpolation):
    """The solver's own interpolation of y, beside the memory after the step."""

    t0: Any
    t1: Any
    inner: Any
    memory: Any

    def evaluate(self, t0: Any, t1: Any = None, left: bool = True) -> Any:
        """At one time; increments are not asked for."""
        del t1
        return Paired(self.inner.evaluate(t0, left=left), self.memory)


class WatchedSolver(diffrax.AbstractAdaptiveSolver, diffrax.AbstractWrappedSolver):
    """Any Diffrax solver with an error estimate, on the state (y, memory)."""

    solver: Any
    watcher: AbstractWatcher

    @property
    def term_structure(self) -> Any:
        """Any term: `solve` has checked whether the wrapped solver fits."""
        return diffrax.AbstractTerm

    @property
    def interpolation_cls(self) -> Any:
        """The wrapped solver's, beside the memory."""
        cls = self.solver.interpolation_cls
        return lambda *, t0, t1, inner, memory: _Both(t0, t1, cls(t0=t0, t1=t1, **inner), memory)

    def order(self, terms: Any) -> Any:
        """As the wrapped solver."""
        return self.solver.order(terms)

    def strong_order(self, terms: Any) -> Any:
        """As the wrapped solver."""
        return self.solver.strong_order(terms)

    def error_order(self, terms: Any) -> Any:
        """As the wrapped solver."""
        return self.solver.error_order(terms)

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> Any:
        """The wrapped solver's memory."""
        return self.solver.init(terms, t0, t1, y0.y, args)

    def func(self, terms: Any, t0: Any, y0: Any, args: Any) -> Any:
        """The vector field, and none for the memory."""
        return Paired(self.solver.func(terms, t0, y0.y, args), jax.tree.map(jnp.zeros_like, y0.memory))

    def step(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any, solver_state: Any, made_jump: Any) -> Any:
        """One step, and a look at it."""
        y, memory = y0.y, y0.memory
        y1, error, info, solver_state, result = self.solver.step(terms, t0, t1, y, args, solver_state, made_jump)
        seen = Seen(t0, t1 - t0, y, y1, error, _end_stages(self.solver, info, y))
        memory1 = self.watcher.see(memory, seen)
        no_error = jax.tree.map(jnp.zeros_like, memory1)
        info = {"inner": info, "memory": memory1}
        return Paired(y1, memory1), Paired(error, no_error), info, solver_state, result


def watch_controller(controller: Any) -> Any:
    """The controller with a norm that looks at y alone."""
    if hasattr(controller, "norm"):
        norm = controller.norm
        return eqx.tree_at(lambda c: c.norm, controller, lambda tree: norm(tree.y))
    if hasattr(controller, "controller"):
        return eqx.tree_at(lambda c: c.controller, controller, watch_controller(controller.controller))
    if isinstance(controller, diffrax.AbstractAdaptiveStepSizeController):
        raise ValueError(
            f"The controller {type(controller).__name__} has no `norm`, so penalties cannot be kept out of its "
            "decisions; use diffrax.PIDController."
        )
    return controller


def check_watchable(solver: Any, watcher: Several) -> None:
    """Raise `ValueError` where a Diffrax solver does not tell what a penalty needs."""
    name = type(solver).__name__
    if not isinstance(solver, diffrax.AbstractAdaptiveSolver):
        raise ValueError(f"{name} has no local error estimate for a penalty on its steps; use Tsit5 or SPaRK.")
    stiff = any(p.needs_stiffness for w in watcher.watchers if isinstance(w, Tally) for p in w.penalties)
    pair = end_stages(solver.tableau) if isinstance(solver, diffrax.AbstractERK) else None
    if stiff and pair is None:
        raise ValueError(f"{name} has no two stages at the end of its step to tell stiffness from; use Tsit5.")


def _end_stages(solver: Any, info: Any, y0: PyTree[Array]) -> tuple[Any, Any] | None:
    """Differences of the increments k h and of the values of the last two stages at the end of the step."""
    if not isinstance(solver, diffrax.AbstractERK):
        return None
    pair = end_stages(solver.tableau)
    if pair is None:
        return None
    i, j = pair
    rows = [_row(solver.tableau, n) for n in pair]
    weights = [a - b for a, b in zip(rows[1], rows[0] + [0.0] * (len(rows[1]) - len(rows[0])), strict=True)]
    combine = lambda k: sum((w * k[m] for m, w in enumerate(weights) if w != 0), jnp.zeros_like(k[0]))  # noqa: E731
    return jax.tree.map(lambda k: k[j] - k[i], info["k"]), jax.tree.map(combine, info["k"])


def _row(tableau: Any, stage: int) -> list[float]:
    return [float(a) for a in tableau.a_lower[stage - 1]]
