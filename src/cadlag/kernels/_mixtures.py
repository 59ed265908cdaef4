"""Kernels whose spectrum is a mixture of bumps: k(tau) = Σ_q w_q m(rho_q tau) cos(2 pi mu_q tau).

By Wiener and Khinchin the power spectrum is Σ_q w_q/2 [b(s - mu_q) + b(s + mu_q)], b being the spectrum of the shape
m: Student's t for the Matérn shape (Fang et al., ICLR 2024, arXiv 2311.04465, section 3), a Gaussian for the Gaussian
shape (Wilson and Adams, ICML 2013). Weights are kept as logarithms: a flat prior there is Jeffreys' prior of a scale,
under which weights may vanish.
"""

import abc
import math
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.kernels._envelopes import cosine, gaussian, matern, normal_density, student_density
from cadlag.kernels._stationary import AbstractStationary, Number, check_order, half_integer


class Components(NamedTuple):
    """What can be read off a mixture, the heaviest component first.

    `weights` sum to k(0); `frequencies` (0 without a cosine) and `widths`, the scale of each bump of the spectrum, are
    in cycles per unit of the axis.
    """

    weights: np.ndarray
    frequencies: np.ndarray
    widths: np.ndarray


class AbstractMixture(AbstractStationary):
    """A mixture of one shape at several frequencies.

    To write your own, declare `smoothness` and the parameters `log_weights`, `log_rates` and `frequencies`, each of
    shape (Q,), `frequencies` None for a mixture without cosines, and give `shape(r, order)`, a kernel of unit variance
    and rate with its derivatives, and `bump(x)`, the density whose characteristic function it is at 2 pi s.
    """

    log_weights: eqx.AbstractVar[Float[Array, " q"]]
    log_rates: eqx.AbstractVar[Float[Array, " q"]]
    frequencies: eqx.AbstractVar[Float[Array, " q"] | None]

    @abc.abstractmethod
    def shape(self, r: Float[Array, "..."], order: int) -> Float[Array, "..."]:
        """m and its derivatives."""

    @abc.abstractmethod
    def bump(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The spectrum of m as a density of 2 pi s."""

    def lag(self, tau: Float[Array, "..."], order: int = 0) -> Float[Array, "..."]:
        """The derivative of an order, by Leibniz' rule."""
        check_order(self, order)
        weights, rates = (jnp.exp(p).astype(tau.dtype) for p in (self.log_weights, self.log_rates))
        r = jnp.expand_dims(tau, -1) * _lay(rates, tau.ndim + 1)
        if self.frequencies is None:
            return jnp.matmul(self.shape(r, order), weights * rates**order)
        omega = 2 * math.pi * self.frequencies.astype(tau.dtype)
        phase = jnp.expand_dims(tau, -1) * _lay(omega, tau.ndim + 1)
        total = jnp.zeros_like(tau)
        for j in range(order + 1):
            scale = math.comb(order, j) * weights * rates**j * omega ** (order - j)
            total = total + jnp.matmul(self.shape(r, j) * cosine(phase, order - j), scale)
        return total

    def density(self, s: Float[Array, "..."]) -> Float[Array, "..."]:
        """The symmetrised mixture."""
        weights = jnp.exp(self.log_weights).astype(s.dtype)
        scales = jnp.exp(self.log_rates).astype(s.dtype) / (2 * math.pi)
        centres = jnp.zeros_like(scales) if self.frequencies is None else self.frequencies.astype(s.dtype)
        centres, scales = _lay(centres, s.ndim + 1), _lay(scales, s.ndim + 1)
        both = [self.bump((jnp.expand_dims(s, -1) + sign * centres) / scales) / scales for sign in (1, -1)]
        return jnp.matmul(both[0] + both[1], weights) / 2

    def components(self) -> Components:
        """Weights, frequencies and widths, the heaviest first, as NumPy arrays."""
        weights, rates = np.exp(np.asarray(self.log_weights)), np.exp(np.asarray(self.log_rates))
        mu = np.zeros_like(weights) if self.frequencies is None else np.abs(np.asarray(self.frequencies))
        order = np.argsort(-weights, kind="stable")
        return Components(weights[order], mu[order], rates[order] / (2 * math.pi))


class StudentTMixture(AbstractMixture):
    """Σ_q w_q Matérn(rho_q |tau|) cos(2 pi mu_q tau): a spectrum of Student-t bumps with 2 nu degrees of freedom.

    Fang et al., ICLR 2024, with nu = 5/2: bumps t(s; mu_q, rho_q / 2 pi, 5). `spread_components` makes a start.

    **Arguments:**

    - `log_weights`: log w_q, shape (Q,).
    - `log_rates`: log rho_q, inverse lengths.
    - `frequencies`: mu_q in cycles per unit of the axis; None: no cosines, a sum of Matérn kernels.
    - `nu`: 1/2, 3/2 or 5/2.
    """

    log_weights: Float[Array, " q"]
    log_rates: Float[Array, " q"]
    frequencies: Float[Array, " q"] | None
    half: int = eqx.field(static=True)

    def __init__(
        self,
        log_weights: Float[Array, "..."],
        log_rates: Float[Array, "..."],
        frequencies: Float[Array, "..."] | None = None,
        *,
        nu: float = 2.5,
    ) -> None:
        _check_components(log_weights, log_rates, frequencies)
        self.log_weights, self.log_rates, self.frequencies = log_weights, log_rates, frequencies
        self.half = half_integer(nu)

    @property
    def smoothness(self) -> int:  # type: ignore[override]
        """2 nu - 1."""
        return 2 * self.half

    def shape(self, r: Float[Array, "..."], order: int) -> Float[Array, "..."]:
        """The Matérn shape."""
        return matern(r, order, self.half)

    def bump(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """Student's t."""
        return student_density(x, 2 * self.half + 1)


class SpectralMixture(AbstractMixture):
    """Σ_q w_q exp(-(rho_q tau)²/2) cos(2 pi mu_q tau): a spectrum of Gaussian bumps, standard deviation rho_q / 2 pi.

    Wilson and Adams (ICML 2013, eq. 12).

    **Arguments:**

    - `log_weights`, `log_rates`, `frequencies`: as for `StudentTMixture`.
    """

    log_weights: Float[Array, " q"]
    log_rates: Float[Array, " q"]
    frequencies: Float[Array, " q"] | None
    smoothness: None = None

    def __init__(
        self,
        log_weights: Float[Array, "..."],
        log_rates: Float[Array, "..."],
        frequencies: Float[Array, "..."] | None = None,
    ) -> None:
        _check_components(log_weights, log_rates, frequencies)
        self.log_weights, self.log_rates, self.frequencies = log_weights, log_rates, frequencies

    def shape(self, r: Float[Array, "..."], order: int) -> Float[Array, "..."]:
        """The Gaussian shape."""
        return gaussian(r, order)

    def bump(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The normal density."""
        return normal_density(x)


def spread_components(
    count: int = 30, highest: Number = 20.0, *, rate: Number = 1.0, shift: Number = 0.0
) -> tuple[Float[Array, " q"], Float[Array, " q"], Float[Array, " q"]]:
    """Equal weights 1/Q, one rate, and frequencies spread evenly from 0 to `highest`: the published start.

        StudentTMixture(*spread_components(30, 20.0))

    **Arguments:**

    - `count`: Q, components.
    - `highest`: the top of the range, in cycles per unit of the axis (sin(100 x) has 100 / 2 pi = 15.9): choose it
        above the frequencies of the solution and below half the number of grid points per unit.
    - `rate`: the inverse length of all; about one to ten over the length of the axis.
    - `shift`: added to all frequencies.

    **Returns:** log weights, log rates, frequencies, each of shape (Q,) in JAX's default precision.
    """
    if count < 1 or not highest > 0 or not rate > 0:
        raise ValueError(f"spread_components: count={count}, highest={highest}, rate={rate}; expected all positive.")
    grid = np.linspace(0.0, 1.0, count) * highest + shift
    return jnp.full(count, -math.log(count)), jnp.full(count, math.log(rate)), jnp.asarray(grid, float)


def _check_components(*parts: Float[Array, "..."] | None) -> None:
    shapes = [jnp.shape(p) for p in parts if p is not None]
    if len(set(shapes)) > 1 or len(shapes[0]) != 1 or shapes[0][0] < 1:
        raise ValueError(f"components of shapes {shapes}: expected log weights, log rates, frequencies, all (Q,).")


def _lay(vector: Float[Array, " q"], ndim: int) -> Float[Array, "..."]:
    """A vector along the last of `ndim` axes."""
    return vector.reshape((1,) * (ndim - 1) + (-1,))
