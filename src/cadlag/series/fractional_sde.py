"""The latent SDE with fractional noise (Daems et al., ICLR 2024): a law of series with memory or roughness of its own.

Prior v ~ N(0, I), X(0) = ζ(v), dX = b(t, X) dt + σ dB̂_H, x_i = A X(t_i) + b + noise; B̂_H is MA-fBM and (X, Y) Markov.
One control u(t, X, Y, context) a noise entry, shared by all Y of it, makes the posterior, dB → u dt + dB, and its
energy ½ ∫ |u|² dt the divergence. H is learnt with the rest: its sigmoid's argument starts at zero, H = 1/2.
"""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.data import IrregularSeries
from cadlag.paths import AbstractMarkovNoise, MarkovApproximation
from cadlag.series._law import (
    AbstractLatentLaw,
    GaussianReadout,
    InitialLaw,
    build_encoder,
    encode_backwards,
    last_observed,
)
from cadlag.series._model import AbstractSeriesModel
from cadlag.series.latent_sde import Control, NextCode, neural_prior, noise_shape
from cadlag.series.recurrent import GRU
from cadlag.solve import AbstractAdjoint, AbstractProcess, Fractional, controlled, fractional, solve


class FractionalSDE(AbstractLatentLaw):
    """A latent SDE driven by fractional noise, as a law of series; its Hurst index is learnt.

    **Arguments:**

    - `channels`; `hidden_size` of X; `latent_size` of v; `width` of the networks.
    - `prior`: constructor `(hidden_size, *, key)` of a process with one driver; any process of `cadlag.solve`.
    - `approximation`: rates, type and horizon of the noise, in the model's units of time (`SeriesGenerator` scales time
      to [0, 1]); `MarkovApproximation()` by default. Steps must be shorter than 1/2 over its fastest rate.
    - `hurst`: None, one H for each noise entry is learnt; or a number that stays.
    - `encoder`, `steps`, `stepper`, `adjoint`, `noise`, `learn_noise`: as for `LatentSDE`.

    On coarse steps the bound is loose, the more so the rougher the noise and the smaller the observations' own, which
    pulls a learnt H up: take more `steps`, and where the series ARE scaled fractional motion, `HurstEstimator`.

    **Example:** `SeriesGenerator(FractionalSDE).fit(series).model_.hurst`
    """

    encoder: AbstractSeriesModel
    initial: InitialLaw
    prior: AbstractProcess
    raw_hurst: Array
    control: Control
    readout: GaussianReadout
    approximation: AbstractMarkovNoise
    channels: int = eqx.field(static=True)
    learn_hurst: bool = eqx.field(static=True)
    steps: int = eqx.field(static=True)
    stepper: Any
    adjoint: AbstractAdjoint | None

    def __init__(
        self,
        channels: int,
        *,
        hidden_size: int = 4,
        latent_size: int = 4,
        width: int = 32,
        prior: Callable = neural_prior,
        approximation: AbstractMarkovNoise | None = None,
        hurst: float | None = None,
        encoder: Callable = GRU,
        steps: int = 1,
        stepper: Any = None,
        adjoint: AbstractAdjoint | None = None,
        noise: float = 0.1,
        learn_noise: bool = True,
        key: PRNGKeyArray,
    ):
        if hurst is not None and not 0 < hurst < 1:
            raise ValueError(f"hurst={hurst} of a FractionalSDE must lie strictly between 0 and 1; None: it is learnt.")
        k1, k2, k3, k4, k5 = jr.split(key, 5)
        self.encoder = build_encoder(encoder, channels, k1)
        encoded = self.encoder.hidden_size
        self.initial = InitialLaw(encoded, latent_size, hidden_size, width, key=k2)
        self.prior = prior(hidden_size, key=k3)
        self.approximation = MarkovApproximation() if approximation is None else approximation
        shape = noise_shape(self.prior, hidden_size)
        first = 0.5 if hurst is None else hurst
        # Of a dtype of its own: a weak one would compile the first step twice.
        self.raw_hurst = jnp.full(shape, math.log(first / (1 - first)), jnp.zeros(()).dtype)
        self.learn_hurst = hurst is None
        state_size = hidden_size + self.raw_hurst.size * len(self.approximation.rates)
        self.control = Control(state_size, encoded, shape, width, key=k4)
        self.readout = GaussianReadout(hidden_size, channels, noise=noise, learn_noise=learn_noise, key=k5)
        self.channels, self.steps, self.stepper, self.adjoint = channels, steps, stepper, adjoint

    @property
    def hurst(self) -> Array:
        """H, of the noise's shape."""
        h = jax.nn.sigmoid(self.raw_hurst)
        return h if self.learn_hurst else jax.lax.stop_gradient(h)

    @property
    def process(self) -> Fractional:
        """The prior on (x, y)."""
        return fractional(self.prior, self.hurst, self.approximation)

    def sample(self, times: Float[Array, " time"], *, key: PRNGKeyArray) -> Float[Array, "time channels"]:
        """One draw, the observations' noise included."""
        k1, k2, k3, k4 = jr.split(key, 4)
        process = self.process
        path, _ = self._solve(process, process.start(self.initial.draw(k1), key=k4), times, k2, None)
        return self.readout.draw(path, key=k3)

    def infer(self, series: IrregularSeries, *, key: PRNGKeyArray) -> tuple[Array, Array]:
        """One draw of the states at all rows, and its divergence from the prior."""
        k1, k2, k3 = jr.split(key, 3)
        times, codes = jnp.asarray(series.times), encode_backwards(self.encoder, series)
        x0, divergence = self.initial.posterior(codes[0], k1)
        process, args = self.process, (NextCode(times, codes), last_observed(series))
        # Y(0) keeps its prior, as in the paper: nothing is paid for it.
        start = (process.start(x0, key=k3), jnp.zeros((), x0.dtype))
        (path, _), energy = self._solve(controlled(process, self.control), start, times, k2, args)
        return path, divergence + energy[-1]

    def _solve(self, process: AbstractProcess, y0: Any, times: Array, key: PRNGKeyArray, args: Any) -> Any:
        return solve(
            process, y0, times, args=args, key=key, steps=self.steps, stepper=self.stepper, adjoint=self.adjoint,
            throw=False,
        ).ys  # fmt: skip
