"""The log-joint density of GP-HM (Fang et al., ICLR 2024, arXiv 2311.04465) for any equation on a grid.

Values u on the grid have the prior N(0, C), C = ⊗_j (K_j + nugget I); the equation's residual F(u) and the conditions'
B(u) are observed as zero with noise of precision v and tau:

    log p = -1/2 [log det C + uᵀ C⁻¹ u] + lambda_b [N_b/2 log tau - tau/2 |B(u)|²] + [N/2 log v - v/2 |F(u)|²] + const.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.kernels import AbstractStationary, KernelScheme
from cadlag.linalg import kronecker_logdet, kronecker_quadratic
from cadlag.physics._grid_problem import GridProblem


class GPState(eqx.Module):
    """What is learnt beside the values: the kernel of each axis, and the logarithms of the two precisions."""

    kernels: tuple[AbstractStationary, ...]
    log_tau: Float[Array, ""]
    log_v: Float[Array, ""]


class LogJoint(eqx.Module):
    """Minus the log-joint, as a function of `GPState` and values.

    **Arguments:**

    - `problem`: the equation on its grid.
    - `nugget`: on the diagonal of each axis' covariance.
    - `boundary_weight`: lambda_b.
    """

    problem: GridProblem
    nugget: float = eqx.field(static=True)
    boundary_weight: float = eqx.field(static=True)

    def scheme(self, state: GPState, *, explicit: bool = False) -> KernelScheme:
        """The derivatives that the state's kernels give; `explicit`: with the matrices that the equation asks for."""
        used = self.problem.derivatives() if explicit else ()
        dtype = state.log_v.dtype
        return KernelScheme(self.problem.grid, state.kernels, nugget=self.nugget, dtype=dtype, explicit=used)

    def weights(self, state: GPState) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """v and lambda_b tau: what |F|²/2 and |B|²/2 are multiplied with."""
        return jnp.exp(state.log_v), self.boundary_weight * jnp.exp(state.log_tau)

    def __call__(self, state: GPState, values: Float[Array, "..."]) -> tuple[Float[Array, ""], dict[str, Any]]:
        """Minus the log-joint, and its parts."""
        scheme = self.scheme(state)
        inside, outside = self.problem.residuals(values, scheme)
        factors = [c.factor for c in scheme.factors]
        prior = (kronecker_logdet(factors) + kronecker_quadratic(factors, values)) / 2
        v, kappa = self.weights(state)
        squares = jnp.sum(inside**2), jnp.sum(outside**2)
        equation = v / 2 * squares[0] - inside.size / 2 * state.log_v
        boundary = kappa / 2 * squares[1]
        boundary = boundary - self.boundary_weight * outside.size / 2 * state.log_tau
        info = {
            "prior": prior,
            "residual": jnp.sqrt(squares[0] / inside.size),
            "boundary": jnp.sqrt(squares[1] / max(outside.size, 1)),
            "jitter": jnp.max(jnp.stack([c.jitter for c in scheme.factors])),
        }
        return prior + equation + boundary, info
