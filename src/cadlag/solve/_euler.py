"""Steppers of low order for stochastic equations: Euler-Maruyama, Heun, Milstein.

Kloeden and Platen, Numerical Solution of Stochastic Differential Equations (1992): Euler-Maruyama (10.2.4),
Milstein (10.3.1). Heun converges to the Stratonovich solution (Rümelin 1982).
"""

from typing import Any, ClassVar

import jax
from jaxtyping import Array, PyTree

from cadlag.solve._process import Calculus, NoiseKind, contract
from cadlag.solve._stepper import EVERY_KIND, AbstractStepper, Field, Step, add, minus, scale


class EulerMaruyama(AbstractStepper):
    """y1 = y + f h + g dX. Strong order 0.5 in Itô's sense (1 for additive noise), weak order 1."""

    noises: ClassVar = EVERY_KIND
    calculus: ClassVar = Calculus.ito
    estimates_error: ClassVar = False

    @property
    def nodes(self) -> tuple[float, ...]:
        """Left end only."""
        return (0.0,)

    @property
    def evaluations(self) -> int:
        """One."""
        return 1

    def init(self, field: Field, t0: Array, y0: PyTree[Array]) -> None:
        """No memory."""
        return None

    def step(self, field: Field, y: PyTree[Array], state: Any, step: Step) -> tuple[Any, Any, Any]:
        """One Euler step."""
        f, g = field.f(step.t0, y), field.g(step.t0, y)
        return add(y, field.increment(f, g, step.h, step.dx, y)), None, None


class EulerPair(AbstractStepper):
    """Euler-Maruyama with an error estimate for noise of any kind: how far Heun's step along the same noise is.

    The estimate says how much drift and diffusion change over the step, of the order of the step's width; its mean is
    not that of the error (it holds Itô's correction), so steps are not to be chosen by it.
    """

    noises: ClassVar = EVERY_KIND
    calculus: ClassVar = Calculus.ito

    @property
    def nodes(self) -> tuple[float, ...]:
        """Both ends."""
        return (0.0, 1.0)

    @property
    def evaluations(self) -> int:
        """Two."""
        return 2

    def init(self, field: Field, t0: Array, y0: PyTree[Array]) -> None:
        """No memory."""
        return None

    def step(self, field: Field, y: PyTree[Array], state: Any, step: Step) -> tuple[Any, Any, Any]:
        """Euler's step, and half the difference of both ends' increments."""
        first = field.increment(field.f(step.t0, y), field.g(step.t0, y), step.h, step.dx, y)
        y1 = add(y, first)
        second = field.increment(field.f(step.t1, y1), field.g(step.t1, y1), step.h, step.dx, y)
        return y1, None, scale(0.5, minus(second, first))


class Heun(AbstractStepper):
    """Trapezoidal predictor-corrector. ODE order 2; strong order 0.5 (1 if commutative) in Stratonovich's sense."""

    noises: ClassVar = EVERY_KIND
    calculus: ClassVar = Calculus.stratonovich

    @property
    def nodes(self) -> tuple[float, ...]:
        """Both ends."""
        return (0.0, 1.0)

    @property
    def evaluations(self) -> int:
        """Two."""
        return 2

    def init(self, field: Field, t0: Array, y0: PyTree[Array]) -> None:
        """No memory."""
        return None

    def step(self, field: Field, y: PyTree[Array], state: Any, step: Step) -> tuple[Any, Any, Any]:
        """Predict with Euler, correct with the mean of both ends."""
        f, g = field.f(step.t0, y), field.g(step.t0, y)
        first = field.increment(f, g, step.h, step.dx, y)
        predicted = add(y, first)
        f1, g1 = field.f(step.t1, predicted), field.g(step.t1, predicted)
        second = field.increment(f1, g1, step.h, step.dx, y)
        error = scale(0.5, minus(second, first))
        return add(predicted, error), None, error


class Milstein(AbstractStepper):
    """Euler plus ½ (∂g·g)(dW² - h) in Itô's sense, ½ (∂g·g) dW² in Stratonovich's. Strong order 1.

    For additive, scalar and diagonal noise, where diagonal means that g_i depends on y_i and t only.
    The derivative is one forward-mode product, no Jacobian is formed.
    """

    noises: ClassVar = frozenset({NoiseKind.none, NoiseKind.additive, NoiseKind.scalar, NoiseKind.diagonal})
    calculus: ClassVar = None
    takes_paths: ClassVar = False

    @property
    def nodes(self) -> tuple[float, ...]:
        """Left end only."""
        return (0.0,)

    @property
    def evaluations(self) -> int:
        """One, with the directional derivative of the diffusion."""
        return 1

    def init(self, field: Field, t0: Array, y0: PyTree[Array]) -> None:
        """No memory."""
        return None

    def step(self, field: Field, y: PyTree[Array], state: Any, step: Step) -> tuple[Any, Any, Any]:
        """One Milstein step; its error estimate is the correction itself."""
        kind = field.process.noise
        f = field.f(step.t0, y)
        if kind in (NoiseKind.none, NoiseKind.additive):
            increment = field.increment(f, field.g(step.t0, y), step.h, step.dx, y)
            return add(y, increment), None, jax.tree.map(lambda a: a * 0, y)
        g0 = field.g(step.t0, y)
        g, dg_g = jax.jvp(lambda z: field.g(step.t0, z), (y,), (g0,))
        half_square = jax.tree.map(lambda dw: 0.5 * self._square(dw, step.h, field.process.calculus), step.dx)
        assert isinstance(kind, NoiseKind)
        correction = contract(kind, dg_g, half_square, y)
        return add(y, field.increment(f, g, step.h, step.dx, y), correction), None, correction

    @staticmethod
    def _square(dw: Array, h: Array, calculus: Calculus) -> Array:
        if calculus is Calculus.stratonovich:
            return dw * dw
        # Backwards in time the quadratic variation still grows: |h|.
        return dw * dw - abs(h.astype(dw.dtype))
