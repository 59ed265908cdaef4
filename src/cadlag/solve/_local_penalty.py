"""One step at a random time instead of all of them (Pal, Edelman and Rackauckas, ICML 2023).

Draw τ, take the solution u(τ) as a constant, take ONE step of width h from it, and add r = λ E^p h^q (or λ S / r) of
that step to the loss. Gradients flow through the step's own evaluations alone, so the solver may be differentiated in
any way, or not be opened at all. For uniform τ on [t0, t2] and any local ρ,

    E_τ [(t2 - t0) ρ(τ)] = ∫ ρ(t) dt;    for τ uniform over the solver's steps  E_τ ρ(τ) = ∫ ρ / h dt  /  ∫ 1 / h dt.
"""

import abc
from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from cadlag.paths import AbstractPath
from cadlag.paths.noise import BrownianGrid
from cadlag.solve._checks import check_stepper, random_kinds
from cadlag.solve._euler import EulerPair, Heun
from cadlag.solve._initial_step import AbstractWidth, InitialStep
from cadlag.solve._one_step import Tolerance, one_step
from cadlag.solve._penalty import AbstractPenalty, AbstractStepPenalty, ErrorPenalty
from cadlag.solve._process import AbstractProcess, Calculus, NoiseKind, diffusion_struct, kinds_of
from cadlag.solve._runge_kutta import RungeKutta
from cadlag.solve._solution import all_finite
from cadlag.solve._srk import SRK
from cadlag.solve._stepper import AbstractStepper, Field


class AbstractSampling(eqx.Module):
    """Where the local step starts. To write your own, of times known beforehand: give `times(grid, points, key)`."""

    at_steps: eqx.AbstractClassVar[bool]

    @abc.abstractmethod
    def times(self, grid: Float[Array, " ends"], points: int, key: PRNGKeyArray) -> Float[Array, " points"]:
        """`points` times, from the end points of fixed steps, or from both ends where steps are adaptive."""


class Unbiased(AbstractSampling):
    """Uniform on the whole interval: an unbiased estimate of a penalty averaged over time."""

    at_steps: ClassVar[bool] = False

    def times(self, grid: Float[Array, " ends"], points: int, key: PRNGKeyArray) -> Float[Array, " points"]:
        """Uniform times."""
        return grid[0] + (grid[-1] - grid[0]) * jr.uniform(key, (points,), grid.dtype)


class Biased(AbstractSampling):
    """One of the solver's own steps, each as likely: where it steps densely counts more. Never the last time."""

    at_steps: ClassVar[bool] = True

    def times(self, grid: Float[Array, " ends"], points: int, key: PRNGKeyArray) -> Float[Array, " points"]:
        """Starts of steps that are not padding."""
        real = jnp.diff(grid) != 0
        logits = jnp.where(real, 0.0, -jnp.inf).astype(grid.dtype)
        return grid[jr.categorical(key, logits, shape=(points,))]


class LocalPenalty(AbstractPenalty):
    """A penalty on single steps at random times: local regularisation.

    **Arguments:**

    - `of`: what is computed of the step, with its weight: `ErrorPenalty(weight=…)` or `StiffnessPenalty(weight=…)`,
      whose `aggregate` is not used. The first step of a solver is small, so is its error: the weight must be larger
      than for all steps.
    - `sampling`: `Unbiased()` or `Biased()`.
    - `width`: `InitialStep()`, as the authors' code; `OwnStep()`, with `Biased()`; or `GivenStep(h)`.
    - `stepper`: takes the step; any with an error estimate. It need not be the solver's. None: Tsit5 for ordinary and
      controlled equations; for stochastic ones, whose noise is drawn afresh, Heun (Stratonovich), and (Itô) SRK or, for
      noise that it does not take, EulerPair.
    - `points`: number of steps, whose values are averaged.
    """

    of: AbstractStepPenalty = ErrorPenalty()
    sampling: AbstractSampling = Unbiased()
    width: AbstractWidth = InitialStep()
    stepper: AbstractStepper | None = None
    points: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        if self.points < 1:
            raise ValueError(f"LocalPenalty(points={self.points}) must be at least 1.")
        if self.stepper is not None and not self.stepper.estimates_error:
            raise ValueError(
                f"LocalPenalty(stepper={type(self.stepper).__name__}()) has no local error estimate; use e.g. Heun, "
                "SRK or a Runge-Kutta pair."
            )

    @property
    def weight(self) -> Any:
        """That of the penalty on the step."""
        return self.of.weight

    def at(self, step: Any) -> "LocalPenalty":
        """The same penalty with the weight it has after `step` steps of training."""
        return eqx.tree_at(lambda p: p.of, self, self.of.at(step))


def local_stepper(penalty: LocalPenalty, process: AbstractProcess, driver: Any) -> AbstractStepper:
    """The stepper of the local step, which must fit the process."""
    random = random_kinds(process, driver)
    stepper = penalty.stepper
    if stepper is None:
        if not random:
            stepper = RungeKutta(diffrax.Tsit5())
        elif process.calculus is Calculus.stratonovich:
            stepper = Heun()
        elif all(kind in SRK.noises for kind in random) and not isinstance(process.noise, tuple):
            stepper = SRK()
        else:
            stepper = EulerPair()
    check_stepper(process, stepper, None, None, random, None, False)
    pairs = isinstance(stepper, RungeKutta) and sum(c == 1 for c in stepper.tableau.c) > 1
    if penalty.of.needs_stiffness and not (process.noise is NoiseKind.none and pairs):
        raise ValueError(
            f"{type(penalty.of).__name__} needs an ODE and a Runge-Kutta pair with two stages at the end of its step, "
            f"such as Tsit5; got noise of kind {process.noise} and {type(stepper).__name__}."
        )
    return stepper


def local_values(
    penalty: LocalPenalty,
    process: AbstractProcess,
    args: Any,
    driver: Any,
    start: tuple[Array, Any, PyTree[Array]],
    end: Array,
    tolerance: Tolerance,
    key: PRNGKeyArray,
) -> Float[Array, ""]:
    """The mean over the penalty's points of what one step from each tells, without the weight.

    `start` holds times, the solver's own widths there (or None) and states, each with a leading axis of points.
    """
    stepper = local_stepper(penalty, process, driver)
    measured = penalty.of.tolerance or tolerance
    field = Field(process, args)

    def one(t: Array, taken: Any, y: PyTree[Array], k: PRNGKeyArray) -> Array:
        # A solve that failed has no state there; what it says of the equation is nothing.
        ok = all_finite(y)
        y = jax.tree.map(lambda x: jnp.where(ok, x, jnp.zeros_like(x)), y)
        h = jnp.minimum(penalty.width.width(field, t, y, stepper, tolerance, taken), jnp.abs(end - t))
        h = jax.lax.stop_gradient(jnp.where(end >= t, h, -h))
        dx, area = _increments(process, args, driver, t, y, h, stepper.needs_area, k)
        step = one_step(process, t, y, h, args=args, stepper=stepper, dx=dx, area=area, tolerance=measured)
        value = penalty.of.of_step(step.error, step.stiffness, jnp.abs(h))
        return jnp.where(ok, value, jnp.zeros_like(value))

    times, taken, states = jax.lax.stop_gradient(start)
    return jnp.mean(jax.vmap(one)(times, taken, states, jr.split(key, penalty.points)))


def _increments(
    process: AbstractProcess,
    args: Any,
    driver: Any,
    t: Array,
    y: PyTree[Array],
    h: Array,
    area: bool,
    key: PRNGKeyArray,
) -> tuple[Any, Any]:
    """What the driver does over [t, t + h]: a path its increment, noise a fresh draw."""
    if process.noise is NoiseKind.none:
        return None, None
    kinds = kinds_of(process)
    given = driver if isinstance(driver, tuple) else (driver,) * len(kinds)
    g = eqx.filter_eval_shape(process.diffusion, t, y, args)
    shapes = g if isinstance(process.noise, tuple) else (g,)
    grid, parts = jnp.stack([jnp.zeros_like(h), jnp.abs(h)]), []
    for kind, one, gi, k in zip(kinds, given, shapes, jr.split(key, len(kinds)), strict=True):
        if isinstance(one, AbstractPath):
            parts.append((one.increment(t, t + h), None))
            continue
        drawn = BrownianGrid(grid, diffusion_struct(kind, gi, y), key=k).cell(0, levy_area=area)
        parts.append((drawn.dw, drawn.area))
    if isinstance(process.noise, tuple):
        return tuple(dx for dx, _ in parts), tuple(a for _, a in parts)
    return parts[0]
