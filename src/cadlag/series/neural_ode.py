"""The neural ODE dz/dt = f(t, z) (Chen et al., NeurIPS 2018): started by the first observation, blind to the rest."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, PRNGKeyArray

from cadlag.data import IrregularSeries
from cadlag.nn import MLP
from cadlag.series._model import (
    AbstractSeriesModel,
    InitialState,
    check_steps,
    control_points,
    integrate,
    time_features,
)
from cadlag.solve import ODE, AdaptiveSteps


class TimeField(eqx.Module):
    """tanh of a network of [sin t, cos t, z]."""

    net: MLP

    def __call__(self, t: Array, y: Array, args: None) -> Array:
        """The vector field."""
        return jnp.tanh(self.net(jnp.concatenate([time_features(t), y])))


class NeuralODE(AbstractSeriesModel):
    """A neural ODE as a model of a series; arguments as for `StableSDE`."""

    initial: InitialState
    field: TimeField
    hidden_size: int = eqx.field(static=True)
    steps: int | AdaptiveSteps
    stochastic: bool = eqx.field(static=True, default=False)
    blind: bool = eqx.field(static=True, default=True)

    def __init__(
        self,
        channels: int,
        *,
        hidden_size: int = 32,
        depth: int = 1,
        steps: int | AdaptiveSteps = 1,
        static_size: int = 0,
        key: PRNGKeyArray,
    ):
        check_steps(steps)
        k1, k2 = jr.split(key)
        self.initial = InitialState(channels, hidden_size, static_size=static_size, key=k1)
        self.field = TimeField(MLP(hidden_size + 2, hidden_size, hidden_size, depth, key=k2))
        self.hidden_size, self.steps, self.stochastic, self.blind = hidden_size, steps, False, True

    def __call__(self, series: IrregularSeries, *, key: PRNGKeyArray | None = None, final: bool = False) -> Any:
        """States at all times, or at the last."""
        times, values, _ = control_points(series)
        z0 = self.initial(values[0], series.static)
        return integrate(ODE(self.field), z0, times, self.steps, None, final)
