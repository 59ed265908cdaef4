"""A positive scale v seen through Gaussian values of variance v, by quadrature over log v.

p(v | d) ∝ p(v) v^(-n/2) exp(-d / (2 v)), d the sum of n squares. Where log v has a log-concave density (inverse gamma,
Burr XII, log-normal, half-Cauchy) so has its posterior: one peak, found by zooming, then the trapezoid rule, whose
error falls exponentially with the number of nodes. The cost does not depend on n.
"""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.scipy.special import gammaln, logsumexp
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.distributions._distribution import AbstractDistribution
from cadlag.distributions._positive import InverseGamma

_NODES, _ZOOM, _ROUNDS = 401, 65, 7


class ScalePosterior(AbstractDistribution):
    """The law of v given n squares that sum to d. Made by `scale_posterior`.

    **Arguments:**

    - `prior`, `quadratic` (d) and `count` (n).
    - `log_nodes` (s,): points on the axis of log v. `log_weights` (s,): log of their probabilities.
    - `log_evidence`: log ∫ p(v) v^(-n/2) exp(-d / (2 v)) dv.
    """

    prior: AbstractDistribution
    quadratic: Float[Array, ""]
    log_nodes: Float[Array, " s"]
    log_weights: Float[Array, " s"]
    log_evidence: Float[Array, ""]
    count: int = eqx.field(static=True)

    @property
    def mean(self) -> Float[Array, ""]:
        """E[v | d]; where it is infinite, a large number that means nothing."""
        return jnp.exp(logsumexp(self.log_weights + self.log_nodes))

    def sample(self, key: PRNGKeyArray) -> Float[Array, ""]:
        """One draw, by the inverse of the distribution function between the nodes."""
        weights = jnp.exp(self.log_weights)
        # The function at the nodes: half of a node's probability lies on either side.
        below = jnp.cumsum(weights) - weights / 2
        u = jr.uniform(key, dtype=weights.dtype)
        return jnp.exp(jnp.interp(u, below, self.log_nodes))

    def log_prob(self, x: Float[Array, ""]) -> Float[Array, ""]:
        """The log-density, in nats."""
        return _log_joint(self.prior, self.quadratic, self.count)(jnp.log(x)) - jnp.log(x) - self.log_evidence


def scale_posterior(prior: AbstractDistribution, quadratic: Float[Array, ""], count: int) -> ScalePosterior:
    """The law of v given `count` squares of variance v that sum to `quadratic`; with none it is the prior.

    Differentiable in the prior and in `quadratic`, the nodes being constants.

    **Arguments:**

    - `prior`: a law of a positive number whose logarithm has a log-concave density (or one peak alone).
    """
    joint = _log_joint(prior, quadratic, count)
    nodes = jax.lax.stop_gradient(_nodes(joint, quadratic, count))
    terms = jax.vmap(joint)(nodes) + jnp.log(nodes[1] - nodes[0])
    evidence = logsumexp(terms)
    return ScalePosterior(prior, quadratic, nodes, terms - evidence, evidence, count)


def scale_log_density(scale: AbstractDistribution, squares: Float[Array, "*of"], count: int) -> Float[Array, "*of"]:
    """log ∫ p(v) v^(-count/2) exp(-squares / (2 v)) dv - count log(2 pi) / 2: `count` Gaussian values of variance v.

    In closed form for an `InverseGamma` (a, b), Student's t with 2 a degrees of freedom and scale matrix b/a I; else by
    quadrature.
    """
    if isinstance(scale, InverseGamma):
        return _inverse_gamma_density(scale, squares, count)
    constant = -count / 2 * math.log(2 * math.pi)
    return jax.vmap(lambda d: _log_evidence(scale, d, count))(squares.ravel()).reshape(squares.shape) + constant


def _inverse_gamma_density(scale: InverseGamma, squares: Array, count: int) -> Array:
    a, b, half = scale.a, scale.b, count / 2
    constant = gammaln(a + half) - gammaln(a) - half * jnp.log(2 * jnp.asarray(math.pi, a.dtype) * b)
    return constant - (a + half) * jnp.log1p(squares / (2 * b))


def _log_evidence(scale: AbstractDistribution, squares: Array, count: int) -> Array:
    if not isinstance(scale, ScalePosterior):
        return scale_posterior(scale, squares, count).log_evidence
    # With the data behind the posterior: nodes of their own even for values far out in the tails.
    joint = scale_posterior(scale.prior, scale.quadratic + squares, scale.count + count)
    return joint.log_evidence - scale.log_evidence


def _log_joint(prior: AbstractDistribution, quadratic: Array, count: int) -> Callable[[Array], Array]:
    """The log-density of log v and the data, up to the constant of the Gaussian."""

    def joint(log_v: Array) -> Array:
        v = jnp.exp(log_v)
        return prior.log_prob(v) + log_v - count / 2 * log_v - quadratic / (2 * v)

    return joint


def _nodes(joint: Callable[[Array], Array], quadratic: Array, count: int) -> Array:
    """Equally spaced points over all that is not negligible."""
    # Squares of any size: the likelihood alone peaks at d / n.
    centre = jnp.log(jnp.maximum(quadratic, jnp.finfo(quadratic.dtype).tiny) / max(count, 1))
    centre = jnp.clip(centre, -40, 40) if count else jnp.zeros_like(centre)
    # The reach of float32 is some e^88; beyond the exponent of a density counts as minus infinity.
    low, high = jnp.maximum(centre - 60, -80), jnp.minimum(centre + 60, 80)
    # A density of float64 has lost its last digit at e^-40 of its peak; one of float32 at e^-20.
    depth = 45.0 if quadratic.dtype == jnp.float64 else 25.0

    def zoom(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        points = _spaced(*ends, _ZOOM)
        values = jnp.nan_to_num(jax.vmap(joint)(points), nan=-jnp.inf, neginf=-jnp.inf)
        kept = values >= jnp.max(values) - depth
        step = points[1] - points[0]
        first, last = points[jnp.argmax(kept)], points[_ZOOM - 1 - jnp.argmax(kept[::-1])]
        return jnp.maximum(ends[0], first - step), jnp.minimum(ends[1], last + step)

    return _spaced(*jax.lax.fori_loop(0, _ROUNDS, zoom, (low, high)), _NODES)


def _spaced(low: Array, high: Array, count: int) -> Array:
    return low + (high - low) * jnp.linspace(0, 1, count, dtype=low.dtype)
