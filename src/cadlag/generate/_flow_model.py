"""A continuous normalising flow as a law (Chen et al., NeurIPS 2018; Grathwohl et al., FFJORD, ICLR 2019).

Time runs from the data (0) to the base law (t1) in each of a few blocks, dx/dt = f(t, x), and

    log p(x) = log p_base(x(t1)) + ∫ ∇·f(t, x(t)) dt;

a draw is the base law's, carried back.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.distributions import AbstractDistribution
from cadlag.linalg import rademacher_probes
from cadlag.solve import ODE, AbstractAdjoint, AdaptiveSteps, solve, with_density


class ConcatSquash(eqx.Module):
    """(W y + b) sigmoid(a t + c) + d t: an affine layer that time gates and shifts (Grathwohl et al., FFJORD)."""

    affine: eqx.nn.Linear
    gate: eqx.nn.Linear
    shift: eqx.nn.Linear

    def __init__(self, in_size: int, out_size: int, *, key: PRNGKeyArray):
        k1, k2, k3 = jr.split(key, 3)
        self.affine = eqx.nn.Linear(in_size, out_size, key=k1)
        self.gate = eqx.nn.Linear(1, out_size, key=k2)
        self.shift = eqx.nn.Linear(1, out_size, use_bias=False, key=k3)

    def __call__(self, t: Float[Array, "1"], y: Float[Array, " in_size"]) -> Float[Array, " out_size"]:
        """The layer at time t."""
        return self.affine(y) * jax.nn.sigmoid(self.gate(t)) + self.shift(t)


class SquashNetwork(eqx.Module):
    """A field of `ConcatSquash` layers with tanh between them, on samples of any shape, flattened."""

    layers: list[ConcatSquash]

    def __call__(self, level: Array, x: Array, *, cond: Any = None, key: PRNGKeyArray | None = None) -> Array:
        """The velocity at time `level`, like x."""
        t, y = jnp.reshape(level, (1,)), x.reshape(-1)
        for layer in self.layers[:-1]:
            y = jnp.tanh(layer(t, y))
        return self.layers[-1](t, y).reshape(x.shape)


def concat_squash(shape: tuple[int, ...], *, width: int = 64, depth: int = 3, key: PRNGKeyArray) -> SquashNetwork:
    """The usual field of a continuous flow: `depth` hidden layers of `width`."""
    size = 1
    for n in shape:
        size *= n
    sizes = [size, *[width] * depth, size]
    keys = jr.split(key, depth + 1)
    return SquashNetwork([ConcatSquash(m, n, key=k) for m, n, k in zip(sizes[:-1], sizes[1:], keys, strict=True)])


class _Velocity(eqx.Module):
    network: Callable

    def __call__(self, t: Any, y: Array, args: Any) -> Array:
        return self.network(jnp.asarray(t, y.dtype), y)


class FlowModel(AbstractDistribution):
    """The law of a continuous flow.

    **Arguments:**

    - `networks`: one a block, called as `network(t, x)`, the velocity like x; data see the first block first.
    - `base`: the law at the end of the last block, of one array.
    - `t1`: length of each block; `steps`: so many fixed ones a block, or `AdaptiveSteps`; `stepper`, `adjoint`: as for
      `solve`.
    """

    networks: tuple[Callable, ...]
    base: AbstractDistribution
    t1: float = eqx.field(static=True, default=0.5)
    steps: int | AdaptiveSteps = 10
    stepper: Any = None
    adjoint: AbstractAdjoint | None = None

    def sample(self, key: PRNGKeyArray) -> Array:
        """One draw."""
        return self.decode(self.base.sample(key))

    def decode(self, z: Array) -> Array:
        """A point of the base law, carried to the data."""
        for network in reversed(self.networks):
            z = self._solve(ODE(_Velocity(network)), z, back=True)
        return z

    def encode(self, x: Array) -> Array:
        """A point of the data, carried to the base law."""
        for network in self.networks:
            x = self._solve(ODE(_Velocity(network)), x)
        return x

    def log_prob(self, x: Array, *, probes: Array | None = None) -> Float[Array, ""]:
        """Log-density in nats; exact, or with Hutchinson probes (n, *shape), drawn once for the whole solve."""
        total = jnp.zeros((), x.dtype)
        for network in self.networks:
            process = with_density(ODE(_Velocity(network)), probes=probes)
            x, change = self._solve(process, (x, jnp.zeros((), x.dtype)))
            total = total - change
        return self.base.log_prob(x) + total

    def log_prob_and_effort(self, x: Array, *, probes: Array | None = None) -> tuple[Array, Array, Array]:
        """Log-density, ∫|f|² dt and ∫|J e|² dt, over all blocks (Finlay et al., RNODE, ICML 2020)."""
        zero = jnp.zeros((), x.dtype)
        totals = (zero, zero, zero)
        for network in self.networks:
            x, *found = self._solve(ODE(_Effort(_Velocity(network), probes)), (x, zero, zero, zero))
            totals = tuple(a + b for a, b in zip(totals, found, strict=True))
        return self.base.log_prob(x) + totals[0], totals[1], totals[2]

    def _solve(self, process: Any, y: Any, back: bool = False) -> Any:
        ts = jnp.asarray([self.t1, 0.0] if back else [0.0, self.t1], jax.tree.leaves(y)[0].dtype)
        return solve(process, y, ts, steps=self.steps, stepper=self.stepper, adjoint=self.adjoint).y1


class _Effort(eqx.Module):
    """The field, its divergence, |f|² and the mean of |J e|² over probes (exactly: over unit vectors, summed)."""

    velocity: _Velocity
    probes: Array | None

    def __call__(self, t: Any, y: tuple, args: Any) -> tuple[Array, Array, Array, Array]:
        x = y[0]
        value, product = jax.linearize(lambda u: self.velocity(t, u, args), x)
        directions = jnp.eye(x.size, dtype=x.dtype).reshape(-1, *x.shape) if self.probes is None else self.probes
        images = jax.vmap(product)(directions)
        count = 1 if self.probes is None else len(self.probes)
        return value, jnp.sum(images * directions) / count, jnp.sum(value**2), jnp.sum(images**2) / count


class FlowLoss(eqx.Module):
    """Minus the mean log-density of a batch, with the flow's effort at will.

    **Arguments:** `probes`: how many for the divergence, drawn anew for every example and step; None: exact.
    `kinetic`, `jacobian`: weights of ∫|f|² dt and ∫|J e|² dt, which make flows that few steps can follow.
    """

    probes: int | None = eqx.field(static=True, default=None)
    kinetic: float = eqx.field(static=True, default=0.0)
    jacobian: float = eqx.field(static=True, default=0.0)

    def __call__(self, model: FlowModel, batch: Float[Array, "n *shape"], key: PRNGKeyArray) -> tuple[Array, dict]:
        """The loss, and the negative log-density alone."""

        def one(x: Array, k: PRNGKeyArray) -> tuple[Array, Array]:
            drawn = None if self.probes is None else rademacher_probes(x, self.probes, key=k)
            if self.kinetic == 0 and self.jacobian == 0:
                found = model.log_prob(x, probes=drawn)
                return found, -found
            found, kinetic, jacobian = model.log_prob_and_effort(x, probes=drawn)
            return found, -found + self.kinetic * kinetic + self.jacobian * jacobian

        densities, losses = jax.vmap(one)(batch, jr.split(key, len(batch)))
        return jnp.mean(losses), {"nll": -jnp.mean(densities)}
