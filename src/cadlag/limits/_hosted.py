"""Maximising a function of a PyTree by SciPy's L-BFGS: few unknowns, an exact gradient, no batches."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from cadlag.kernels import AbstractKernel, Separable, SquaredExponential

LEAST_NOISE = 1e-8
"""Noise below this share of the target's variance is not resolved by a Cholesky factor."""


def maximise(objective: Callable[..., Float[Array, ""]], unknowns: Any, steps: int, *data: Any) -> Any:
    """The unknowns of a local maximum of `objective(unknowns, *data)`, after at most `steps` iterations; its floating
    arrays are moved, the rest kept.

    Where the objective is not finite (a matrix without a Cholesky factor) the line search turns back. What it compiles
    serves every call with an equal objective (a function of a module, or a `Module`) and data of equal shapes.
    """
    from scipy.optimize import minimize

    params, rest = eqx.partition(unknowns, eqx.is_inexact_array)
    start, unravel = ravel_pytree(params)

    def on_host(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = _value_and_slope(objective, unravel(jnp.asarray(flat)), rest, data)
        if not np.isfinite(value):
            return 1e10, np.zeros_like(flat)
        return float(value), np.nan_to_num(np.asarray(slope, float))

    found = minimize(on_host, np.asarray(start), jac=True, method="L-BFGS-B", options={"maxiter": steps})
    return eqx.combine(unravel(jnp.asarray(found.x)), rest)


@eqx.filter_jit
def _value_and_slope(objective: Callable, params: Any, rest: Any, data: tuple) -> tuple[Array, Array]:
    value, slope = jax.value_and_grad(lambda p: -objective(eqx.combine(p, rest), *data))(params)
    return value, ravel_pytree(slope)[0]


def starting_kernel(kernel: Any, inputs: Array) -> AbstractKernel:
    """The kernel itself, or for None a squared exponential with a length for each column, times a variance."""
    if kernel is not None:
        if not isinstance(kernel, AbstractKernel):
            raise TypeError(f"kernel is a {type(kernel).__name__}; expected a kernel, such as NNGP(...).")
        return kernel
    if inputs.ndim != 2:
        raise ValueError("The default kernel takes columns; pass kernel=NNGP(...) or another one for images.")
    columns = inputs.shape[1]
    return 1.0 * Separable(tuple(SquaredExponential(float(np.sqrt(columns))) for _ in range(columns)))
