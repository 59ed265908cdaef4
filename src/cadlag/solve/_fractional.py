"""Equations with fractional noise as ordinary ones: the lift to (x, y_1 … y_K).

With B̂_H = Σ_k ω_k (Y_k - Y_k(0)) and dY_k = -γ_k Y_k dt + dB, the equation dX = f dt + g dB̂_H is

    dX = (f - g Σ_k ω_k γ_k Y_k) dt + (Σ_k ω_k) g dB,    dY_k = -γ_k Y_k dt + dB,

Markov, driven by one Brownian motion a noise entry (Daems et al., ICLR 2024). So everything for SDEs serves it; a
control of dB, `controlled(fractional(…), u)`, is the paper's posterior, and its energy the divergence.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, PRNGKeyArray, PyTree

from cadlag.paths import AbstractMarkovNoise, MarkovApproximation
from cadlag.solve._process import AbstractProcess, Calculus, NoiseKind, contract, diffusion_struct
from cadlag.solve._stepper import add


class Fractional(AbstractProcess):
    """A process lifted to (x, y), y having the noise's shape and a last axis of length K; made by `fractional`."""

    process: AbstractProcess
    weights: Array | Callable
    approximation: AbstractMarkovNoise
    noise: NoiseKind = eqx.field(static=True)
    calculus: Calculus = eqx.field(static=True)

    def start(self, x0: PyTree[Array], *, key: PRNGKeyArray | None = None, t0: Any = 0.0, args: Any = None) -> Any:
        """(x0, Y(0)): Y(0) from its stationary law for type I, which needs `key`; zero for type II."""
        dtype = jax.tree.leaves(x0)[0].dtype
        g = eqx.filter_eval_shape(self.process.diffusion, jnp.asarray(t0, dtype), x0, args)
        leaf = _one_leaf(diffusion_struct(self._kind, g, x0))
        return x0, self.approximation.initial(leaf.shape, leaf.dtype, key=key)

    def drift(self, t: Any, y: tuple[PyTree[Array], Array], args: Any) -> tuple[PyTree[Array], Array]:
        """f - g Σ ω γ Y, and -γ Y."""
        x, memory = y
        fall = -_like(self.approximation.rates, memory) * memory
        pushed = self._push(self.process.diffusion(t, x, args), jnp.sum(self._weights(t, args, memory) * fall, -1), x)
        f = self.process.drift(t, x, args)
        return (pushed if f is None else add(f, pushed)), fall

    def diffusion(self, t: Any, y: tuple[PyTree[Array], Array], args: Any) -> lx.AbstractLinearOperator:
        """dB → (Σ ω g dB, dB for each k)."""
        x, memory = y
        g, total = self.process.diffusion(t, x, args), jnp.sum(self._weights(t, args, memory), -1)
        # A product, and no broadcast alone: what comes out depends on the noise for sure.
        return lx.FunctionLinearOperator(
            lambda db: (self._push(g, total * db, x), db[..., None] * jnp.ones_like(memory)),
            jax.ShapeDtypeStruct(memory.shape[:-1], memory.dtype),
        )

    def noise_integral(self, y: Array, y0: Array, t: Any = None, args: Any = None) -> Array:
        """B̂_H from Y(t) and Y(0), for constant weights."""
        return jnp.sum(self._weights(t, args, y) * (y - y0), -1)

    def _push(self, g: Any, change: Array, x: PyTree[Array]) -> PyTree[Array]:
        # Entrywise noise of a PyTree of one array comes as that tree.
        struct = diffusion_struct(self._kind, g, x)
        return contract(self._kind, g, jax.tree.unflatten(jax.tree.structure(struct), [change]), x)

    def _weights(self, t: Any, args: Any, memory: Array) -> Array:
        found = self.weights(t, args) if callable(self.weights) else self.weights
        return jnp.broadcast_to(found.astype(memory.dtype), memory.shape)

    @property
    def _kind(self) -> NoiseKind:
        assert isinstance(self.process.noise, NoiseKind)
        return self.process.noise


class _Varying(eqx.Module):
    hurst: Callable
    approximation: AbstractMarkovNoise

    def __call__(self, t: Any, args: Any) -> Array:
        return self.approximation.weights(self.hurst(t, args))


def fractional(process: AbstractProcess, hurst: Any, approximation: Any = None) -> Fractional:
    """The process with fractional noise of Hurst index `hurst` in place of its Brownian motion, on (x, y).

    **Arguments:**

    - `process`: an SDE with one driver of any kind: diagonal, additive, scalar, a matrix or an operator. Its noise is
      one array.
    - `hurst`: H in (0, 1): a number; an array of the noise's shape, one H an entry; or a function (t, args) → H
      (multifractional). Differentiable: to learn it, pass the sigmoid of a trained number.
    - `approximation`: rates, horizon, type; `MarkovApproximation()` by default, whose horizon is 1 and whose steps must
      stay below 1/40.

    Solve it from `lifted.start(x0, key=key)`; states are pairs (x, y). The sense of the integral is that of `process`:
    B̂ has a quadratic variation, (Σω)² dt, so Itô and Stratonovich differ where the diffusion depends on the state.

    **Raises:** ValueError for H outside (0, 1), no noise, several drivers.

    **Example:** `x, y = solve(lifted, lifted.start(x0, key=k1), ts, key=k2, steps=4).ys`
    """
    if process.noise is NoiseKind.none or isinstance(process.noise, tuple):
        which = "no noise" if process.noise is NoiseKind.none else "several drivers"
        raise ValueError(f"fractional needs an SDE with one driver, but the process has {which}.")
    approximation = MarkovApproximation() if approximation is None else approximation
    if not isinstance(approximation, AbstractMarkovNoise):
        raise TypeError(
            f"approximation is a {type(approximation).__name__}; expected a MarkovApproximation of cadlag.paths."
        )
    weights = _Varying(hurst, approximation) if callable(hurst) else approximation.weights(hurst)
    additive = process.noise is NoiseKind.additive
    flat = additive or process.noise in (NoiseKind.diagonal, NoiseKind.scalar, NoiseKind.commutative)
    kind = NoiseKind.additive if additive else (NoiseKind.commutative if flat else NoiseKind.operator)
    return Fractional(
        process=process, weights=weights, approximation=approximation, noise=kind, calculus=process.calculus
    )


def _one_leaf(struct: Any) -> Any:
    leaves = jax.tree.leaves(struct)
    if len(leaves) != 1:
        raise ValueError(f"fractional takes noise of one array, but the process has {len(leaves)}; join them to one.")
    return leaves[0]


def _like(rates: tuple[float, ...], memory: Array) -> Array:
    return jnp.broadcast_to(jnp.asarray(rates, memory.dtype), memory.shape)
