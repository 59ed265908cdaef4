"""The latent ODE (Chen et al., NeurIPS 2018; Rubanova et al., NeurIPS 2019): an ODE with an uncertain start.

v ~ N(0, I), y(t0) = ζ(v), dy/dt = f(t, y), x_i = A y(t_i) + b + noise. An encoder that reads the series backwards gives
q(v | x); training maximises E_q log p(x | v) - KL(q | p).
"""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.data import IrregularSeries
from cadlag.nn import MLP
from cadlag.series._law import (
    AbstractLatentLaw,
    GaussianReadout,
    InitialLaw,
    build_encoder,
    encode_backwards,
)
from cadlag.series._model import AbstractSeriesModel
from cadlag.series.recurrent import GRU
from cadlag.solve import ODE, AbstractAdjoint, AdaptiveSteps, solve

_ENCODER = functools.partial(GRU, hidden_size=32)


class LatentField(eqx.Module):
    """scale * tanh(network(y)), autonomous: its time is only where the series starts."""

    net: MLP
    scale: Array

    def __call__(self, t: Any, y: Array, args: Any) -> Array:
        """The vector field."""
        return self.scale * jnp.tanh(self.net(y))


class LatentODE(AbstractLatentLaw):
    """A latent ODE as a law of series.

    **Arguments:**

    - `channels`; `hidden_size` of the state; `latent_size` of v; `width`, `depth` of the networks.
    - `encoder`: constructor of any series model; it reads the series backwards.
    - `steps`: so many between two rows, or `AdaptiveSteps`; `stepper`, `adjoint`: as for `solve` (Heun by default).
    - `noise`: first deviation of the observations' noise; `learn_noise`: whether it is learnt or stays.
    """

    encoder: AbstractSeriesModel
    initial: InitialLaw
    field: LatentField
    readout: GaussianReadout
    channels: int = eqx.field(static=True)
    steps: int | AdaptiveSteps
    stepper: Any
    adjoint: AbstractAdjoint | None

    def __init__(
        self,
        channels: int,
        *,
        hidden_size: int = 16,
        latent_size: int = 16,
        width: int = 32,
        depth: int = 2,
        encoder: Callable = _ENCODER,
        steps: int | AdaptiveSteps = 1,
        stepper: Any = None,
        adjoint: AbstractAdjoint | None = None,
        noise: float = 0.1,
        learn_noise: bool = True,
        key: PRNGKeyArray,
    ):
        k1, k2, k3, k4 = jr.split(key, 4)
        self.encoder = build_encoder(encoder, channels, k1)
        self.initial = InitialLaw(self.encoder.hidden_size, latent_size, hidden_size, width, key=k2)
        net = MLP(hidden_size, hidden_size, width, depth, activation=jax.nn.softplus, key=k3)
        self.field = LatentField(net, jnp.ones(()))
        self.readout = GaussianReadout(hidden_size, channels, noise=noise, learn_noise=learn_noise, key=k4)
        self.channels, self.steps, self.stepper, self.adjoint = channels, steps, stepper, adjoint

    def sample(self, times: Float[Array, " time"], *, key: PRNGKeyArray) -> Float[Array, "time channels"]:
        """One draw, the observations' noise included."""
        k1, k2 = jr.split(key)
        return self.readout.draw(self._path(self.initial.draw(k1), times), key=k2)

    def infer(self, series: IrregularSeries, *, key: PRNGKeyArray) -> tuple[Array, Array]:
        """One draw of the states at all rows, and its divergence from the prior."""
        code = encode_backwards(self.encoder, series)[0]
        y0, divergence = self.initial.posterior(code, key)
        return self._path(y0, jnp.asarray(series.times)), divergence

    def _path(self, y0: Array, times: Array) -> Array:
        return solve(
            ODE(self.field), y0, times, steps=self.steps, stepper=self.stepper, adjoint=self.adjoint, throw=False
        ).ys
