"""Explicit Runge-Kutta steps from a Butcher tableau, for ODEs and smoothly controlled equations."""

from typing import Any, ClassVar

import diffrax
from jaxtyping import Array, PyTree

from cadlag.solve._process import NoiseKind
from cadlag.solve._stepper import AbstractStepper, Field, Step, add, scale


class RungeKutta(AbstractStepper):
    """An explicit Runge-Kutta method on a fixed grid.

    **Arguments:**

    - `solver`: an explicit Diffrax method, e.g. `diffrax.Tsit5()`; only its tableau is used. `solve` wraps such a
      solver given as `stepper` this way, so that fixed steps cost what a hand-written scan costs.

    With a path as driver each stage multiplies the path's increment over the whole step. Not for Brownian drivers.
    """

    solver: diffrax.AbstractERK
    noises: ClassVar = frozenset({NoiseKind.none})
    calculus: ClassVar = None

    @property
    def tableau(self) -> Any:
        """The coefficients."""
        return self.solver.tableau

    @property
    def nodes(self) -> tuple[float, ...]:
        """The abscissae of the tableau."""
        return tuple(sorted({0.0, *(float(c) for c in self.tableau.c)}))

    @property
    def evaluations(self) -> int:
        """Stages, less one where the last is the next step's first."""
        return len(self.tableau.b_sol) - int(self.tableau.fsal)

    def init(self, field: Field, t0: Array, y0: PyTree[Array]) -> Any:
        """The first stage, where the method can hand it on; otherwise nothing."""
        return (field.f(t0, y0), field.g(t0, y0)) if self.tableau.fsal else None

    def step(self, field: Field, y: PyTree[Array], state: Any, step: Step) -> tuple[Any, Any, Any]:
        """All stages, then the solution and the embedded error."""
        stages, coefficients, _ = self.stages(field, y, state, step)
        return self.finish(y, stages, coefficients)

    def finish(self, y: PyTree[Array], stages: list, coefficients: Any) -> tuple[Any, Any, Any]:
        """What `step` returns, from its stages."""
        y1 = add(y, _combine(self.tableau.b_sol, stages))
        error = _combine(self.tableau.b_error, stages)
        return y1, coefficients if self.tableau.fsal else None, error

    def stages(self, field: Field, y: PyTree[Array], state: Any, step: Step) -> tuple[list, Any, list]:
        """Stage increments k_i h, the last stage's (f, g), and the stage values."""
        coefficients = state if self.tableau.fsal else (field.f(step.t0, y), field.g(step.t0, y))
        stages, values = [field.increment(*coefficients, step.h, step.dx, y)], [y]
        for c, row in zip(self.tableau.c, self.tableau.a_lower, strict=True):
            value = add(y, _combine(row, stages))
            t = step.t1 if c == 1 else step.t0 + float(c) * step.h
            coefficients = (field.f(t, value), field.g(t, value))
            stages.append(field.increment(*coefficients, step.h, step.dx, y))
            values.append(value)
        return stages, coefficients, values


def _combine(weights: Any, stages: list) -> Any:
    return add(*(scale(float(w), k) for w, k in zip(weights, stages, strict=True) if w != 0))
