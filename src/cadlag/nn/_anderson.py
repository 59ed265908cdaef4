"""Anderson acceleration of a fixed-point iteration, as a solver for `optimistix.fixed_point`.

With residuals r_k = f(z_k) - z_k and the last m differences ΔZ, ΔR of iterates and residuals,

    γ = argmin |r_k - ΔR γ|² + λ |γ|²,      z_{k+1} = z_k + β r_k - (ΔZ + β ΔR) γ

(Anderson 1965; Walker and Ni, SIAM J. Numer. Anal. 2011). On an affine map it is essentially GMRES.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import optimistix as optx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, PyTree, Scalar


class AndersonState(eqx.Module):
    """The last iterate and residual as vectors, their last differences row by row, and how far from rest."""

    z: Float[Array, " size"]
    residual: Float[Array, " size"]
    dz: Float[Array, "memory size"]
    dr: Float[Array, "memory size"]
    count: Int[Array, ""]
    error: Float[Array, ""]


class Anderson(optx.AbstractFixedPointSolver):
    """Anderson acceleration.

    **Arguments:**

    - `rtol`, `atol`: the search ends where |f(z) - z| <= atol + rtol |z| in `norm`.
    - `memory`: differences kept, m; 0 is the plain (damped) iteration.
    - `damping`: β in (0, 1], how far along the residual a step goes.
    - `ridge`: λ relative to the mean square of the kept differences of residuals.

    Example: `optx.fixed_point(f, Anderson(rtol=1e-6, atol=1e-8), z0, args)`.
    """

    rtol: float = 1e-4
    atol: float = 1e-6
    norm: Callable[[PyTree], Scalar] = optx.max_norm
    memory: int = eqx.field(static=True, default=5)
    damping: float = 1.0
    ridge: float = 1e-6

    def __check_init__(self):
        if self.memory < 0:
            raise ValueError(f"memory={self.memory} of Anderson must be at least 0.")
        if not 0 < self.damping <= 1:
            raise ValueError(f"damping={self.damping} of Anderson must be in (0, 1]; 1 takes the whole residual.")

    def init(
        self, fn: Any, y: Any, args: Any, options: Any, f_struct: Any, aux_struct: Any, tags: Any
    ) -> AndersonState:
        """Nothing remembered."""
        z, _ = ravel_pytree(y)
        empty = jnp.zeros((self.memory, z.size), z.dtype)
        far = jnp.full((), jnp.inf, jnp.finfo(z.dtype).dtype)
        return AndersonState(z, jnp.zeros_like(z), empty, empty, jnp.zeros((), jnp.int32), far)

    def step(
        self, fn: Any, y: Any, args: Any, options: Any, state: AndersonState, tags: Any
    ) -> tuple[Any, AndersonState, Any]:
        """One evaluation of f and a least-squares problem in m unknowns."""
        value, aux = fn(y, args)
        z, unravel = ravel_pytree(y)
        residual = ravel_pytree(value)[0] - z
        dz, dr = state.dz, state.dr
        if self.memory:
            slot = (state.count - 1) % self.memory
            write = lambda rows, row: jnp.where(state.count > 0, rows.at[slot].set(row), rows)  # noqa: E731
            dz, dr = write(dz, z - state.z), write(dr, residual - state.residual)
        new = z + self.damping * residual - self._correction(dz, dr, residual)
        scale = self.atol + self.rtol * jnp.abs(z)
        error = self.norm(residual / scale).astype(state.error.dtype)
        return unravel(new), AndersonState(z, residual, dz, dr, state.count + 1, error), aux

    def _correction(self, dz: Array, dr: Array, residual: Array) -> Array:
        if not self.memory:
            return jnp.zeros_like(residual)
        gram = dr @ dr.T
        # Rows not yet written are zero; the second term keeps the first step's matrix from being zero.
        level = self.ridge * jnp.trace(gram) / self.memory + jnp.finfo(gram.dtype).tiny
        gamma = _solve_positive(gram + level * jnp.eye(self.memory, dtype=gram.dtype), dr @ residual)
        return gamma @ (dz + self.damping * dr)

    def terminate(
        self, fn: Any, y: Any, args: Any, options: Any, state: AndersonState, tags: Any
    ) -> tuple[Bool[Array, ""], optx.RESULTS]:
        """Whether the residual was small enough."""
        return state.error < 1, optx.RESULTS.successful

    def postprocess(
        self, fn: Any, y: Any, aux: Any, args: Any, options: Any, state: AndersonState, tags: Any, result: Any
    ) -> tuple[Any, Any, dict[str, Any]]:
        """The iterate as it is, and the last scaled residual."""
        return y, aux, {"error": state.error}


def _solve_positive(matrix: Float[Array, "n n"], right: Float[Array, " n"]) -> Float[Array, " n"]:
    """A positive definite system of a few unknowns, by elimination written out: no call to LAPACK in a batched loop."""
    rows = jnp.concatenate([matrix, right[:, None]], axis=1)
    for i in range(len(right)):
        pivot = rows[i] / rows[i, i]
        rows = (rows - rows[:, i : i + 1] * pivot[None]).at[i].set(pivot)
    return rows[:, -1]
