"""Noise with independent increments, drawn as a pure function of (key, cell).

A Brownian motion on a grid of cells never stores its path: the increment over cell i is
`sqrt(width_i) N(fold_in(key, i))`, so two step sizes, two solvers or a backward pass that each sum
whole cells see the same path. The space-time Lévy area of a cell, H = (1/h) ∫ (W_s - W_0 - (s/h) W_h) ds,
is drawn the same way (H ~ N(0, h/12), independent of the increment; Foster, Lyons and Oberhauser 2020).
Adaptive steps, whose end points are not known beforehand, use Diffrax's virtual Brownian tree.
"""

import abc
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree, Shaped

Struct = PyTree[jax.ShapeDtypeStruct]

# Far from the counters that the increment itself uses up.
_AREA = np.uint32(0xFFFFFFFF)


class NoiseIncrement(eqx.Module):
    """What a noise did over one step (or, with a leading axis, over many)."""

    dw: PyTree[Array]
    """W(t1) - W(t0), of the noise's shape."""
    area: PyTree[Array] | None
    """Space-time Lévy area H of the step, or None where nobody asked for it."""


class AbstractNoise(eqx.Module):
    """Noise whose increments over disjoint intervals are independent.

    To write your own: give `shape` (a PyTree of `jax.ShapeDtypeStruct`) and `increments(grid, levy_area)`,
    the increments over every step of a grid of shape (steps + 1,), leading axis first.
    """

    shape: eqx.AbstractVar[Struct]

    @abc.abstractmethod
    def increments(self, grid: Shaped[Array, " points"], *, levy_area: bool = False) -> NoiseIncrement:
        """Increments over all steps of `grid`, each leaf with a leading axis of length steps."""


class BrownianGrid(AbstractNoise):
    """Brownian motion on its own finest grid of cells.

    **Arguments:**

    - `grid`: the cells' end points, shape (cells + 1,), monotone. Zero-width cells have zero increments.
    - `shape`: shape of W(t): a tuple, or a PyTree of `jax.ShapeDtypeStruct`.
    - `key`: a PRNG key. The same key and grid give the same path, bit for bit.
    - `cells_per_step`: a step of a solver is this many cells.
    """

    grid: Shaped[Array, " points"]
    key: PRNGKeyArray
    shape: Struct = eqx.field(static=True)
    cells_per_step: int = eqx.field(static=True)

    def __init__(self, grid: Any, shape: Any = (), *, key: PRNGKeyArray, cells_per_step: int = 1):
        self.grid = jnp.asarray(grid)
        if self.grid.ndim != 1 or self.grid.shape[0] < 2:
            raise ValueError(
                f"grid of a BrownianGrid has shape {self.grid.shape}; expected (cells + 1,) with at least one "
                "cell. Batch it with jax.vmap."
            )
        if cells_per_step < 1 or (self.grid.shape[0] - 1) % cells_per_step:
            raise ValueError(
                f"cells_per_step={cells_per_step} does not divide the {self.grid.shape[0] - 1} cells of the grid."
            )
        is_shape = isinstance(shape, tuple) and all(isinstance(n, int) for n in shape)
        self.shape = jax.ShapeDtypeStruct(shape, self.grid.dtype) if is_shape else shape
        self.key = key
        self.cells_per_step = cells_per_step

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.grid.shape[0] - 1

    def every(self, cells: int) -> "BrownianGrid":
        """The same path, seen by a solver that takes `cells` cells a step."""
        return BrownianGrid(self.grid, self.shape, key=self.key, cells_per_step=cells)

    @property
    def step_grid(self) -> Shaped[Array, " points"]:
        """End points of the solver's steps."""
        return self.grid[:: self.cells_per_step]

    def cell(self, index: Int[Array, ""] | int, *, levy_area: bool = False) -> NoiseIncrement:
        """Increment (and Lévy area) over one cell: a pure function of (key, index)."""
        index = jnp.asarray(index)
        width = jnp.abs(self.grid[index + 1] - self.grid[index])
        return self._draw(index, width, levy_area)

    def step(self, index: Int[Array, ""] | int, *, levy_area: bool = False) -> NoiseIncrement:
        """Increment over one step of the solver, redrawn rather than stored."""
        first = jnp.asarray(index) * self.cells_per_step
        if self.cells_per_step == 1:
            return self.cell(first, levy_area=levy_area)
        cells = first + jnp.arange(self.cells_per_step)
        widths = jnp.abs(self.grid[cells + 1] - self.grid[cells])
        fine = jax.vmap(lambda i, w: self._draw(i, w, levy_area))(cells, widths)
        return _sum_cells(fine, widths)

    def increments(self, grid: Shaped[Array, " points"] | None = None, *, levy_area: bool = False) -> NoiseIncrement:
        """Increments over all steps of `grid`, this noise's own steps or those reversed."""
        steps = self.cells // self.cells_per_step
        if grid is not None and grid is not self.grid:
            self.check_steps(grid)
        widths = jnp.abs(jnp.diff(self.grid))
        fine = jax.vmap(lambda i, w: self._draw(i, w, levy_area))(jnp.arange(self.cells), widths)
        if self.cells_per_step > 1:
            fine = self._fold(fine, widths, steps)
        return fine if grid is None or grid is self.grid else self._along(fine, grid)

    def _fold(self, fine: NoiseIncrement, widths: Array, steps: int) -> NoiseIncrement:
        fold = lambda x: x.reshape(steps, self.cells_per_step, *x.shape[1:])  # noqa: E731
        return jax.vmap(_sum_cells)(jax.tree.map(fold, fine), fold(widths))

    def check_steps(self, grid: Shaped[Array, " points"]) -> None:
        """Raise a ValueError unless `grid` has this noise's steps, in either direction."""
        steps = self.cells // self.cells_per_step
        if grid.shape[0] - 1 != steps:
            raise ValueError(
                f"The noise has {self.cells} cells in steps of {self.cells_per_step}, that is {steps} steps, but "
                f"the solver takes {grid.shape[0] - 1}. Use `noise.every(cells)`, or make the noise on the "
                "solver's grid."
            )
        _check_same(grid, self.step_grid)

    def against(self, grid: Shaped[Array, " points"]) -> Array:
        """Whether `grid` runs against the noise's own."""
        return (grid[-1] - grid[0]) * (self.grid[-1] - self.grid[0]) < 0

    def _along(self, drawn: NoiseIncrement, grid: Array) -> NoiseIncrement:
        """The increments in the order of `grid`, which may run against the noise: the same path backwards."""
        against = self.against(grid)
        dw = jax.tree.map(lambda x: jnp.where(against, -x[::-1], x), drawn.dw)
        # H is the same from both ends.
        area = jax.tree.map(lambda x: jnp.where(against, x[::-1], x), drawn.area)
        return NoiseIncrement(dw, area)

    def evaluate(self) -> PyTree[Array]:
        """W at every point of the finest grid, W = 0 at the first: leading axis cells + 1."""
        dw = self.every(1).increments().dw
        return jax.tree.map(lambda x: jnp.concatenate([jnp.zeros_like(x[:1]), jnp.cumsum(x, 0)]), dw)

    def _draw(self, index: Array, width: Array, levy_area: bool) -> NoiseIncrement:
        key = jr.fold_in(self.key, index)
        std = _safe_sqrt(width)
        dw = _normal_like(key, self.shape, std)
        if not levy_area:
            return NoiseIncrement(dw, None)
        return NoiseIncrement(
            dw, _normal_like(jr.fold_in(key, _AREA), self.shape, std / jnp.sqrt(12.0).astype(std.dtype))
        )


class BrownianTree(AbstractNoise):
    """Brownian motion that can be asked for any interval: Diffrax's virtual Brownian tree.

    Slower than `BrownianGrid`, but its path does not depend on who asks for what: an adaptive and a
    fixed-step solver given the same tree see one path, up to `tol`.

    **Arguments:**

    - `t0`, `t1`: the interval on which the path exists (in either order).
    - `shape`: as for `BrownianGrid`.
    - `tol`: spacing of the tree's leaves; must be smaller than the smallest step.
    - `key`: a PRNG key.
    """

    t0: Shaped[Array, ""]
    t1: Shaped[Array, ""]
    tol: float = eqx.field(static=True)
    key: PRNGKeyArray
    shape: Struct = eqx.field(static=True)

    def __init__(self, t0: Any, t1: Any, shape: Any = (), *, tol: float, key: PRNGKeyArray):
        t0, t1 = jnp.asarray(t0), jnp.asarray(t1)
        self.t0, self.t1 = jnp.minimum(t0, t1), jnp.maximum(t0, t1)
        if tol <= 0:
            raise ValueError(f"tol={tol} of a BrownianTree must be positive.")
        self.tol = tol
        is_shape = isinstance(shape, tuple) and all(isinstance(n, int) for n in shape)
        dtype = self.t0.dtype if jnp.issubdtype(self.t0.dtype, jnp.inexact) else jnp.float32
        self.shape = jax.ShapeDtypeStruct(shape, dtype) if is_shape else shape
        self.key = key

    def as_diffrax(self, levy_area: Any = diffrax.BrownianIncrement) -> diffrax.VirtualBrownianTree:
        """The underlying Diffrax path, with the Lévy area a Diffrax solver asks for."""
        return diffrax.VirtualBrownianTree(self.t0, self.t1, self.tol, self.shape, self.key, levy_area)

    def increments(self, grid: Shaped[Array, " points"], *, levy_area: bool = False) -> NoiseIncrement:
        """Increments over the steps of `grid`."""
        tree = self.as_diffrax(diffrax.SpaceTimeLevyArea if levy_area else diffrax.BrownianIncrement)
        lower, upper = jnp.minimum(grid[:-1], grid[1:]), jnp.maximum(grid[:-1], grid[1:])
        drawn: Any = jax.vmap(lambda a, b: tree.evaluate(a, b, use_levy=True))(lower, upper)
        against = grid[-1] < grid[0]
        dw = jax.tree.map(lambda x: jnp.where(against, -x, x), drawn.W)
        return NoiseIncrement(dw, drawn.H if levy_area else None)


def _check_same(grid: Array, own: Array) -> None:
    if isinstance(grid, Tracer) or isinstance(own, Tracer):
        return
    theirs, ours = np.asarray(grid, np.float64), np.asarray(own, np.float64)
    close = 1e-4 * np.abs(ours[-1] - ours[0]) / (len(ours) - 1)
    if not (np.allclose(theirs, ours, 0, close) or np.allclose(theirs, ours[::-1], 0, close)):
        raise ValueError(
            f"The noise lives on steps from {ours[0]} to {ours[-1]} that differ from the solver's, from {theirs[0]} to "
            f"{theirs[-1]}. Make the noise on the solver's grid, or the solver's steps along the noise's."
        )


def _normal_like(key: PRNGKeyArray, struct: Struct, std: Array) -> PyTree[Array]:
    leaves, treedef = jax.tree.flatten(struct)
    keys = [key] if len(leaves) == 1 else list(jr.split(key, len(leaves)))
    draws = [jr.normal(k, s.shape, s.dtype) * std.astype(s.dtype) for k, s in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(treedef, draws)


def _safe_sqrt(x: Array) -> Array:
    # The gradient of sqrt at a zero-width (padded) cell would be infinite.
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, jnp.ones_like(x))), jnp.zeros_like(x))


def _sum_cells(fine: NoiseIncrement, widths: Float[Array, " cells"]) -> NoiseIncrement:
    """Increment and Lévy area of a union of neighbouring cells, from those of the cells."""
    dw = jax.tree.map(lambda x: jnp.sum(x, axis=0), fine.dw)
    if fine.area is None:
        return NoiseIncrement(dw, None)
    total = jnp.sum(widths)
    safe = jnp.where(total > 0, total, jnp.ones_like(total))

    def area(increments: Array, areas: Array, whole: Array) -> Array:
        width = widths.astype(increments.dtype).reshape(-1, *[1] * (increments.ndim - 1))
        left = jnp.cumsum(increments, axis=0) - increments
        integral = jnp.sum(width * (left + 0.5 * increments + areas), axis=0)
        return integral / safe.astype(integral.dtype) - 0.5 * whole

    return NoiseIncrement(dw, jax.tree.map(area, fine.dw, fine.area, dw))
