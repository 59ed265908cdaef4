"""Stochastic Runge-Kutta methods of strong order 1.5 (Rößler, SIAM J. Numer. Anal. 48(3), 2010).

SRA1 for additive noise, SRI1W1 for scalar and diagonal Itô noise. Both use the increment W and the
iterated integral I10/h = W/2 + H, with H the space-time Lévy area of the step.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from cadlag.solve._process import Calculus, NoiseKind, contract
from cadlag.solve._stepper import AbstractStepper, Field, Step, add, minus, scale


class SRK(AbstractStepper):
    """Strong order 1.5: SRA1 where the noise is additive, SRI1W1 where it is scalar or diagonal (Itô).

    Diagonal means that g_i depends on y_i and t only. Refuses steps backwards in time.
    """

    noises: ClassVar = frozenset({NoiseKind.additive, NoiseKind.scalar, NoiseKind.diagonal})
    calculus: ClassVar = Calculus.ito
    needs_area: ClassVar = True
    takes_paths: ClassVar = False
    backwards: ClassVar = False

    @property
    def nodes(self) -> tuple[float, ...]:
        """Where SRA1 and SRI1W1 look."""
        return (0.0, 0.25, 0.75, 1.0)

    @property
    def evaluations(self) -> int:
        """Two of the drift (and up to four of the diffusion)."""
        return 2

    def init(self, field: Field, t0: Array, y0: PyTree[Array]) -> None:
        """No memory."""
        return None

    def step(self, field: Field, y: PyTree[Array], state: Any, step: Step) -> tuple[Any, Any, Any]:
        """One step of the method that fits the noise."""
        mean = jax.tree.map(lambda dw, area: 0.5 * dw + area, step.dx, step.area)  # I10/h
        method = _sra1 if field.process.noise is NoiseKind.additive else _sri1w1
        return method(field, y, step, mean)


def _sra1(field: Field, y: PyTree[Array], step: Step, mean: Any) -> tuple[Any, Any, Any]:
    t0, h, dw = step.t0, step.h, step.dx
    f0 = field.f(t0, y)
    g0, g1 = field.g(t0, y), field.g(step.t1, y)
    stage = add(y, scale(0.75 * h, f0), field.mul(g1, scale(1.5, mean), y))
    f1 = field.f(t0 + 0.75 * h, stage)
    # α = (1/3, 2/3), β1 = (1, 0) and β2 = (-1, 1), on the diffusion at (t1, t0) as c1 = (1, 0) says.
    drift = add(scale(h / 3, f0), scale(2 * h / 3, f1))
    noise = add(field.mul(g1, minus(dw, mean), y), field.mul(g0, mean, y))
    error = None if f0 is None else scale(2 * h / 3, minus(f1, f0))
    return add(y, drift, noise), None, error


def _sri1w1(field: Field, y: PyTree[Array], step: Step, mean: Any) -> tuple[Any, Any, Any]:
    t0, h, dw = step.t0, step.h, step.dx
    kind = field.process.noise
    assert isinstance(kind, NoiseKind)
    root = jnp.sqrt(h)
    quarter, three_quarters = t0 + 0.25 * h, t0 + 0.75 * h
    f0, g1 = field.f(t0, y), field.g(t0, y)
    g2 = field.g(quarter, add(y, scale(0.25 * h, f0), scale(0.5 * root, g1)))
    g3 = field.g(step.t1, add(y, scale(h, f0), scale(-root, g1)))
    stage = add(y, scale(0.75 * h, f0), scale(1.5, contract(kind, g1, mean, y)))
    f2 = field.f(three_quarters, stage)
    combination = add(scale(-5.0, g1), scale(3.0, g2), scale(0.5, g3))
    # The third drift stage of SRI1W1 is y itself, so A1_43 multiplies f0.
    g4 = field.g(quarter, add(y, scale(0.25 * h, f0), scale(root, combination)))
    w1, w2, w3, w4 = _weights(dw, mean, h)
    noise = [contract(kind, g, w, y) for g, w in zip((g1, g2, g3, g4), (w1, w2, w3, w4), strict=True)]
    drift = add(scale(h / 3, f0), scale(2 * h / 3, f2))
    error = noise[3] if f0 is None else add(noise[3], scale(2 * h / 3, minus(f2, f0)))
    return add(y, drift, *noise), None, error


def _weights(dw: Any, mean: Any, h: Array) -> tuple[Any, Any, Any, Any]:
    """Coefficients of the four diffusion stages, from I1 = W, I11, I10 and I111."""
    safe = jnp.where(h > 0, h, jnp.ones_like(h))

    def each(w: Array, m: Array) -> tuple[Array, Array, Array, Array]:
        step = safe.astype(w.dtype)
        i11 = 0.5 * (w * w - step) / jnp.sqrt(step)
        i111 = (w**3 / step - 3 * w) / 6
        zero = (h > 0).astype(w.dtype)
        return (
            zero * (-w - i11 + 2 * m - 2 * i111),
            zero * (4 * w / 3 + 4 * i11 / 3 - 4 * m / 3 + 5 * i111 / 3),
            zero * (2 * w / 3 - i11 / 3 - 2 * m / 3 - 2 * i111 / 3),
            zero * i111,
        )

    pairs = jax.tree.map(each, dw, mean)
    return jax.tree.transpose(jax.tree.structure(dw), jax.tree.structure((0, 0, 0, 0)), pairs)
