"""Real fields on periodic grids by their Fourier coefficients.

An equation's rate, written once for all fields, is then a pseudo-spectral scheme: what is linear acts on the
coefficients, products are taken at the points, and the way back keeps only the modes that products do not alias.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.fields._box import Box
from cadlag.fields._callable import check_order
from cadlag.fields._field import AbstractField, Coordinates, Linear
from cadlag.fields._grid import Grid, GridField, along
from cadlag.fields._spectral import Spectral


class FourierField(AbstractField):
    """A real field by its coefficients, by its values, or by both; each is found from the other when needed.

    **Arguments:**

    - `grid`: periodic in every axis.
    - `hat`: `numpy.fft.rfftn` of the values over the grid's axes, shape (*components, n_1, …, n_d // 2 + 1), or None.
    - `values`: shape (*components, *grid.shape), or None.
    - `keep`: share of the modes that the way from values to coefficients keeps on each axis: 2/3 for quadratic
      products, 1/2 for cubic ones, 1 for all.
    """

    grid: Grid
    hat: Any
    values: Any
    keep: float = eqx.field(static=True)

    def __init__(self, grid: Grid, *, hat: Any = None, values: Any = None, keep: float = 1.0) -> None:
        rough = [name for name in grid.domain.names if name not in grid.domain.periodic]
        if rough:
            raise ValueError(f"FourierField: the axes {rough} of the grid are not periodic; use a GridField there.")
        if (hat is None) == (values is None):
            raise ValueError("FourierField: give `hat` or `values`, one of the two.")
        self.grid, self.hat, self.values, self.keep = grid, hat, values, keep

    @property
    def domain(self) -> Box:  # type: ignore[override]
        """The grid's box."""
        return self.grid.domain

    def coefficients(self) -> Any:
        """`rfftn` of the values, less the modes that are not kept."""
        if self.hat is not None:
            return self.hat
        hat = jnp.fft.rfftn(self.values, axes=_axes(self.grid))
        if self.keep == 1:
            return hat
        kept = mode_mask(self.grid, self.keep)
        return hat * jnp.asarray(kept.reshape((1,) * (hat.ndim - kept.ndim) + kept.shape), hat.dtype)

    def at_points(self) -> Any:
        """The values."""
        if self.values is not None:
            return self.values
        return jnp.fft.irfftn(self.hat, self.grid.shape, axes=_axes(self.grid))

    def on_grid(self) -> GridField:
        """The same field by its values."""
        return GridField(self.grid, self.at_points(), Spectral())

    def d(self, axis: str, order: int = 1) -> "FourierField":
        """(i k)^order times the coefficients."""
        self.domain.axis(axis)
        if check_order(order) == 0:
            return self
        hat = self.coefficients()
        symbol = along(
            derivative_symbol(self.grid, axis, order), hat.ndim, self.domain.axis(axis) - len(self.grid.shape)
        )
        return self._modes(hat * symbol.astype(hat.dtype))

    def map(self, function: Callable, *others: AbstractField) -> "FourierField":
        """Linear functions act on coefficients (on values where all have them), all others on values."""
        every = [self, *(self._same(other) for other in others)]
        if isinstance(function, Linear) and any(u.values is None for u in every):
            return self._modes(function(*(u.coefficients() for u in every)))
        return FourierField(self.grid, values=function(*(u.at_points() for u in every)), keep=self.keep)

    def function(self, f: Coordinates) -> "FourierField":
        """f at the grid's points."""
        dtype = jnp.finfo((self.hat if self.values is None else self.values).dtype).dtype
        like = GridField(self.grid, jnp.zeros(self.grid.shape, dtype), Spectral())
        return FourierField(self.grid, values=like.function(f).values, keep=self.keep)

    def __call__(self, point: Float[Array, " d"]) -> Float[Array, "..."]:
        """The trigonometric polynomial at a point."""
        return self.on_grid()(point)

    def _modes(self, hat: Any) -> "FourierField":
        return FourierField(self.grid, hat=hat, keep=self.keep)

    def _same(self, other: AbstractField) -> "FourierField":
        if not isinstance(other, FourierField) or other.grid.shape != self.grid.shape:
            raise ValueError("a FourierField combines with FourierFields on the same grid only.")
        return other


def derivative_symbol(grid: Grid, axis: str, order: int) -> np.ndarray:
    """(i k)^order along an axis of `rfftn`'s coefficients; the Nyquist mode is dropped from odd orders."""
    last = axis == grid.domain.names[-1]
    symbol = (1j * grid.wavenumbers(axis, real=last)) ** order
    n = grid.shape[grid.domain.axis(axis)]
    if n % 2 == 0 and order % 2:
        symbol[n // 2] = 0
    return symbol


def mode_numbers(grid: Grid) -> tuple[np.ndarray, ...]:
    """Integer mode numbers of `rfftn`'s coefficients, one array of their shape for each axis."""
    d = len(grid.shape)
    numbers = [(np.fft.rfftfreq if i == d - 1 else np.fft.fftfreq)(n, 1 / n) for i, n in enumerate(grid.shape)]
    return tuple(np.meshgrid(*numbers, indexing="ij"))


def mode_mask(grid: Grid, keep: float) -> np.ndarray:
    """Which modes lie within a share of the band on every axis: |j| <= keep n / 2, and at 2/3 not |j| = n / 3."""
    inside = [np.abs(j) < keep * n / 2 for j, n in zip(mode_numbers(grid), grid.shape, strict=True)]
    return np.logical_and.reduce(inside)


def squared_wavenumber(grid: Grid) -> np.ndarray:
    """|k|² of `rfftn`'s coefficients, in float64."""
    numbers = zip(mode_numbers(grid), grid.domain.lengths, strict=True)
    return np.sum([(2 * np.pi * j / length) ** 2 for j, length in numbers], axis=0)


def inverse_laplacian(u: AbstractField) -> AbstractField:
    """The field of mean zero whose Laplacian is u less its mean, on a periodic grid. Raises `ValueError` elsewhere."""
    if isinstance(u, GridField):
        return _inverse(FourierField(u.grid, values=u.values)).on_grid()
    if not isinstance(u, FourierField):
        raise ValueError(
            f"a {type(u).__name__} has no inverse Laplacian; take a periodic grid, or make the inverse (a stream "
            "function, a potential) an unknown of its own."
        )
    return _inverse(u)


def _inverse(u: FourierField) -> FourierField:
    k2 = squared_wavenumber(u.grid)
    inverse = np.where(k2 > 0, -1 / np.where(k2 > 0, k2, 1), 0)
    hat = u.coefficients()
    inverse = inverse.astype(hat.dtype).reshape((1,) * (hat.ndim - inverse.ndim) + inverse.shape)
    return FourierField(u.grid, hat=hat * inverse, keep=u.keep)


def self_advection(u: AbstractField, axis: str) -> AbstractField:
    """u ∂u/∂x; by Fourier coefficients as ∂(u²/2)/∂x, which is the same there and takes a transform less."""
    return (u**2).d(axis) / 2 if isinstance(u, FourierField) else u * u.d(axis)


def _axes(grid: Grid) -> tuple[int, ...]:
    return tuple(range(-len(grid.shape), 0))
