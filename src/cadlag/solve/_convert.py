"""The same process in the other calculus: f_Itô = f_Stratonovich + ½ (∂g·g), for noise whose product is one jvp."""

from typing import Any

import equinox as eqx
import jax
import lineax as lx
from jaxtyping import Array, PyTree

from cadlag.solve._process import AbstractProcess, Calculus, NoiseKind
from cadlag.solve._stepper import add, scale


class Converted(AbstractProcess):
    """A process with the drift correction of the other calculus; made by `to_ito` and `to_stratonovich`."""

    process: AbstractProcess
    noise: NoiseKind = eqx.field(static=True)
    calculus: Calculus = eqx.field(static=True)

    def drift(self, t: Any, y: PyTree[Array], args: Any) -> PyTree[Array]:
        """The drift with ±½ (∂g·g)."""
        sign = 0.5 if self.calculus is Calculus.ito else -0.5
        correction = scale(sign, derivative_along(self.process, t, y, args)[1])
        return add(self.process.drift(t, y, args), correction)

    def diffusion(self, t: Any, y: PyTree[Array], args: Any) -> Any:
        """The same diffusion."""
        return self.process.diffusion(t, y, args)


def derivative_along(process: AbstractProcess, t: Any, y: PyTree[Array], args: Any) -> tuple[Any, Any]:
    """The diffusion g and its derivative ∂g·g along itself, for scalar and diagonal noise."""

    def plain(z: PyTree[Array]) -> PyTree[Array]:
        g = process.diffusion(t, z, args)
        return lx.diagonal(g) if isinstance(g, lx.AbstractLinearOperator) else g

    return jax.jvp(plain, (y,), (plain(y),))


def to_stratonovich(process: AbstractProcess) -> AbstractProcess:
    """The same law written in Stratonovich's sense: drift f - ½ (∂g·g).

    For noise of kind none, additive, scalar and diagonal (g_i a function of y_i and t only); a ValueError for
    other kinds.
    """
    return _convert(process, Calculus.stratonovich)


def to_ito(process: AbstractProcess) -> AbstractProcess:
    """The same law written in Itô's sense: drift f + ½ (∂g·g); see `to_stratonovich`."""
    return _convert(process, Calculus.ito)


def _convert(process: AbstractProcess, calculus: Calculus) -> AbstractProcess:
    if process.calculus is calculus or process.noise is NoiseKind.none:
        return process
    if process.noise not in (NoiseKind.additive, NoiseKind.scalar, NoiseKind.diagonal):
        kind = "several drivers" if isinstance(process.noise, tuple) else f"kind {process.noise.name}"
        raise ValueError(
            f"The drift correction between {process.calculus.value} and {calculus.value} is only known for additive, "
            f"scalar and diagonal noise, not for {kind}. Write the process in the sense of {calculus.value} itself."
        )
    if process.noise is NoiseKind.additive:
        return _Renamed(process=process, noise=process.noise, calculus=calculus)
    return Converted(process=process, noise=process.noise, calculus=calculus)


class _Renamed(AbstractProcess):
    """Additive noise means the same in both calculi."""

    process: AbstractProcess
    noise: NoiseKind = eqx.field(static=True)
    calculus: Calculus = eqx.field(static=True)

    def drift(self, t: Any, y: PyTree[Array], args: Any) -> PyTree[Array]:
        return self.process.drift(t, y, args)

    def diffusion(self, t: Any, y: PyTree[Array], args: Any) -> Any:
        return self.process.diffusion(t, y, args)
