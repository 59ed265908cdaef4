"""Nonlinearities f whose Gaussian moments E[f(u) f(v)] and E[f'(u) f'(v)] have closed forms.

(u, v) is centred Gaussian with variances k11, k22 and covariance k12. ReLU: Cho and Saul, NeurIPS 2009; erf: Williams,
NeurIPS 1997; GELU: Tsuchida et al., AAAI 2021; polynomials by Price's theorem,
E[f(u) f(v)] = Σ_r k12^r / r! E[f^(r)(u)] E[f^(r)(v)].
"""

import abc
import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.kernels._angle import angle
from cadlag.kernels._gram import AbstractGramMap, Gram
from cadlag.kernels._gram_networks import Pointwise
from cadlag.kernels._gram_shapes import first, second

Moments = tuple[Float[Array, "..."], Float[Array, "..."]]


class AbstractNonlinearity(AbstractGramMap):
    """A function f of each unit: K <- E[f(u) f(v)], T <- T E[f'(u) f'(v)].

    To write your own, give `moments`, from k11, k12, k22 (of shapes that broadcast) both expectations, finite and
    differentiable also where u = ±v and where variances vanish; `diagonal`, the same for u = v from the variance; and
    `function`, f itself. A function without closed forms is `Elementwise(f)`.
    """

    @abc.abstractmethod
    def moments(self, k11: Array, k12: Array, k22: Array) -> Moments:
        """E[f(u) f(v)] and E[f'(u) f'(v)]."""

    @abc.abstractmethod
    def diagonal(self, k: Array) -> Moments:
        """E[f(u)²] and E[f'(u)²] for u of variance k."""

    @abc.abstractmethod
    def function(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """f itself, entry by entry."""

    @property
    def joint(self) -> bool:
        """No."""
        return False

    def __call__(self, gram: Gram) -> Gram:
        """The state of f(u).

        **Raises:** ValueError where units are not Gaussian: before the first layer, after another nonlinearity.
        """
        if not gram.gaussian:
            raise ValueError(
                f"{type(self).__name__}: units here are not Gaussian, so their moments are unknown. Place Dense or "
                "Conv before it; two functions in a row are one, Elementwise(lambda x: f(g(x)))."
            )
        v1, v2 = gram.variances()
        space, same = len(gram.space), gram.same_units()
        k12, slope = self._across(first(v1, space, gram.joint), gram.k12, second(v2, space, gram.joint), same)
        tangent = None if gram.tangent is None else gram.tangent * slope
        k11, k22 = (self._within(k, v, gram) for k, v in ((gram.k11, v1), (gram.k22, v2)))
        return dataclasses.replace(gram, k12=k12, k11=k11, k22=k22, tangent=tangent, gaussian=False)

    def layer(self, shape: tuple[int, ...], width: int, *, key: PRNGKeyArray) -> Pointwise:
        """f of each entry."""
        return Pointwise(self.function)

    def _across(self, a: Array, k: Array, b: Array, same: Array | None) -> Moments:
        pair = self.moments(a, k, b)
        if same is None:
            return pair
        exact = self.diagonal(a)
        value, slope = (jnp.where(same, e, p) for e, p in zip(exact, pair, strict=True))
        return value, slope

    def _within(self, k: Array, v: Array, gram: Gram) -> Array:
        where = gram.positions()
        if where is None:
            return self.diagonal(v)[0]
        ones = (1,) * len(gram.space)
        a, b = v.reshape(*v.shape, *ones), v.reshape(v.shape[0], *ones, *v.shape[1:])
        return self._across(a, k, b, where[None])[0]


def safe_sqrt(x: Array) -> Array:
    """sqrt with value and derivative 0 at and below 0; NaN stays NaN."""
    empty = x <= 0
    return jnp.where(empty, 0, jnp.sqrt(jnp.where(empty, 1, x)))


def correlation(k11: Array, k12: Array, k22: Array) -> tuple[Array, Array, Array]:
    """Deviations' product s, correlation c in [-1, 1] (0 where s = 0), and sqrt(1 - c²)."""
    s = safe_sqrt(k11) * safe_sqrt(k22)
    c = jnp.clip(jnp.where(s == 0, 0, k12 / jnp.where(s == 0, 1, s)), -1, 1)
    return s, c, safe_sqrt((1 - c) * (1 + c))


class ReLU(AbstractNonlinearity):
    """max(x, 0), whose kernels are half the arc-cosine kernels of order one and zero (Cho and Saul, 2009)."""

    def moments(self, k11: Array, k12: Array, k22: Array) -> Moments:
        """s (sin th + (pi - th) cos th) / (2 pi) and (pi - th) / (2 pi), th the angle between u and v."""
        return _rectified(0.0, k11, k12, k22)

    def diagonal(self, k: Array) -> Moments:
        """k/2 and 1/2."""
        return k / 2, jnp.full_like(k, 0.5)

    def function(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The function."""
        return jax.nn.relu(x)


class LeakyReLU(AbstractNonlinearity):
    """max(x, 0) + slope min(x, 0); the absolute value for slope -1.

    **Arguments:**

    - `slope`: for negative x.
    """

    slope: float | int = 0.01

    def moments(self, k11: Array, k12: Array, k22: Array) -> Moments:
        """f' has the moment (1 + slope²)/2 - (1 - slope)² th / (2 pi), th the angle between u and v."""
        return _rectified(self.slope, k11, k12, k22)

    def diagonal(self, k: Array) -> Moments:
        """(1 + slope²)/2 times k, and times 1."""
        half = (1 + self.slope**2) / 2
        return half * k, jnp.full_like(k, half)

    def function(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The function."""
        return jnp.where(x > 0, x, self.slope * x)


def _rectified(slope: float | int, k11: Array, k12: Array, k22: Array) -> Moments:
    s, c, root = correlation(k11, k12, k22)
    # From both coordinates, which keeps the precision that arccos loses near ±1; a right one without variance.
    theta = angle(jnp.where(s == 0, 1, root), jnp.where(s == 0, 0, c))
    gap = (1 - slope) ** 2 / (2 * math.pi)
    derivative = (1 + slope**2) / 2 - gap * theta
    return gap * s * root + derivative * s * c, derivative


class Erf(AbstractNonlinearity):
    """The error function, a sigmoid from -1 to 1 (Williams, 1997)."""

    def moments(self, k11: Array, k12: Array, k22: Array) -> Moments:
        """(2/pi) asin(2 k12 / sqrt((1 + 2 k11)(1 + 2 k22))) and its derivative by k12."""
        product = (1 + 2 * k11) * (1 + 2 * k22)
        value = 2 / math.pi * jnp.arcsin(2 * k12 / jnp.sqrt(product))
        return value, 4 / math.pi / jnp.sqrt(product - 4 * k12**2)

    def diagonal(self, k: Array) -> Moments:
        """At u = v."""
        return 2 / math.pi * jnp.arcsin(2 * k / (1 + 2 * k)), 4 / math.pi / jnp.sqrt(1 + 4 * k)

    def function(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The function."""
        return jax.scipy.special.erf(x)


class Sine(AbstractNonlinearity):
    """sin(frequency x + phase); the cosine has phase pi/2.

    **Arguments:** `frequency`, and `phase` in radians.
    """

    frequency: float | int = 1.0
    phase: float | int = 0.0

    def moments(self, k11: Array, k12: Array, k22: Array) -> Moments:
        """Half the difference, and half the sum, of the means of cos(u - v) and cos(u + v + 2 phase)."""
        square, turn = self.frequency**2, math.cos(2 * self.phase)
        minus = jnp.exp(-square * (k11 + k22 - 2 * k12) / 2)
        plus = turn * jnp.exp(-square * (k11 + k22 + 2 * k12) / 2)
        return (minus - plus) / 2, square * (minus + plus) / 2

    def diagonal(self, k: Array) -> Moments:
        """At u = v."""
        square, plus = self.frequency**2, math.cos(2 * self.phase) * jnp.exp(-2 * self.frequency**2 * k)
        return (1 - plus) / 2, square * (1 + plus) / 2

    def function(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The function."""
        return jnp.sin(self.frequency * x + self.phase)


class GELU(AbstractNonlinearity):
    """x Phi(x), Phi the standard normal distribution function (not its approximation by tanh)."""

    def moments(self, k11: Array, k12: Array, k22: Array) -> Moments:
        """By Stein's lemma, with A = E[Phi(u) Phi(v)] and D = E[Phi'(u) Phi'(v)]."""
        a, b = 1 + k11, 1 + k22
        det = a * b - k12**2
        phi = 1 / (2 * math.pi * jnp.sqrt(det))
        cdf = 0.25 + jnp.arcsin(k12 / jnp.sqrt(a * b)) / (2 * math.pi)
        inverse = 1 / a + 1 / b
        value = phi * (k11 * k22 - k12**2 + k12**2 * inverse) + k12 * cdf
        return value, cdf + k12 * phi * (inverse + 1 / det)

    def diagonal(self, k: Array) -> Moments:
        """At u = v."""
        det = 1 + 2 * k
        phi = 1 / (2 * math.pi * jnp.sqrt(det))
        cdf = 0.25 + jnp.arcsin(k / (1 + k)) / (2 * math.pi)
        value = phi * 2 * k**2 / (1 + k) + k * cdf
        return value, cdf + k * phi * (2 / (1 + k) + 1 / det)

    def function(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The function."""
        return jax.nn.gelu(x, approximate=False)


class Polynomial(AbstractNonlinearity):
    """Σ_i coefficients[i] x^i.

    **Arguments:**

    - `coefficients`: numbers, of x^0 first.
    """

    coefficients: tuple[float | int, ...]

    def __check_init__(self) -> None:
        if not self.coefficients:
            raise ValueError("Polynomial: no coefficients; expected at least one, of x^0 first.")

    def moments(self, k11: Array, k12: Array, k22: Array) -> Moments:
        """Σ_r k12^r / r! m_r(k11) m_r(k22), m_r the mean of the r-th derivative; the same from r = 1 on for f'."""
        count = len(self.coefficients)
        means = [(self._mean(k11, r), self._mean(k22, r)) for r in range(count)]
        value = sum((k12**r * (a * b / math.factorial(r)) for r, (a, b) in enumerate(means)), jnp.zeros_like(k12))
        slope = sum((k12**r * (a * b / math.factorial(r)) for r, (a, b) in enumerate(means[1:])), jnp.zeros_like(k12))
        return value, slope

    def diagonal(self, k: Array) -> Moments:
        """At u = v."""
        return self.moments(k, k, k)

    def function(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The function."""
        return _horner(self.coefficients, x)

    def _mean(self, k: Array, order: int) -> Array:
        """The mean of the derivative of an order: E[x^(2j)] = (2j)! / (2^j j!) k^j."""
        terms: list[Any] = [0.0] * (1 + (len(self.coefficients) - 1 - order) // 2)
        for j in range(len(terms)):
            i = order + 2 * j
            terms[j] = self.coefficients[i] * math.factorial(i) / (2**j * math.factorial(j))
        return _horner(tuple(terms), k)


def _horner(coefficients: tuple[float | int, ...], x: Array) -> Array:
    total = jnp.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        total = total * x + c
    return total
