"""Operators: maps from frames of fields to the frames that follow (or to other fields), and their roll-out.

    u[t+1 .. t+horizon] = G(u[t-history+1 .. t]; cond),        frames of shape (channel, *space)

The first `out_channels` channels of the input are those that G predicts; channels behind them (a forcing, a
coefficient, a control) are given from outside. A steady map has one frame in and one frame out, of any channels.
"""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray


class AbstractOperator(eqx.Module):
    """A map from `history` frames to `horizon` frames, on one example.

    To write your own, give the static fields below and `__call__(u, *, cond=None, key=None)`, from
    (history, channels, *space) to (horizon, out_channels, *space) on the same points; `check_frames(self, u, cond)`
    refuses what does not fit.

    Fields: `history`, `horizon` in frames; `channels`, `out_channels` of a frame in and out; `spatial_axes`;
    `conditions`, the length of the vector `cond` (0: takes none); `stochastic`, whether it draws and needs a `key`.
    """

    history: eqx.AbstractVar[int]
    horizon: eqx.AbstractVar[int]
    channels: eqx.AbstractVar[int]
    out_channels: eqx.AbstractVar[int]
    spatial_axes: eqx.AbstractVar[int]
    conditions: eqx.AbstractVar[int]
    stochastic: eqx.AbstractVar[bool]

    @abstractmethod
    def __call__(
        self,
        u: Float[Array, "history channels *space"],
        *,
        cond: Float[Array, " conditions"] | None = None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "horizon out_channels *space"]:
        """The frames that follow."""


class OneStep(AbstractOperator):
    """A network with time folded into channels: `horizon` frames at once (temporal bundling, Brandstetter et al.,
    ICLR 2022, section 3.1) from `history` frames.

    **Arguments:**

    - `network`: `network(u, cond=, key=)` from (history * channels, *space) to (horizon * out_channels, *space).
    - `history`, `horizon`: frames in and out.
    - `residual`: the network gives differences to the last frame.
    - `scale`: of what the network gives, for all channels out or for each: deviation of the differences, say.

    **Raises:** ValueError for a network whose channels are no multiple of the frames.
    """

    network: Any
    history: int = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    channels: int = eqx.field(static=True)
    out_channels: int = eqx.field(static=True)
    spatial_axes: int = eqx.field(static=True)
    conditions: int = eqx.field(static=True)
    stochastic: bool = eqx.field(static=True)
    residual: bool = eqx.field(static=True)
    scale: tuple[float, ...] = eqx.field(static=True)

    def __init__(
        self, network: Any, *, history: int = 1, horizon: int = 1, residual: bool = False, scale: Any = 1.0
    ) -> None:
        self.network, self.history, self.horizon, self.residual = network, history, horizon, residual
        self.channels = _frames("history", history, "channels", network.channels)
        self.out_channels = _frames("horizon", horizon, "out_channels", network.out_channels)
        self.spatial_axes, self.conditions, self.stochastic = network.spatial_axes, network.conditions, False
        if residual and self.out_channels > self.channels:
            raise ValueError(
                f"OneStep: residual=True adds to the last frame, but it has {self.channels} channels and the output "
                f"{self.out_channels}; use residual=False."
            )
        self.scale = per_channel("OneStep", scale, self.out_channels)

    def __call__(
        self,
        u: Float[Array, "history channels *space"],
        *,
        cond: Float[Array, " conditions"] | None = None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "horizon out_channels *space"]:
        """The frames that follow; a `key` is handed to the network (dropout)."""
        check_frames(self, u, cond)
        space = u.shape[2:]
        y = self.network(u.reshape(-1, *space), cond=cond, key=key).reshape(self.horizon, -1, *space)
        y = y * channelwise(self.scale, y, self.spatial_axes)
        return y + u[-1:, : self.out_channels] if self.residual else y


def rollout(
    operator: AbstractOperator,
    u0: Float[Array, "history channels *space"],
    steps: int,
    *,
    inputs: Float[Array, "steps extra *space"] | None = None,
    cond: Float[Array, " conditions"] | None = None,
    key: PRNGKeyArray | None = None,
) -> Float[Array, "steps out_channels *space"]:
    """Apply an operator to its own output, by a scan: the `steps` frames after `u0`, for one example.

    With `horizon` h the operator is called ceil(steps / h) times. Differentiable; `jax.vmap` makes batches.

    **Arguments:**

    - `u0`: the first `history` frames.
    - `inputs`: the channels that are not predicted, at the times of the frames to come; None: as in the last of `u0`.
    - `cond`: the operator's conditions, the same at all times.
    - `key`: for a stochastic operator, which draws anew at each call.

    **Raises:** ValueError for a steady map, shapes that do not fit, a stochastic operator without a key.
    """
    calls = check_rollout(operator, u0, steps, inputs, key)
    extra = operator.channels - operator.out_channels
    rows = None
    if extra:
        along = jnp.broadcast_to(u0[-1:, operator.out_channels :], (steps, extra, *u0.shape[2:]))
        rows = _in_calls(along if inputs is None else inputs, calls, operator.horizon)
    keys = None if key is None else jr.split(key, calls)

    def call(window: Array, row: tuple) -> tuple[Array, Array]:
        given, one = row
        new = operator(window, cond=cond, key=one)
        frames = new if given is None else jnp.concatenate([new, given], axis=1)
        return jnp.concatenate([window, frames])[-operator.history :], new

    _, found = jax.lax.scan(call, u0, (rows, keys), length=calls)
    return found.reshape(-1, *found.shape[2:])[:steps]


def check_rollout(operator: AbstractOperator, u0: Array, steps: int, inputs: Array | None, key: Any) -> int:
    """Refuse what cannot be rolled out; the number of calls."""
    check_frames(operator, u0, None, given=False)
    extra = operator.channels - operator.out_channels
    if extra < 0:
        raise ValueError(
            f"rollout: the operator takes {operator.channels} channels and gives {operator.out_channels}, so its "
            "output is not its next input: a steady map has no roll-out."
        )
    if not isinstance(steps, int) or steps < 1:
        raise ValueError(f"rollout: steps={steps!r}; expected a positive integer.")
    if operator.stochastic and key is None:
        raise ValueError("rollout: the operator is stochastic; pass key=jax.random.key(…).")
    if inputs is not None and (extra == 0 or inputs.shape != (steps, extra, *u0.shape[2:])):
        raise ValueError(
            f"rollout: inputs has shape {inputs.shape}; expected (steps, extra, *space) = "
            f"{(steps, extra, *u0.shape[2:])}, the channels that the operator does not predict."
            + (" It predicts all of its channels: leave inputs out." if extra == 0 else "")
        )
    return -(-steps // operator.horizon)


def check_frames(operator: AbstractOperator, u: Array, cond: Array | None, *, given: bool = True) -> None:
    """Refuse frames and conditions of other shapes than the operator's."""
    name = type(operator).__name__
    if u.ndim != 2 + operator.spatial_axes or u.shape[:2] != (operator.history, operator.channels):
        raise ValueError(
            f"{name}: u has shape {u.shape}; expected (history, channels, *space) = ({operator.history}, "
            f"{operator.channels}, and {operator.spatial_axes} axes of space), one example; jax.vmap over a batch."
        )
    if given and operator.conditions and (cond is None or cond.shape != (operator.conditions,)):
        raise ValueError(
            f"{name}: cond is {'None' if cond is None else f'of shape {cond.shape}'}; expected a vector of "
            f"{operator.conditions} conditions."
        )
    if given and cond is not None and not operator.conditions:
        raise ValueError(f"{name}: it takes no conditions, but got cond of shape {cond.shape}.")


def per_channel(name: str, scale: Any, channels: int) -> tuple[float, ...]:
    """One positive number for each channel."""
    values = tuple(float(s) for s in (scale if isinstance(scale, list | tuple) else [scale] * channels))
    if len(values) != channels or not all(0 < s < float("inf") for s in values):
        raise ValueError(f"{name}: scale={scale}; expected a positive number, or {channels}, one for each channel out.")
    return values


def channelwise(values: Any, like: Array, spatial_axes: int) -> Array:
    """Numbers for each channel, shaped to meet frames (frame, channel, *space)."""
    return jnp.asarray(values, like.dtype).reshape(1, -1, *(1,) * spatial_axes)


def _frames(name: str, frames: int, what: str, total: int) -> int:
    if not isinstance(frames, int) or frames < 1 or total % frames:
        raise ValueError(
            f"OneStep: {name}={frames} with a network of {total} {what}; expected a positive integer that divides "
            f"{total}, as {name} frames are folded into them."
        )
    return total // frames


def _in_calls(inputs: Array, calls: int, horizon: int) -> Array:
    """(calls, horizon, extra, *space), the last frame repeated where the steps do not fill the last call."""
    at = jnp.minimum(jnp.arange(calls * horizon), inputs.shape[0] - 1)
    return inputs[at].reshape(calls, horizon, *inputs.shape[1:])
