"""Increments of drivers over the steps of a fixed grid."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from cadlag.paths import AbstractPath
from cadlag.paths.noise import AbstractNoise, BrownianGrid


def driver_increments(driver: Any, grid: Array, levy_area: bool) -> tuple[Any, Any]:
    """Increments (and Lévy areas) of one driver over every step."""
    if isinstance(driver, AbstractNoise):
        drawn = driver.increments(grid, levy_area=levy_area)
        return drawn.dw, drawn.area
    assert isinstance(driver, AbstractPath)
    return jax.tree.map(lambda x: jnp.diff(x, axis=0), jax.vmap(driver.evaluate)(grid)), None


def join(parts: list) -> Any:
    """One driver's increment stands alone; several make a tuple; none is None."""
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else tuple(parts)


class StepDrivers(eqx.Module):
    """Increments over step i: redrawn for noise on a grid, otherwise rows of an array."""

    noises: tuple[BrownianGrid | None, ...]
    steps: int = eqx.field(static=True)

    def at(self, rows: tuple[Any, ...], i: Array) -> Any:
        """Increment over step i; zero before the first."""
        inside = jnp.asarray(i >= 0)
        j = jnp.maximum(i, 0)
        parts = [
            jax.tree.map(lambda x: x[j], r) if n is None else n.step(j).dw
            for n, r in zip(self.noises, rows, strict=True)
        ]
        return join([jax.tree.map(lambda x: jnp.where(inside, x, jnp.zeros_like(x)), p) for p in parts])
