"""What the steps of a solver say about a learnt equation, made a term of the loss (Pal et al., ICML 2021).

Over the accepted steps j of widths h_j, with E_j the scaled root mean square of the local error estimate and S_j
Shampine's estimate of the stiffness (1/time),

    R_E = aggregate_j E_j^p h_j^q,    R_S = aggregate_j S_j / r,    loss = task + λ R.

An equation with a small R is cheap to solve: nothing else in the loss asks it to be.
"""

import abc
import math
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.solve._one_step import Tolerance

TSIT5_REGION = 3.5068
"""How far Tsit5's region of stability reaches along the negative real axis."""


class AbstractAggregate(eqx.Module):
    """One number from one number a step, made as the steps come.

    To write your own: give `add(total, value)`, from a total that starts at zero, `over(values)`, the same of an array
    of steps in which padding is zero, and `finish(total, count)`.
    """

    @abc.abstractmethod
    def add(self, total: Array, value: Array) -> Array:
        """The total after one more step."""

    @abc.abstractmethod
    def over(self, values: Array) -> Array:
        """The total of all steps."""

    @abc.abstractmethod
    def finish(self, total: Array, count: Array) -> Array:
        """The number, after `count` steps."""


class Mean(AbstractAggregate):
    """The mean over accepted steps: only how hard the steps are counts, not how many there are."""

    def add(self, total: Array, value: Array) -> Array:
        """The sum."""
        return total + value

    def over(self, values: Array) -> Array:
        """The sum."""
        return jnp.sum(values)

    def finish(self, total: Array, count: Array) -> Array:
        """Over the number of steps."""
        return total / jnp.maximum(count, jnp.ones_like(count))


class Sum(AbstractAggregate):
    """The sum over accepted steps: fewer steps alone make it smaller."""

    def add(self, total: Array, value: Array) -> Array:
        """The sum."""
        return total + value

    def over(self, values: Array) -> Array:
        """The sum."""
        return jnp.sum(values)

    def finish(self, total: Array, count: Array) -> Array:
        """The sum."""
        return total


class Largest(AbstractAggregate):
    """The largest over accepted steps."""

    def add(self, total: Array, value: Array) -> Array:
        """The larger."""
        return jnp.maximum(total, value)

    def over(self, values: Array) -> Array:
        """The largest."""
        return jnp.max(values)

    def finish(self, total: Array, count: Array) -> Array:
        """The largest."""
        return total


class Annealed(eqx.Module):
    """A weight that falls (or rises) geometrically: λ_k = start (end / start)^(k / steps), and stays at `end`.

    **Arguments:** `start`, `end`, positive; `steps` of training between them.
    """

    start: float
    end: float
    steps: int = eqx.field(static=True)

    def __check_init__(self):
        if not (self.start > 0 and self.end > 0 and self.steps >= 1):
            raise ValueError(
                f"Annealed(start={self.start}, end={self.end}, steps={self.steps}): expected positive weights and at "
                "least one step."
            )

    def __call__(self, step: Any) -> Array:
        """The weight after so many steps of training."""
        share = jnp.clip(jnp.asarray(step) / self.steps, 0.0, 1.0)
        return self.start * jnp.exp(share * math.log(self.end / self.start))


class AbstractPenalty(eqx.Module):
    """What `regularised_solve` adds up. See `AbstractStepPenalty` and `LocalPenalty`.

    To write your own, subclass `AbstractStepPenalty`.
    """

    weight: eqx.AbstractVar[Any]

    def at(self, step: Any) -> "AbstractPenalty":
        """The same penalty with the weight it has after `step` steps of training."""
        if not callable(self.weight):
            return self
        return eqx.tree_at(lambda p: p.weight, self, self.weight(step), is_leaf=lambda x: x is self.weight)

    def weigh(self, value: Float[Array, ""]) -> Float[Array, ""]:
        """λ times a value, in the value's own precision."""
        if callable(self.weight):
            raise ValueError(
                f"{type(self).__name__} has the weight {self.weight!r}, which changes in training: pass "
                "penalty.at(step), step being the number of training steps taken."
            )
        return jnp.asarray(self.weight, value.dtype) * value


class AbstractStepPenalty(AbstractPenalty):
    """A penalty on every accepted step: global regularisation. Differentiated through the solver itself.

    To write your own: declare `weight`, `aggregate` and `tolerance` (None: the solver's own), say in
    `needs_stiffness` whether the stiffness is used, and give `of_step(error, stiffness, h)`, one number from the
    scaled error, the stiffness (None unless needed) and the width of one step.
    """

    aggregate: eqx.AbstractVar[AbstractAggregate]
    tolerance: eqx.AbstractVar[Tolerance | None]
    needs_stiffness: eqx.AbstractClassVar[bool]

    @abc.abstractmethod
    def of_step(self, error: Array, stiffness: Array | None, h: Array) -> Array:
        """What one step adds, without the weight."""


class ErrorPenalty(AbstractStepPenalty):
    """λ times an aggregate of E_j^p h_j^q: equations whose steps have small errors take few of them.

    **Arguments:**

    - `weight`: λ ≥ 0, a number or an `Annealed`. It is in units of the tolerance, so it does not carry over to another.
    - `error_power`, `width_power`: p ≥ 1 and q ≥ 0; as published (1, 1), and (2, 1) for the squared form.
    - `aggregate`: `Mean()`, as the authors' code does, `Sum()` as in the paper's formula, or `Largest()`.
    - `tolerance`: what errors are measured against; None takes that of the adaptive steps.
    """

    weight: Any = 1.0
    error_power: float | int = 1
    width_power: float | int = 1
    aggregate: AbstractAggregate = Mean()
    tolerance: Tolerance | None = None
    needs_stiffness: ClassVar[bool] = False

    def __check_init__(self):
        check_weight(self)
        if self.error_power < 1 or self.width_power < 0:
            raise ValueError(
                f"ErrorPenalty(error_power={self.error_power}, width_power={self.width_power}): expected p >= 1, since "
                "exact steps have error zero, and q >= 0."
            )

    def of_step(self, error: Array, stiffness: Array | None, h: Array) -> Array:
        """E^p h^q."""
        return error**self.error_power * jnp.abs(h).astype(error.dtype) ** self.width_power


class StiffnessPenalty(AbstractStepPenalty):
    """λ times an aggregate of S_j / r. For ODEs, and Runge-Kutta pairs with two stages at the end of a step.

    It asks for slow equations, which need not be cheap ones: at the published size it did not lower evaluations on
    MNIST (259 against 253).

    **Arguments:** `weight` and `aggregate` (`Largest()`, as published for ODEs) as for `ErrorPenalty`; `region`: r, the
    size of the stepper's region of stability, that of Tsit5 by default.
    """

    weight: Any = 1.0
    aggregate: AbstractAggregate = Largest()
    region: float = TSIT5_REGION
    tolerance: Tolerance | None = None
    needs_stiffness: ClassVar[bool] = True

    def __check_init__(self):
        check_weight(self)
        if not self.region > 0:
            raise ValueError(f"StiffnessPenalty(region={self.region}) must be positive.")

    def of_step(self, error: Array, stiffness: Array | None, h: Array) -> Array:
        """S / r."""
        assert stiffness is not None
        return stiffness / self.region


def check_weight(penalty: AbstractPenalty) -> None:
    """Raise `ValueError` for a negative number, `TypeError` for what is no weight at all."""
    weight: Any = penalty.weight
    if isinstance(weight, int | float):
        if not weight >= 0:
            raise ValueError(f"{type(penalty).__name__}(weight={weight}) must not be negative.")
    elif isinstance(weight, str) or weight is None:
        raise TypeError(
            f"{type(penalty).__name__}(weight={weight!r}): expected a number or Annealed(start, end, steps)."
        )
