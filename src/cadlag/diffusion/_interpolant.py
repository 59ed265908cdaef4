"""`AbstractInterpolant`: a random path x_t = α(t) x_0 + β(t) x_1 + γ(t) z between two arbitrary laws.

x_0 stands at t = 0 and x_1 at t = 1, the clock of the paper; it is NOT the clock of the schedules, whose noise is at
`t1`, because neither end is noise here. z is standard normal, independent of the pair. With

    b = E[α' x_0 + β' x_1 + γ' z | x_t]  (velocity),   η = E[z | x_t],   s = ∇ log ρ_t = -η/γ,   v = b + γγ' s,

dX = b dt and dX = (b ± εs) dt + sqrt(2ε) dW carry ρ_0 to ρ_1 and back. One-sided interpolants, x_0 being noise, are
schedules (`Flow`, `Cosine`). Albergo, Boffi and Vanden-Eijnden, JMLR 26 (2025).
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from cadlag.diffusion._gamma import AbstractGamma, BrownianGamma, NoGamma, SineGamma
from cadlag.diffusion._schedule import derivative


class AbstractInterpolant(eqx.Module):
    """A spatially linear interpolant on [0, 1], elementwise in t.

    To write your own: a field `latent`, the γ, and `alpha(t)`, `beta(t)` with α(0) = β(1) = 1 and α(1) = β(0) = 0.
    Derivatives follow by forward-mode differentiation. It has no log-SNR, so samplers of schedules refuse it.
    """

    latent: eqx.AbstractVar[AbstractGamma]

    def __check_init__(self):
        check_latent(type(self).__name__, self.latent)

    @abc.abstractmethod
    def alpha(self, t: Array) -> Array:
        """Weight of x_0."""

    @abc.abstractmethod
    def beta(self, t: Array) -> Array:
        """Weight of x_1."""

    def alpha_rate(self, t: Array) -> Array:
        """α'(t)."""
        return derivative(self.alpha, t)

    def beta_rate(self, t: Array) -> Array:
        """β'(t)."""
        return derivative(self.beta, t)

    def gamma(self, t: Array) -> Array:
        """γ(t)."""
        return self.latent.value(t)

    def gamma_squared(self, t: Array) -> Array:
        """γ(t)²."""
        return self.latent.squared(t)

    def gamma_rate(self, t: Array) -> Array:
        """γ'(t); may be infinite at the ends."""
        return self.latent.rate(t)

    def gamma_product(self, t: Array) -> Array:
        """γγ', finite at both ends."""
        return self.latent.product(t)

    def at(self, t: Array, x0: Array, x1: Array, z: Array) -> Array:
        """x_t of one triple, for a scalar t."""
        return self.alpha(t) * x0 + self.beta(t) * x1 + self.gamma(t) * z

    def mean_rate(self, t: Array, x0: Array, x1: Array) -> Array:
        """∂_t I = α' x_0 + β' x_1, for a scalar t."""
        return self.alpha_rate(t) * x0 + self.beta_rate(t) * x1

    def level(self, t: Array) -> Array:
        """log(t/(1 - t)) within ±10: the number that networks are told. It resolves both ends, where γ moves fast."""
        return jnp.clip(jax.scipy.special.logit(t), -10.0, 10.0)


class Linear(AbstractInterpolant):
    """α = 1 - t, β = t."""

    latent: AbstractGamma = BrownianGamma()

    def alpha(self, t: Array) -> Array:
        """1 - t."""
        return 1 - t

    def beta(self, t: Array) -> Array:
        """The time t."""
        return t


class Trigonometric(AbstractInterpolant):
    """α = sqrt(1 - γ²) cos(πt/2), β = sqrt(1 - γ²) sin(πt/2), so that α² + β² + γ² = 1. Needs γ < 1 everywhere."""

    latent: AbstractGamma = BrownianGamma()

    def __check_init__(self):
        if not isinstance(self.latent, AbstractGamma):
            return  # refused by the base class
        # Concrete even under jit, unless the γ has traced parameters.
        with jax.ensure_compile_time_eval():
            peak = jnp.max(self.latent.squared(jnp.linspace(0.0, 1.0, 201)))
        if not isinstance(peak, Tracer) and np.asarray(peak) >= 1 - 1e-6:
            raise ValueError(
                f"Trigonometric: γ² reaches {float(peak):.3g}, but sqrt(1 - γ²) needs γ < 1. For BrownianGamma(a) take "
                "a < 4; SineGamma() reaches one."
            )

    def alpha(self, t: Array) -> Array:
        """sqrt(1 - γ²) cos(πt/2)."""
        return jnp.sqrt(1 - self.gamma_squared(t)) * jnp.cos(0.5 * jnp.pi * t)

    def beta(self, t: Array) -> Array:
        """sqrt(1 - γ²) sin(πt/2)."""
        return jnp.sqrt(1 - self.gamma_squared(t)) * jnp.sin(0.5 * jnp.pi * t)


class EncodingDecoding(AbstractInterpolant):
    """x_0 fades into noise, x_1 fades in from it: α = cos²(πt) before t = ½, β = cos²(πt) after, zero elsewhere.

    With `SineGamma` (default) x_½ = z exactly. Without latent noise all paths meet in the point zero.
    """

    latent: AbstractGamma = SineGamma()

    def alpha(self, t: Array) -> Array:
        """cos²(πt) for t < ½, then 0."""
        return jnp.where(t < 0.5, jnp.square(jnp.cos(jnp.pi * t)), 0)

    def beta(self, t: Array) -> Array:
        """cos²(πt) for t > ½, 0 before."""
        return jnp.where(t > 0.5, jnp.square(jnp.cos(jnp.pi * t)), 0)


class Mirror(AbstractInterpolant):
    """α = 0, β = 1: x_t = x_1 + γ z, from the law of x_1 through a blurred one and back; x_0 is not used.

    b = -γγ' s. With noise enough a sample from one point of the data forgets it: the SDE resamples the whole law.
    """

    latent: AbstractGamma = BrownianGamma()

    def __check_init__(self):
        if isinstance(self.latent, NoGamma):
            raise ValueError("Mirror: without latent noise nothing moves; give BrownianGamma(a) or another γ.")

    def alpha(self, t: Array) -> Array:
        """Zero."""
        return jnp.zeros_like(t)

    def beta(self, t: Array) -> Array:
        """One."""
        return jnp.ones_like(t)


def check_latent(owner: str, latent: Any) -> None:
    """Refuse what is no γ."""
    if not isinstance(latent, AbstractGamma):
        raise TypeError(
            f"{owner}: the latent noise is {latent!r}; expected BrownianGamma(a), QuadraticGamma(), SineGamma(), "
            "BumpGamma() or NoGamma()."
        )
