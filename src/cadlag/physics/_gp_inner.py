"""The inner problem of variable projection: the values that maximise the log-joint for given kernels and precisions.

It is a regularised least-squares problem, min_u 1/2 uᵀ C⁻¹ u + v/2 |F(u)|² + kappa/2 |B(u)|²: linear for linear
equations, and solved by Gauss-Newton steps otherwise.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from cadlag.kernels import KernelScheme
from cadlag.linalg import kronecker_apply, kronecker_quadratic
from cadlag.physics._gp_objective import GPState, LogJoint
from cadlag.physics._gp_precondition import preconditioner

SHORTER = (1.0, 0.5, 0.25, 0.0625, 0.0)
"""Steps that are tried where the equation is not linear; the best is taken."""


class Direct(eqx.Module):
    """One axis: a dense least-squares problem in whitened values z = L⁻¹ u, by its triangular factor R.

    Corrected seminormal equations: RᵀR z = Aᵀb, once more for the rest that rounding left.

    **Arguments:**

    - `newton`: Gauss-Newton steps, for an equation that is not linear; a linear one takes one.
    """

    newton: int = eqx.field(static=True, default=6)

    def solve(self, joint: LogJoint, state: GPState, start: Float[Array, " n"], *, linear: bool) -> Float[Array, " n"]:
        """The best values for `state`, from `start`."""
        scheme = joint.scheme(state, explicit=True)
        (factor,) = (c.factor for c in scheme.factors)
        residual = _weighted(joint, state, scheme)

        def step(u: Float[Array, " n"]) -> Float[Array, " n"]:
            r, push = jax.linearize(residual, u)
            A = jax.vmap(push)(factor.T).T
            z = solve_triangular(factor, u, lower=True)
            b = A @ z - r
            R = jnp.linalg.qr(jnp.concatenate([A, jnp.eye(len(z), dtype=z.dtype)]), mode="r")
            new = _seminormal(R, A.T @ b)
            new = new + _seminormal(R, A.T @ (b - A @ new) - new)
            return factor @ (new - z)

        return _gauss_newton(step, residual, scheme, start, 1 if linear else self.newton)


class ConjugateGradients(eqx.Module):
    """Any number of axes: conjugate gradients on the normal equations with Kronecker products, no matrix larger than
    an axis; preconditioned by the diagonal in bases that nearly diagonalise prior, equation and conditions together.

    **Arguments:**

    - `tolerance`: on the residual in the preconditioner's norm, relative to its start.
    - `steps`: at most.
    - `newton`: Gauss-Newton steps, for an equation that is not linear.
    """

    tolerance: float = eqx.field(static=True, default=1e-8)
    steps: int = eqx.field(static=True, default=200)
    newton: int = eqx.field(static=True, default=6)

    def solve(
        self, joint: LogJoint, state: GPState, start: Float[Array, "..."], *, linear: bool
    ) -> Float[Array, "..."]:
        """The best values for `state`, from `start`."""
        scheme = joint.scheme(state, explicit=True)
        inverses = [c.solve(jnp.eye(len(c.factor), dtype=start.dtype)) for c in scheme.factors]
        residual = _weighted(joint, state, scheme)

        def step(u: Float[Array, "..."]) -> Float[Array, "..."]:
            r, push = jax.linearize(residual, u)
            pull = jax.linear_transpose(push, u)
            gradient = kronecker_apply(inverses, u) + pull(r)[0]
            hessian = lambda x: kronecker_apply(inverses, x) + pull(push(x))[0]  # noqa: E731
            return self.invert(hessian, -gradient, preconditioner(joint, state, scheme, inverses, u))

        return _gauss_newton(step, residual, scheme, start, 1 if linear else self.newton)

    def invert(self, hessian: Callable, b: Float[Array, "..."], precondition: Callable) -> Float[Array, "..."]:
        """hessian⁻¹ b."""
        y = precondition(b)
        first = jnp.sum(b * y)

        def going(carry: tuple) -> Array:
            return (carry[4] < self.steps) & (carry[3] > self.tolerance**2 * first)

        def step(carry: tuple) -> tuple:
            x, r, p, rho, k = carry
            hp = hessian(p)
            alpha = rho / jnp.sum(p * hp)
            r = r - alpha * hp
            y = precondition(r)
            new = jnp.sum(r * y)
            return x + alpha * p, r, y + new / rho * p, new, k + 1

        return jax.lax.while_loop(going, step, (jnp.zeros_like(b), b, y, first, jnp.zeros((), jnp.int32)))[0]


def _weighted(joint: LogJoint, state: GPState, scheme: KernelScheme) -> Callable:
    """√v F and √kappa B, one vector."""
    v, kappa = joint.weights(state)

    def residual(u: Float[Array, "..."]) -> Float[Array, " rows"]:
        inside, outside = joint.problem.residuals(u, scheme)
        return jnp.concatenate([jnp.sqrt(v) * inside, jnp.sqrt(kappa) * outside])

    return residual


def _seminormal(R: Float[Array, "n n"], b: Float[Array, " n"]) -> Float[Array, " n"]:
    return solve_triangular(R, solve_triangular(R, b, trans=1))


def _gauss_newton(
    step: Callable, residual: Callable, scheme: KernelScheme, start: Float[Array, "..."], count: int
) -> Float[Array, "..."]:
    if count == 1:
        return start + step(start)
    factors = [c.factor for c in scheme.factors]

    def objective(u: Float[Array, "..."]) -> Float[Array, ""]:
        value = kronecker_quadratic(factors, u) + jnp.sum(residual(u) ** 2)
        return jnp.where(jnp.isfinite(value), value, jnp.inf)

    def shortened(u: Float[Array, "..."], _: None) -> tuple[Float[Array, "..."], None]:
        d = step(u)
        tried = jnp.stack([u + jnp.asarray(s, u.dtype) * d for s in SHORTER])
        return tried[jnp.argmin(jax.lax.map(objective, tried))], None

    return jax.lax.scan(shortened, start, None, length=count)[0]
