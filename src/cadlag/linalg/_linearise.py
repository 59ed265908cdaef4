"""Models expanded in their parameters: f(θ0, x) + J(x)(θ - θ0), and Taylor polynomials of higher order.

Lee et al., NeurIPS 2019: wide networks are trained as their linearisation is.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array


class Linearised(eqx.Module):
    """The Taylor polynomial of a model in its parameters, around those it had.

    **Arguments:**

    - `model`: any callable PyTree of one example, kept as it is: no gradient passes to it.
    - `shift`: θ - θ0, like the model with None for what is not a parameter; zero at first, and what is trained.
    - `order`: of the polynomial; 1 is the linearised model.
    """

    model: Callable
    shift: Any
    order: int = eqx.field(static=True, default=1)

    def __call__(self, x: Array) -> Array:
        """The polynomial at one example: Σ_k (d/ds)^k f(θ0 + s (θ - θ0), x) / k! at s = 0, up to the order."""
        params, rest = eqx.partition(self.model, eqx.is_inexact_array)
        params = jax.lax.stop_gradient(params)

        def along(s: Array) -> Array:
            moved = jax.tree.map(lambda p, d: p + s.astype(p.dtype) * d, params, self.shift)
            return eqx.combine(moved, rest)(x)

        start = jnp.zeros((), jax.tree.leaves(params)[0].dtype)
        total, derivative, scale = along(start), along, 1.0
        for k in range(1, self.order + 1):
            derivative, scale = _derivative(derivative), scale / k
            total = total + scale * derivative(start)
        return total


def _derivative(g: Callable) -> Callable:
    return lambda s: jax.jvp(g, (s,), (jnp.ones_like(s),))[1]


def linearise(model: Callable, *, order: int = 1) -> Linearised:
    """The model's Taylor polynomial in its floating-point arrays, by default of first order.

    **Raises:** ValueError if the order is below 1, or the model has no parameters.
    """
    if order < 1:
        raise ValueError(f"order={order} of linearise: expected 1 (linear) or more.")
    params = eqx.filter(model, eqx.is_inexact_array)
    if not jax.tree.leaves(params):
        raise ValueError("linearise: the model has no floating-point arrays among its leaves.")
    return Linearised(model, jax.tree.map(jnp.zeros_like, params), order)
