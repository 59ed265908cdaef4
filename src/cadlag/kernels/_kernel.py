"""Covariance functions and their Gram matrices."""

import abc
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float


class AbstractKernel(eqx.Module):
    """A covariance function k(x, x') with Gram matrices; `k1 + k2`, `k1 * k2` and `2.0 * k` are kernels again.

    To write your own, give `__call__` (two points, each of shape (d,), to a scalar) and `gram` (points (n, d) and
    (m, d), or the first alone, to (n, m)); `pairwise_gram(self, x, z)` is a `gram` for kernels without structure.
    Parameters are leaves, positive ones as logarithms.
    """

    @abc.abstractmethod
    def __call__(self, x: Float[Array, "..."], y: Float[Array, "..."]) -> Float[Array, ""]:
        """k(x, y), a scalar."""

    @abc.abstractmethod
    def gram(self, x: Float[Array, "n ..."], z: Float[Array, "m ..."] | None = None) -> Float[Array, "n m"]:
        """k(x_i, z_j) for all pairs; z = x by default."""

    def __add__(self, other: "AbstractKernel") -> "AbstractKernel":
        from cadlag.kernels._algebra import add

        return add(self, other)

    def __mul__(self, other: Any) -> "AbstractKernel":
        from cadlag.kernels._algebra import multiply

        return multiply(self, other)

    def __rmul__(self, other: Any) -> "AbstractKernel":
        return self * other


def pairwise_gram(
    kernel: AbstractKernel, x: Float[Array, "n ..."], z: Float[Array, "m ..."] | None = None
) -> Float[Array, "n m"]:
    """The Gram matrix by evaluating every pair."""
    z = x if z is None else z
    return jax.vmap(lambda a: jax.vmap(lambda b: kernel(a, b))(z))(x)
