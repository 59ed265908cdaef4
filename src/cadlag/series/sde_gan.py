"""A neural SDE as a generator, and a neural CDE that criticises paths (Kidger et al., SDE-GANs, ICML 2021).

v ~ N(0, I), X(t0) = ζ(v), dX = μ(t, X) dt + σ(t, X) ∘ dW, Y = A X + b, with σ a (hidden, noise) matrix. The critic
reads a path Y: H(t0) = ξ(t0, Y(t0)), dH = f(t, H) dt + g(t, H) ∘ dY, score m · H(t1). Its networks have activations of
Lipschitz constant one and entries that are clipped, so that the score is Lipschitz along paths.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.data import IrregularSeries
from cadlag.nn import MLP, lipswish
from cadlag.paths import linear
from cadlag.series._law import AbstractSeriesLaw
from cadlag.series._model import control_points
from cadlag.solve import CDE, SDE, AbstractAdjoint, Calculus, NoiseKind, solve


class Bounded(eqx.Module):
    """scale * tanh(network(t, y)), reshaped: a drift or a matrix of noise."""

    net: MLP
    scale: Float[Array, ""]
    shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, hidden_size: int, shape: tuple[int, ...], width: int, depth: int, *, key: PRNGKeyArray):
        size = 1
        for n in shape:
            size *= n
        self.net = MLP(hidden_size + 1, size, width, depth, activation=lipswish, key=key)
        self.scale, self.shape = jnp.ones(()), shape

    def __call__(self, t: Any, y: Array, args: Any) -> Array:
        """The coefficient."""
        t = jnp.broadcast_to(jnp.asarray(t, y.dtype), (1,))
        return self.scale * jnp.tanh(self.net(jnp.concatenate([t, y]))).reshape(self.shape)


class SDEGenerator(AbstractSeriesLaw):
    """A law of series drawn by a neural SDE, for `Adversarial` training or a `SignatureScore`.

    **Arguments:**

    - `channels`; `hidden_size` of X; `noise_size` of W; `latent_size` of v; `width`, `depth` of the networks.
    - `steps` between two times, `stepper` and `adjoint`: as for `solve` (Heun by default; `ReversibleHeun()` with
      `Reversible()` for gradients at constant memory).
    """

    initial: MLP
    drift: Bounded
    diffusion: Bounded
    readout: eqx.nn.Linear
    channels: int = eqx.field(static=True)
    noise_size: int = eqx.field(static=True)
    latent_size: int = eqx.field(static=True)
    steps: int = eqx.field(static=True)
    stepper: Any
    adjoint: AbstractAdjoint | None

    def __init__(
        self,
        channels: int,
        *,
        hidden_size: int = 16,
        noise_size: int = 3,
        latent_size: int = 5,
        width: int = 16,
        depth: int = 1,
        steps: int = 1,
        stepper: Any = None,
        adjoint: AbstractAdjoint | None = None,
        key: PRNGKeyArray,
    ):
        for name, value in (("noise_size", noise_size), ("latent_size", latent_size), ("steps", steps)):
            if value < 1:
                raise ValueError(f"{name}={value} of an SDEGenerator must be at least 1.")
        k1, k2, k3, k4 = jr.split(key, 4)
        self.initial = MLP(latent_size, hidden_size, width, depth, activation=lipswish, key=k1)
        self.drift = Bounded(hidden_size, (hidden_size,), width, depth, key=k2)
        self.diffusion = Bounded(hidden_size, (hidden_size, noise_size), width, depth, key=k3)
        self.readout = eqx.nn.Linear(hidden_size, channels, key=k4)
        self.channels, self.noise_size, self.latent_size = channels, noise_size, latent_size
        self.steps, self.stepper, self.adjoint = steps, stepper, adjoint

    def sample(self, times: Float[Array, " time"], *, key: PRNGKeyArray) -> Float[Array, "time channels"]:
        """One draw at the given times."""
        k1, k2 = jr.split(key)
        x0 = self.initial(jr.normal(k1, (self.latent_size,), self.readout.weight.dtype))
        process = SDE(
            drift_field=self.drift, diffusion_field=self.diffusion, noise=NoiseKind.operator,
            calculus=Calculus.stratonovich,
        )  # fmt: skip
        path = solve(
            process, x0, times, key=k2, steps=self.steps, stepper=self.stepper, adjoint=self.adjoint, throw=False
        ).ys
        return jax.vmap(self.readout)(path)


class CDECritic(eqx.Module):
    """The score of a path.

    **Arguments:** as for `SDEGenerator`; `channels` of the paths.
    """

    initial: MLP
    drift: Bounded
    field: Bounded
    readout: eqx.nn.Linear
    steps: int = eqx.field(static=True)

    def __init__(
        self, channels: int, *, hidden_size: int = 16, width: int = 16, depth: int = 1, steps: int = 1,
        key: PRNGKeyArray,
    ):  # fmt: skip
        k1, k2, k3, k4 = jr.split(key, 4)
        self.initial = MLP(channels + 1, hidden_size, width, depth, activation=lipswish, key=k1)
        self.drift = Bounded(hidden_size, (hidden_size,), width, depth, key=k2)
        self.field = Bounded(hidden_size, (hidden_size, channels), width, depth, key=k3)
        self.readout = eqx.nn.Linear(hidden_size, 1, key=k4)
        self.steps = steps

    def __call__(self, series: IrregularSeries) -> Float[Array, ""]:
        """The score of one series, missing values filled by straight lines."""
        times, values, mask = control_points(series)
        path = linear(times, values, mask)
        h0 = self.initial(path.evaluate(times[0]))
        # Time is the path's first channel: one matrix field, drift and response side by side.
        joined = lambda t, h, args: jnp.concatenate(  # noqa: E731
            [self.drift(t, h, args)[:, None], self.field(t, h, args)], axis=1
        )
        h = solve(CDE(joined), h0, times, driver=path, steps=self.steps, throw=False).y1
        return self.readout(h)[0]


def clip_weights(critic: Any) -> Any:
    """Every linear map's entries clipped to ±1/out: then it is 1-Lipschitz from l1 to l1 (Kidger et al., 2021)."""

    def clip(node: Any) -> Any:
        if not isinstance(node, eqx.nn.Linear):
            return node
        bound = 1.0 / node.weight.shape[0]
        return eqx.tree_at(lambda n: n.weight, node, jnp.clip(node.weight, -bound, bound))

    return jax.tree.map(clip, critic, is_leaf=lambda node: isinstance(node, eqx.nn.Linear))
