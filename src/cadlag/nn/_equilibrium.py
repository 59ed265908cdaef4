"""Equilibrium layers: the output is where a network comes to rest.

    z* = f(z*, x),      dz*/dθ = (I - ∂f/∂z)^{-1} ∂f/∂θ

The gradient needs z* alone, not how it was found: backwards one solves u = v + (∂f/∂z)ᵀ u and takes one
vector-Jacobian product of f (Bai, Kolter and Koltun, Deep equilibrium models, NeurIPS 2019). Unlike an unrolled
network, memory does not grow with the iterations.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import optimistix as optx
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.linalg import rademacher_probes
from cadlag.nn._anderson import Anderson
from cadlag.nn._linear_solves import ScaledSolve


class Equilibrium(eqx.Module):
    """The layer x -> z*, for ONE example; `jax.vmap` makes batches, each with its own number of iterations.

    **Arguments:**

    - `cell`: `f(z, x)`, an array like z; for a unique rest point its Jacobian in z has norm below one, which
      `jacobian_penalty` in the loss keeps up in training.
    - `shape`: of z; an integer for a vector.
    - `solver`: None for `Anderson` to the square root of rounding; `Anderson(memory=0, damping=0.5)` is the damped
      iteration; or any solver of optimistix's `fixed_point`, such as `optx.Newton(rtol, atol)`.
    - `linear_solver`: of lineax, for the equation of the gradient. Default: GMRES, which sees products with the
      Jacobian only; `FixedPointSolve()` iterates u ← v + Jᵀ u; `lx.AutoLinearSolver(well_posed=True)` forms the
      Jacobian, which is faster for tens of numbers. The right-hand side is scaled to size one, so that an absolute
      tolerance is a relative one.
    - `adjoint`: None for the implicit gradient; `optx.RecursiveCheckpointAdjoint()` unrolls the iterations instead.
    - `max_steps`: cap on the iterations; `throw`: raise at run time where it is reached, or the gradient's equation is
      not solved; otherwise go on with what there is.

    Example: `Equilibrium(cell, 64)(x)`, where `cell(z, x)` is `jnp.tanh(W @ z + U @ x)`.
    """

    cell: Callable
    shape: tuple[int, ...] = eqx.field(static=True)
    solver: Any
    linear_solver: lx.AbstractLinearSolver | None
    adjoint: optx.AbstractAdjoint | None
    max_steps: int = eqx.field(static=True)
    throw: bool = eqx.field(static=True)

    def __init__(
        self,
        cell: Callable,
        shape: int | tuple[int, ...],
        *,
        solver: Any = None,
        linear_solver: lx.AbstractLinearSolver | None = None,
        adjoint: optx.AbstractAdjoint | None = None,
        max_steps: int = 64,
        throw: bool = True,
    ):
        self.cell, self.shape = cell, (shape,) if isinstance(shape, int) else tuple(shape)
        self.solver, self.linear_solver = solver, linear_solver
        self.adjoint, self.max_steps, self.throw = adjoint, max_steps, throw
        if max_steps < 1:
            raise ValueError(f"max_steps={max_steps} of an Equilibrium must be at least 1.")

    def __call__(self, x: Any, start: Float[Array, "..."] | None = None) -> Float[Array, "..."]:
        """The rest point z*, from `start` (zero by default)."""
        return self.solve(x, start).value

    def solve(self, x: Any, start: Float[Array, "..."] | None = None) -> optx.Solution:
        """The rest point as `.value`, how the search ended as `.result` and iterations as `.stats["num_steps"]`.

        With `throw=False`, `optx.RESULTS.nonlinear_max_steps_reached` names a search that did not converge.
        """
        if start is None:
            dtypes = [leaf.dtype for leaf in jax.tree.leaves(x) if eqx.is_inexact_array(leaf)]
            if not dtypes:
                raise TypeError("An Equilibrium takes its dtype from x, which holds no floating array; give `start`.")
            start = jnp.zeros(self.shape, dtypes[0])
        found = eqx.filter_eval_shape(self.cell, start, x)
        if not isinstance(found, jax.ShapeDtypeStruct) or (found.shape, found.dtype) != (start.shape, start.dtype):
            raise ValueError(
                f"cell maps z of shape {start.shape} and dtype {start.dtype} to {found}; it must give what it takes. "
                "Check `shape` and the dtype of x."
            )
        solver, adjoint = self._parts(float(jnp.finfo(start.dtype).eps))
        return optx.fixed_point(
            _call, solver, start, (self.cell, x), max_steps=self.max_steps, adjoint=adjoint, throw=self.throw
        )

    def _parts(self, eps: float) -> tuple[Any, optx.AbstractAdjoint]:
        """Solver and adjoint, with tolerances for this precision where none were given."""
        solver = Anderson(rtol=eps**0.5, atol=eps**0.5) if self.solver is None else self.solver
        if self.adjoint is not None:
            return solver, self.adjoint
        linear_solver = self.linear_solver
        if linear_solver is None:
            linear_solver = lx.GMRES(rtol=eps**0.5, atol=eps**0.5, restart=40)
        return solver, optx.ImplicitAdjoint(ScaledSolve(linear_solver, self.throw))


def _call(z: Array, args: Any) -> Array:
    cell, x = args
    return cell(z, x)


def jacobian_penalty(
    cell: Callable, z: Float[Array, "..."], x: Any, *, key: PRNGKeyArray, probes: int = 1
) -> Float[Array, ""]:
    """An unbiased estimate of |∂f/∂z|²_F / dim z at z, one vector-Jacobian product a probe.

    Added to the loss with a weight of 0.1 to 1 it keeps the iterations few in training (Bai, Koltun and Kolter,
    Stabilizing equilibrium models by Jacobian regularization, ICML 2021). Hand it `z*` as the layer returned it.

    Example: `loss + 0.5 * jacobian_penalty(layer.cell, layer(x), x, key=key)`.
    """
    _, pull = jax.vjp(lambda state: cell(state, x), z)
    rows = jax.vmap(lambda e: pull(e)[0])(rademacher_probes(z, probes, key=key))
    return jnp.sum(rows**2) / (probes * z.size)
