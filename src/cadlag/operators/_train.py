"""Training shared by the wing: Adam with warm-up and cosine decay, averaged weights, the best state, resumable."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from cadlag.data import FieldNormaliser, Source
from cadlag.operators._operator import AbstractOperator
from cadlag.operators.objectives import AbstractObjective, Loss, Window
from cadlag.train import EMA, EarlyStopping, fit, gradient, warmed_adam

LOOKS, HELD = 20, 64
"""Validations in a run, and windows that each looks at."""
NEVER = 10**9


class Training(NamedTuple):
    """How an operator is trained."""

    steps: int
    learning_rate: float
    weight_decay: float
    average: float
    patience: int | None
    seed: int
    run: Any
    progress: Any


class OperatorLoss(eqx.Module):
    """The mean of an objective over a batch of scaled windows; in the data's units where `units` are given."""

    objective: AbstractObjective
    loss: Loss
    units: FieldNormaliser | None

    def __call__(self, operator: AbstractOperator, batch: Window, key: PRNGKeyArray) -> tuple[Array, dict]:
        """(mean, {})."""
        keys = jr.split(key, batch.past.shape[0])
        return jnp.mean(jax.vmap(lambda w, k: self.objective(operator, self.compare, w, k))(batch, keys)), {}

    def compare(self, prediction: Array, truth: Array) -> Array:
        """The loss of frames."""
        if self.units is None:
            return self.loss(prediction, truth)
        return self.loss(self.units.denormalise(prediction), self.units.denormalise(truth))


def train(
    operator: AbstractOperator, loss: OperatorLoss, source: Source, held: Window | None, settings: Training
) -> tuple[AbstractOperator, dict[str, np.ndarray]]:
    """Train; the averaged operator (of the best validation, where there is one), and the history."""
    optimiser = warmed_adam(settings.learning_rate, settings.steps, weight_decay=settings.weight_decay)
    update = gradient(loss, optimiser, average=EMA(settings.average) if settings.average else None)
    hooks, validate, every = [], None, max(1, settings.steps // LOOKS)
    if held is not None:
        # The same noise at every look, so that looks compare.
        key = jr.fold_in(jr.key(settings.seed), 3)
        validate = lambda state, _: {"validation": _evaluate(loss, state.averaged, held, key)}  # noqa: E731
        hooks = [EarlyStopping("validation", settings.patience or NEVER)]
    result = fit(
        update, operator, source, steps=settings.steps, key=jr.key(settings.seed), hooks=hooks, validate=validate,
        validate_every=every, run=settings.run, progress=settings.progress,
    )  # fmt: skip
    return result.state.averaged, result.history


@eqx.filter_jit
def _evaluate(loss: OperatorLoss, operator: AbstractOperator, held: Window, key: PRNGKeyArray) -> Array:
    return loss(operator, held, key)[0]
