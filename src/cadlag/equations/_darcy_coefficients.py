"""Random permeabilities for Darcy's flow: two phases with a rough interface, and products of waves."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from cadlag.fields import Differences, Grid, GridField


class ThresholdedField(eqx.Module):
    """`values[1]` where a Gaussian field is positive, `values[0]` elsewhere: two phases (Li et al. 2021).

    The field is N(0, (-Δ + tau²)^-alpha) with Neumann conditions in units of the box, a cosine series of `modes` terms
    an axis without its mean. The same key gives the same function on grids of any fineness for the same `modes`.

    FNO's data have 12 and 3, alpha = 2, tau = 3; published copies of their generator have other values.

    **Arguments:**

    - `grid`: not periodic, of any dimension and kind of nodes.
    - `values`: the two phases.
    - `alpha`, `tau`: smoothness and inverse length.
    - `modes`: an axis; by default as many as the longest axis has points.
    """

    grid: Grid
    values: tuple[float, float] = eqx.field(static=True)
    alpha: float = eqx.field(static=True)
    tau: float = eqx.field(static=True)
    modes: int = eqx.field(static=True)

    def __init__(
        self,
        grid: Grid,
        *,
        values: tuple[float | int, float | int] = (3.0, 12.0),
        alpha: float | int = 2.0,
        tau: float | int = 3.0,
        modes: int | None = None,
    ) -> None:
        _check_open("ThresholdedField", grid)
        if min(values) <= 0:
            raise ValueError(f"ThresholdedField: values={values}; a permeability is positive.")
        self.grid, self.values = grid, (float(values[0]), float(values[1]))
        self.alpha, self.tau = float(alpha), float(tau)
        self.modes = max(grid.shape) if modes is None else modes

    def sample(self, key: PRNGKeyArray, *, dtype: Any = None) -> GridField:
        """One draw; `dtype` is JAX's default float unless given."""
        field = self.gaussian(key, dtype=dtype).values
        low, high = (jnp.asarray(v, field.dtype) for v in self.values)
        return GridField(self.grid, jnp.where(field >= 0, high, low), Differences())

    def gaussian(self, key: PRNGKeyArray, *, dtype: Any = None) -> GridField:
        """The Gaussian field itself."""
        dtype = jnp.result_type(float) if dtype is None else dtype
        d = len(self.grid.shape)
        numbers = np.indices((self.modes,) * d)
        scale = (np.pi**2 * np.sum(numbers**2, axis=0) + self.tau**2) ** (-self.alpha / 2)
        scale[(0,) * d] = 0
        # Cosines other than the constant have the square sqrt(2) cos.
        scale = scale * np.prod(np.where(numbers > 0, 2.0**0.5, 1.0), axis=0)
        values = jr.normal(key, scale.shape, dtype) * jnp.asarray(scale, dtype)
        for i, name in enumerate(self.grid.domain.names):
            unit = (self.grid.points(name) - self.grid.domain.lower[i]) / self.grid.domain.lengths[i]
            waves = jnp.asarray(np.cos(np.pi * np.outer(unit, np.arange(self.modes))), dtype)
            values = jnp.moveaxis(jnp.tensordot(waves, values, axes=(1, i)), 0, i)
        return GridField(self.grid, values, Differences())


class MultiscaleField(eqx.Module):
    """a = Π_k (1 + cos(a_k pi (x + y)) / 2) (1 + sin(a_k pi (y - 3 x)) / 2), a_k uniform in [2^(k-1), 1.5 2^(k-1)].

    x and y in units of the box; k = 1 … `factors`, 6 in the data of multigrid operators (He et al. 2024). The same key
    gives the same function on any grid, and the first factors of a longer product.

    **Raises:** ValueError for a grid with fewer than four points to the finest wave, of length 2 / (3 a_k).
    """

    grid: Grid
    factors: int = eqx.field(static=True)

    def __init__(self, grid: Grid, *, factors: int = 6) -> None:
        _check_open("MultiscaleField", grid)
        if len(grid.shape) != 2 or factors < 1:
            raise ValueError(f"MultiscaleField: {len(grid.shape)} axes and factors={factors}; expected 2, and >= 1.")
        if factors > self.most(grid):
            raise ValueError(
                f"MultiscaleField: factors={factors} have waves of length {_finest(factors):.2g}, the grid of shape "
                f"{grid.shape} carries {self.most(grid)}: take so many, or {int(4 / _finest(factors)) + 2} points."
            )
        self.grid, self.factors = grid, factors

    @staticmethod
    def most(grid: Grid) -> int:
        """As many factors as a grid has four points to a wave for, at most 6."""
        h = max(grid.spacing(n) / length for n, length in zip(grid.domain.names, grid.domain.lengths, strict=True))
        return sum(_finest(k) >= 4 * h for k in range(1, 7))

    def sample(self, key: PRNGKeyArray, *, dtype: Any = None) -> GridField:
        """One draw; `dtype` is JAX's default float unless given."""
        dtype = jnp.result_type(float) if dtype is None else dtype
        box = self.grid.domain
        units = [(m - low) / h for m, low, h in zip(self.grid.mesh(), box.lower, box.lengths, strict=True)]
        x, y = (jnp.asarray(u, dtype) for u in units)
        total: Array = jnp.ones(self.grid.shape, dtype)
        for k in range(1, self.factors + 1):
            wave = np.pi * jr.uniform(jr.fold_in(key, k), (), dtype, 2.0 ** (k - 1), 1.5 * 2.0 ** (k - 1))
            total = total * (1 + jnp.cos(wave * (x + y)) / 2) * (1 + jnp.sin(wave * (y - 3 * x)) / 2)
        return GridField(self.grid, total, Differences())


def _finest(factors: int) -> float:
    return 2 / (3 * 1.5 * 2 ** (factors - 1))


def _check_open(name: str, grid: Grid) -> None:
    if grid.domain.periodic:
        raise ValueError(f"{name}: the axes {grid.domain.periodic} are periodic; expected a box with walls.")
