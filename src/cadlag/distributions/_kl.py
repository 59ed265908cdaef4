"""Relative entropies in closed form."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.distributions._distribution import AbstractDistribution
from cadlag.distributions._gaussian import Gaussian, times
from cadlag.distributions._normal import Normal
from cadlag.distributions._positive import InverseGamma, inverse_gamma_kl


def kl(p: AbstractDistribution, q: AbstractDistribution) -> Float[Array, ""]:
    """KL(p ‖ q) = E_p[log p - log q] in nats, for any pair of `Normal` and `Gaussian`, or of two `InverseGamma`.

    **Raises:** TypeError for other laws; ValueError for different shapes.
    """
    if isinstance(p, InverseGamma) and isinstance(q, InverseGamma):
        return inverse_gamma_kl(p, q)
    shapes = [_shape(name, law) for name, law in (("p", p), ("q", q))]
    if shapes[0] != shapes[1]:
        raise ValueError(f"kl needs laws on one space, but p has draws of shape {shapes[0]} and q of {shapes[1]}.")
    if isinstance(p, Normal) and isinstance(q, Normal):
        ratio = (p.scale / q.scale) ** 2
        return 0.5 * jnp.sum(ratio - 1 - jnp.log(ratio) + ((p.loc - q.loc) / q.scale) ** 2)
    return _gaussians(_as_gaussian(p), _as_gaussian(q))


def _shape(name: str, law: AbstractDistribution) -> tuple[int, ...]:
    if isinstance(law, Normal):
        return law.loc.shape
    if isinstance(law, Gaussian):
        return law.mean.shape
    raise TypeError(
        f"kl has a closed form for Normal and Gaussian and for two InverseGamma, but `{name}` is a "
        f"{type(law).__name__}. Estimate it: the mean of p.log_prob(x) - q.log_prob(x) over draws x of p."
    )


def _gaussians(p: Gaussian, q: Gaussian) -> Array:
    spread = times(times(q.axes.T, p.axes) ** 2, p.variances)  # the variance of p along each axis of q
    shift = times(q.axes.T, p.mean - q.mean) ** 2
    logs = jnp.log(q.variances) - jnp.log(p.variances)
    return 0.5 * jnp.sum((spread + shift) / q.variances - 1 + logs)


def _as_gaussian(law: AbstractDistribution) -> Gaussian:
    if isinstance(law, Gaussian):
        return law
    assert isinstance(law, Normal)
    return Gaussian(law.loc, law.scale**2)
