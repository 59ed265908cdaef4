"""Laws of a positive number: what a variance may be drawn from."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
from jax.scipy.special import digamma, gammaln
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.distributions._checks import floats, known
from cadlag.distributions._distribution import AbstractDistribution


class InverseGamma(AbstractDistribution):
    """p(v) = b^a / Gamma(a) v^(-a-1) exp(-b/v): b over a Gamma variable of shape a.

    **Arguments:** shape `a` and scale `b`, positive; held as logarithms.

    **Raises:** ValueError for a number that is not positive.
    """

    log_a: Float[Array, ""]
    log_b: Float[Array, ""]

    def __init__(self, a: Any, b: Any):
        self.log_a, self.log_b = positive_log("a", a), positive_log("b", b)

    @classmethod
    def of_degrees(cls, degrees: Any) -> "InverseGamma":
        """a = b = degrees / 2: a Gaussian of this variance is Student's t with so many degrees of freedom."""
        half = jnp.asarray(degrees) / 2
        return cls(half, half)

    @property
    def a(self) -> Float[Array, ""]:
        """The shape."""
        return jnp.exp(self.log_a)

    @property
    def b(self) -> Float[Array, ""]:
        """The scale."""
        return jnp.exp(self.log_b)

    @property
    def mean(self) -> Float[Array, ""]:
        """b / (a - 1), infinite for a ≤ 1."""
        finite = self.a > 1
        return jnp.where(finite, self.b / jnp.where(finite, self.a - 1, 1), jnp.inf)

    def sample(self, key: PRNGKeyArray) -> Float[Array, ""]:
        """One draw."""
        return jnp.exp(self.log_b - jr.loggamma(key, self.a, dtype=self.log_a.dtype))

    def log_prob(self, x: Float[Array, ""]) -> Float[Array, ""]:
        """The log-density, in nats."""
        a, b = self.a.astype(x.dtype), self.b.astype(x.dtype)
        return a * jnp.log(b) - gammaln(a) - (a + 1) * jnp.log(x) - b / x


def inverse_gamma_kl(p: InverseGamma, q: InverseGamma) -> Float[Array, ""]:
    """KL(p ‖ q) in nats."""
    difference = gammaln(q.a) - gammaln(p.a) + (p.a - q.a) * digamma(p.a)
    return difference + q.a * (p.log_b - q.log_b) + (q.b - p.b) * p.a / p.b


class BurrXII(AbstractDistribution):
    """p(v) = c k v^(c-1) / (1 + v^c)^(k+1), with the tail v^(-ck-1) (Burr, 1942).

    **Arguments:** shapes `c` and `k`, positive; held as logarithms.

    **Raises:** ValueError for a number that is not positive.
    """

    log_c: Float[Array, ""]
    log_k: Float[Array, ""]

    def __init__(self, c: Any, k: Any):
        self.log_c, self.log_k = positive_log("c", c), positive_log("k", k)

    def sample(self, key: PRNGKeyArray) -> Float[Array, ""]:
        """One draw, ((1 - u)^(-1/k) - 1)^(1/c)."""
        # -log(1 - u) of a uniform u is exponential.
        exponential = jr.exponential(key, dtype=self.log_c.dtype)
        return jnp.expm1(exponential * jnp.exp(-self.log_k)) ** jnp.exp(-self.log_c)

    def log_prob(self, x: Float[Array, ""]) -> Float[Array, ""]:
        """The log-density, in nats."""
        log_c, log_k = self.log_c.astype(x.dtype), self.log_k.astype(x.dtype)
        c, log_x = jnp.exp(log_c), jnp.log(x)
        return log_c + log_k + (c - 1) * log_x - (jnp.exp(log_k) + 1) * jax.nn.softplus(c * log_x)


class LogNormal(AbstractDistribution):
    """exp(loc + scale z), z standard normal.

    **Arguments:** `loc`, and `scale`, positive; held as a logarithm.

    **Raises:** ValueError for a scale that is not positive.
    """

    loc: Float[Array, ""]
    log_scale: Float[Array, ""]

    def __init__(self, loc: Any = 0.0, scale: Any = 1.0):
        self.loc, self.log_scale = floats("loc", loc), positive_log("scale", scale)

    def sample(self, key: PRNGKeyArray) -> Float[Array, ""]:
        """One draw."""
        return jnp.exp(self.loc + jnp.exp(self.log_scale) * jr.normal(key, dtype=self.loc.dtype))

    def log_prob(self, x: Float[Array, ""]) -> Float[Array, ""]:
        """The log-density, in nats."""
        loc, log_scale, log_x = self.loc.astype(x.dtype), self.log_scale.astype(x.dtype), jnp.log(x)
        return -0.5 * ((log_x - loc) * jnp.exp(-log_scale)) ** 2 - log_scale - log_x - 0.5 * math.log(2 * math.pi)


class HalfCauchy(AbstractDistribution):
    """p(v) = 2 scale / (pi (scale² + v²)), v > 0. Of a deviation rather than a variance it is `Squared` (Gelman, 2006).

    **Arguments:** `scale`, the median, positive; held as a logarithm.

    **Raises:** ValueError for a scale that is not positive.
    """

    log_scale: Float[Array, ""]

    def __init__(self, scale: Any = 1.0):
        self.log_scale = positive_log("scale", scale)

    def sample(self, key: PRNGKeyArray) -> Float[Array, ""]:
        """One draw."""
        return jnp.exp(self.log_scale) * jnp.abs(jr.cauchy(key, dtype=self.log_scale.dtype))

    def log_prob(self, x: Float[Array, ""]) -> Float[Array, ""]:
        """The log-density, in nats."""
        log_scale = self.log_scale.astype(x.dtype)
        return math.log(2 / math.pi) - log_scale - jax.nn.softplus(2 * (jnp.log(x) - log_scale))


class Squared(AbstractDistribution):
    """The law of x², x from `law`: `Squared(HalfCauchy())` is the variance whose root is half-Cauchy."""

    law: AbstractDistribution

    def sample(self, key: PRNGKeyArray) -> Float[Array, ""]:
        """One draw."""
        return self.law.sample(key) ** 2

    def log_prob(self, x: Float[Array, ""]) -> Float[Array, ""]:
        """The log-density, in nats."""
        return self.law.log_prob(jnp.sqrt(x)) - 0.5 * jnp.log(x) - math.log(2)


def positive_log(name: str, x: Any) -> Float[Array, ""]:
    """The logarithm of a positive number."""
    x = floats(name, float(x) if isinstance(x, int) else x)
    values = known(x)
    if x.ndim != 0 or (values is not None and values <= 0):
        raise ValueError(f"`{name}` must be one positive number, but got {x}.")
    return jnp.log(x)
