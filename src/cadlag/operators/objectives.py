"""What an operator is trained for: one step, its own roll-out, or one step from where its roll-out has gone."""

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.operators._operator import AbstractOperator, rollout

Loss = Callable[[Array, Array], Array]


class Window(NamedTuple):
    """A stretch of one example: frames before, frames to predict, other channels along these, conditions."""

    past: Float[Array, "history channels *space"]
    future: Float[Array, "frames out_channels *space"]
    inputs: Float[Array, "frames extra *space"] | None
    cond: Float[Array, " conditions"] | None


class AbstractObjective(eqx.Module):
    """A training objective for operators.

    To write your own, give `frames(operator)`, how many frames a window must have after the history, and
    `__call__(operator, loss, window, key)`, a scalar for one window, where `loss(prediction, truth)` compares frames
    (frame, channel, *space). Set `uses_loss` to False where it has a loss of its own.
    """

    uses_loss: ClassVar[bool] = True

    @abstractmethod
    def frames(self, operator: AbstractOperator) -> int:
        """Frames to predict that a window must hold."""

    @abstractmethod
    def __call__(self, operator: AbstractOperator, loss: Loss, window: Window, key: PRNGKeyArray) -> Float[Array, ""]:
        """The objective on one window."""


class OneStepLoss(AbstractObjective):
    """The loss of one call from true frames (teacher forcing)."""

    def frames(self, operator: AbstractOperator) -> int:
        """The operator's horizon."""
        return operator.horizon

    def __call__(self, operator: AbstractOperator, loss: Loss, window: Window, key: PRNGKeyArray) -> Float[Array, ""]:
        """loss(G(past), future)."""
        return loss(operator(window.past, cond=window.cond, key=key), window.future)


class Unrolled(AbstractObjective):
    """The loss of a roll-out of so many calls, differentiated through all of them.

    **Arguments:** `steps`: calls; 1 is `OneStepLoss`.
    """

    steps: int = eqx.field(static=True, default=2)

    def __check_init__(self) -> None:
        _check_steps("Unrolled", self.steps)

    def frames(self, operator: AbstractOperator) -> int:
        """Those of all calls."""
        return self.steps * operator.horizon

    def __call__(self, operator: AbstractOperator, loss: Loss, window: Window, key: PRNGKeyArray) -> Float[Array, ""]:
        """loss(roll-out, future)."""
        count = self.frames(operator)
        found = rollout(operator, window.past, count, inputs=window.inputs, cond=window.cond, key=key)
        return loss(found, window.future)


class Pushforward(AbstractObjective):
    """The loss of one call from where up to `steps` calls without gradient have gone: errors as the roll-out makes
    them take the place of noise on the input (Brandstetter et al., ICLR 2022, section 3.2).

    **Arguments:** `steps`: the largest number of calls before; how many is drawn uniformly from 0 to `steps` for each
    window, as in the paper's training, or is always `steps` where `random` is False.
    """

    steps: int = eqx.field(static=True, default=1)
    random: bool = eqx.field(static=True, default=True)

    def __check_init__(self) -> None:
        _check_steps("Pushforward", self.steps)

    def frames(self, operator: AbstractOperator) -> int:
        """Those of the calls before, and of the one that counts."""
        return (self.steps + 1) * operator.horizon

    def __call__(self, operator: AbstractOperator, loss: Loss, window: Window, key: PRNGKeyArray) -> Float[Array, ""]:
        """loss(G(stop_gradient(roll-out)), the frames after it)."""
        h, before = operator.horizon, self.steps * operator.horizon
        draw, roll, last = jr.split(key, 3)
        given = None if window.inputs is None else window.inputs[:before]
        gone = rollout(operator, window.past, before, inputs=given, cond=window.cond, key=roll)
        if given is not None:
            gone = jnp.concatenate([gone, given], axis=1)
        all_frames = jax.lax.stop_gradient(jnp.concatenate([window.past, gone]))
        calls = jr.randint(draw, (), 0, self.steps + 1) if self.random else jnp.asarray(self.steps)
        start = jax.lax.dynamic_slice_in_dim(all_frames, calls * h, operator.history)
        truth = jax.lax.dynamic_slice_in_dim(window.future, calls * h, h)
        return loss(operator(start, cond=window.cond, key=last), truth)


def _check_steps(name: str, steps: int) -> None:
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise ValueError(f"{name}: steps={steps!r}; expected a positive integer.")
