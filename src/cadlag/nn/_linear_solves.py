"""Linear solvers for the gradient of an equilibrium, in lineax's form."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jax.flatten_util import ravel_pytree


class ScaledSolve(lx.AbstractLinearSolver):
    """Another solver, given a right-hand side whose largest entry is one, so that an absolute tolerance is a relative
    one: the size of a gradient depends on what a loss is averaged over, and many of its entries may be zero. Without
    `throw` a solution that is not accurate is taken as it is.
    """

    inner: lx.AbstractLinearSolver
    throw: bool = eqx.field(static=True, default=True)

    def init(self, operator: lx.AbstractLinearOperator, options: dict[str, Any]) -> Any:
        """That of the other."""
        return self.inner.init(operator, options)

    def compute(self, state: Any, vector: Any, options: dict[str, Any]) -> tuple[Any, Any, dict]:
        """Solve for the scaled vector, and scale back."""
        b, unravel = ravel_pytree(vector)
        size = jnp.max(jnp.abs(b))
        size = jnp.where(size > 0, size, jnp.ones_like(size))
        solution, result, stats = self.inner.compute(state, unravel(b / size), options)
        result = result if self.throw else lx.RESULTS.successful
        return jax.tree.map(lambda x: x * size, solution), result, stats

    def transpose(self, state: Any, options: dict[str, Any]) -> tuple[Any, dict]:
        """That of the other."""
        return self.inner.transpose(state, options)

    def conj(self, state: Any, options: dict[str, Any]) -> tuple[Any, dict]:
        """That of the other."""
        return self.inner.conj(state, options)

    def assume_full_rank(self) -> bool:
        """What the other assumes."""
        return self.inner.assume_full_rank()


class FixedPointSolve(lx.AbstractLinearSolver):
    """Solves (J - I) u = b, the equation of an equilibrium's gradient, by u ← J u - b.

    Converges where J, the Jacobian of f, has spectral radius below one, as fast as the undamped iteration. Where it
    does not within `max_steps`, the named result is `max_steps_reached`.

    Example: `Equilibrium(cell, 64, linear_solver=FixedPointSolve(rtol=1e-3))`.
    """

    rtol: float = 1e-5
    max_steps: int = eqx.field(static=True, default=200)

    def init(self, operator: lx.AbstractLinearOperator, options: dict[str, Any]) -> lx.AbstractLinearOperator:
        """The operator, linearised once."""
        return lx.linearise(operator)

    def compute(self, state: lx.AbstractLinearOperator, vector: Any, options: dict[str, Any]) -> tuple[Any, Any, dict]:
        """The iteration, from -b, until a step changes u by less than `rtol` of its largest entry."""
        b, unravel = ravel_pytree(vector)

        def again(carry: tuple) -> Any:
            _, change, count = carry
            return (change >= 1) & (count < self.max_steps)

        def body(carry: tuple) -> tuple:
            u, _, count = carry
            step = ravel_pytree(state.mv(unravel(u)))[0] - b
            new = u + step
            size = self.rtol * jnp.max(jnp.abs(new)) + jnp.finfo(u.dtype).tiny
            return new, jnp.max(jnp.abs(step)) / size, count + 1

        far = jnp.full((), jnp.inf, b.dtype)
        u, change, count = jax.lax.while_loop(again, body, (-b, far, jnp.zeros((), jnp.int32)))
        result = lx.RESULTS.where(change < 1, lx.RESULTS.successful, lx.RESULTS.max_steps_reached)
        return unravel(u), result, {"num_steps": count, "max_steps": self.max_steps}

    def transpose(self, state: lx.AbstractLinearOperator, options: dict[str, Any]) -> tuple[Any, dict]:
        """The same for the transposed equation."""
        return state.transpose(), {}

    def conj(self, state: lx.AbstractLinearOperator, options: dict[str, Any]) -> tuple[Any, dict]:
        """The same for the conjugate one."""
        return lx.conj(state), {}

    def assume_full_rank(self) -> bool:
        """J - I has full rank where the iteration converges."""
        return True
