"""∂_t of a trajectory that a spatiotemporal operator predicts: three ways, one of which sees nothing."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.fields import difference_weights

Rate = Callable[[Array], Array]
Frames = Float[Array, "frames *space"]


class AbstractTimeDerivative(eqx.Module):
    """How ∂_t w is found at every frame. To write your own, give `__call__`."""

    @abc.abstractmethod
    def __call__(self, frames: Frames, slopes: Frames, rate: Rate, dt: float | int | Array) -> Frames:
        """∂_t at the frames; `slopes` are those of the Fourier interpolant in time, `rate` that of the equation."""


class FourierSlopes(AbstractTimeDerivative):
    """Exact, of the trigonometric polynomial in time that the operator puts out."""

    def __call__(self, frames: Frames, slopes: Frames, rate: Rate, dt: float | int | Array) -> Frames:
        """The slopes."""
        return slopes


class TimeDifferences(AbstractTimeDerivative):
    """Finite differences of the frames, centred inside and one-sided at both ends.

    **Arguments:** `order` of the error in dt.
    """

    order: int = eqx.field(static=True, default=4)

    def __check_init__(self) -> None:
        if self.order < 1:
            raise ValueError(f"order={self.order} of Differences; expected at least 1.")

    def __call__(self, frames: Frames, slopes: Frames, rate: Rate, dt: float | int | Array) -> Frames:
        """A product with a matrix of weights."""
        matrix = jnp.asarray(difference_matrix(frames.shape[0], self.order) / dt, frames.dtype)
        return jnp.tensordot(matrix, frames, axes=1)


class SolverIncrement(AbstractTimeDerivative):
    """(w + δ rate(w) - (w - δ rate(w))) / 2 δ: what a solver makes of each frame by itself, as the released code does.

    It equals rate(w) for ANY frames, so that the residual vanishes whatever they are: it measures nothing, and is here
    to show that.

    **Arguments:** `delta`, the solver's step.
    """

    delta: float = eqx.field(static=True, default=1e-6)

    def __call__(self, frames: Frames, slopes: Frames, rate: Rate, dt: float | int | Array) -> Frames:
        """One explicit step forth and one back; of second order in δ, as two of the released code are."""
        forth = frames + self.delta * rate(frames + 0.5 * self.delta * rate(frames))
        back = frames - self.delta * rate(frames - 0.5 * self.delta * rate(frames))
        return (forth - back) / (2 * self.delta)


def difference_matrix(count: int, order: int) -> np.ndarray:
    """Weights (count, count) of the first derivative at distance one, each row exact for polynomials of `order`."""
    width = order + 1 + order % 2
    if count < width:
        raise ValueError(
            f"TimeDifferences(order={order}) needs {width} frames, but there are {count}; lower the order."
        )
    matrix = np.zeros((count, count))
    for i in range(count):
        first = min(max(i - width // 2, 0), count - width)
        matrix[i, first : first + width] = difference_weights(np.arange(first, first + width) - i, 1)
    return matrix
