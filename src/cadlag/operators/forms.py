"""How a network becomes an operator: the task it must fit, and the objective it is trained for."""

import functools
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
from jaxtyping import PRNGKeyArray

from cadlag.operators._operator import AbstractOperator, OneStep
from cadlag.operators.objectives import AbstractObjective, OneStepLoss


class Task(NamedTuple):
    """Frames and channels in and out; `increments`: deviation of (frame to come - last frame) of each channel out, in
    the units the operator works in, None for a steady map."""

    history: int
    horizon: int
    channels: int
    out_channels: int
    spatial_axes: int
    conditions: int = 0
    increments: tuple[float, ...] | None = None


class AbstractForm(eqx.Module):
    """A way to make an operator of a network.

    To write your own, give `build(network, task, *, key)`, where `network(channels, out_channels, spatial_axes=,
    conditions=, key=)` is a constructor, and `objective()`, what such an operator is trained for unless told otherwise.
    """

    @abstractmethod
    def build(self, network: Callable, task: Task, *, key: PRNGKeyArray) -> AbstractOperator:
        """An operator for the task, on scaled fields."""

    @abstractmethod
    def objective(self) -> AbstractObjective:
        """Its own objective."""


class Direct(AbstractForm):
    """The network's output is the prediction: `OneStep`, or an operator with its own time axis as it is.

    **Arguments:** `residual`: predict differences to the last frame, scaled to deviation one.
    """

    residual: bool = eqx.field(static=True, default=False)

    def build(self, network: Callable, task: Task, *, key: PRNGKeyArray) -> AbstractOperator:
        """See `OneStep`."""
        sizes: dict[str, Any] = {"spatial_axes": task.spatial_axes, "conditions": task.conditions, "key": key}
        if makes_operators(network):
            if task.channels != task.out_channels or task.increments is None:
                raise ValueError("Direct: an operator with a time axis predicts all of its channels, in time.")
            return network(task.channels, history=task.history, horizon=task.horizon, **sizes)
        if self.residual and task.increments is None:
            raise ValueError("Direct: residual=True needs data in time; a steady map has no last frame.")
        made = network(task.history * task.channels, task.horizon * task.out_channels, **sizes)
        scale = list(task.increments or ()) if self.residual else 1.0
        return OneStep(made, history=task.history, horizon=task.horizon, residual=self.residual, scale=scale)

    def objective(self) -> AbstractObjective:
        """`OneStepLoss()`."""
        return OneStepLoss()


def makes_operators(network: Callable) -> bool:
    """Whether a constructor makes an operator, with a time axis of its own, rather than a network."""
    made = network.func if isinstance(network, functools.partial) else network
    return isinstance(made, type) and issubclass(made, AbstractOperator)
