"""Fields that are sums of kernels on a tensor grid: what a Gaussian process says between the points."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.fields import AbstractField, Box, CallableField
from cadlag.kernels._stationary import AbstractStationary
from cadlag.linalg import kronecker_apply


class KernelExpansion(AbstractField):
    """u(x) = Σ_i a_i ∏_j k_j(x_j - c_{j, i_j}) over the points of a tensor grid; derivatives in closed form.

    With a = C⁻¹ u it is the mean of the Gaussian process given its values u on the grid.

    **Arguments:**

    - `domain`: the box.
    - `kernels`: one for each axis; `centres`: coordinates (n_j,) of each axis.
    - `coefficients`: a, shape (n_1, …, n_d).
    - `orders`: of the derivative that the field is, one for each axis; none by default.
    """

    domain: Box
    kernels: tuple[AbstractStationary, ...]
    centres: tuple[Float[Array, " _"], ...]
    coefficients: Float[Array, "..."]
    orders: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        domain: Box,
        kernels: tuple[AbstractStationary, ...],
        centres: tuple[Float[Array, " _"], ...],
        coefficients: Float[Array, "..."],
        orders: tuple[int, ...] | None = None,
    ) -> None:
        if not len(kernels) == len(centres) == coefficients.ndim == domain.dimension:
            raise ValueError(
                f"KernelExpansion: {len(kernels)} kernels, {len(centres)} axes of centres, coefficients of shape "
                f"{coefficients.shape}; expected one of each for the {domain.dimension} axes of the domain."
            )
        self.domain, self.kernels, self.centres, self.coefficients = domain, kernels, centres, coefficients
        self.orders = (0,) * domain.dimension if orders is None else orders

    def d(self, axis: str, order: int = 1) -> "KernelExpansion":
        """The derivative along an axis: the same sum of differentiated kernels."""
        place = self.domain.axis(axis)
        orders = tuple(k + order * (j == place) for j, k in enumerate(self.orders))
        return KernelExpansion(self.domain, self.kernels, self.centres, self.coefficients, orders)

    def map(self, function: Callable, *others: AbstractField) -> CallableField:
        """function(u, *others), a function of a point; take derivatives before, where they have closed forms."""
        return CallableField(domain=self.domain, f=lambda p: function(self(p), *(other(p) for other in others)))

    def function(self, f: Callable) -> CallableField:
        """f of the coordinates."""
        return CallableField(domain=self.domain, f=lambda p: jnp.asarray(f(*p)))

    def __call__(self, point: Float[Array, " d"]) -> Float[Array, ""]:
        """The value at a point; `on` is far cheaper for the points of a tensor grid."""
        return self.on(*(point[j].reshape(1) for j in range(self.domain.dimension))).reshape(())

    def on(self, *coordinates: Float[Array, " _"]) -> Float[Array, "..."]:
        """The values at all points of the tensor grid of these coordinates, one array (m_j,) for each axis."""
        rows = [
            kernel.gram(x, c, order=order)
            for kernel, c, order, x in zip(self.kernels, self.centres, self.orders, coordinates, strict=True)
        ]
        return kronecker_apply(rows, self.coefficients)
