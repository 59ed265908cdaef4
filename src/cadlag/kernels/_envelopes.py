"""Unit shapes of stationary kernels and of their spectra: Matérn and Gaussian, with derivatives of every order.

Autodiff through |r| would depend on what the derivative of |r| is taken to be at 0. Here the derivative of the k-th
derivative is defined as the (k+1)-th, which has a closed form: a polynomial in |r| times an exponential, with the
parity of the order.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

MATERN = ((1.0,), (1.0, 1.0), (1.0, 1.0, 1.0 / 3.0))
"""Coefficients in t = √(2 nu) r of the polynomials before exp(-t), for nu = 1/2, 3/2, 5/2."""


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def matern(r: Float[Array, "..."], order: int, half: int) -> Float[Array, "..."]:
    """The derivative of an order of the Matérn shape, nu = half + 1/2. Orders above 2 half jump at 0."""
    rate = math.sqrt(2 * half + 1)
    polynomial = np.polynomial.Polynomial(MATERN[half])
    for _ in range(order):
        polynomial = (polynomial.deriv() - polynomial) * rate
    t = rate * jnp.abs(r)
    value = _horner(polynomial.coef, t) * jnp.exp(-t)
    return jnp.sign(r) * value if order % 2 else value


@matern.defjvp
def _matern_jvp(order: int, half: int, primals: tuple, tangents: tuple) -> Any:
    (r,), (dr,) = primals, tangents
    return matern(r, order, half), matern(r, order + 1, half) * dr


def gaussian(r: Float[Array, "..."], order: int) -> Float[Array, "..."]:
    """The derivative of an order of exp(-r²/2): (-1)^k He_k(r) exp(-r²/2)."""
    hermite = np.polynomial.hermite_e.herme2poly([0.0] * order + [(-1.0) ** order])
    return _horner(hermite, r) * jnp.exp(-(r**2) / 2)


def student_density(x: Float[Array, "..."], dof: int) -> Float[Array, "..."]:
    """Student's t density."""
    log_constant = math.lgamma((dof + 1) / 2) - math.lgamma(dof / 2) - math.log(dof * math.pi) / 2
    return jnp.exp(log_constant - (dof + 1) / 2 * jnp.log1p(x**2 / dof))


def normal_density(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The standard normal density."""
    return jnp.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def cosine(phase: Float[Array, "..."], order: int) -> Float[Array, "..."]:
    """The derivative of an order of the cosine."""
    function = jnp.sin if order % 2 else jnp.cos
    return function(phase) if order % 4 in (0, 3) else -function(phase)


def _horner(coefficients: np.ndarray, t: Float[Array, "..."]) -> Float[Array, "..."]:
    total = jnp.full_like(t, float(coefficients[-1]))
    for c in coefficients[-2::-1]:
        total = total * t + float(c)
    return total
