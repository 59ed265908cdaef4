"""PDE-Refiner: a prediction refined by removing noise of ever smaller, known size (Lippe et al., NeurIPS 2023).

A network trained by the mean squared error of one step learns the amplitudes that dominate it and leaves the rest of
the spectrum; in a nonlinear equation the rest comes back and ends the roll-out. Around any network,

    y = (u[t+1] - u[t]) / scale,      net(u[t], guess of y, level) at K + 1 levels of noise on the guess.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.metrics import high_correlation_time, pairwise_correlation
from cadlag.nn import SinusoidalEmbedding
from cadlag.operators._operator import AbstractOperator, channelwise, check_frames, per_channel
from cadlag.operators._refinement import AbstractRefinement, DiffusionRefinement
from cadlag.operators.forms import AbstractForm, Task, makes_operators
from cadlag.operators.objectives import AbstractObjective, Loss, Window


class Refiner(AbstractOperator):
    """Any network as an operator that refines its own prediction; it draws, so each call needs a `key`.

    The network sees `history` frames and a guess of `horizon` frames, folded into channels, and is told the level of
    noise by sinusoidal features: behind its conditions, or as constant channels.

    **Arguments:**

    - `network`: `network(u, cond=, key=)` from history * channels + horizon * out_channels (+ `features`) channels to
      horizon * out_channels, with (`features` +) the conditions of the operator.
    - `refinement`: `DiffusionRefinement()` or `PlainRefinement()`.
    - `history`, `horizon`; `residual`: y is the difference to the last frame; `scale`: its deviation, for all channels
      out or for each. The sizes of the noise are relative to it.
    - `features`: of the level, an even number; `as_channels`: told as constant channels.

    **Raises:** ValueError for a network whose channels or conditions do not fit.
    """

    network: Any
    refinement: AbstractRefinement
    embedding: SinusoidalEmbedding
    history: int = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    channels: int = eqx.field(static=True)
    out_channels: int = eqx.field(static=True)
    spatial_axes: int = eqx.field(static=True)
    conditions: int = eqx.field(static=True)
    stochastic: bool = eqx.field(static=True)
    residual: bool = eqx.field(static=True)
    as_channels: bool = eqx.field(static=True)
    scale: tuple[float, ...] = eqx.field(static=True)

    def __init__(
        self,
        network: Any,
        refinement: AbstractRefinement = DiffusionRefinement(),
        *,
        history: int = 1,
        horizon: int = 1,
        residual: bool = True,
        scale: Any = 1.0,
        features: int = 16,
        as_channels: bool = False,
    ) -> None:
        self.network, self.refinement, self.embedding = network, refinement, SinusoidalEmbedding(features)
        self.history, self.horizon, self.residual, self.as_channels = history, horizon, residual, as_channels
        self.conditions = network.conditions - (0 if as_channels else features)
        past = network.channels - network.out_channels - (features if as_channels else 0)
        if past < history or past % history or network.out_channels % horizon or self.conditions < 0:
            where = f"{features} channels" if as_channels else f"{features} conditions"
            raise ValueError(
                f"Refiner: the network takes {network.channels} channels and {network.conditions} conditions and gives "
                f"{network.out_channels} channels; expected history={history} times the channels of a frame, a guess "
                f"like the output (horizon={horizon} frames), and {where} more for the level of noise."
            )
        self.channels, self.out_channels = past // history, network.out_channels // horizon
        self.spatial_axes, self.stochastic = network.spatial_axes, True
        self.scale = per_channel("Refiner", scale, self.out_channels)

    def __call__(
        self,
        u: Float[Array, "history channels *space"],
        *,
        cond: Float[Array, " conditions"] | None = None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "horizon out_channels *space"]:
        """The frames that follow, drawn with `key`."""
        return self.stages(u, cond=cond, key=key)[-1]

    def stages(
        self,
        u: Float[Array, "history channels *space"],
        *,
        cond: Float[Array, " conditions"] | None = None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "stages horizon out_channels *space"]:
        """The prediction after each call of the network, K + 1 of them.

        `cadlag.metrics.error_spectrum` of the stages shows which wavenumbers each refinement puts right.
        """
        check_frames(self, u, cond)
        if key is None:
            raise ValueError("Refiner: it draws noise; pass key=jax.random.key(…).")
        like = jnp.zeros((self.horizon, self.out_channels, *u.shape[2:]), u.dtype)
        y = self.refinement.stages(self._net(u, cond), like, key=key)
        y = y * channelwise(self.scale, u, self.spatial_axes)[None]
        return y + u[None, -1:, : self.out_channels] if self.residual else y

    def loss(self, window: Window, *, key: PRNGKeyArray) -> Float[Array, ""]:
        """The refinement's loss on one window, whose future holds `horizon` frames."""
        check_frames(self, window.past, window.cond)
        y = window.future
        if self.residual:
            y = y - window.past[-1:, : self.out_channels]
        y = y / channelwise(self.scale, y, self.spatial_axes)
        return self.refinement.loss(self._net(window.past, window.cond), y, key=key)

    def _net(self, u: Array, cond: Array | None) -> Callable[[Array, Array], Array]:
        space = u.shape[2:]
        past = u.reshape(-1, *space)

        def net(level: Array, guess: Array) -> Array:
            told, inputs = self.embedding(level), [past, guess.reshape(-1, *space)]
            if self.as_channels:
                inputs.append(jnp.broadcast_to(told.reshape(-1, *(1,) * len(space)), (told.shape[0], *space)))
            else:
                told = told if cond is None else jnp.concatenate([cond, told])
            given = cond if self.as_channels else told
            return self.network(jnp.concatenate(inputs), cond=given).reshape(guess.shape)

        return net


class RefinementLoss(AbstractObjective):
    """The `Refiner`'s own loss: one level of noise a window and step of training, drawn uniformly."""

    uses_loss: ClassVar[bool] = False

    def frames(self, operator: AbstractOperator) -> int:
        """The operator's horizon."""
        return operator.horizon

    def __call__(self, operator: AbstractOperator, loss: Loss, window: Window, key: PRNGKeyArray) -> Float[Array, ""]:
        """The refinement's loss; `loss` is not used."""
        if not isinstance(operator, Refiner):
            raise TypeError(f"RefinementLoss is for a Refiner, but the operator is a {type(operator).__name__}.")
        return operator.loss(window, key=key)


class Refined(AbstractForm):
    """PDE-Refiner around the network: `OperatorRegressor(network, form=Refined())`. Arguments as of `Refiner`.

    Lippe et al. average the weights with 0.995, which is `average=0.995` of the estimator.
    """

    refinement: AbstractRefinement = DiffusionRefinement()
    residual: bool = eqx.field(static=True, default=True)
    features: int = eqx.field(static=True, default=16)
    as_channels: bool = eqx.field(static=True, default=False)

    def build(self, network: Callable, task: Task, *, key: PRNGKeyArray) -> AbstractOperator:
        """See `Refiner`."""
        if makes_operators(network):
            raise ValueError("Refined: the constructor makes operators with a time axis; refine a network instead.")
        if self.residual and task.increments is None:
            raise ValueError("Refined: residual=True needs data in time; a steady map has no last frame.")
        told = (self.features, 0) if self.as_channels else (0, self.features)
        guess = task.horizon * task.out_channels
        made = network(
            task.history * task.channels + guess + told[0], guess, spatial_axes=task.spatial_axes,
            conditions=task.conditions + told[1], key=key,
        )  # fmt: skip
        scale = list(task.increments or ()) if self.residual else 1.0
        return Refiner(
            made, self.refinement, history=task.history, horizon=task.horizon, residual=self.residual, scale=scale,
            features=self.features, as_channels=self.as_channels,
        )  # fmt: skip

    def objective(self) -> AbstractObjective:
        """`RefinementLoss()`."""
        return RefinementLoss()


def horizon_spread(samples: Any, ts: Any, *, threshold: float = 0.8) -> np.ndarray:
    """When the roll-outs of each example part: a RANKING of how far predictions can be trusted, (example,).

    The time at which the mean correlation of pairs of roll-outs, averaged over channels, falls below the threshold.
    Samples of a refiner are less spread than the truth is uncertain, by construction, so the time is no estimate of the
    horizon itself: compare examples with each other, or calibrate it on held-out ones.

    **Arguments:** `samples` (example, samples, steps, channel, *space), as of
    `OperatorRegressor.rollout(…, samples=M)`; `ts` (steps,).
    """
    samples = jnp.asarray(samples)
    if samples.ndim < 5:
        raise ValueError(
            f"samples has shape {samples.shape}; expected (example, samples, steps, channel, *space), as "
            "OperatorRegressor.rollout(…, samples=M) gives."
        )
    alike = jax.vmap(lambda s: pairwise_correlation(s, spatial_axes=s.ndim - 3))(samples)
    rows = np.asarray(jnp.mean(alike, axis=-1))
    return np.array([high_correlation_time(row[None], ts, threshold=threshold) for row in rows])
