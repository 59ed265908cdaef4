"""The loss in training: of the task, with the penalty of the solves; and what happens to solves that fail."""

import dataclasses
import enum
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, PRNGKeyArray

from cadlag.series._network import Learnt, SeriesNetwork
from cadlag.series._solving import at_step
from cadlag.train import FitResult, NonFiniteLoss


class OnFailure(enum.Enum):
    """What training does when a solve reaches its cap on steps: stop with `SolveFailed`, or leave the series out."""

    stop = "stop"
    skip = "skip"


class SolveFailed(NonFiniteLoss):
    """Solves of a training batch reached their cap on steps; `.fit` is the `FitResult` with the last good state."""

    def __init__(self, fit: FitResult, share: float):
        super().__init__(fit)
        self.args = (
            f"At step {fit.result.step} {share:.0%} of the batch's solves gave up at max_steps of AdaptiveSteps, or "
            "left the finite numbers. Raise max_steps, loosen rtol and atol, regularise=ErrorPenalty(...), or train on "
            f"without those series: on_failure=OnFailure.skip. {fit.result.reason}",
        )


class Penalised(eqx.Module):
    """A loss of (network, batch, key) under a penalty, whose weight follows the count of steps."""

    loss: Callable
    penalty: Any

    def __call__(self, network: SeriesNetwork, count: Array, batch: Any, key: PRNGKeyArray) -> tuple:
        """The loss, the next count and what is logged."""
        watched = dataclasses.replace(network, penalty=at_step(self.penalty, count))
        value, said = self.loss(watched, batch, key)
        return value, (count + 1, said)


def add_penalty(losses: Array, learnt: Learnt, mask: Array | None = None) -> tuple[Array, dict]:
    """The mean of losses (example axis first) where the mask is True, plus the mean penalty, and what to log.

    With `skip` examples whose solve failed are left out of both.
    """
    if learnt.penalty is None or learnt.failed is None:
        return (jnp.mean(losses) if mask is None else masked_mean(losses, mask)), {}
    ok = ~learnt.failed if learnt.skip else jnp.ones_like(learnt.failed)
    rows = jnp.broadcast_to(ok.reshape(-1, *[1] * (losses.ndim - 1)), losses.shape)
    value = masked_mean(losses, rows if mask is None else rows & mask)
    penalty = masked_mean(learnt.penalty, ok)
    said = {"penalty": penalty, "failed": jnp.mean(learnt.failed, dtype=penalty.dtype)}
    return value + penalty.astype(value.dtype), said


def masked_mean(x: Array, mask: Array) -> Array:
    """Mean of x where the mask is True; 0 where it is True nowhere."""
    count = jnp.maximum(jnp.sum(mask, dtype=x.dtype), jnp.ones((), x.dtype))
    return jnp.sum(jnp.where(mask, x, jnp.zeros_like(x))) / count


def named(error: NonFiniteLoss, loss: Callable) -> NonFiniteLoss:
    """The same error, or `SolveFailed` where solves of the failing batch failed."""
    # With other noise than the failing step had: its key is the loop's own.
    _, said = eqx.filter_jit(loss)(error.fit.state.unknowns, error.fit.result.batch, jr.key(0))
    share = float(said.get("failed", 0.0))
    return SolveFailed(error.fit, share) if share > 0 else error
