"""Kernels of a lag on one axis, with their derivatives in closed form, right at lag zero too."""

import abc
import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.kernels._envelopes import gaussian, matern, normal_density, student_density
from cadlag.kernels._kernel import AbstractKernel
from cadlag.linalg import toeplitz

Number = float | int


class AbstractStationary(AbstractKernel):
    """k(x, x') = k(tau), tau = x - x', x a coordinate of one axis.

    To write your own, declare `smoothness` (the highest order of derivative of k that exists at 0, or None for any)
    and give `lag` (k and its derivatives in tau) and `density`, the spectral density S with
    k(tau) = ∫ S(s) exp(2 pi i s tau) ds, s in cycles per unit (Wiener-Khinchin).

    A coordinate is a scalar, or a point of shape (1,).
    """

    smoothness: eqx.AbstractVar[int | None]

    @abc.abstractmethod
    def lag(self, tau: Float[Array, "..."], order: int = 0) -> Float[Array, "..."]:
        """The derivative of k of an order at each lag, in the dtype of tau. Its own derivatives are right at 0 too."""

    @abc.abstractmethod
    def density(self, s: Float[Array, "..."]) -> Float[Array, "..."]:
        """The spectral density, symmetric, whose integral over all frequencies is k(0)."""

    def __call__(self, x: Float[Array, "..."], y: Float[Array, "..."]) -> Float[Array, ""]:
        """k(x - y)."""
        return self.lag((x - y).reshape(()))

    def gram(
        self, x: Float[Array, "n ..."], z: Float[Array, "m ..."] | None = None, *, order: int = 0
    ) -> Float[Array, "n m"]:
        """k(x_i - z_j), or the derivative in x_i of an order."""
        x, z = _line(x), _line(x if z is None else z)
        return self.lag(x[:, None] - z[None, :], order)


def lag_matrix(kernel: AbstractStationary, lags: Float[Array, " n"], order: int = 0) -> Float[Array, "n n"]:
    """`kernel.gram` of n points h apart, from its n values at `lags` = (0, h, …, (n - 1) h)."""
    column = kernel.lag(lags, order)
    return toeplitz(column, -column if order % 2 else column)


def check_order(kernel: AbstractStationary, order: int) -> None:
    """Raise `ValueError` for a derivative that the kernel lacks."""
    if order < 0 or (kernel.smoothness is not None and order > kernel.smoothness):
        raise ValueError(
            f"order={order} of a derivative of {type(kernel).__name__}: expected 0 to {kernel.smoothness}; a smoother "
            "kernel has more, `SquaredExponential` and `SpectralMixture` any."
        )


class Matern(AbstractStationary):
    """The Matérn kernel of unit variance: nu = 1/2, 3/2 or 5/2 (Rasmussen and Williams 2006, eq. 4.14).

    For nu = 5/2, with r = |tau| / length: (1 + √5 r + 5 r²/3) exp(-√5 r).

    **Arguments:**

    - `length`: in units of the axis; positive.
    - `nu`: paths are differentiable nu - 1/2 times.
    """

    log_length: Float[Array, ""]
    half: int = eqx.field(static=True)

    def __init__(self, length: Number | Float[Array, ""] = 1.0, *, nu: float = 2.5) -> None:
        self.log_length, self.half = _log_length("Matern", length), half_integer(nu)

    @property
    def smoothness(self) -> int:  # type: ignore[override]
        """2 nu - 1."""
        return 2 * self.half

    def lag(self, tau: Float[Array, "..."], order: int = 0) -> Float[Array, "..."]:
        """The derivative of an order."""
        check_order(self, order)
        rate = jnp.exp(-self.log_length).astype(tau.dtype)
        return rate**order * matern(rate * tau, order, self.half)

    def density(self, s: Float[Array, "..."]) -> Float[Array, "..."]:
        """Student's t with 2 nu degrees of freedom and scale 1 / (2 pi length)."""
        scale = jnp.exp(-self.log_length).astype(s.dtype) / (2 * math.pi)
        return student_density(s / scale, 2 * self.half + 1) / scale


class SquaredExponential(AbstractStationary):
    """exp(-tau² / (2 length²)), of unit variance.

    **Arguments:**

    - `length`: in units of the axis; positive.
    """

    log_length: Float[Array, ""]
    smoothness: None = None

    def __init__(self, length: Number | Float[Array, ""] = 1.0) -> None:
        self.log_length = _log_length("SquaredExponential", length)

    def lag(self, tau: Float[Array, "..."], order: int = 0) -> Float[Array, "..."]:
        """The derivative of an order."""
        check_order(self, order)
        rate = jnp.exp(-self.log_length).astype(tau.dtype)
        return rate**order * gaussian(rate * tau, order)

    def density(self, s: Float[Array, "..."]) -> Float[Array, "..."]:
        """Normal with standard deviation 1 / (2 pi length)."""
        scale = jnp.exp(-self.log_length).astype(s.dtype) / (2 * math.pi)
        return normal_density(s / scale) / scale


def half_integer(nu: float) -> int:
    """nu - 1/2 for nu = 1/2, 3/2 or 5/2."""
    if nu not in (0.5, 1.5, 2.5):
        raise ValueError(f"nu={nu} of a Matérn kernel: expected 0.5, 1.5 or 2.5, whose kernels have closed forms.")
    return int(nu - 0.5)


def _log_length(name: str, length: Number | Float[Array, ""]) -> Float[Array, ""]:
    if isinstance(length, float | int) and not 0 < length < math.inf:
        raise ValueError(f"length={length} of {name}: expected a positive number.")
    return jnp.log(jnp.asarray(length, None if isinstance(length, jnp.ndarray) else float))


def _line(x: Float[Array, "n ..."]) -> Float[Array, " n"]:
    if x.ndim > 2 or (x.ndim == 2 and x.shape[1] != 1):
        raise ValueError(
            f"points of shape {x.shape} for a kernel of one axis: expected (n,) or (n, 1). "
            "Several axes take a product, `Separable((k1, k2))`."
        )
    return x.reshape(-1)
