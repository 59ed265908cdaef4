"""Weights of the residual point by point: in time, by size, or learnt."""

from abc import abstractmethod

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from cadlag.physics._collocation import Collocation


class AbstractPointWeights(eqx.Module):
    """A weight for each collocation point: the residual's term is mean_i w_i r_i².

    To write your own, give `init(problem, count)`, the first state, and
    `weigh(state, points, squared, others)`, which returns weights (n,) and the next state. `points` is (n, d) as the
    sampler drew them (`TimeSlices`: slice after slice), `squared` the squared residuals there, summed over the
    equations of a system, and `others` the weighted sum of all other terms. All three are constants: no gradient
    flows through weights. `problem.domain.axis("t")` says which coordinate is time. The least weight of every step is
    logged as `least_weight`.
    """

    @abstractmethod
    def init(self, problem: Collocation, count: int) -> PyTree:
        """The first state."""

    @abstractmethod
    def weigh(
        self, state: PyTree, points: Float[Array, "n d"], squared: Float[Array, " n"], others: Float[Array, ""]
    ) -> tuple[Float[Array, " n"], PyTree]:
        """Weights, and the next state."""


class ResidualAttention(AbstractPointWeights):
    """w_i = λ_i², λ_i ← decay λ_i + rate |r_i| / max |r|, for points that stay the same from step to step.

    Anagnostopoulos, Toscano, Stergiopulos, Karniadakis, Residual-based attention … (arXiv 2307.00379), eq. 10. Use a
    sampler that is fixed, or `PINN(resample_every=None)`.

    **Arguments:** `decay` in (0, 1), `rate` > 0; λ stays below rate / (1 - decay).
    """

    decay: float | int = eqx.field(static=True, default=0.999)
    rate: float | int = eqx.field(static=True, default=0.01)

    def __check_init__(self) -> None:
        if not 0 < self.decay < 1 or not self.rate > 0:
            raise ValueError(
                f"ResidualAttention: got decay={self.decay}, rate={self.rate}; expected 0 < decay < 1 and rate > 0."
            )

    def init(self, problem: Collocation, count: int) -> Float[Array, " n"]:
        """λ that starts the loss at a tenth of the plain one, as small λ must be able to grow."""
        return jnp.full(count, jnp.sqrt(0.1), problem.dtype)

    def weigh(
        self, state: Float[Array, " n"], points: Float[Array, "n d"], squared: Float[Array, " n"], others: Array
    ) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
        """λ² after its step."""
        size = jnp.sqrt(squared)
        new = self.decay * state + self.rate * size / jnp.maximum(jnp.max(size), jnp.finfo(size.dtype).tiny)
        return new**2, new
