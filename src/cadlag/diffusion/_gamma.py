"""γ(t), the latent noise of an interpolant x_t = α x_0 + β x_1 + γ z: zero at both ends, positive between.

For the velocity only the product γγ' = ½ d(γ²)/dt matters. It stays finite where γ' does not, so it is never formed
from γ': it is half the exact derivative of γ². Albergo, Boffi and Vanden-Eijnden, JMLR 26 (2025).
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from cadlag.diffusion._schedule import derivative


class AbstractGamma(eqx.Module):
    """The scale of the latent noise on [0, 1], elementwise in t.

    To write your own: give `squared(t)` = γ², differentiable at both ends (γ itself need not be), and `value(t)` = γ,
    each zero at t = 0 and t = 1.
    """

    @abc.abstractmethod
    def value(self, t: Array) -> Array:
        """γ(t)."""

    @abc.abstractmethod
    def squared(self, t: Array) -> Array:
        """γ(t)²."""

    def rate(self, t: Array) -> Array:
        """γ'(t); infinite at the ends for `BrownianGamma`."""
        return derivative(self.value, t)

    def product(self, t: Array) -> Array:
        """γγ' = ½ d(γ²)/dt, finite at both ends."""
        return 0.5 * derivative(self.squared, t)


class BrownianGamma(AbstractGamma):
    """γ = sqrt(a t(1 - t)), a Brownian bridge of variance rate `a`: γγ' = a(1 - 2t)/2, γ' infinite at the ends."""

    a: float | Array = 1.0

    def __check_init__(self):
        _positive("BrownianGamma", "a", self.a)

    def value(self, t: Array) -> Array:
        """sqrt(a t(1 - t)); zero outside [0, 1], where rounding may put an end."""
        return jnp.sqrt(jnp.maximum(self.squared(t), 0))

    def squared(self, t: Array) -> Array:
        """a t(1 - t)."""
        return jnp.asarray(self.a, t.dtype) * t * (1 - t)


class QuadraticGamma(AbstractGamma):
    """γ = t(1 - t)."""

    def value(self, t: Array) -> Array:
        """t(1 - t)."""
        return t * (1 - t)

    def squared(self, t: Array) -> Array:
        """t²(1 - t)²."""
        return jnp.square(t * (1 - t))


class SineGamma(AbstractGamma):
    """γ = sin²(πt)."""

    def value(self, t: Array) -> Array:
        """sin²(πt)."""
        return jnp.square(jnp.sin(jnp.pi * t))

    def squared(self, t: Array) -> Array:
        """sin⁴(πt)."""
        return jnp.square(self.value(t))


class BumpGamma(AbstractGamma):
    """γ = σ(f(t - ½) + 1) - σ(f(t - ½) - 1) less its value at the ends, σ the logistic function: flat, then a bump."""

    steepness: float = 10.0

    def __check_init__(self):
        _positive("BumpGamma", "steepness", self.steepness)

    def value(self, t: Array) -> Array:
        """The bump."""
        step, f = jax.nn.sigmoid, jnp.asarray(self.steepness, t.dtype)
        at_end = step(1 - f / 2) - step(-1 - f / 2)
        return step(f * (t - 0.5) + 1) - step(f * (t - 0.5) - 1) - at_end

    def squared(self, t: Array) -> Array:
        """The bump's square."""
        return jnp.square(self.value(t))


class NoGamma(AbstractGamma):
    """γ = 0: no latent noise, hence no score to learn; the ODE alone remains."""

    def value(self, t: Array) -> Array:
        """Zero."""
        return jnp.zeros_like(t)

    def squared(self, t: Array) -> Array:
        """Zero."""
        return jnp.zeros_like(t)


def _positive(owner: str, name: str, value: float | Array) -> None:
    if isinstance(value, float | int) and not value > 0:
        raise ValueError(f"{owner}: {name}={value} must be positive; for no latent noise use NoGamma().")
