"""Finite differences and local interpolation on uniform grids, with or without walls.

Each row of weights solves a small linear system: exact for polynomials of the degree that its order needs, given the
values nearby and, at a wall, what is known there (Fornberg 1988, with derivatives among the data).
"""

import enum
import math
from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.fields._grid import AbstractScheme, Grid, GridField, Nodes


class Wall(enum.Enum):
    """What is known of a field at the end of an axis that is not periodic."""

    free = "nothing: differences are one-sided there"
    dirichlet = "u = 0 (where the end is no point of the grid; where it is one, its value is used as it is)"
    neumann = "∂u/∂n = 0"


Walls = tuple[Wall, Wall]


class Differences(AbstractScheme):
    """Derivatives by finite differences, central inside and as close to central as the walls allow near them.

    **Arguments:**

    - `accuracy`: order of the error, 2 or 4, up to the walls.
    - `walls`: the kind of all walls, or axis → kind, or axis → (kind at the lower end, kind at the upper end). Subtract
      a function with the right values first where conditions are not homogeneous.

    **Raises:** ValueError for another accuracy, for walls on a periodic axis, and for grids with too few points.
    """

    accuracy: int = eqx.field(static=True)
    walls: Wall | tuple[tuple[str, Walls], ...] = eqx.field(static=True)

    def __init__(self, accuracy: int = 2, *, walls: Wall | Mapping[str, Wall | Walls] = Wall.free) -> None:
        if accuracy not in (2, 4):
            raise ValueError(f"Differences: accuracy={accuracy}; expected 2 or 4.")
        self.accuracy = accuracy
        if isinstance(walls, Wall):
            self.walls = walls
        else:
            self.walls = tuple((name, (w, w) if isinstance(w, Wall) else w) for name, w in walls.items())

    def differentiate(self, values: Float[Array, "..."], grid: Grid, axis: str, order: int) -> Float[Array, "..."]:
        """Weighted sums of neighbours."""
        place, h = grid.domain.axis(axis), grid.spacing(axis)
        at, walls = place - len(grid.shape), self._walls(grid, axis)
        targets = np.arange(grid.shape[place], dtype=float)
        return _apply(values, at, _weights(grid, axis, targets, order, self.accuracy, walls) / h**order, walls is None)

    def interpolate(self, values: Float[Array, "..."], grid: Grid, point: Float[Array, " d"]) -> Float[Array, "..."]:
        """The polynomial through the nearest `accuracy` points of each axis; near walls it extrapolates."""
        for i in reversed(range(grid.domain.dimension)):
            name = grid.domain.names[i]
            position = (point[i] - float(grid.points(name)[0])) / grid.spacing(name)
            values = _interpolate(values, position, self.accuracy, name in grid.domain.periodic)
        return values

    def _walls(self, grid: Grid, axis: str) -> Walls | None:
        periodic = axis in grid.domain.periodic
        known = {} if isinstance(self.walls, Wall) else dict(self.walls)
        unknown = [name for name in known if name not in grid.domain.names]
        if unknown or (periodic and axis in known):
            raise ValueError(f"Differences: walls on {unknown or [axis]}, which the grid does not have.")
        if periodic:
            return None
        usual = self.walls if isinstance(self.walls, Wall) else Wall.free
        return known.get(axis, (usual, usual))


def to_nodes(
    u: GridField, nodes: Nodes | tuple[Nodes, ...], *, accuracy: int = 4, walls: Walls = (Wall.free, Wall.free)
) -> GridField:
    """A field at other points of its cells, such as from the ends of intervals to their centres: staggered grids.

    Along an axis whose kind of nodes changes, n points at `ends` go to n - 1 `centres` and back; at the `start` of
    periodic intervals to as many centres and back. Polynomials of degree `accuracy` - 1 come out exactly.

    **Raises:** ValueError for other changes.
    """
    kinds = (nodes,) * len(u.grid.shape) if isinstance(nodes, Nodes) else nodes
    values, shape = u.values, list(u.grid.shape)
    for i, name in enumerate(u.domain.names):
        old, new = u.grid.nodes[i], kinds[i]
        if old is new:
            continue
        change = {
            (Nodes.ends, Nodes.centres): (-1, 0.5),
            (Nodes.centres, Nodes.ends): (1, -0.5),
            (Nodes.start, Nodes.centres): (0, 0.5),
            (Nodes.centres, Nodes.start): (0, -0.5),
        }.get((old, new))
        periodic = name in u.domain.periodic
        if change is None:
            raise ValueError(
                f"to_nodes: axis {name!r} goes from {old.name} to {new.name}; expected ends or start and centres."
            )
        shape[i] += change[0]
        targets = np.arange(shape[i]) + change[1]
        rows = _weights(u.grid, name, targets, 0, accuracy, None if periodic else walls)
        values = _apply(values, i - len(shape), rows, periodic)
    return GridField(Grid(u.domain, tuple(shape), nodes=kinds), values, u.scheme)


def _weights(grid: Grid, axis: str, targets: np.ndarray, order: int, accuracy: int, walls: Walls | None) -> np.ndarray:
    """One row a target, in units of h from the first point: (targets, n); on a periodic axis one row for all."""
    n, kind = grid.shape[grid.domain.axis(axis)], grid.nodes[grid.domain.axis(axis)]
    halves = bool(targets[0] % 1)
    # Symmetric stencils gain an order for even derivatives.
    width = accuracy + (order + order % 2 if halves else 2 * ((order + 1) // 2) - 1)
    count = order + accuracy
    if n < max(width, count + 1):
        raise ValueError(
            f"differences: {n} points along {axis!r}; order {order} takes {max(width, count + 1)} or more."
        )
    if walls is None:
        return _periodic_row(targets[0], width, order)
    away = {Nodes.ends: 0.0, Nodes.centres: 0.5, Nodes.interior: 1.0}[kind]
    rows = np.zeros((len(targets), n))
    for k, x in enumerate(targets):
        first = _first(x, width)
        if first >= 0 and first + width <= n:
            rows[k, first : first + width] = difference_weights(np.arange(first, first + width) - x, order)
            continue
        wall, end = (walls[0], -away) if first < 0 else (walls[1], n - 1 + away)
        known = None if wall is Wall.free or (wall is Wall.dirichlet and not away) else int(wall is Wall.neumann)
        used = count - (known is not None)
        near = np.arange(used) if first < 0 else np.arange(n - used, n)
        rows[k, near] = difference_weights(near - x, order, None if known is None else (end - x, known))
    return rows


def _first(x: float, width: int) -> int:
    """Where a stencil about x begins: symmetric about a point, or about the middle of two."""
    return math.floor(x) + 1 - width // 2 if x % 1 else round(x) - width // 2


def _periodic_row(x: float, width: int, order: int) -> np.ndarray:
    """Weights of the points about a target's own index, (1, odd)."""
    first = _first(x, width)
    reach = max(-first, first + width - 1)
    row = np.zeros((1, 2 * reach + 1))
    row[0, first + reach : first + reach + width] = difference_weights(np.arange(first, first + width) - x, order)
    return row


def difference_weights(offsets: np.ndarray, order: int, extra: tuple[float, int] | None = None) -> np.ndarray:
    """Weights of values at `offsets` for the derivative of an order at 0, in float64, one for each (Fornberg 1988).

    `extra`: what is known beside the values, that the derivative (offset, order) vanishes.
    """
    count = len(offsets) + (extra is not None)
    powers = np.arange(count)
    moments = offsets[None] ** powers[:, None]
    if extra is not None:
        x, m = extra
        falling = np.array([math.perm(p, m) * x ** (p - m) if p >= m else 0.0 for p in powers])
        moments = np.concatenate([moments, falling[:, None]], axis=1)
    wanted = np.zeros(count)
    wanted[order] = math.factorial(order)
    return np.linalg.solve(moments, wanted)[: len(offsets)]


def _apply(values: Array, axis: int, rows: np.ndarray, periodic: bool) -> Array:
    """rows @ values along an axis; inside, where all rows are one stencil, by shifted sums."""
    moved = jnp.moveaxis(values, axis, -1)
    n = moved.shape[-1]
    if periodic:
        reach = rows.shape[1] // 2
        terms = [float(w) * jnp.roll(moved, reach - k, axis=-1) for k, w in enumerate(rows[0]) if w]
        return jnp.moveaxis(sum(terms[1:], terms[0]), -1, axis)
    middle = len(rows) // 2
    stencil = np.flatnonzero(rows[middle])
    first, last = int(stencil[0]) - middle, int(stencil[-1]) - middle
    inside = [k for k in range(len(rows)) if k + first >= 0 and k + last < n and _shifted(rows, k, middle)]
    low, high = inside[0], inside[-1] + 1
    parts = [_dense(moved, rows[:low])] if low else []
    terms = [
        float(rows[middle, j]) * jax.lax.slice_in_dim(moved, low + j - middle, high + j - middle, axis=-1)
        for j in stencil
    ]
    parts.append(sum(terms[1:], terms[0]))
    parts += [_dense(moved, rows[high:])] if high < len(rows) else []
    return jnp.moveaxis(jnp.concatenate(parts, axis=-1), -1, axis)


def _shifted(rows: np.ndarray, k: int, middle: int) -> bool:
    """Whether row k is the middle one moved along."""
    same = np.roll(rows[middle], k - middle)
    return bool(np.allclose(rows[k], same, rtol=0, atol=1e-9 * np.max(np.abs(same))))


def _dense(moved: Array, rows: np.ndarray) -> Array:
    used = np.flatnonzero(np.any(rows != 0, axis=0))
    if not len(used):  # a slope that is known to be zero
        return jnp.zeros((*moved.shape[:-1], len(rows)), moved.dtype)
    low, high = int(used[0]), int(used[-1]) + 1
    return jax.lax.slice_in_dim(moved, low, high, axis=-1) @ jnp.asarray(rows[:, low:high].T, moved.dtype)


def _interpolate(values: Float[Array, "... n"], position: Float[Array, ""], count: int, periodic: bool) -> Array:
    """Through the `count` values nearest to a position in units of the spacing."""
    n = values.shape[-1]
    start = jnp.floor(position).astype(jnp.int32) - (count // 2 - 1)
    start = start if periodic else jnp.clip(start, 0, n - count)
    x = position - start.astype(position.dtype)
    weights = []
    for i in range(count):
        factors = [(x - j) / (i - j) for j in range(count) if j != i]
        weights.append(jnp.prod(jnp.stack(factors)))
    near = jnp.take(values, (start + jnp.arange(count, dtype=start.dtype)) % n, axis=-1)
    stacked = jnp.stack(weights).astype(values.dtype)
    return jnp.sum(near * stacked.reshape((1,) * (near.ndim - 1) + (-1,)), axis=-1)
