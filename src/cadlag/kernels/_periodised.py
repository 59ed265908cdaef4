"""Stationary kernels made periodic."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.kernels._envelopes import cosine
from cadlag.kernels._stationary import AbstractStationary, Number


class Periodised(AbstractStationary):
    """Σ_m k(tau + m P), the kernel wrapped around a period P, through its spectrum at the multiples of 1/P.

    By Poisson's sum this is (1/P) Σ_j S(j/P) cos(2 pi j tau / P), which is cut off after `modes`: positive definite
    whatever the cut-off, and differentiable to any order.

    **Arguments:**

    - `kernel`: a stationary kernel with a spectral density.
    - `period`: P, in units of the axis.
    - `modes`: the highest j; half the number of grid points is all that the grid can tell.
    """

    kernel: AbstractStationary
    period: float = eqx.field(static=True)
    modes: int = eqx.field(static=True)
    smoothness: None = None

    def __init__(self, kernel: AbstractStationary, period: Number, *, modes: int) -> None:
        if not period > 0 or modes < 1:
            raise ValueError(f"Periodised: period={period}, modes={modes}; expected both positive.")
        self.kernel, self.period, self.modes = kernel, float(period), modes

    def lag(self, tau: Float[Array, "..."], order: int = 0) -> Float[Array, "..."]:
        """The derivative of an order, term by term."""
        j = np.arange(self.modes + 1)
        twice = np.where(j == 0, 1.0, 2.0) / self.period * (2 * np.pi * j / self.period) ** order
        weights = self.density(jnp.asarray(j / self.period, tau.dtype)) * jnp.asarray(twice, tau.dtype)
        omega = jnp.asarray((2 * np.pi * j / self.period).reshape((1,) * tau.ndim + (-1,)), tau.dtype)
        return jnp.matmul(cosine(jnp.expand_dims(tau, -1) * omega, order), weights)

    def density(self, s: Float[Array, "..."]) -> Float[Array, "..."]:
        """That of k; the periodic kernel has a P-th of it at each multiple of 1/P, and nothing between."""
        return self.kernel.density(s)
