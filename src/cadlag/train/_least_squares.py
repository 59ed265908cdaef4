"""Damped Gauss-Newton (Levenberg-Marquardt) for small problems: `min_u ½ |r(u)|²`."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ._update import AbstractUpdate, Info, UpdateState, check_unknowns, split_trainable


class _LeastSquares(AbstractUpdate):
    residual: Callable
    damping: float = eqx.field(static=True)
    accept: float = eqx.field(static=True)
    reject: float = eqx.field(static=True)

    def init(self, unknowns: PyTree, key: PRNGKeyArray, *, model_state: PyTree = None) -> UpdateState:
        check_unknowns(unknowns)
        flat, _ = ravel_pytree(split_trainable(unknowns)[0])
        damping = jnp.asarray(self.damping, flat.dtype)
        return UpdateState(unknowns, damping, None, None, jnp.zeros((), jnp.int32))

    def step(self, state: UpdateState, batch: PyTree, key: PRNGKeyArray) -> tuple[UpdateState, Info]:
        params, static = split_trainable(state.unknowns)
        flat, unravel = ravel_pytree(params)

        def residual(x: Float[Array, " n"]) -> Float[Array, " m"]:
            return ravel_pytree(self.residual(eqx.combine(unravel(x), static), batch, key))[0]

        r, damping = residual(flat), state.opt_state
        J = (jax.jacrev if r.size < flat.size else jax.jacfwd)(residual)(flat)
        new = flat + _damped_step(J, r, damping)
        before, after = 0.5 * jnp.sum(r**2), 0.5 * jnp.sum(residual(new) ** 2)
        better = after < before  # False when `after` is NaN, so a wild step is never kept
        flat = jnp.where(better, new, flat)
        damping = jnp.where(better, damping * self.accept, damping * self.reject)
        info = {"loss": before, "grad_norm": jnp.linalg.norm(J.T @ r), "damping": state.opt_state}
        unknowns = eqx.combine(unravel(flat), static)
        return UpdateState(unknowns, damping, None, None, state.step + 1), info


def _damped_step(J: Float[Array, "m n"], r: Float[Array, " m"], damping: Float[Array, ""]) -> Float[Array, " n"]:
    """Solve `(JᵀJ + λI) δ = -Jᵀr` as a stacked least-squares problem, which does not square the condition."""
    n = J.shape[1]
    A = jnp.concatenate([J, jnp.sqrt(damping) * jnp.eye(n, dtype=J.dtype)])
    b = jnp.concatenate([-r, jnp.zeros((n,), J.dtype)])
    Q, R = jnp.linalg.qr(A)
    return jax.scipy.linalg.solve_triangular(R, Q.T @ b)


def least_squares(
    residual: Callable, *, damping: float = 1e-3, accept: float = 0.3, reject: float = 3.0
) -> AbstractUpdate:
    """Damped Gauss-Newton on `½ |residual(unknowns, batch, key)|²`.

    **Arguments:**

    - `residual`: returns a PyTree of floating arrays, `m` numbers in all.
    - `damping`: the first λ in `(JᵀJ + λI) δ = -Jᵀr`; must be positive.
    - `accept`, `reject`: factors on λ after a step that lowered the loss, or did not (it is then not taken).

    **Cost:** the Jacobian is dense, `m x n` numbers with a QR factorisation of O((m + n) n²): for up to a few
    thousand unknowns. All unknowns must share one real dtype.

    **Returns:** an update whose info holds `loss` (½ |r|²), `grad_norm` (|Jᵀr|) and `damping`, all before the
    step. Levenberg (1944), Marquardt (1963).
    """
    if damping <= 0 or not 0 < accept <= 1 <= reject:
        raise ValueError(
            f"least_squares: got damping={damping}, accept={accept}, reject={reject}; "
            "expected damping > 0 and 0 < accept <= 1 <= reject."
        )
    return _LeastSquares(residual, damping, accept, reject)
