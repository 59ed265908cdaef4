"""Expressions as an ordinary equation on the axis t, for solvers that minimise residuals: u_i' = components[i](u)."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from cadlag.equations._condition import Condition, initial
from cadlag.equations._evolution import AbstractEvolution
from cadlag.equations._expression import Expression, expression_ode
from cadlag.equations._shared import Interval
from cadlag.fields import AbstractField, Box


class ExpressionEquation(AbstractEvolution):
    """u_i' = components[i](u) from a start: a system found by `symbolic_regression` as an equation.

    The expressions' constants are its parameters. One expression makes a scalar equation. `expression_ode` gives the
    same as a process for `solve`.

    **Arguments:**

    - `laws`: an expression for each component, in the components x0, x1, ...
    - `start`: the state at the first time, shape (components,).
    - `time`: first and last time.

    Example: `ExpressionEquation(first, second, start=(1.0, 0.0), time=(0.0, 5.0))`.
    """

    domain: Box
    laws: tuple[Expression, ...]
    start: Float[Array, " components"]
    exact: None = None
    components: int = eqx.field(static=True, default=1)

    def __init__(self, *laws: Expression, start: ArrayLike | tuple[float, ...], time: Interval) -> None:
        expression_ode(*laws)  # refuses what is not a system
        self.domain = Box({"t": (float(time[0]), float(time[1]))})
        self.laws, self.start, self.components = laws, jnp.asarray(start), len(laws)
        if self.start.shape != (self.components,):
            raise ValueError(
                f"ExpressionEquation: start has shape {self.start.shape}; {self.components} expressions want "
                f"({self.components},)."
            )

    @property
    def u0(self) -> Callable:
        """The first state, a function of no coordinates."""
        return lambda: self.start[0] if self.components == 1 else self.start

    def rate(self, u: AbstractField) -> AbstractField:
        """The expressions' values."""
        return u.map(self.vector_field)

    def vector_field(self, y: Float[Array, "..."]) -> Float[Array, "..."]:
        """The right-hand side at a state, or at an array of states with the components, if there are several, first."""
        if self.components == 1:
            return self.laws[0](y[None])
        return jnp.stack([law(y) for law in self.laws])

    def conditions(self) -> tuple[Condition, ...]:
        """The first state."""

        def value(t: Array) -> Array:
            rows = [jnp.full_like(t, 1) * c.astype(t.dtype) for c in self.start]
            return rows[0] if self.components == 1 else jnp.stack(rows)

        return (initial(value, t=self.domain.bounds("t")[0]),)
