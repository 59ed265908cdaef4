"""Reversible Heun: algebraically invertible, one evaluation a step (Kidger et al., NeurIPS 2021, algorithm 1).

    z1 = 2y - z + F(t, z) D,   y1 = y + ½ (F(t, z) + F(t1, z1)) D,   D = (h, dX)

Going back needs no stored states: z = 2y1 - z1 - F(t1, z1) D, y = y1 - ½ (F(t, z) + F(t1, z1)) D.
"""

from typing import Any, ClassVar

from jaxtyping import Array, PyTree

from cadlag.solve._process import Calculus
from cadlag.solve._stepper import EVERY_KIND, AbstractStepper, Field, Step, add, minus, scale


class ReversibleHeun(AbstractStepper):
    """Reversible Heun. ODE order 2; strong order 0.5 (additive 1) in Stratonovich's sense.

    Stable on y' = λy only for λh in [-i, i]: use small steps on strongly damped equations. Its exact O(1)-memory
    backward pass is chosen by `adjoint=Reversible()`.
    """

    noises: ClassVar = EVERY_KIND
    calculus: ClassVar = Calculus.stratonovich

    @property
    def nodes(self) -> tuple[float, ...]:
        """Both ends."""
        return (0.0, 1.0)

    @property
    def evaluations(self) -> int:
        """One: the other is handed on."""
        return 1

    def init(self, field: Field, t0: Array, y0: PyTree[Array]) -> Any:
        """The auxiliary state z = y0 and the coefficients there."""
        return y0, field.f(t0, y0), field.g(t0, y0)

    def step(self, field: Field, y: PyTree[Array], state: Any, step: Step) -> tuple[Any, Any, Any]:
        """One forward step."""
        z, f, g = state
        before = field.increment(f, g, step.h, step.dx, y)
        z1 = add(scale(2.0, y), scale(-1.0, z), before)
        f1, g1 = field.f(step.t1, z1), field.g(step.t1, z1)
        error = scale(0.5, minus(field.increment(f1, g1, step.h, step.dx, y), before))
        return add(y, before, error), (z1, f1, g1), error
