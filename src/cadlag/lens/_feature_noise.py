"""A testbed for large steps: a weak feature in every example, a strong one in a part of them, and noise to memorise.

An example has three patches, y u, y v (or nothing) and xi, with y = ±1, u and v orthogonal, |u| << |v|, and xi Gaussian
and orthogonal to both. The network shares its filters between patches, and its second layer is fixed:

    f(x) = Σ_j ±1/m Σ_r Σ_p max(<w_jr, x_p>, 0)²

Lu, Wu, Yang and Zou, "Benign oscillation of stochastic gradient descent with large learning rates", ICLR 2024.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray


class FeatureExamples(NamedTuple):
    """Examples: `patches` (n, 3, d) and signs `y` (n,), ±1; one example without the first axis."""

    patches: Float[Array, "*n 3 d"]
    y: Float[Array, "*n"]


class FeatureNoise(eqx.Module):
    """The law of examples. u is `weak` times the first axis, v `strong` times the second.

    **Arguments:** `dimension` d, at least 3; lengths `weak` and `strong`, positive; `share` of examples that carry v;
    `noise`: the expected length of xi.

    **Raises:** ValueError for settings out of range.
    """

    dimension: int = eqx.field(static=True, default=1000)
    weak: float | int = eqx.field(static=True, default=0.2)
    strong: float | int = eqx.field(static=True, default=1.0)
    share: float | int = eqx.field(static=True, default=0.8)
    noise: float | int = eqx.field(static=True, default=1.0)

    def __check_init__(self) -> None:
        if self.dimension < 3:
            raise ValueError(f"dimension={self.dimension}: expected 3 or more, two for the features and one for noise.")
        if not (self.weak > 0 and self.strong > 0 and self.noise >= 0):
            raise ValueError(f"weak={self.weak}, strong={self.strong}, noise={self.noise}: expected positive lengths.")
        if not 0 <= self.share <= 1:
            raise ValueError(f"share={self.share} of examples with the strong feature: expected a number in [0, 1].")

    def sample(self, n: int, *, key: PRNGKeyArray, share: float | int | None = None) -> FeatureExamples:
        """`n` examples, with another `share` if given: 0 for a test of the weak feature alone."""
        share = self.share if share is None else share
        k1, k2, k3 = jr.split(key, 3)
        y = jr.rademacher(k1, (n,), float)
        with_strong = (jr.uniform(k2, (n,)) < share).astype(y.dtype)
        xi = self.noise * self.dimension**-0.5 * jr.normal(k3, (n, self.dimension), y.dtype)
        features = jnp.zeros((n, 2, self.dimension), y.dtype)
        features = features.at[:, 0, 0].set(self.weak * y).at[:, 1, 1].set(self.strong * y * with_strong)
        return FeatureExamples(jnp.concatenate([features, xi.at[:, :2].set(0)[:, None]], axis=1), y)


class PatchNetwork(eqx.Module):
    """The network of the testbed; `filters` (2, m, d), those of the positive sign first.

    **Arguments:** `dimension` d; `width` m, neurons of each sign; `scale`: deviation of the initial filters, d^-1/2 by
    default; `key`.
    """

    filters: Float[Array, "2 m d"]

    def __init__(self, dimension: int, width: int = 4, *, scale: float | None = None, key: PRNGKeyArray):
        if dimension < 1 or width < 1:
            raise ValueError(f"dimension={dimension}, width={width}: expected positive numbers.")
        self.filters = (dimension**-0.5 if scale is None else scale) * jr.normal(key, (2, width, dimension))

    def __call__(self, patches: Float[Array, "3 d"]) -> Float[Array, ""]:
        """f(x) of one example."""
        size = self.filters.shape
        inner = self.filters.reshape(-1, size[2]) @ patches.T
        each = jnp.sum(jax.nn.relu(inner) ** 2, axis=1).reshape(2, -1)
        return (jnp.sum(each[0]) - jnp.sum(each[1])) / size[1]


def squared_loss(
    network: PatchNetwork, batch: FeatureExamples, key: PRNGKeyArray
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Mean of (f - y)² / 2 over a batch, as `train.gradient` takes it, and the mean residual 1 - y f."""
    f = jax.vmap(network)(batch.patches)
    return jnp.mean((f - batch.y) ** 2) / 2, {"residual": jnp.mean(1 - batch.y * f)}


def sign_accuracy(network: PatchNetwork, examples: FeatureExamples) -> Float[Array, ""]:
    """The share of right signs."""
    f = jax.vmap(network)(examples.patches)
    return jnp.mean((f * examples.y > 0).astype(f.dtype))


def alignments(network: PatchNetwork) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Largest <w, u/|u|> and <w, v/|v|> over the filters of the positive sign."""
    return jnp.max(network.filters[0, :, 0]), jnp.max(network.filters[0, :, 1])
