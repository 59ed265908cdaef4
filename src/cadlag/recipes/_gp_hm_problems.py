"""The equations of `gp-hm`, each with its solution: shifted a little by the seed."""

import dataclasses
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Case:
    """An equation, the points of its grid, and the top of the range of frequencies that fitting starts from."""

    equation: Any
    points: tuple[int, ...]
    highest: float


LENGTH = 6.283185307179586
# name → length of the axis, points, highest frequency (cycles per unit): the published sizes, the last two halved.
SIZES = {
    "sin100": (LENGTH, (400,), 20.0),
    "sin6cos100": (LENGTH, (400,), 20.0),
    "xsin200": (LENGTH, (900,), 50.0),
    "three-scales": (1.0, (900,), 30.0),
    "sin500": (1.0, (400,), 100.0),
    "allen-cahn": (LENGTH, (400,), 20.0),
    "poisson-2d": (LENGTH, (120, 120), 6.0),
    "advection": (1.0, (200, 40), 40.0),
    "sin100-2d": (LENGTH, (400, 400), 20.0),
}
WEIGHT = {"advection": 500.0}
"""lambda_b, 200 elsewhere."""


def make(name: str, seed: int, wave: float = 100.0, points: int | None = None) -> Case:
    """A case under a seed, which moves the box, and so all points, by less than one spacing.

    `wave` and `points` make "sin100" another size, for a smoke run.
    """
    import numpy as np

    from cadlag.equations import Equation, dirichlet, manufactured
    from cadlag.fields import Box

    length, shape, highest = SIZES[name]
    shape = (points,) * len(shape) if points else shape
    shift = float(np.random.default_rng(seed).uniform()) * length / shape[0]
    names = ("t", "x") if name == "advection" else ("x", "y")[: len(shape)]
    box = Box(dict.fromkeys(names, (shift, shift + length)))
    given = _both_sides(box) if name == "advection" else dirichlet(box)
    equation = manufactured(Equation(domain=box, residual_of=_residual(name), given=given), _solution(name, wave))
    return Case(equation, shape, highest * wave / 100)


def _both_sides(box: Any) -> tuple[Any, ...]:
    """Values on all four sides of space-time, as published."""
    from cadlag.equations import Condition

    return tuple(Condition({axis: end}, lambda u: u) for axis in box.names for end in box.bounds(axis))


def _residual(name: str) -> Callable:
    if name == "advection":
        return lambda u, p: u.d("t") + 200.0 * u.d("x")
    if name == "allen-cahn":
        return lambda u, p: u.laplacian() + u * (u * u - 1)
    return lambda u, p: u.laplacian()


def _solution(name: str, wave: float) -> Callable:
    import jax.numpy as jnp

    sin, cos = jnp.sin, jnp.cos
    return {
        "sin100": lambda x: sin(wave * x),
        "sin6cos100": lambda x: sin(6 * x) * cos(100 * x),
        "xsin200": lambda x: x * sin(200 * x),
        "three-scales": lambda x: sin(x) + 0.1 * sin(20 * x) + 0.05 * sin(100 * x),
        "sin500": lambda x: sin(500 * x) - 2 * (x - 0.5) ** 2,
        "allen-cahn": lambda x: sin(100 * x),
        "poisson-2d": lambda x, y: sin(6 * x) * cos(20 * x) + sin(6 * y) * cos(20 * y),
        "advection": lambda t, x: sin(x - 200 * t),
        "sin100-2d": lambda x, y: sin(100 * x) * sin(100 * y),
    }[name]


def relative_error(case: Case, values: Callable[..., Any]) -> float:
    """Relative L2 error on 300 (in the plane 150 x 150) uniform points of the box; `values` takes coordinates."""
    import jax.numpy as jnp
    import numpy as np

    domain = case.equation.domain
    count = 300 if domain.dimension == 1 else 150
    axes = [jnp.asarray(np.linspace(*domain.bounds(name), count)) for name in domain.names]
    exact = np.asarray(case.equation.exact(*jnp.meshgrid(*axes, indexing="ij")))
    return float(np.linalg.norm(np.asarray(values(*axes)) - exact) / np.linalg.norm(exact))
