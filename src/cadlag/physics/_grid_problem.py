"""An equation on a grid: its residual at all points, its conditions at the points of their faces."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.equations import AbstractEquation, Condition
from cadlag.fields import AbstractField, AbstractScheme, Grid, GridField


class GridProblem(eqx.Module):
    """The collocation equations of a scalar unknown.

    **Arguments:**

    - `equation`: for one unknown; its conditions must hold on faces where the grid has points.
    - `grid`: on the equation's domain.

    Raises `ValueError` for systems, for a grid on another box and for conditions that no point of the grid meets.
    """

    equation: AbstractEquation
    grid: Grid
    faces: tuple[tuple[int | None, ...], ...] = eqx.field(static=True)

    def __init__(self, equation: AbstractEquation, grid: Grid) -> None:
        if equation.components != 1:
            raise ValueError(
                f"equation: {equation.components} unknowns; values on a grid are solved for one. Eliminate the others, "
                "or use a network."
            )
        ours, theirs = ((b.names, b.lower, b.upper, b.periodic) for b in (equation.domain, grid.domain))
        if ours != theirs:
            raise ValueError(f"grid: its box is {theirs}, that of the equation {ours}; expected the same.")
        self.equation, self.grid = equation, grid
        self.faces = tuple(_face(condition, grid) for condition in equation.conditions())

    def residuals(
        self, values: Float[Array, "..."], scheme: AbstractScheme
    ) -> tuple[Float[Array, " points"], Float[Array, " boundary"]]:
        """The equation's residual at all points, the conditions' at those of their faces."""
        u = GridField(self.grid, values, scheme)
        inside = [_values(f).reshape(-1) for f in _fields(self.equation.residual(u))]
        outside = [
            at_face(_values(condition.residual(u)), face).reshape(-1)
            for condition, face in zip(self.equation.conditions(), self.faces, strict=True)
        ]
        return jnp.concatenate(inside), jnp.concatenate([*outside, jnp.zeros(0, values.dtype)])

    def derivatives(self) -> tuple[tuple[str, int], ...]:
        """The (axis, order) that the residual and the conditions ask of a scheme."""
        asked = _Asked(found=[])
        jax.eval_shape(lambda u: self.residuals(u, asked), jax.ShapeDtypeStruct(self.grid.shape, float))
        return tuple(dict.fromkeys(asked.found))


class _Asked(AbstractScheme):
    """Notes what is asked of it."""

    found: list = eqx.field(static=True)

    def differentiate(self, values: Float[Array, "..."], grid: Grid, axis: str, order: int) -> Float[Array, "..."]:
        self.found.append((axis, order))
        return values

    def interpolate(self, values: Float[Array, "..."], grid: Grid, point: Float[Array, " d"]) -> Float[Array, "..."]:
        return values[(0,) * len(grid.shape)]


def _face(condition: Condition, grid: Grid) -> tuple[int | None, ...]:
    """The index of the face on each axis, None where it runs along."""
    at = dict(condition.at)
    face: list[int | None] = []
    for name in grid.domain.names:
        if name not in at:
            face.append(None)
            continue
        gaps = np.abs(grid.points(name) - at[name])
        if gaps.min() > 1e-9 * max(abs(b) for b in (*grid.domain.bounds(name), 1e-3)):
            raise ValueError(
                f"grid: no points at {name} = {at[name]}, where a condition holds; use `Nodes.ends` (or chebyshev) on "
                "that axis, or a number of points that puts one there."
            )
        face.append(int(gaps.argmin()))
    return tuple(face)


def at_face(values: Float[Array, "..."], face: tuple[int | None, ...]) -> Float[Array, "..."]:
    """The values at one face of a grid: an index for its axis, None for the others."""
    return values[tuple(slice(None) if i is None else i for i in face)]


def _fields(out: AbstractField | tuple[AbstractField, ...]) -> list[AbstractField]:
    return jax.tree.leaves(out, is_leaf=lambda f: isinstance(f, AbstractField))


def _values(field: AbstractField) -> Float[Array, "..."]:
    if not isinstance(field, GridField):
        raise ValueError("the residual of a field on a grid must be one too; make others with `u.function`.")
    return field.values
