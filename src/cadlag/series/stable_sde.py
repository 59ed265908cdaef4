"""Stable neural SDEs for irregular series (Oh, Lim and Kim, ICLR 2024, arXiv 2402.14989).

A neural SDE with free coefficients may explode under its own noise. Three families do not; X is the observed series
as a smooth control, z~ = ζ(t, z, X(t)) mixes it with the state, σ depends on time alone:

    Langevin-type  dz = γ(z~) dt + σ(t) dW
    linear noise   dz = γ(t, z~) dt + σ(t) z dW
    geometric      dz = γ(t, z~) z dt + σ(t) z dW
"""

import enum
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.data import IrregularSeries
from cadlag.nn import MLP
from cadlag.paths import AbstractPath, FunctionPath
from cadlag.series._model import (
    AbstractSeriesModel,
    InitialState,
    check_steps,
    control_at_knots,
    control_path,
    integrate,
    time_features,
)
from cadlag.solve import AbstractProcess, AdaptiveSteps, Calculus, NoiseKind, Tabulated


class Family(enum.Enum):
    """Which pair of drift and diffusion."""

    langevin = "langevin"
    linear_noise = "linear_noise"
    geometric = "geometric"


class TimeScale(eqx.Module):
    """σ(t) = relu(C2 relu(C1 [sin t, cos t] + e1) + e2), shape (hidden,)."""

    net: MLP

    def __init__(self, hidden_size: int, *, key: PRNGKeyArray):
        self.net = MLP(2, hidden_size, hidden_size, 1, final_activation=jax.nn.relu, key=key)

    def __call__(self, t: Float[Array, ""]) -> Float[Array, " hidden"]:
        """The scale of the noise at time t."""
        return self.net(time_features(t))


class ControlledEmbedding(eqx.Module):
    """z~ = A2 [u, v] + b2, u = A1 [sin t, cos t, z] + b1 (without time for Langevin), v = A0 X(t) + b0.

    There is no nonlinearity between the three maps, so z~ splits into a matrix times z and a function of time.
    """

    state: eqx.nn.Linear
    control: eqx.nn.Linear
    mix: eqx.nn.Linear
    with_time: bool = eqx.field(static=True)

    def __init__(self, channels: int, hidden_size: int, with_time: bool, *, key: PRNGKeyArray):
        k1, k2, k3 = jr.split(key, 3)
        self.state = eqx.nn.Linear(hidden_size + 2 * with_time, hidden_size, key=k1)
        self.control = eqx.nn.Linear(channels + 1, hidden_size, key=k2)
        self.mix = eqx.nn.Linear(2 * hidden_size, hidden_size, key=k3)
        self.with_time = with_time

    def __call__(self, t: Array, z: Float[Array, " hidden"], x: Array) -> Float[Array, " hidden"]:
        """z~ as the paper writes it."""
        seen = jnp.concatenate([time_features(t), z]) if self.with_time else z
        return self.mix(jnp.concatenate([self.state(seen), self.control(x)]))

    def state_matrix(self) -> Float[Array, "hidden hidden"]:
        """The matrix that multiplies z in z~."""
        hidden = self.mix.out_features
        return self.mix.weight[:, :hidden] @ self.state.weight[:, 2 * self.with_time :]

    def folded(self) -> "Offset":
        """What z~ adds to its matrix times z, as one affine map of [sin t, cos t] and X(t)."""
        hidden = self.mix.out_features
        left, right = self.mix.weight[:, :hidden], self.mix.weight[:, hidden:]
        assert self.state.bias is not None
        assert self.control.bias is not None
        assert self.mix.bias is not None
        time = left @ self.state.weight[:, :2] if self.with_time else None
        bias = left @ self.state.bias + right @ self.control.bias + self.mix.bias
        return Offset(time, right @ self.control.weight, bias)


class Offset(eqx.Module):
    """The part of z~ that does not depend on z."""

    time: Float[Array, "hidden 2"] | None
    control: Float[Array, "hidden channels_and_time"]
    bias: Float[Array, " hidden"]

    def __call__(self, t: Float[Array, ""], x: Float[Array, " channels_and_time"]) -> Float[Array, " hidden"]:
        """Its value at time t, the control being x."""
        value = self.control @ x + self.bias
        return value if self.time is None else value + self.time @ time_features(t)


class _Along(eqx.Module):
    offset: Offset
    path: AbstractPath

    def __call__(self, t: Array) -> Array:
        return self.offset(t, self.path.evaluate(t))


class StableProcess(AbstractProcess):
    """One of the three families as a process; the paths `offset` and `sigma` hold all that depends on time alone."""

    matrix: Float[Array, "hidden hidden"]
    offset: AbstractPath
    sigma: AbstractPath
    core: MLP
    gate: Float[Array, ""]
    family: Family = eqx.field(static=True)
    clip: bool = eqx.field(static=True)
    noise: NoiseKind = eqx.field(static=True)
    calculus: Calculus = eqx.field(static=True, default=Calculus.ito)

    def drift(self, t: Any, y: Float[Array, " hidden"], args: Any) -> Float[Array, " hidden"]:
        """γ(z~), times z in the geometric family; with `clip` bounded by one."""
        raw = self.core(jax.nn.relu(self.matrix @ y + self.offset.evaluate(t)))
        if self.family is Family.geometric:
            raw = raw * (jnp.tanh(y) if self.clip else y)
        return jnp.tanh(raw) if self.clip else raw

    def diffusion(self, t: Any, y: Float[Array, " hidden"], args: Any) -> Float[Array, " hidden"]:
        """σ(t), times z except in the Langevin family; with `clip` bounded by one."""
        raw = self.sigma.evaluate(t)
        if self.family is not Family.langevin:
            raw = raw * y
        return jnp.tanh(jax.nn.sigmoid(self.gate) * raw) if self.clip else raw


class StableSDE(AbstractSeriesModel):
    """A stable neural SDE driven by Brownian motion and steered by the observed series.

    **Arguments:**

    - `channels`: channels of the series (time is added as one more).
    - `hidden_size`: length of the state z; `depth`: number of layers of γ, at least one.
    - `family`: see `Family`, or use `LSDE`, `LNSDE`, `GSDE`.
    - `clip`: as in the released code, tanh around drift and diffusion and a learnt gate on the noise; False is the
      pure form of the paper's equations.
    - `noisy`: False removes the noise and keeps the drift: what does the noise add?
    - `steps`: Euler-Maruyama steps between two observations, or `AdaptiveSteps`, with a first step `dt0` and a
      `dt_min` (the resolution of the noise) where there is noise.
    - `static_size`: number of static features, which enter the initial state.
    """

    initial: InitialState
    embedding: ControlledEmbedding
    core: MLP
    sigma: TimeScale
    gate: Float[Array, ""]
    hidden_size: int = eqx.field(static=True)
    family: Family = eqx.field(static=True)
    clip: bool = eqx.field(static=True)
    noisy: bool = eqx.field(static=True)
    steps: int | AdaptiveSteps
    stochastic: bool = eqx.field(static=True)
    blind: bool = eqx.field(static=True)

    def __init__(
        self,
        channels: int,
        *,
        family: Family,
        hidden_size: int = 32,
        depth: int = 1,
        clip: bool = True,
        noisy: bool = True,
        steps: int | AdaptiveSteps = 1,
        static_size: int = 0,
        key: PRNGKeyArray,
    ):
        check_steps(steps)
        for name, value in (("hidden_size", hidden_size), ("depth", depth)):
            if value < 1:
                raise ValueError(f"{name}={value} must be at least 1.")
        k1, k2, k3, k4 = jr.split(key, 4)
        self.initial = InitialState(channels, hidden_size, static_size=static_size, key=k1)
        self.embedding = ControlledEmbedding(channels, hidden_size, family is not Family.langevin, key=k2)
        self.core = MLP(hidden_size, hidden_size, hidden_size, depth - 1, key=k3)
        self.sigma = TimeScale(hidden_size, key=k4)
        self.gate = jnp.ones(())
        self.hidden_size, self.family, self.clip = hidden_size, family, clip
        self.noisy, self.steps, self.stochastic, self.blind = noisy, steps, noisy, False

    def process(self, path: AbstractPath) -> StableProcess:
        """The SDE steered by one control path X(t) = (t, x(t))."""
        return self._process(FunctionPath(_Along(self.embedding.folded(), path)))

    def _process(self, offset: AbstractPath) -> StableProcess:
        noise = NoiseKind.additive if self.family is Family.langevin else NoiseKind.diagonal
        return StableProcess(
            matrix=self.embedding.state_matrix(),
            offset=offset,
            sigma=FunctionPath(self.sigma),
            core=self.core,
            gate=self.gate,
            family=self.family,
            clip=self.clip,
            noise=noise if self.noisy else NoiseKind.none,
        )

    def __call__(self, series: IrregularSeries, *, key: PRNGKeyArray | None = None, final: bool = False) -> Any:
        """States at all times, or at the last."""
        times = jnp.asarray(series.times)
        values = control_at_knots(series)
        if self.steps == 1:
            # One step a gap only looks at the observations: the path between them is never built.
            offset = Tabulated(jax.vmap(self.embedding.folded())(times, values))
            process = self._process(offset)
        else:
            process = self.process(control_path(series))
        z0 = self.initial(values[0], series.static)
        return integrate(process, z0, times, self.steps, key if self.noisy else None, final)


def LSDE(channels: int, **settings: Any) -> StableSDE:  # noqa: N802
    """The Langevin-type SDE; settings as for `StableSDE`."""
    return StableSDE(channels, family=Family.langevin, **settings)


def LNSDE(channels: int, **settings: Any) -> StableSDE:  # noqa: N802
    """The linear-noise SDE; settings as for `StableSDE`."""
    return StableSDE(channels, family=Family.linear_noise, **settings)


def GSDE(channels: int, **settings: Any) -> StableSDE:  # noqa: N802
    """The geometric SDE; settings as for `StableSDE`."""
    return StableSDE(channels, family=Family.geometric, **settings)
