"""Twice as fine a grid by interpolation, with the boundary in mind, channels last.

Cell centres: an old point i lies between the new ones 2i and 2i + 1, a quarter of a cell from each.
"""

import enum

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from cadlag.nn._conv import Boundary


class Kernel(enum.Enum):
    """How far a point reaches in an interpolation."""

    bilinear = "hats of width one cell"
    bicubic = "Keys' cubic convolution (1981) with a = -0.75, PyTorch's value"

    def __call__(self, distance: np.ndarray) -> np.ndarray:
        """The weight at a distance in cells."""
        d = np.abs(distance)
        if self is Kernel.bilinear:
            return np.asarray(np.maximum(1 - d, 0))
        a = -0.75
        near = (a + 2) * d**3 - (a + 3) * d**2 + 1
        far = a * (d**3 - 5 * d**2 + 8 * d - 4)
        return np.where(d <= 1, near, np.where(d < 2, far, 0))


class Interpolate(eqx.Module):
    """A field on a grid twice as fine along every spatial axis.

    **Arguments:**

    - `kernel`: bicubic or bilinear.
    - `boundary`: circular takes points from the other end, so that there is no seam; all others repeat the last
        point, which is what PyTorch's `interpolate` does.
    """

    kernel: Kernel = eqx.field(static=True, default=Kernel.bicubic)
    boundary: Boundary = eqx.field(static=True, default=Boundary.zero)

    def __call__(self, x: Float[Array, "*space channels"]) -> Float[Array, "*fine channels"]:
        """x at twice as many points along every axis."""
        for axis in range(x.ndim - 1):
            x = self._along(x, axis)
        return x

    def _along(self, x: Array, axis: int) -> Array:
        n = x.shape[axis]
        pad = [(2, 2) if i == axis else (0, 0) for i in range(x.ndim)]
        mode = "wrap" if self.boundary is Boundary.circular else "edge"
        padded = jnp.pad(x, pad, mode=mode)

        def at(offset: float) -> Array:
            taps = [(i, float(w)) for i in range(-2, 3) if (w := self.kernel(np.asarray(i - offset))) != 0]
            return sum(w * lax.slice_in_dim(padded, i + 2, i + 2 + n, axis=axis) for i, w in taps)  # pyright: ignore[reportReturnType]

        both = jnp.stack([at(-0.25), at(0.25)], axis + 1)
        return both.reshape(*x.shape[:axis], 2 * n, *x.shape[axis + 1 :])
