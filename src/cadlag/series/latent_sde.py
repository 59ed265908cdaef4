"""The latent SDE (Li et al., AISTATS 2020): a law of series whose state moves by a learnt SDE.

Prior v ~ N(0, I), X(t0) = ζ(v), dX = μ(t, X) dt + σ dW, x_i = A X(t_i) + b + noise. The posterior has a control in the
noise, dX = (μ + σ u(t, X, context)) dt + σ dW, u read off an encoder that runs backwards; training maximises

    E log p(x | X) - KL(q(v) | p(v)) - E ½ ∫ |u|² dt.

After the last observation u is zero: a forecast is the prior's, from where the observations leave it.
"""

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import lineax as lx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.data import IrregularSeries
from cadlag.nn import MLP
from cadlag.paths import AbstractPath, LookAhead
from cadlag.series._law import (
    AbstractLatentLaw,
    GaussianReadout,
    InitialLaw,
    build_encoder,
    encode_backwards,
    last_observed,
)
from cadlag.series._model import AbstractSeriesModel
from cadlag.series.recurrent import GRU
from cadlag.solve import SDE, AbstractAdjoint, AbstractProcess, NoiseKind, controlled, solve

_ENCODER = functools.partial(GRU, hidden_size=32)


class LatentDrift(eqx.Module):
    """scale * tanh(network(t, x))."""

    net: MLP
    scale: Array

    def __call__(self, t: Any, y: Float[Array, " hidden"], args: Any) -> Float[Array, " hidden"]:
        """The drift."""
        return self.scale * jnp.tanh(self.net(jnp.concatenate([_row(t, y), y])))


class LatentDiffusion(eqx.Module):
    """softplus(network_i(x_i)), a network for each component: diagonal noise."""

    nets: MLP  # stacked

    def __init__(self, hidden_size: int, width: int, *, key: PRNGKeyArray):
        make = lambda k: MLP(1, 1, width, 1, activation=jnp.tanh, key=k)  # noqa: E731
        self.nets = eqx.filter_vmap(make)(jr.split(key, hidden_size))

    def __call__(self, t: Any, y: Float[Array, " hidden"], args: Any) -> Float[Array, " hidden"]:
        """The diffusion, positive."""
        raw = eqx.filter_vmap(lambda net, x: net(x))(self.nets, y[:, None])[:, 0]
        return jax.nn.softplus(raw)


def neural_prior(hidden_size: int, *, width: int = 32, depth: int = 1, key: PRNGKeyArray) -> AbstractProcess:
    """A learnt drift and a learnt diagonal diffusion, in Itô's sense."""
    k1, k2 = jr.split(key)
    drift = LatentDrift(
        MLP(hidden_size + 1, hidden_size, width, depth, activation=jax.nn.softplus, key=k1), jnp.ones(())
    )
    return SDE(drift, LatentDiffusion(hidden_size, width, key=k2))


class NextCode(AbstractPath):
    """Between two rows, the code of the later one: what the encoder saw last is where the state has to go."""

    times: Float[Array, " time"]
    codes: Float[Array, "time code"]
    look_ahead: ClassVar[LookAhead] = LookAhead.all

    @property
    def t0(self) -> Array:
        """The first time."""
        return self.times[0]

    @property
    def t1(self) -> Array:
        """The last time."""
        return self.times[-1]

    def evaluate(self, t: Any) -> Float[Array, " code"]:
        """The code of the first row after t."""
        row = jnp.searchsorted(self.times, jnp.asarray(t, self.times.dtype), side="right")
        return self.codes[jnp.minimum(row, len(self.times) - 1)]

    def derivative(self, t: Any) -> Float[Array, " code"]:
        """Zero: the path is constant between rows."""
        return jnp.zeros_like(self.codes[0])


class Control(eqx.Module):
    """u(t, x, context), zero at first and after the last observation; x is an array or a PyTree of them.

    `args` is (context path, last time).
    """

    net: MLP
    shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, state_size: int, context: int, shape: tuple[int, ...], width: int, *, key: PRNGKeyArray):
        size = shape[0] if shape else 1
        net = MLP(state_size + context + 1, size, width, 2, activation=jax.nn.softplus, key=key)
        last = lambda n: (n.layers[-1].weight, n.layers[-1].bias)  # noqa: E731
        # The posterior starts as the prior, so that the first steps do not fight its energy.
        self.net, self.shape = eqx.tree_at(last, net, tuple(map(jnp.zeros_like, last(net)))), shape

    def __call__(self, t: Any, y: Any, args: tuple[Any, Array]) -> Array:
        """The control, of the noise's shape."""
        path, end = args
        flat = ravel_pytree(y)[0]
        u = self.net(jnp.concatenate([_row(t, flat), flat, path.evaluate(t)])).reshape(self.shape)
        return jnp.where(t < end, u, jnp.zeros_like(u))


class LatentSDE(AbstractLatentLaw):
    """A latent SDE as a law of series.

    **Arguments:**

    - `channels`; `hidden_size` of X; `latent_size` of v; `width` of the networks.
    - `prior`: constructor `(hidden_size, *, key)` of a process with one driver, `neural_prior` by default; any process
      of `cadlag.solve`, learnt or known.
    - `encoder`: constructor of any series model; it reads the series backwards.
    - `steps` between two rows, `stepper`, `adjoint`: as for `solve` (Euler-Maruyama or Heun, by the prior's sense).
    - `noise`: first deviation of the observations' noise; `learn_noise`: whether it is learnt or stays.
    """

    encoder: AbstractSeriesModel
    initial: InitialLaw
    prior: AbstractProcess
    control: Control
    readout: GaussianReadout
    channels: int = eqx.field(static=True)
    steps: int = eqx.field(static=True)
    stepper: Any
    adjoint: AbstractAdjoint | None

    def __init__(
        self,
        channels: int,
        *,
        hidden_size: int = 8,
        latent_size: int = 4,
        width: int = 32,
        prior: Callable = neural_prior,
        encoder: Callable = _ENCODER,
        steps: int = 1,
        stepper: Any = None,
        adjoint: AbstractAdjoint | None = None,
        noise: float = 0.1,
        learn_noise: bool = True,
        key: PRNGKeyArray,
    ):
        k1, k2, k3, k4, k5 = jr.split(key, 5)
        self.encoder = build_encoder(encoder, channels, k1)
        encoded = self.encoder.hidden_size
        self.initial = InitialLaw(encoded, latent_size, hidden_size, width, key=k2)
        self.prior = prior(hidden_size, key=k3)
        shape = noise_shape(self.prior, hidden_size)
        self.control = Control(hidden_size, encoded, shape, width, key=k4)
        self.readout = GaussianReadout(hidden_size, channels, noise=noise, learn_noise=learn_noise, key=k5)
        self.channels, self.steps, self.stepper, self.adjoint = channels, steps, stepper, adjoint

    def sample(self, times: Float[Array, " time"], *, key: PRNGKeyArray) -> Float[Array, "time channels"]:
        """One draw, the observations' noise included."""
        k1, k2, k3 = jr.split(key, 3)
        path = self._solve(self.prior, self.initial.draw(k1), times, k2, None)
        return self.readout.draw(path, key=k3)

    def infer(self, series: IrregularSeries, *, key: PRNGKeyArray) -> tuple[Array, Array]:
        """One draw of the states at all rows, and its divergence from the prior."""
        k1, k2 = jr.split(key)
        times, codes = jnp.asarray(series.times), encode_backwards(self.encoder, series)
        x0, divergence = self.initial.posterior(codes[0], k1)
        args = (NextCode(times, codes), last_observed(series))
        start = (x0, jnp.zeros((), x0.dtype))
        path, energy = self._solve(controlled(self.prior, self.control), start, times, k2, args)
        return path, divergence + energy[-1]

    def _solve(self, process: AbstractProcess, y0: Any, times: Array, key: PRNGKeyArray, args: Any) -> Any:
        return solve(
            process, y0, times, args=args, key=key, steps=self.steps, stepper=self.stepper, adjoint=self.adjoint,
            throw=False,
        ).ys  # fmt: skip


def noise_shape(process: AbstractProcess, hidden_size: int) -> tuple[int, ...]:
    """The shape of the noise that drives a process on a state of so many entries.

    **Raises:** TypeError or ValueError for what is no process with one driver.
    """
    if not isinstance(process, AbstractProcess):
        raise TypeError(f"prior built a {type(process).__name__}; expected a process of cadlag.solve, e.g. an SDE.")
    if process.noise is NoiseKind.none or isinstance(process.noise, tuple):
        raise ValueError("The prior of a LatentSDE needs noise from one driver; for none at all take a LatentODE.")
    if process.noise is NoiseKind.scalar:
        return ()
    y = jnp.zeros(hidden_size)
    g = process.diffusion(jnp.zeros(()), y, None)
    if isinstance(g, lx.AbstractLinearOperator):
        return tuple(g.in_structure().shape)
    return (hidden_size,) if g.shape == y.shape else tuple(g.shape[1:])


def _row(t: Any, like: Array) -> Array:
    return jnp.broadcast_to(jnp.asarray(t, like.dtype), (1,))
