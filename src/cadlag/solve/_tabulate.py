"""Paths inside a process or its arguments, evaluated once for the whole grid instead of once a step.

A control, a schedule or a network of time alone does not depend on the state, so on fixed steps its values at
every node are one batched computation before the loop; inside, `path.evaluate(t)` reads a slice. Only the time at
which the coefficients are called is tabulated: any other gives NaN.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from cadlag.paths import AbstractPath, LookAhead


class Tabulated(AbstractPath):
    """Values of a function of time at the points of the solver's own grid, where they are known beforehand.

    Stands in a process or its arguments where a path would, for steppers that look at the ends of a step only:
    nothing is evaluated, a step reads its row. `values` is a PyTree with a leading axis of length steps + 1.
    """

    values: PyTree[Array]
    t0: Any = eqx.field(static=True, default=None)
    t1: Any = eqx.field(static=True, default=None)
    look_ahead: LookAhead = eqx.field(static=True, default=LookAhead.none)

    def evaluate(self, t: Any) -> Any:
        """NaN of the right shape: outside a loop the values belong to no time."""
        return jax.tree.map(lambda x: jnp.full_like(x[0], jnp.nan), self.values)

    def derivative(self, t: Any) -> Any:
        """Refused, as `evaluate`."""
        raise TypeError("Tabulated values have no derivative; give a path that can be evaluated at any time.")


class _Row(eqx.Module):
    """Stands for a path during one step: its values at the stepper's nodes."""

    values: tuple[Any, ...]
    nodes: tuple[float, ...] = eqx.field(static=True)
    t0: Array
    h: Array

    def evaluate(self, t: Array) -> Any:
        """The tabulated value at the node nearest to t."""
        value = self.values[0]
        if t is self.t0:
            return value
        where = (t - self.t0) / jnp.where(self.h == 0, jnp.ones_like(self.h), self.h)
        for left, right, later in zip(self.nodes[:-1], self.nodes[1:], self.values[1:], strict=True):
            past = where > 0.5 * (left + right)
            value = jax.tree.map(lambda a, b, p=past: jnp.where(p, b, a), value, later)
        # Asked for another time than the step's, NaN and a failed solve are better than a wrong value.
        off = jnp.min(jnp.abs(where - jnp.asarray(self.nodes, where.dtype))) > 0.02
        return jax.tree.map(lambda x: jnp.where(off, jnp.full_like(x, jnp.nan), x), value)


def _is_path(x: Any) -> bool:
    return isinstance(x, AbstractPath)


def tabulate(tree: Any, grid: Array, nodes: tuple[float, ...]) -> tuple[Any, list]:
    """Split `tree` into itself without its paths, and tables with a leading axis of steps.

    Only a path's values at the nodes enter the loop; its derivative is not available there.
    """
    leaves, treedef = jax.tree.flatten(tree, is_leaf=_is_path)
    tables = [_table(leaf, grid, nodes) for leaf in leaves if _is_path(leaf)]
    rest = [None if _is_path(leaf) else leaf for leaf in leaves]
    return (rest, treedef, [_is_path(leaf) for leaf in leaves]), tables


def restore(split: Any, rows: list, nodes: tuple[float, ...], t0: Array, h: Array) -> Any:
    """The tree again, with every path replaced by its row of one step."""
    rest, treedef, is_path = split
    rows_left = iter(rows)
    leaves = [_Row(next(rows_left), nodes, t0, h) if path else leaf for leaf, path in zip(rest, is_path, strict=True)]
    return jax.tree.unflatten(treedef, leaves)


def _table(path: AbstractPath, grid: Array, nodes: tuple[float, ...]) -> tuple[Any, ...]:
    ends = {0.0: lambda x: x[:-1], 1.0: lambda x: x[1:]}
    if isinstance(path, Tabulated):
        _check_table(path, grid, nodes)
        return tuple(jax.tree.map(ends[c], path.values) for c in nodes)
    if nodes == (0.0,):
        return (jax.vmap(path.evaluate)(grid[:-1]),)
    if set(nodes) <= {0.0, 1.0}:
        values = jax.vmap(path.evaluate)(grid)
        return tuple(jax.tree.map(ends[c], values) for c in nodes)
    widths = jnp.diff(grid)
    return tuple(jax.vmap(path.evaluate)(grid[:-1] + c * widths) for c in nodes)


def refuse_tables(tree: Any) -> None:
    """Raise `TypeError` where values tabulated for fixed steps stand in a solve without them."""
    if any(isinstance(leaf, Tabulated) for leaf in jax.tree.leaves(tree, is_leaf=_is_path)):
        raise TypeError(
            "The process holds Tabulated values, which belong to the grid of fixed steps of our own steppers. "
            "For Diffrax give a path that can be evaluated at any time."
        )


def _check_table(table: Tabulated, grid: Array, nodes: tuple[float, ...]) -> None:
    if not set(nodes) <= {0.0, 1.0}:
        raise ValueError(f"The stepper looks at the fractions {nodes} of a step, but Tabulated values are at its ends.")
    sizes = {x.shape[0] for x in jax.tree.leaves(table.values)}
    if sizes != {grid.shape[0]}:
        raise ValueError(f"Tabulated values have {sorted(sizes)} rows, but the grid has {grid.shape[0]} points.")
