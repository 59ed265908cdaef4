"""Products over the axes of a box."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.kernels._kernel import AbstractKernel
from cadlag.kernels._stationary import AbstractStationary


class Separable(AbstractKernel):
    """k(x, x') = ∏_j k_j(x_j, x'_j): one stationary kernel for each coordinate of a point.

    On a tensor grid its Gram matrix is the Kronecker product of those of the axes: keep those, and use
    `linalg.kronecker_apply` and its kin.

    **Arguments:**

    - `kernels`: one for each axis.
    """

    kernels: tuple[AbstractStationary, ...]

    def __call__(self, x: Float[Array, " d"], y: Float[Array, " d"]) -> Float[Array, ""]:
        """The product at two points (d,)."""
        return jnp.prod(jnp.stack([k(x[j], y[j]) for j, k in enumerate(self._for(x))]))

    def gram(self, x: Float[Array, "n d"], z: Float[Array, "m d"] | None = None) -> Float[Array, "n m"]:
        """The product of the axes' Gram matrices, entry by entry, of scattered points."""
        z = x if z is None else z
        product = jnp.ones((len(x), len(z)), x.dtype)
        for j, kernel in enumerate(self._for(x)):
            product = product * kernel.gram(x[:, j], z[:, j])
        return product

    def _for(self, x: Float[Array, "..."]) -> tuple[AbstractStationary, ...]:
        if x.shape[-1] != len(self.kernels):
            raise ValueError(f"Separable: points with {x.shape[-1]} coordinates for {len(self.kernels)} kernels.")
        return self.kernels
