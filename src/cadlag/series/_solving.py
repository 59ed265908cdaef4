"""How models of a series are solved, and what a solve says beside its states: penalties, evaluations, failures.

A model hands its `steps` to `integrate`. In training the network puts a `Watched` there, which holds the steps and what
to look for; then `integrate` returns a `Solved`, and so does the model, whatever it is: no model knows of penalties.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from cadlag.paths import AbstractPath
from cadlag.solve import (
    RESULTS,
    AbstractPenalty,
    AbstractProcess,
    AbstractStepper,
    AdaptiveSteps,
    EulerMaruyama,
    FixedSteps,
    LocalPenalty,
    regularised_solve,
    solve,
)


class Watched(eqx.Module):
    """The steps of a model, and what to look for: a penalty (with a key to draw from), or the evaluations."""

    steps: int | AdaptiveSteps
    penalty: Any = None
    key: PRNGKeyArray | None = None
    skip: bool = eqx.field(static=True, default=False)
    count: bool = eqx.field(static=True, default=False)


class Solved(eqx.Module):
    """States, the penalty of the solve, whether it failed, and the evaluations where they were asked for."""

    states: Float[Array, "..."]
    penalty: Float[Array, ""]
    failed: Bool[Array, ""]
    evaluations: Array | None = None


def check_steps(steps: Any) -> None:
    """Raise unless `steps` is a positive integer or `AdaptiveSteps`."""
    if isinstance(steps, AdaptiveSteps):
        return
    if isinstance(steps, bool) or not isinstance(steps, int):
        raise TypeError(
            f"steps={steps!r}; expected an integer (Euler steps between two observations) or AdaptiveSteps(...)."
        )
    if steps < 1:
        raise ValueError(f"steps={steps} must be at least 1.")


def times_pieces(steps: int | AdaptiveSteps | Watched, pieces: int) -> Any:
    """So many steps in each of a path's smooth pieces between two rows; adaptive ones as they are."""
    if isinstance(steps, Watched):
        return eqx.tree_at(lambda w: w.steps, steps, times_pieces(steps.steps, pieces))
    return steps * pieces if isinstance(steps, int) else steps


def integrate(
    process: AbstractProcess,
    z0: Float[Array, " hidden"],
    times: Float[Array, " time"],
    steps: int | AdaptiveSteps | Watched,
    key: PRNGKeyArray | None,
    final: bool,
    driver: AbstractPath | None = None,
    stepper: AbstractStepper | None = None,
) -> Any:
    """States at the series' times, or the last one; the same steps either way. Fixed ones, by Euler or `stepper`, or
    adaptive ones.

    A failure shows as a non-finite loss, which the training loop reports with its step. With `Watched` steps a
    `Solved`, whose states are put to zero where the solve failed and `skip` says so.
    """
    watched = steps if isinstance(steps, Watched) else Watched(steps)
    ts, inner = times, watched.steps
    adaptive = isinstance(inner, AdaptiveSteps)
    if final and (adaptive or inner == 1):
        # Two output times: the states between are not kept.
        ts, inner = jnp.stack([times[0], times[-1]]), inner if adaptive else FixedSteps(times)
    fixed = EulerMaruyama() if stepper is None else stepper
    parts: Any = {"driver": driver, "steps": inner, "stepper": None if adaptive else fixed, "throw": False}
    if watched.penalty is None:
        solution = solve(process, z0, ts, key=key, stats=watched.count, **parts)
        value = jnp.zeros((), z0.dtype)
    else:
        own = watched.key if key is None else key
        solution, value = regularised_solve(process, z0, ts, penalty=watched.penalty, key=own, **parts)
    states = solution.y1 if final else solution.ys
    if not isinstance(steps, Watched):
        return states
    failed: Any = solution.result != RESULTS.successful
    if watched.skip:
        states = jnp.where(failed, jnp.zeros_like(states), states)
        value = jnp.where(failed, jnp.zeros_like(value), value)
    return Solved(states, value, failed, solution.stats.evaluations if solution.stats is not None else None)


def watch(model: Any, penalty: Any, key: PRNGKeyArray | None = None, *, skip: bool = False, count: bool = False) -> Any:
    """The model with its steps watched; a model without steps as it is."""
    if not solves(model):
        return model
    new = Watched(model.steps, penalty, key, skip, count)
    return eqx.tree_at(lambda m: m.steps, model, new)


def solves(model: Any) -> bool:
    """Whether a model is solved through `integrate`."""
    return isinstance(getattr(model, "steps", None), int | AdaptiveSteps)


def check_penalty(penalty: Any, model: Any) -> None:
    """Refuse, before training, what could not be computed for this model."""
    if penalty is None:
        return
    parts = penalty if isinstance(penalty, tuple) else (penalty,)
    for part in parts:
        if not isinstance(part, AbstractPenalty):
            raise TypeError(
                f"regularise={part!r}; expected ErrorPenalty, StiffnessPenalty, LocalPenalty, or a tuple of them."
            )
    name = type(model).__name__
    if not solves(model):
        raise ValueError(f"regularise needs a model that solves an equation; {name} does not. Leave it out.")
    if isinstance(model.steps, int) and not all(isinstance(p, LocalPenalty) for p in parts):
        raise ValueError(
            f"{name} takes {model.steps} Euler step(s) between observations, which have no error estimate. Give it "
            "steps=AdaptiveSteps(...), e.g. functools.partial(NeuralODE, steps=AdaptiveSteps()), or use LocalPenalty."
        )


def at_step(penalty: Any, step: Any) -> Any:
    """Penalties with the weights they have after so many steps of training."""
    return jax.tree.map(lambda p: p.at(step), penalty, is_leaf=lambda p: isinstance(p, AbstractPenalty))
