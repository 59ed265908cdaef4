"""Where a solver steps: on a fixed grid, or adaptively."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Shaped


def concrete(x: Any) -> bool:
    """Whether values can be looked at."""
    return not isinstance(x, Tracer)


def known(x: Any) -> Array:
    """An array whose values can still be looked at under jit, where any operation gives a tracer."""
    with jax.ensure_compile_time_eval():
        return jnp.asarray(x)


class FixedSteps(eqx.Module):
    """Steps along a grid of its own, from the first to the last output time; outputs may lie between its points.

    **Arguments:**

    - `grid`: end points of the steps, shape (steps + 1,), monotone. Outputs off the grid are read from the straight
      line between the two states around them.
    """

    grid: Shaped[Array, " points"]

    def __init__(self, grid: Any):
        self.grid = known(grid) if concrete(grid) else jnp.asarray(grid)
        if self.grid.ndim != 1 or self.grid.shape[0] < 2:
            raise ValueError(
                f"grid of FixedSteps has shape {self.grid.shape}; expected (steps + 1,), at least one step."
            )

    @staticmethod
    def uniform(t0: Any, t1: Any, count: int) -> "FixedSteps":
        """`count` equal steps from t0 to t1."""
        return FixedSteps(jnp.linspace(t0, t1, count + 1))


class AdaptiveSteps(eqx.Module):
    """Steps chosen by an error estimate, through Diffrax.

    **Arguments:**

    - `rtol`, `atol`: tolerances; defaults suit training in float32.
    - `dt0`: first step; None lets Diffrax guess (not for SDEs).
    - `dt_min`: smallest step; for SDEs also the spacing of the Brownian tree's leaves.
    - `max_steps`: cap on the steps tried; reaching it is the named result `max_steps_reached`.
    - `controller`: a Diffrax step-size controller to use instead.
    """

    rtol: float = 1e-3
    atol: float = 1e-6
    dt0: float | None = None
    dt_min: float | None = None
    max_steps: int = eqx.field(static=True, default=4096)
    controller: diffrax.AbstractStepSizeController | None = None

    def __check_init__(self):
        if self.max_steps < 1:
            raise ValueError(f"max_steps={self.max_steps} must be at least 1.")

    def as_diffrax(self) -> diffrax.AbstractStepSizeController:
        """The Diffrax controller."""
        if self.controller is not None:
            return self.controller
        # dt_min ends the solve with a reason instead of stepping below the noise's resolution.
        return diffrax.PIDController(
            rtol=self.rtol, atol=self.atol, dtmin=self.dt_min, force_dtmin=self.dt_min is not None
        )
