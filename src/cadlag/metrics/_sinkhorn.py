"""Entropic optimal transport between two sets of points, by Sinkhorn's iteration in the log domain.

The coupling P of uniform weights that minimises Σ P_ij ½|x_i - y_j|² + ε KL(P ‖ uniform) has the form
P_ij ∝ exp(u_i + v_j - |x_i - y_j|² / (2ε)): the ends of the Schrödinger bridge whose reference is a Brownian motion of
variance ε per unit time. Cuturi, NeurIPS 2013; Peyré and Cuturi, Computational Optimal Transport (2019), §4.4.
"""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import jax.scipy as jsp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, PRNGKeyArray

from cadlag.linalg import squared_distances
from cadlag.metrics._checks import two_samples

# Iterations between two looks at the marginals.
_ROUND = 10


class EntropicCoupling(eqx.Module):
    """A joint law of the indices of two sets of points.

    `log_matrix` (n, m) of total mass one; `error`, the sum over i of |Σ_j P_ij - 1/n| (the other marginal is exact);
    `iterations` made.
    """

    log_matrix: Float[Array, "n m"]
    error: Float[Array, ""]
    iterations: Int[Array, ""]

    @property
    def matrix(self) -> Float[Array, "n m"]:
        """The probabilities of all pairs."""
        return jnp.exp(self.log_matrix)

    def sample(self, key: PRNGKeyArray) -> tuple[Int[Array, ""], Int[Array, ""]]:
        """One pair of indices (i, j): i uniform, then j given i."""
        first, second = jr.split(key)
        i = jr.randint(first, (), 0, self.log_matrix.shape[0])
        return i, jr.categorical(second, self.log_matrix[i])


def entropic_coupling(
    x: Any,
    y: Any,
    epsilon: Any,
    *,
    tolerance: float = 1e-3,
    iterations: int = 5000,
    throw: bool = True,
) -> EntropicCoupling:
    """The entropic optimal coupling of two sets of points with uniform weights and cost ½|x - y|².

    **Arguments:**

    - `x` (n, ...), `y` (m, ...): floats, flattened behind the first axis. The (n, m) matrix is held.
    - `epsilon`: positive; the variance per unit time of the reference Brownian motion, so 2ε for √(2ε) dW. The number
      of iterations grows like the largest squared distance over epsilon.
    - `tolerance`: stop when the error of the marginal, of total mass one, is below; at most `iterations`.
    - `throw`: whether to raise at run time if they do not suffice.

    **Raises:** ValueError for fewer than two points, other shapes, values that are not finite, and for an epsilon,
    tolerance or number of iterations that is not positive.
    """
    x, y = two_samples(x, y)
    for name, value in (("epsilon", epsilon), ("tolerance", tolerance), ("iterations", iterations)):
        if not isinstance(value, Tracer) and not np.asarray(value).item() > 0:
            raise ValueError(f"`{name}` must be positive, but got {value}.")
    log_matrix, error, done = _sinkhorn(x, y, jnp.asarray(epsilon, x.dtype), tolerance, rounds=-(-iterations // _ROUND))
    if throw:
        log_matrix = eqx.error_if(
            log_matrix,
            error > tolerance,
            "entropic_coupling: the marginals are not within `tolerance` after `iterations`. Raise `iterations`, "
            "`epsilon` or `tolerance`, or look at `.error` with throw=False.",
        )
    return EntropicCoupling(log_matrix, error, done)


@functools.partial(jax.jit, static_argnames="rounds")
def _sinkhorn(x: Array, y: Array, epsilon: Array, tolerance: Any, *, rounds: int) -> tuple[Array, Array, Array]:
    n, m = len(x), len(y)
    gibbs = squared_distances(x, y) * (-0.5 / epsilon)
    log_n, log_m = jnp.log(jnp.asarray(n, x.dtype)), jnp.log(jnp.asarray(m, x.dtype))

    def step(_: Any, uv: tuple[Array, Array]) -> tuple[Array, Array]:
        u = -log_n - jsp.special.logsumexp(gibbs + uv[1][None], axis=1)
        return u, -log_m - jsp.special.logsumexp(gibbs + u[:, None], axis=0)

    def plan(u: Array, v: Array) -> Array:
        return gibbs + u[:, None] + v[None]

    def body(carry: tuple) -> tuple:
        u, v, _, done = carry
        u, v = jax.lax.fori_loop(0, _ROUND, step, (u, v))
        error = jnp.sum(jnp.abs(jnp.sum(jnp.exp(plan(u, v)), axis=1) - 1 / n))
        return u, v, error, done + 1

    start = (jnp.zeros(n, x.dtype), jnp.zeros(m, x.dtype), jnp.asarray(jnp.inf, x.dtype), jnp.asarray(0, jnp.int32))
    u, v, error, done = jax.lax.while_loop(lambda c: (c[2] > tolerance) & (c[3] < rounds), body, start)
    return plan(u, v), error, done * _ROUND
