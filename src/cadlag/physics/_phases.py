"""Phases of training: Adam first, then perhaps a method of second order on points that stay."""

import functools
from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from cadlag.physics._loss import PhysicsLoss, WeightedUpdate
from cadlag.physics._sampling import Batch
from cadlag.physics._weights import AbstractTermWeights
from cadlag.train import AbstractUpdate, gradient, least_squares

DENSE = 4000


class AbstractPhase(eqx.Module):
    """Some steps of one optimiser.

    To write your own, declare `steps` and `resamples` (False: all steps see the points of the first), and give
    `check(loss, unknowns)`, which raises `ValueError` where the phase does not suit, and
    `update(loss, weights, settled)`, where `settled` is the `WeightState` at the start of the phase.
    """

    steps: eqx.AbstractVar[int]
    resamples: eqx.AbstractVar[bool]

    @abstractmethod
    def check(self, loss: PhysicsLoss, unknowns: PyTree) -> None:
        """Refuse what this phase cannot train."""

    @abstractmethod
    def update(self, loss: PhysicsLoss, weights: AbstractTermWeights, settled: PyTree) -> AbstractUpdate:
        """One step."""


class Adam(AbstractPhase):
    """Adam with a rate that decays exponentially: learning_rate x decay^(step / decay_every).

    **Arguments:** `steps`; `learning_rate`; `decay`, `decay_every`; `warm_up`, steps over which the rate rises from 0.
    """

    steps: int = eqx.field(static=True, default=10_000)
    learning_rate: float | int = eqx.field(static=True, default=1e-3)
    decay: float | int = eqx.field(static=True, default=0.9)
    decay_every: int = eqx.field(static=True, default=1000)
    warm_up: int = eqx.field(static=True, default=0)
    resamples: bool = eqx.field(static=True, default=True)

    def __check_init__(self) -> None:
        check_positive(self, "steps", "learning_rate", "decay", "decay_every")

    def check(self, loss: PhysicsLoss, unknowns: PyTree) -> None:
        """Anything will do."""

    def update(self, loss: PhysicsLoss, weights: AbstractTermWeights, settled: PyTree) -> AbstractUpdate:
        """Adam on the weighted loss."""
        adam = _adam(self.learning_rate, self.decay, self.decay_every, self.warm_up)
        return WeightedUpdate(gradient(loss, adam, stateful=True), loss, weights)


class Optimise(AbstractPhase):
    """Any optax optimiser on the weighted loss. **Arguments:** `optimiser`, `steps`."""

    optimiser: optax.GradientTransformation
    steps: int = eqx.field(static=True)
    resamples: bool = eqx.field(static=True, default=True)

    def __check_init__(self) -> None:
        check_positive(self, "steps")

    def check(self, loss: PhysicsLoss, unknowns: PyTree) -> None:
        """Anything will do."""

    def update(self, loss: PhysicsLoss, weights: AbstractTermWeights, settled: PyTree) -> AbstractUpdate:
        """The optimiser on the weighted loss."""
        return WeightedUpdate(gradient(loss, self.optimiser, stateful=True), loss, weights)


class LBFGS(AbstractPhase):
    """L-BFGS with optax's zoom line search, on fixed points and with the weights that the phase before settled on.

    **Arguments:** `steps`; `memory`, pairs kept; `searches`, evaluations of the loss in one line search at most.
    """

    steps: int = eqx.field(static=True, default=500)
    memory: int = eqx.field(static=True, default=20)
    searches: int = eqx.field(static=True, default=20)
    resamples: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        check_positive(self, "steps", "memory", "searches")

    def check(self, loss: PhysicsLoss, unknowns: PyTree) -> None:
        """Pointwise weights move within a line search."""
        refuse_point_weights("LBFGS", loss)

    def update(self, loss: PhysicsLoss, weights: AbstractTermWeights, settled: PyTree) -> AbstractUpdate:
        """L-BFGS with weights that do not change."""
        return gradient(loss, _lbfgs(self.memory, self.searches), stateful=True)


class GaussNewton(AbstractPhase):
    """Damped Gauss-Newton on the residuals themselves: few steps, each with a dense Jacobian.

    **Arguments:** `steps`; `damping`, the first one. For networks of at most a few thousand weights.
    """

    steps: int = eqx.field(static=True, default=100)
    damping: float | int = eqx.field(static=True, default=1e-3)
    resamples: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        check_positive(self, "steps", "damping")

    def check(self, loss: PhysicsLoss, unknowns: PyTree) -> None:
        """Too many unknowns make the Jacobian too large."""
        refuse_point_weights("GaussNewton", loss)
        count = sum(x.size for x in jax.tree.leaves(eqx.filter(unknowns, eqx.is_inexact_array)))
        if count > DENSE:
            raise ValueError(
                f"GaussNewton: {count} unknowns, and it factorises a dense Jacobian with as many columns (at most "
                f"{DENSE}). Take a smaller network, or LBFGS."
            )

    def update(self, loss: PhysicsLoss, weights: AbstractTermWeights, settled: PyTree) -> AbstractUpdate:
        """Gauss-Newton with weights that do not change."""
        return least_squares(_Rows(loss, settled.terms), damping=float(self.damping))


class _Rows(eqx.Module):
    """The residuals whose sum of squares is the loss."""

    loss: PhysicsLoss
    weights: Float[Array, " terms"]

    def __call__(self, unknowns: PyTree, batch: Batch, key: PRNGKeyArray) -> Any:
        return self.loss.vector(unknowns, self.weights, batch)


# Made once for equal settings, since a new optimiser means compiling anew.
@functools.lru_cache(maxsize=64)
def _adam(learning_rate: float | int, decay: float | int, decay_every: int, warm_up: int) -> Any:
    rate = optax.exponential_decay(learning_rate, decay_every, decay)
    if warm_up:
        rise = optax.linear_schedule(0.0, learning_rate, warm_up)
        rate = optax.join_schedules([rise, rate], [warm_up])
    return optax.adam(rate)


@functools.lru_cache(maxsize=64)
def _lbfgs(memory: int, searches: int) -> Any:
    search = optax.scale_by_zoom_linesearch(searches, initial_guess_strategy="one")
    return optax.lbfgs(memory_size=memory, linesearch=search)


def refuse_point_weights(owner: str, loss: PhysicsLoss) -> None:
    """Raise `ValueError` where pointwise weights would move under an optimiser that expects one loss."""
    if loss.point_weights is not None:
        raise ValueError(f"{owner}: it expects one loss that stays, and pointwise weights change it. Use Adam alone.")


def check_positive(owner: Any, *names: str) -> None:
    """Refuse settings that must be positive and are not."""
    for name in names:
        value = getattr(owner, name)
        if not value > 0:
            raise ValueError(f"{name}={value} of {type(owner).__name__} must be positive.")
