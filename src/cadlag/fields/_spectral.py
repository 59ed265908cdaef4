"""Fourier derivatives on periodic grids."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.fields._grid import AbstractScheme, Grid, along


class Spectral(AbstractScheme):
    """Derivatives and interpolation by the trigonometric polynomial through the values; periodic axes only.

    The Nyquist mode is dropped from odd derivatives, where it has no sign.
    """

    def differentiate(self, values: Float[Array, "..."], grid: Grid, axis: str, order: int) -> Float[Array, "..."]:
        """(i k)^order in Fourier space."""
        place = grid.domain.axis(axis) - grid.domain.dimension
        n = values.shape[place]
        symbol = (1j * grid.wavenumbers(axis, real=True)) ** order
        if n % 2 == 0 and order % 2:
            symbol[-1] = 0
        hat = jnp.fft.rfft(values, axis=place)
        symbol = jnp.asarray(along(symbol, values.ndim, place), hat.dtype)
        return jnp.fft.irfft(hat * symbol, n, axis=place)

    def interpolate(self, values: Float[Array, "..."], grid: Grid, point: Float[Array, " d"]) -> Float[Array, "..."]:
        """The trigonometric polynomial at a point, one axis after another."""
        for i in reversed(range(grid.domain.dimension)):
            name = grid.domain.names[i]
            values = _evaluate(values, grid.wavenumbers(name, real=True), point[i] - float(grid.points(name)[0]))
        return values


def _evaluate(values: Float[Array, "... n"], k: np.ndarray, shift: Float[Array, ""]) -> Float[Array, "..."]:
    n = values.shape[-1]
    hat = jnp.fft.rfft(values, axis=-1) / n
    weight = np.full(len(k), 2.0)
    weight[0] = 1
    if n % 2 == 0:
        weight[-1] = 1
    phase = jnp.asarray(along(k, values.ndim, -1), values.dtype) * shift
    real = hat.real * jnp.cos(phase) - hat.imag * jnp.sin(phase)
    return jnp.sum(jnp.asarray(along(weight, values.ndim, -1), values.dtype) * real, axis=-1)
