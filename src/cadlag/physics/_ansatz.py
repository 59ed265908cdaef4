"""Conditions built into the solution: u = ansatz(network), whatever the network's weights."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.equations import Condition
from cadlag.fields import Box, CallableField


class AbstractAnsatz(eqx.Module):
    """A form of the solution that satisfies some conditions exactly, so that the loss leaves them out.

    To write your own, give `covers(condition, domain, components)`, asked once before training, and
    `__call__(value, point, domain, conditions)`, the solution from the network's value at a point; `conditions` are
    those that it covers. Before training the solver evaluates them and refuses a form that does not satisfy them.
    """

    @abstractmethod
    def covers(self, condition: Condition, domain: Box, components: int) -> bool:
        """Whether the form satisfies a condition."""

    @abstractmethod
    def __call__(
        self, value: Float[Array, "..."], point: Float[Array, " d"], domain: Box, conditions: tuple[Condition, ...]
    ) -> Float[Array, "..."]:
        """The solution at a point, of the value's shape."""


class HardInitial(AbstractAnsatz):
    """u = g + (t - t0) / (t1 - t0) network, g being the value that the equation's own initial condition gives."""

    def covers(self, condition: Condition, domain: Box, components: int) -> bool:
        """Conditions u = g at the first time."""
        start = (("t", domain.bounds("t")[0]),)
        return condition.kind == "initial" and condition.at == start and gives_value(condition, domain, components)

    def __call__(
        self, value: Float[Array, "..."], point: Float[Array, " d"], domain: Box, conditions: tuple[Condition, ...]
    ) -> Float[Array, "..."]:
        """g at the point's place in space, and the network's share, which grows with time."""
        place, (t0, t1) = domain.axis("t"), domain.bounds("t")
        zero = CallableField(domain=domain, f=lambda p: jnp.zeros(value.shape, p.dtype))
        g = -conditions[0].residual(zero)(point.at[place].set(t0))
        return g + (point[place] - t0) / (t1 - t0) * value


class HardDirichlet(AbstractAnsatz):
    """u = lift + ∏ (1 - ξ²) network over the axes with walls, ξ in [-1, 1] being the scaled coordinate.

    **Arguments:**

    - `lift`: a function of the coordinates with the wanted values on the walls; None where they are zero.
    - `axes`: names of the axes; by default all that are neither t nor periodic.
    """

    lift: Callable[..., Any] | None = None
    axes: tuple[str, ...] | None = eqx.field(static=True, default=None)

    def covers(self, condition: Condition, domain: Box, components: int) -> bool:
        """Conditions u = value on a wall of these axes."""
        if condition.kind != "boundary" or len(condition.at) != 1:
            return False
        ((name, place),) = condition.at
        wall = name in self._axes(domain) and place in domain.bounds(name)
        return wall and gives_value(condition, domain, components)

    def __call__(
        self, value: Float[Array, "..."], point: Float[Array, " d"], domain: Box, conditions: tuple[Condition, ...]
    ) -> Float[Array, "..."]:
        """The lift, and the network's share, which vanishes on the walls."""
        unit = domain.to_unit(point)
        for name in self._axes(domain):
            value = value * (1 - unit[domain.axis(name)] ** 2)
        return value if self.lift is None else self.lift(*point) + value

    def _axes(self, domain: Box) -> tuple[str, ...]:
        walls = tuple(name for name in domain.names if name != "t" and name not in domain.periodic)
        return walls if self.axes is None else self.axes


def gives_value(condition: Condition, domain: Box, components: int) -> bool:
    """Whether a condition has the form u = value: one more of u is one more of its residual."""
    place, shape = dict(condition.at), () if components == 1 else (components,)
    bounds = [domain.bounds(name) for name in domain.names]
    inside = [place.get(name, 0.41 * low + 0.59 * high) for name, (low, high) in zip(domain.names, bounds, strict=True)]

    def at(constant: float) -> Array:
        field = CallableField(domain=domain, f=lambda p: jnp.full(shape, constant, p.dtype))
        return condition.residual(field)(jnp.asarray(inside))

    one, none = at(1.0), at(0.0)
    return none.shape == shape and bool(np.allclose(one - none, 1, rtol=1e-4))
