"""Initial and boundary conditions: where they hold, and what must vanish there."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx

from cadlag.fields import AbstractField, Box


class Condition(eqx.Module):
    """residual(u) = 0 on a face of the domain.

    **Arguments:**

    - `at`: axis → coordinate, which together pick the face, e.g. `{"t": 0.0}`.
    - `residual`: a field → the field that vanishes on the face.
    - `kind`: "initial" or "boundary"; losses weigh and reports list them under it.
    """

    at: tuple[tuple[str, float], ...] = eqx.field(static=True)
    residual: Callable[[AbstractField], AbstractField]
    kind: str = eqx.field(static=True)

    def __init__(
        self, at: Mapping[str, float], residual: Callable[[AbstractField], AbstractField], *, kind: str = "boundary"
    ) -> None:
        if not at:
            raise ValueError("Condition: at={} picks no face; give axis → coordinate, such as {'t': 0.0}.")
        self.at = tuple((name, float(value)) for name, value in at.items())
        self.residual = residual
        self.kind = kind

    def check(self, domain: Box) -> None:
        """Raise `ValueError` when the face is not in the closed domain."""
        for name, value in self.at:
            low, high = domain.bounds(name)
            if not low <= value <= high:
                raise ValueError(
                    f"condition at {name}={value}: outside the domain, where {name} is in [{low}, {high}]."
                )


def initial(value: Callable[..., Any], *, t: float = 0.0) -> Condition:
    """u = value at t. `value` takes the coordinates in the order of the domain's axes, t among them."""
    return Condition({"t": t}, lambda u: u - u.function(value), kind="initial")


def dirichlet(domain: Box, value: Callable[..., Any] | float = 0.0) -> tuple[Condition, ...]:
    """u = value on every face of the axes that are neither t nor periodic; `value` takes the coordinates."""

    def residual(u: AbstractField) -> AbstractField:
        return u - (u.function(value) if callable(value) else value)

    return tuple(Condition({name: end}, residual) for name in walls(domain) for end in domain.bounds(name))


def neumann(domain: Box, slope: float = 0.0) -> tuple[Condition, ...]:
    """∂u/∂x = slope, x being the axis that meets the face, on every face that is neither in t nor periodic."""

    def condition(name: str, end: float) -> Condition:
        return Condition({name: end}, lambda u: u.d(name) - slope)

    return tuple(condition(name, end) for name in walls(domain) for end in domain.bounds(name))


def walls(domain: Box) -> tuple[str, ...]:
    """The axes with ends where a boundary condition belongs: neither t nor periodic."""
    return tuple(name for name in domain.names if name != "t" and name not in domain.periodic)
