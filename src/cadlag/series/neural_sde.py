"""The naive neural SDE: free drift and diffusion, no control. dz = f(t, z) dt + g(t, z) dW (elementwise).

It sees a series only through its first observation, so for any task about the rest it is blind: it is here to show
what the stable SDEs add, and verdicts never rest on it.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import lineax as lx
from jaxtyping import Array, Float, PRNGKeyArray

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
from cadlag.solve import AbstractProcess, AdaptiveSteps, Calculus, NoiseKind


class NaiveProcess(AbstractProcess):
    """dz = tanh(f(t, z)) dt + tanh(sigmoid(θ) g(t, z)) dW, as in the released comparison."""

    drift_net: MLP
    diffusion_net: MLP
    gate: Float[Array, ""]
    noise: NoiseKind = eqx.field(static=True, default=NoiseKind.operator)
    calculus: Calculus = eqx.field(static=True, default=Calculus.ito)

    def drift(self, t: Any, y: Float[Array, " hidden"], args: Any) -> Float[Array, " hidden"]:
        """The drift network, bounded by one."""
        return jnp.tanh(self.drift_net(jnp.concatenate([time_features(t), y])))

    def diffusion(self, t: Any, y: Float[Array, " hidden"], args: Any) -> lx.DiagonalLinearOperator:
        """The diffusion network; every entry depends on the whole state, so it is no diagonal noise."""
        raw = self.diffusion_net(jnp.concatenate([time_features(t), y]))
        return lx.DiagonalLinearOperator(jnp.tanh(jax.nn.sigmoid(self.gate) * raw))


class NeuralSDE(AbstractSeriesModel):
    """The naive neural SDE as a model of a series; arguments as for `StableSDE`."""

    initial: InitialState
    process: NaiveProcess
    hidden_size: int = eqx.field(static=True)
    steps: int | AdaptiveSteps
    stochastic: bool = eqx.field(static=True, default=True)
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
        k1, k2, k3 = jr.split(key, 3)
        self.initial = InitialState(channels, hidden_size, static_size=static_size, key=k1)
        drift = MLP(hidden_size + 2, hidden_size, hidden_size, depth, key=k2)
        diffusion = MLP(hidden_size + 2, hidden_size, hidden_size, 1, final_activation=jax.nn.relu, key=k3)
        self.process = NaiveProcess(drift, diffusion, jnp.ones(()))
        self.hidden_size, self.steps, self.stochastic, self.blind = hidden_size, steps, True, True

    def __call__(self, series: IrregularSeries, *, key: PRNGKeyArray | None = None, final: bool = False) -> Any:
        """States at all times, or at the last."""
        times, values, _ = control_points(series)
        z0 = self.initial(values[0], series.static)
        return integrate(self.process, z0, times, self.steps, key, final)
