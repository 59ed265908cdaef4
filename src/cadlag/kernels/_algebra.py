"""Sums, products and multiples of kernels; those of stationary kernels are stationary."""

import math
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.kernels._kernel import AbstractKernel
from cadlag.kernels._stationary import AbstractStationary


def add(first: AbstractKernel, second: Any) -> AbstractKernel:
    """k1 + k2."""
    if not isinstance(second, AbstractKernel):
        raise TypeError(f"a kernel and a {type(second).__name__} do not add; expected a kernel.")
    if isinstance(first, AbstractStationary) and isinstance(second, AbstractStationary):
        return StationarySum(first, second)
    return Sum(first, second)


def multiply(first: AbstractKernel, second: Any) -> AbstractKernel:
    """k1 k2, or a positive number times k1."""
    if not isinstance(second, AbstractKernel):
        return _scaled(first, second)
    if isinstance(first, AbstractStationary) and isinstance(second, AbstractStationary):
        return StationaryProduct(first, second)
    return Product(first, second)


def _scaled(kernel: AbstractKernel, factor: Any) -> AbstractKernel:
    if isinstance(factor, float | int) and not factor > 0:
        raise ValueError(f"factor {factor} of a kernel: expected a positive number, or the variance would not be one.")
    dtype = None if isinstance(factor, jnp.ndarray) else float
    log_variance = jnp.log(jnp.asarray(factor, dtype))
    if isinstance(kernel, AbstractStationary):
        return StationaryScaled(kernel, log_variance)
    return Scaled(kernel, log_variance)


class Sum(AbstractKernel):
    """k1 + k2."""

    first: AbstractKernel
    second: AbstractKernel

    def __call__(self, x: Float[Array, "..."], y: Float[Array, "..."]) -> Float[Array, ""]:
        """The sum."""
        return self.first(x, y) + self.second(x, y)

    def gram(self, x: Float[Array, "n ..."], z: Float[Array, "m ..."] | None = None) -> Float[Array, "n m"]:
        """The sum of Gram matrices."""
        return self.first.gram(x, z) + self.second.gram(x, z)


class Product(AbstractKernel):
    """k1 k2."""

    first: AbstractKernel
    second: AbstractKernel

    def __call__(self, x: Float[Array, "..."], y: Float[Array, "..."]) -> Float[Array, ""]:
        """The product."""
        return self.first(x, y) * self.second(x, y)

    def gram(self, x: Float[Array, "n ..."], z: Float[Array, "m ..."] | None = None) -> Float[Array, "n m"]:
        """The product of Gram matrices, entry by entry."""
        return self.first.gram(x, z) * self.second.gram(x, z)


class Scaled(AbstractKernel):
    """exp(log_variance) k."""

    kernel: AbstractKernel
    log_variance: Float[Array, ""]

    def __call__(self, x: Float[Array, "..."], y: Float[Array, "..."]) -> Float[Array, ""]:
        """The multiple."""
        return jnp.exp(self.log_variance).astype(x.dtype) * self.kernel(x, y)

    def gram(self, x: Float[Array, "n ..."], z: Float[Array, "m ..."] | None = None) -> Float[Array, "n m"]:
        """The multiple of the Gram matrix."""
        return jnp.exp(self.log_variance).astype(x.dtype) * self.kernel.gram(x, z)


class StationarySum(AbstractStationary):
    """k1(tau) + k2(tau)."""

    first: AbstractStationary
    second: AbstractStationary

    @property
    def smoothness(self) -> int | None:  # type: ignore[override]
        """That of the rougher one."""
        return _rougher(self.first, self.second)

    def lag(self, tau: Float[Array, "..."], order: int = 0) -> Float[Array, "..."]:
        """The sum."""
        return self.first.lag(tau, order) + self.second.lag(tau, order)

    def density(self, s: Float[Array, "..."]) -> Float[Array, "..."]:
        """The sum."""
        return self.first.density(s) + self.second.density(s)


class StationaryProduct(AbstractStationary):
    """k1(tau) k2(tau)."""

    first: AbstractStationary
    second: AbstractStationary

    @property
    def smoothness(self) -> int | None:  # type: ignore[override]
        """That of the rougher one."""
        return _rougher(self.first, self.second)

    def lag(self, tau: Float[Array, "..."], order: int = 0) -> Float[Array, "..."]:
        """By Leibniz' rule."""
        terms = [
            math.comb(order, j) * self.first.lag(tau, j) * self.second.lag(tau, order - j) for j in range(order + 1)
        ]
        return sum(terms[1:], terms[0])

    def density(self, s: Float[Array, "..."]) -> Float[Array, "..."]:
        """Not available: it is a convolution."""
        raise ValueError(
            "StationaryProduct: its spectral density is the convolution of those of its factors, which has no closed "
            "form in general; a spectral mixture is a product with cosines that has one."
        )


class StationaryScaled(AbstractStationary):
    """exp(log_variance) k(tau)."""

    kernel: AbstractStationary
    log_variance: Float[Array, ""]

    @property
    def smoothness(self) -> int | None:  # type: ignore[override]
        """That of k."""
        return self.kernel.smoothness

    def lag(self, tau: Float[Array, "..."], order: int = 0) -> Float[Array, "..."]:
        """The multiple."""
        return jnp.exp(self.log_variance).astype(tau.dtype) * self.kernel.lag(tau, order)

    def density(self, s: Float[Array, "..."]) -> Float[Array, "..."]:
        """The multiple."""
        return jnp.exp(self.log_variance).astype(s.dtype) * self.kernel.density(s)


def _rougher(first: AbstractStationary, second: AbstractStationary) -> int | None:
    known = [k.smoothness for k in (first, second) if k.smoothness is not None]
    return min(known) if known else None
