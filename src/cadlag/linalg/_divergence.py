"""The divergence ∇·f = tr ∂f/∂x of a vector field, exactly or by Hutchinson's estimate.

With E[e eᵀ] = I, E[eᵀ (∂f/∂x) e] = tr ∂f/∂x (Hutchinson 1990; Grathwohl et al., FFJORD, ICLR 2019). For entries ±1 the
variance is the sum of squares of the off-diagonal part of the symmetrised Jacobian, times two: none in one dimension.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray


def value_and_divergence(
    f: Callable[[Array], Array],
    x: Float[Array, "..."],
    *,
    probes: Float[Array, "..."] | None = None,
    batch_size: int | None = None,
) -> tuple[Float[Array, "..."], Float[Array, ""]]:
    """f(x) and ∇·f(x), f being evaluated and linearised once.

    **Arguments:**

    - `f`: from an array to an array of the same shape and dtype; differentiable in forward mode.
    - `x`: one point, of any shape with D entries.
    - `probes`: None for the exact divergence, which takes D forward-mode products; or n probes (n, *x.shape) with
      E[e eᵀ] = I (`rademacher_probes`, `gaussian_probes`) for their average of e·Je, which takes n. Draw them ONCE for
      an integration in time, so that the integrand stays smooth.
    - `batch_size`: how many products to take at once; None: all of them, the memory of as many copies of f.

    **Returns:** the value, like x, and the divergence, a scalar of x's dtype.

    **Raises:** ValueError if f changes the shape, or the probes have another one; TypeError if dtypes differ.
    """
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, or None for all at once, but got {batch_size}.")
    _check_probes(probes, x)
    value, product = jax.linearize(f, x)
    _check_value(value, x)
    if probes is None:
        eye = jnp.eye(x.size, dtype=x.dtype)
        entries = _map(lambda e: jnp.vdot(e, product(e.reshape(x.shape))), eye, batch_size)
        return value, jnp.sum(entries)
    return value, jnp.mean(_map(lambda e: jnp.vdot(e, product(e)), probes, batch_size))


def divergence(
    f: Callable[[Array], Array],
    x: Float[Array, "..."],
    *,
    probes: Float[Array, "..."] | None = None,
    batch_size: int | None = None,
) -> Float[Array, ""]:
    """∇·f(x) alone; see `value_and_divergence`."""
    return value_and_divergence(f, x, probes=probes, batch_size=batch_size)[1]


def rademacher_probes(x: Float[Array, "..."], n: int = 1, *, key: PRNGKeyArray) -> Float[Array, "n ..."]:
    """n probes of x's shape and dtype with independent entries ±1."""
    return jr.rademacher(key, (_count(n), *x.shape), x.dtype)


def gaussian_probes(x: Float[Array, "..."], n: int = 1, *, key: PRNGKeyArray) -> Float[Array, "n ..."]:
    """n probes of x's shape and dtype with independent standard normal entries."""
    return jr.normal(key, (_count(n), *x.shape), x.dtype)


def _map(function: Callable, xs: Array, batch_size: int | None) -> Array:
    return jax.vmap(function)(xs) if batch_size is None else jax.lax.map(function, xs, batch_size=batch_size)


def _count(n: int) -> int:
    if n < 1:
        raise ValueError(f"`n` must be at least 1 probe, but got {n}.")
    return n


def _check_probes(probes: Array | None, x: Array) -> None:
    if probes is None:
        return
    if probes.shape[1:] != x.shape or probes.ndim == x.ndim or len(probes) == 0:
        raise ValueError(
            f"`probes` must have shape (n, *x.shape) with n >= 1 and x of shape {x.shape}, but got {probes.shape}. "
            "Draw them with `rademacher_probes(x, n, key=key)`; a single probe is `probe[None]`."
        )
    if probes.dtype != x.dtype:
        raise TypeError(f"`probes` are {probes.dtype}, but x is {x.dtype}; draw them like x.")


def _check_value(value: Array, x: Array) -> None:
    if jnp.shape(value) != x.shape:
        raise ValueError(
            f"A divergence needs a field that keeps the shape, but `f` maps {x.shape} to {jnp.shape(value)}."
        )
    if value.dtype != x.dtype:
        raise TypeError(f"A divergence needs a field that keeps the dtype, but `f` maps {x.dtype} to {value.dtype}.")
