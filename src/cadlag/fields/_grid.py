"""Tensor grids on boxes, uniform along each axis or not, and fields given by their values there."""

import abc
import enum
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.fields._box import Box
from cadlag.fields._callable import check_order
from cadlag.fields._field import AbstractField, Coordinates


class Nodes(enum.Enum):
    """Where the points of an axis lie: n of them, h apart."""

    start = "x_0 = lower, h = length / n: a periodic axis, whose upper end is its lower end"
    ends = "both ends are points, h = length / (n - 1)"
    centres = "centres of n cells, h = length / n"
    interior = "between the ends, h = length / (n + 1)"
    chebyshev = "(1 - cos(pi k / (n - 1))) / 2 of the length, both ends included: not uniform"


class Grid(eqx.Module):
    """A tensor grid on a box, uniform along each axis unless its nodes are Chebyshev's.

    **Arguments:**

    - `domain`: the box.
    - `shape`: points of each axis; an integer is taken for all.
    - `nodes`: where the points lie, one `Nodes` for each axis; by default `start` on periodic axes, `ends` on others.
    """

    domain: Box
    shape: tuple[int, ...] = eqx.field(static=True)
    nodes: tuple[Nodes, ...] = eqx.field(static=True)

    def __init__(self, domain: Box, shape: int | tuple[int, ...], *, nodes: tuple[Nodes, ...] | None = None) -> None:
        self.domain = domain
        self.shape = (shape,) * domain.dimension if isinstance(shape, int) else tuple(int(n) for n in shape)
        if len(self.shape) != domain.dimension or min(self.shape) < 2:
            raise ValueError(f"Grid: shape={shape} for the axes {domain.names}: expected two points or more for each.")
        usual = tuple(Nodes.start if name in domain.periodic else Nodes.ends for name in domain.names)
        self.nodes = usual if nodes is None else tuple(nodes)
        if len(self.nodes) != domain.dimension:
            raise ValueError(
                f"Grid: {len(self.nodes)} kinds of nodes for {domain.dimension} axes; expected one for each."
            )
        for name, kind in zip(domain.names, self.nodes, strict=True):
            if kind is Nodes.start and name not in domain.periodic:
                raise ValueError(f"Grid: axis {name!r} is not periodic, so its nodes are anything but start.")
            if kind in (Nodes.ends, Nodes.interior, Nodes.chebyshev) and name in domain.periodic:
                raise ValueError(f"Grid: axis {name!r} is periodic, so its nodes are start or centres.")

    def spacing(self, axis: str) -> float:
        """Distance h of neighbours on an axis."""
        i = self.domain.axis(axis)
        if self.nodes[i] is Nodes.chebyshev:
            raise ValueError(f"axis {axis!r} has Chebyshev's nodes, which are not uniform: there is no one spacing.")
        intervals = {Nodes.ends: -1, Nodes.interior: 1}.get(self.nodes[i], 0)
        return self.domain.lengths[i] / (self.shape[i] + intervals)

    def points(self, axis: str) -> np.ndarray:
        """Coordinates of an axis in float64, shape (n,)."""
        i = self.domain.axis(axis)
        if self.nodes[i] is Nodes.chebyshev:
            n = self.shape[i]
            return self.domain.lower[i] + self.domain.lengths[i] * np.sin(np.pi * np.arange(n) / (2 * n - 2)) ** 2
        offset = {Nodes.centres: 0.5, Nodes.interior: 1.0}.get(self.nodes[i], 0.0)
        return self.domain.lower[i] + self.spacing(axis) * (np.arange(self.shape[i]) + offset)

    def mesh(self) -> tuple[np.ndarray, ...]:
        """Coordinates of all points in float64, one array of the grid's shape for each axis."""
        return tuple(np.meshgrid(*(self.points(name) for name in self.domain.names), indexing="ij"))

    def weights(self, axis: str) -> np.ndarray:
        """Weights (n,) of the integral along an axis: trapezoids where both ends are points, Clenshaw and Curtis's on
        Chebyshev's nodes, equal ones elsewhere.
        """
        i = self.domain.axis(axis)
        if self.nodes[i] is Nodes.chebyshev:
            return self.domain.lengths[i] / 2 * _clenshaw_curtis(self.shape[i])
        w = np.full(self.shape[i], self.spacing(axis))
        if self.nodes[i] is Nodes.ends:
            w[[0, -1]] *= 0.5
        return w

    def wavenumbers(self, axis: str, *, real: bool = False) -> np.ndarray:
        """Angular wavenumbers 2 pi j / length of a periodic axis in the order of `numpy.fft`; `real`: half of them."""
        i = self.domain.axis(axis)
        if axis not in self.domain.periodic:
            raise ValueError(f"axis {axis!r} is not periodic, so it has no wavenumbers; use finite differences there.")
        return 2 * np.pi * (np.fft.rfftfreq if real else np.fft.fftfreq)(self.shape[i], self.spacing(axis))


def _clenshaw_curtis(n: int) -> np.ndarray:
    """Weights on [-1, 1]: the integrals 2 / (1 - k²) of the even Chebyshev polynomials, by a cosine transform."""
    k = np.arange(0, n, 2)
    moments = 2.0 / (1.0 - k**2)
    moments[0] /= 2
    if n % 2:
        moments[-1] /= 2
    angles = np.pi * np.arange(n) / (n - 1)
    w = 2.0 / (n - 1) * np.cos(np.outer(angles, k)) @ moments
    w[[0, -1]] /= 2
    return w


def along(vector: np.ndarray, ndim: int, axis: int) -> np.ndarray:
    """A vector laid along one axis, counted from the end, of an array of `ndim` axes."""
    shape = [1] * ndim
    shape[axis] = -1
    return vector.reshape(shape)


class AbstractScheme(eqx.Module):
    """How values on a grid are differentiated. To write your own, give `differentiate` and `interpolate`."""

    @abc.abstractmethod
    def differentiate(self, values: Float[Array, "..."], grid: Grid, axis: str, order: int) -> Float[Array, "..."]:
        """The derivative at the grid's points; values have the shape (*components, *grid.shape)."""

    @abc.abstractmethod
    def interpolate(self, values: Float[Array, "..."], grid: Grid, point: Float[Array, " d"]) -> Float[Array, "..."]:
        """The value at one point, shape (*components,)."""


class GridField(AbstractField):
    """Values on a grid.

    **Arguments:**

    - `grid`: where they are.
    - `values`: shape (*components, *grid.shape).
    - `scheme`: how to differentiate and interpolate, e.g. `Spectral()`.
    """

    grid: Grid
    values: Float[Array, "..."]
    scheme: AbstractScheme

    def __init__(self, grid: Grid, values: Float[Array, "..."], scheme: AbstractScheme) -> None:
        if tuple(values.shape[values.ndim - len(grid.shape) :]) != grid.shape:
            raise ValueError(
                f"GridField: values of shape {tuple(values.shape)} on a grid of shape {grid.shape}; expected "
                "(*components, *grid.shape)."
            )
        self.grid, self.values, self.scheme = grid, values, scheme

    @property
    def domain(self) -> Box:  # type: ignore[override]
        """The grid's box."""
        return self.grid.domain

    def d(self, axis: str, order: int = 1) -> "GridField":
        """The derivative by the scheme."""
        self.domain.axis(axis)
        if check_order(order) == 0:
            return self
        return self.like(self.scheme.differentiate(self.values, self.grid, axis, order))

    def map(self, function: Callable, *others: AbstractField) -> "GridField":
        """function of the values at each point."""
        for other in others:
            if not isinstance(other, GridField) or other.grid.shape != self.grid.shape:
                raise ValueError(
                    "a field on a grid combines with fields on the same grid only; bring the other there with "
                    "field.function or `resample`."
                )
        return self.like(function(self.values, *(other.values for other in others)))

    def function(self, f: Coordinates) -> "GridField":
        """f at the grid's points, in the dtype of the values."""
        mesh = (jnp.asarray(x, self.values.dtype) for x in self.grid.mesh())
        values = jnp.asarray(f(*mesh))
        # A constant, or a function of some axes only.
        shape = self.grid.shape if values.ndim <= len(self.grid.shape) else (*values.shape[:1], *self.grid.shape)
        return self.like(jnp.broadcast_to(values, shape))

    def like(self, values: Any) -> "GridField":
        """Other values on the same grid."""
        return GridField(self.grid, values, self.scheme)

    def __call__(self, point: Float[Array, " d"]) -> Float[Array, "..."]:
        """The value at one point, interpolated by the scheme."""
        return self.scheme.interpolate(self.values, self.grid, point)

    def integral(self) -> Float[Array, "..."]:
        """Integral over the box by the grid's weights, one number for each component."""
        weights = jnp.ones((1,) * self.values.ndim, self.values.dtype)
        for i, name in enumerate(self.domain.names):
            w = self.grid.weights(name)
            weights = weights * jnp.asarray(along(w, self.values.ndim, i - len(self.grid.shape)), self.values.dtype)
        axes = tuple(range(-len(self.grid.shape), 0))
        return jnp.sum(self.values * weights, axis=axes)

    def norm(self) -> Float[Array, "..."]:
        """The L2 norm over the box, one number for each component."""
        return jnp.sqrt(self.like(jnp.square(self.values)).integral())
