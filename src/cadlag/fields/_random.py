"""Random fields: sums of sines, and Gaussian fields with a given spectrum."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.scipy.fft import idctn
from jaxtyping import PRNGKeyArray

from cadlag.fields._fourier import mode_numbers
from cadlag.fields._grid import Grid, GridField, Nodes
from cadlag.fields._spectral import Spectral


class SineSum(eqx.Module):
    """u(x) = Σ_j A_j sin(2 pi l_j · (x - lower) / length + φ_j), the initial states of LPSDA and PDEBench.

    A_j is uniform in ±`amplitude`, each entry of l_j uniform among the integers from `modes[0]` to `modes[1]`, φ_j
    uniform in [0, 2 pi). The same key gives the same function on grids of any fineness.

    **Arguments:**

    - `grid`: periodic.
    - `modes`: least and greatest mode number.
    - `count`: number of sines.
    - `amplitude`: bound of the amplitudes.
    """

    grid: Grid
    modes: tuple[int, int] = eqx.field(static=True)
    count: int = eqx.field(static=True, default=10)
    amplitude: float = eqx.field(static=True, default=0.5)

    def __check_init__(self) -> None:
        _check_periodic("SineSum", self.grid)

    def sample(self, key: PRNGKeyArray, *, dtype: Any = None) -> GridField:
        """One draw; `dtype` is JAX's default float unless given."""
        dtype = jnp.result_type(float) if dtype is None else dtype
        keys = jr.split(key, 3)
        size = jr.uniform(keys[0], (self.count,), dtype, -self.amplitude, self.amplitude)
        shape = (self.count, len(self.grid.shape))
        mode = jr.randint(keys[1], shape, self.modes[0], self.modes[1] + 1).astype(dtype)
        phase = jr.uniform(keys[2], (self.count,), dtype, 0, 2 * np.pi)
        box = self.grid.domain
        units = np.stack([(x - a) / h for x, a, h in zip(self.grid.mesh(), box.lower, box.lengths, strict=True)], -1)
        angle = 2 * np.pi * jnp.einsum("...d,jd->...j", jnp.asarray(units, dtype), mode)
        return GridField(self.grid, jnp.sin(angle + jnp.broadcast_to(phase, angle.shape)) @ size, Spectral())


class GaussianRandomField(eqx.Module):
    """N(0, sigma² (-Δ + tau²)^-alpha) with the mean taken out, -Δ in units of the box.

    Periodic on a periodic grid; with Neumann conditions (a cosine series) on one of cell centres. Of the conventions
    in use: FNO's code for Navier-Stokes has alpha = 2.5, tau = 7, sigma = sqrt(2) 7^1.5 (its paper says 7^0.75), for
    Burgers alpha = 2, tau = 5, sigma = 25, for Darcy (Neumann) alpha = 2, tau = 3, sigma = 3 (Li et al. 2021).

    **Arguments:**

    - `grid`: periodic in every axis, or `Nodes.centres` in every axis.
    - `alpha`: twice the order of smoothness; the field has a finite variance for alpha > dimension / 2.
    - `tau`: inverse length of correlation.
    - `sigma`: scale; by default tau^(alpha - dimension / 2), which makes the variance of order 1.
    - `length`: the unit in which lengths are measured; the first axis's length by default.
    """

    grid: Grid
    alpha: float
    tau: float
    sigma: float
    length: float = eqx.field(static=True)

    def __init__(
        self,
        grid: Grid,
        *,
        alpha: float | int,
        tau: float | int,
        sigma: float | int | None = None,
        length: float | None = None,
    ) -> None:
        if not _cosine(grid):
            _check_periodic("GaussianRandomField", grid)
        d = len(grid.shape)
        self.grid, self.alpha, self.tau = grid, float(alpha), float(tau)
        self.sigma = self.tau ** (self.alpha - d / 2) if sigma is None else float(sigma)
        self.length = grid.domain.lengths[0] if length is None else length

    def spectrum(self) -> np.ndarray:
        """Variance of the coefficient of each orthonormal mode, in the layout of `rfftn` or of a cosine transform."""
        box = self.grid.domain
        cosine = _cosine(self.grid)
        numbers = np.indices(self.grid.shape) if cosine else mode_numbers(self.grid)
        unit = np.pi if cosine else 2 * np.pi
        k2 = sum((unit * self.length * j / length) ** 2 for j, length in zip(numbers, box.lengths, strict=True))
        variance = self.sigma**2 * (k2 + self.tau**2) ** -self.alpha
        variance[(0,) * variance.ndim] = 0
        # Modes are orthonormal in a box measured in `length`.
        return variance * self.length ** len(box.lengths) / box.volume

    def sample(self, key: PRNGKeyArray, *, dtype: Any = None) -> GridField:
        """One draw; `dtype` is JAX's default float unless given."""
        dtype = jnp.result_type(float) if dtype is None else dtype
        noise = jr.normal(key, self.grid.shape, dtype)
        scale = np.sqrt(self.spectrum() * np.prod(self.grid.shape))
        axes = tuple(range(-len(self.grid.shape), 0))
        if _cosine(self.grid):
            values = idctn(noise * jnp.asarray(scale, dtype), norm="ortho")
        else:
            hat = jnp.fft.rfftn(noise, axes=axes)
            values = jnp.fft.irfftn(hat * jnp.asarray(scale, hat.dtype), self.grid.shape, axes=axes)
        return GridField(self.grid, values, Spectral())


def _cosine(grid: Grid) -> bool:
    return not grid.domain.periodic and all(kind is Nodes.centres for kind in grid.nodes)


def _check_periodic(name: str, grid: Grid) -> None:
    if grid.domain.periodic != grid.domain.names:
        raise ValueError(
            f"{name}: of the axes {grid.domain.names} only {grid.domain.periodic} are periodic; expected a grid that "
            "is periodic in all (or, for a Gaussian field, of cell centres in all)."
        )
