"""Coarser and finer grids by an integer factor, without weights, channels last."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float


class Downsample(eqx.Module):
    """The mean over cells of `factor` points along every spatial axis."""

    factor: int = eqx.field(static=True, default=2)

    def __call__(self, x: Float[Array, "*space channels"]) -> Float[Array, "*coarse channels"]:
        """x on the coarser grid; `factor` must divide every spatial size."""
        if any(n % self.factor for n in x.shape[:-1]):
            raise ValueError(f"x: got spatial size {x.shape[:-1]}, which factor={self.factor} does not divide; pad it.")
        for axis in range(0, 2 * (x.ndim - 1), 2):
            x = x.reshape(*x.shape[:axis], -1, self.factor, *x.shape[axis + 1 :])
        return jnp.mean(x, axis=range(1, x.ndim, 2))


class Upsample(eqx.Module):
    """Every point repeated `factor` times along every spatial axis."""

    factor: int = eqx.field(static=True, default=2)

    def __call__(self, x: Float[Array, "*coarse channels"]) -> Float[Array, "*space channels"]:
        """x on the finer grid."""
        size = tuple(n * self.factor for n in x.shape[:-1])
        for axis in range(1, 2 * (x.ndim - 1), 2):
            x = jnp.expand_dims(x, axis)
        cells = [self.factor if axis % 2 else n for axis, n in enumerate(x.shape[:-1])]
        return jnp.broadcast_to(x, (*cells, x.shape[-1])).reshape(*size, x.shape[-1])


Resample = Callable[[Array], Array]
