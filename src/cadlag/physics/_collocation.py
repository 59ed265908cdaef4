"""An equation seen at points: the residuals of the equation, of its conditions and of observations, from unknowns."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from cadlag.equations import AbstractEquation, Condition
from cadlag.fields import AbstractField, Box, CallableField
from cadlag.linalg import share
from cadlag.physics._ansatz import AbstractAnsatz

PRECISION = "highest"
"""Of matrix products: the TF32 and bfloat16 defaults of accelerators spoil residuals (jaxpi, change of Nov 2024)."""


class Unknowns(eqx.Module):
    """What is trained: the network, and the equation's unknown leaves (None where there are none)."""

    network: Callable[[Float[Array, " d"]], Float[Array, "..."]]
    coefficients: PyTree = None


class Observations(eqx.Module):
    """Measurements of u, or of what `observe` makes of it.

    **Arguments:**

    - `points`: (m, d), coordinates in the order of the domain's axes.
    - `values`: (m,) or (m, components).
    - `observe`: field → the field that was measured; None for u itself. `lambda u: u[0]` for one component.
    """

    points: Any
    values: Any
    observe: Callable[[AbstractField], AbstractField] | None = None


class Face(eqx.Module):
    """Conditions that share one residual, on one face or several."""

    kind: str = eqx.field(static=True)
    at: tuple[tuple[tuple[str, float], ...], ...] = eqx.field(static=True)
    residual: Callable[[AbstractField], AbstractField]


class Collocation(eqx.Module):
    """An equation, the form of its solution, and observations: everything a loss asks for, at given points.

    `known` is the equation without the leaves that are learnt, `covered` says for each ansatz which conditions it
    satisfies. Made by `collocate`.
    """

    known: AbstractEquation
    ansatz: tuple[AbstractAnsatz, ...]
    covered: tuple[tuple[bool, ...], ...] = eqx.field(static=True)
    observations: Observations | None
    dtype: str = eqx.field(static=True)

    @property
    def domain(self) -> Box:
        """The equation's box."""
        return self.known.domain

    def equation(self, unknowns: Unknowns) -> AbstractEquation:
        """The equation with the learnt coefficients."""
        return self.known if unknowns.coefficients is None else eqx.combine(unknowns.coefficients, self.known)

    def field(self, unknowns: Unknowns) -> CallableField:
        """The solution that the unknowns stand for."""
        f = Formed(unknowns, self) if self.ansatz else unknowns.network
        return CallableField(domain=self.domain, f=f)

    def faces(self, unknowns: Unknowns) -> tuple[Face, ...]:
        """Conditions that no ansatz covers, those of one residual and kind together."""
        groups: dict[Any, list[Condition]] = {}
        for i, condition in enumerate(self.equation(unknowns).conditions()):
            if not any(covers[i] for covers in self.covered):
                groups.setdefault((condition.kind, id(condition.residual)), []).append(condition)
        return tuple(Face(g[0].kind, tuple(c.at for c in g), g[0].residual) for g in groups.values())

    def residual(self, unknowns: Unknowns, points: Float[Array, "n d"]) -> tuple[Float[Array, "n ..."], ...]:
        """The equation's residuals at points, one array for each equation of a system."""

        def at(unknowns: Unknowns, point: Float[Array, " d"]) -> tuple[Array, ...]:
            parts = self.equation(unknowns).residual(self.field(unknowns))
            return tuple(part(point) for part in as_parts(parts))

        return _at_points(at, unknowns, points)

    def squared(self, unknowns: Unknowns, points: Float[Array, "n d"]) -> Float[Array, " n"]:
        """Sum of squares of all residuals at each point."""
        return sum((sum_squares(r) for r in self.residual(unknowns, points)), jnp.zeros(len(points), points.dtype))

    def on_faces(
        self, unknowns: Unknowns, points: tuple[Float[Array, "m d"], ...]
    ) -> tuple[Float[Array, "m ..."], ...]:
        """Residuals of the conditions, one array for each of `faces`."""

        def at(number: int) -> Callable[[Unknowns, Float[Array, " d"]], Array]:
            return lambda unknowns, p: self.faces(unknowns)[number].residual(self.field(unknowns))(p)

        return tuple(_at_points(at(i), unknowns, x) for i, x in enumerate(points))

    def misfit(self, unknowns: Unknowns) -> Float[Array, "m ..."]:
        """Prediction less observation at each observed point."""
        observed = self.observations
        assert observed is not None

        def at(unknowns: Unknowns, point: Float[Array, " d"]) -> Array:
            u = self.field(unknowns)
            return (u if observed.observe is None else observed.observe(u))(point)

        return _at_points(at, unknowns, observed.points) - observed.values


class Formed(eqx.Module):
    """The network in the form that satisfies some conditions: a function of a point."""

    unknowns: Unknowns
    problem: Collocation

    def __call__(self, point: Float[Array, " d"]) -> Float[Array, "..."]:
        """The solution at one point."""
        problem, value = self.problem, self.unknowns.network(point)
        conditions = problem.equation(self.unknowns).conditions()
        for form, covers in zip(problem.ansatz, problem.covered, strict=True):
            mine = tuple(c for c, covered in zip(conditions, covers, strict=True) if covered)
            value = form(value, point, problem.domain, mine)
        return value


def _at_points(at: Callable, unknowns: Unknowns, points: Float[Array, "n d"]) -> Any:
    """at(unknowns, point) for every point, what it repeats done once."""
    arrays, static = eqx.partition(unknowns, eqx.is_array)
    shared = share(lambda arrays, point: at(eqx.combine(arrays, static), point))
    with jax.default_matmul_precision(PRECISION):
        return jax.vmap(shared, in_axes=(None, 0))(arrays, points)


def as_parts(residual: Any) -> tuple[AbstractField, ...]:
    """The residual as a tuple of fields."""
    return residual if isinstance(residual, tuple) else (residual,)


def sum_squares(r: Float[Array, "n ..."]) -> Float[Array, " n"]:
    """Squares summed over components."""
    return jnp.sum(jnp.square(r).reshape(r.shape[0], -1), axis=1)


@eqx.filter_jit
def values(field: AbstractField, points: Float[Array, "n d"]) -> Float[Array, "n ..."]:
    """A field at points."""
    with jax.default_matmul_precision(PRECISION):
        return jax.vmap(field)(points)
