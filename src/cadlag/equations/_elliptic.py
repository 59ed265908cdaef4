"""Poisson's and Helmholtz's equations with closed-form solutions."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.equations._condition import Condition, dirichlet
from cadlag.equations._equation import AbstractEquation
from cadlag.equations._shared import Number, check_axes, parameter
from cadlag.fields import AbstractField, Box

SQUARE = Box({"x": (0.0, 1.0), "y": (0.0, 1.0)})


class Poisson(AbstractEquation):
    """-Δu = f in a box, u given on its faces.

    By default u = ∏ sin(pi (x_i - a_i) / L_i), which vanishes on the faces, and f = pi² Σ 1/L_i² u.

    **Arguments:**

    - `space`: the box, of any dimension.
    - `source`: f as a function of the coordinates.
    - `value`: u on the faces, a function of the coordinates or a number.
    - `solution`: the exact solution, where it is known for a `source` of your own.
    """

    domain: Box
    source: Callable
    value: Callable | float
    solution: Callable | None
    components: int = eqx.field(static=True, default=1)

    def __init__(
        self,
        *,
        space: Box = SQUARE,
        source: Callable | None = None,
        value: Callable | float = 0.0,
        solution: Callable | None = None,
    ) -> None:
        waves = [float(np.pi) / length for length in space.lengths]

        def bubble(*x: Array) -> Array:
            product = jnp.ones_like(x[0])
            for k, low, xi in zip(waves, space.lower, x, strict=True):
                product = product * jnp.sin(k * (xi - low))
            return product

        self.domain, self.value, self.components = space, value, 1
        self.source = (lambda *x: sum(k**2 for k in waves) * bubble(*x)) if source is None else source
        self.solution = bubble if source is None else solution

    @property
    def exact(self) -> Callable | None:
        """The solution, where it is known."""
        return self.solution

    def residual(self, u: AbstractField) -> AbstractField:
        """-Δu - f."""
        return -u.laplacian() - u.function(self.source)

    def conditions(self) -> tuple[Condition, ...]:
        """The values on the faces."""
        return dirichlet(self.domain, self.value)


class Helmholtz(AbstractEquation):
    """Δu + k u = q on [-1, 1]², u = 0 on its faces, solved by sin(a_1 pi x) sin(a_2 pi y).

    **Arguments:**

    - `k`: the coefficient of u (the square of a wavenumber); 1 by default.
    - `a`: half waves a unit of length in x and y, integers; (1, 4) by default.
    - `space`: the square.
    """

    domain: Box
    k: Float[Array, ""]
    a: tuple[int, int] = eqx.field(static=True)
    components: int = eqx.field(static=True, default=1)

    def __init__(
        self,
        k: Number = 1.0,
        *,
        a: tuple[int, int] = (1, 4),
        space: Box = Box({"x": (-1.0, 1.0), "y": (-1.0, 1.0)}),
    ) -> None:
        check_axes("Helmholtz", space, ("x", "y"))
        self.domain, self.k, self.a, self.components = space, parameter(k), a, 1

    @property
    def exact(self) -> Callable:
        """The solution."""
        return self._solution

    def residual(self, u: AbstractField) -> AbstractField:
        """Δu + k u - q."""
        curvature = -(np.pi**2) * sum(a**2 for a in self.a)
        q = u.function(self._solution)
        return u.laplacian() + self.k * (u - q) - curvature * q

    def conditions(self) -> tuple[Condition, ...]:
        """Zero on the faces, or the solution's values where a face does not lie on its zeros."""
        return dirichlet(self.domain, self._solution)

    def _solution(self, x: Array, y: Array) -> Array:
        return jnp.sin(self.a[0] * np.pi * x) * jnp.sin(self.a[1] * np.pi * y)
