"""Kernels of architectures without closed forms, averaged over random networks, with their error bars."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.linalg import empirical_ntk


class SampledKernels(NamedTuple):
    """Means over networks, (n, m), and the standard errors of these means."""

    nngp: Float[Array, "n m"]
    ntk: Float[Array, "n m"]
    nngp_error: Float[Array, "n m"]
    ntk_error: Float[Array, "n m"]


def sampled_kernels(
    make: Callable[[PRNGKeyArray], Callable[[Array], Array]],
    x: Float[Array, "n ..."],
    z: Float[Array, "m ..."] | None = None,
    *,
    draws: int = 32,
    key: PRNGKeyArray,
) -> SampledKernels:
    """E[f(x) f(z)] and E[Theta(x, z)], means over random networks and over their outputs.

    For softmax attention, max pooling and whatever has no closed form. The mean is that of the width given, which
    differs from the limit by O(1 / width); the error bar is that of `draws` networks.

    **Arguments:**

    - `make`: a network, in the NTK parametrisation if its kernel shall have a limit, from a key.

    **Raises:** ValueError for fewer than two draws, which have no error bar.
    """
    if draws < 2:
        raise ValueError(f"draws={draws} of sampled_kernels: expected at least 2, or there is no error bar.")

    def one(k: PRNGKeyArray) -> tuple[Array, Array]:
        model = make(k)
        f, g = (jax.vmap(model)(a).reshape(len(a), -1) for a in (x, x if z is None else z))
        return jnp.matmul(f, g.T, precision="highest") / f.shape[1], empirical_ntk(model, x, z, trace=True)

    nngp, ntk = jax.lax.map(one, jr.split(key, draws))
    means = [jnp.mean(a, axis=0) for a in (nngp, ntk)]
    errors = [jnp.std(a, axis=0, ddof=1) / draws**0.5 for a in (nngp, ntk)]
    return SampledKernels(*means, *errors)
