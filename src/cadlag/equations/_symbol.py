"""The differential operator behind a linearised residual: Σ_α c_α(x) ∂^α."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.fields import AbstractField, Box, GridField

Terms = dict[tuple[int, ...], Array]
"""Orders of the derivative along each axis → the coefficient at the points of the grid."""


class Jet(AbstractField):
    """A field and its variation Σ_α c_α ∂^α δu under a variation δu of the unknown.

    Derivatives act on δu only, not on coefficients (the terms of lower order that those give are left out), and
    functions of values act by their derivatives.

    **Arguments:**

    - `value`: the field, values on a grid.
    - `terms`: α → c_α; empty where the field does not depend on the unknown.
    """

    value: GridField
    terms: Terms

    @property
    def domain(self) -> Box:  # type: ignore[override]
        """That of the field."""
        return self.value.domain

    def d(self, axis: str, order: int = 1) -> "Jet":
        """The derivative along an axis."""
        place = self.domain.axis(axis)
        raised = {tuple(k + order * (j == place) for j, k in enumerate(a)): c for a, c in self.terms.items()}
        return Jet(value=self.value.d(axis, order), terms=raised)

    def map(self, function: Callable, *others: AbstractField) -> "Jet":
        """function(u, *others) and its linearisation."""
        jets = [self, *(o if isinstance(o, Jet) else Jet(value=_on_grid(o), terms={}) for o in others)]
        values = [j.value.values for j in jets]
        terms = {}
        for alpha in dict.fromkeys(a for j in jets for a in j.terms):
            tangents = [j.terms.get(alpha, jnp.zeros_like(v)) for j, v in zip(jets, values, strict=True)]
            terms[alpha] = jax.jvp(function, tuple(values), tuple(tangents))[1]
        return Jet(value=self.value.map(function, *(j.value for j in jets[1:])), terms=terms)

    def function(self, f: Callable) -> "Jet":
        """f of the coordinates, which does not vary."""
        return Jet(value=self.value.function(f), terms={})

    def __call__(self, point: Float[Array, " d"]) -> Float[Array, "..."]:
        """The value of the field."""
        return self.value(point)


def linear_terms(residual: Callable[[AbstractField], Any], u: GridField) -> tuple[Terms, ...]:
    """The leading coefficients of `residual`, linearised at u, one dictionary for each field it returns.

    For a linear residual with constant coefficients this is the operator itself; `-u.laplacian()` in the plane gives
    {(2, 0): -1, (0, 2): -1}. The unknown is scalar.
    """
    one = Jet(value=u, terms={(0,) * u.domain.dimension: jnp.ones_like(u.values)})
    out = residual(one)
    fields = jax.tree.leaves(out, is_leaf=lambda f: isinstance(f, AbstractField))
    return tuple(f.terms if isinstance(f, Jet) else {} for f in fields)


def _on_grid(field: AbstractField) -> GridField:
    if not isinstance(field, GridField):
        raise ValueError("a residual is linearised on one grid; bring other fields there with `u.function`.")
    return field


def is_linear(residual: Callable[[AbstractField], Any], u: GridField) -> bool:
    """Whether the coefficients are the same at zero and at u: an affine residual."""

    def coefficients(values: Array) -> list[Array]:
        return [t[a] for t in linear_terms(residual, u.like(values)) for a in sorted(t)]

    at_zero, at_u = eqx.filter_jit(lambda v: (coefficients(jnp.zeros_like(v)), coefficients(v)))(u.values)
    return all(bool(jnp.allclose(a, b)) for a, b in zip(at_zero, at_u, strict=True))
