"""Classification by a sparse scale mixture of Gaussian processes (Lee et al., ICLR 2022, section 4.3).

u | v ~ N(0, v K_ZZ) for each class, ONE v ~ InverseGamma for all of them. The variational law is q(u_c | v) =
N(m_c, v S_c), q(v) = InverseGamma(a, b); whitened, m_c = L w_c and S_c = L R_c R_cᵀ Lᵀ,
    KL = Σ_c [tr R_c R_cᵀ - log det R_c R_cᵀ - p + (a / b) |w_c|²] / 2 + KL(q(v) ‖ p(v)).
Without a scale (v = 1) it is the sparse variational Gaussian process.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int, PRNGKeyArray

from cadlag.distributions import InverseGamma, kl
from cadlag.kernels import AbstractKernel
from cadlag.limits._inducing import Inducing, Triangle, whiten
from cadlag.linalg import safe_cholesky


class SparseScaleMixture(eqx.Module):
    """Latent functions of classes, one scale for all.

    **Arguments:**

    - `kernel`; inducing inputs `z` (p, ...); `inducing`, the whitened q(u).
    - `scale`, `prior`: q(v) and p(v), both None for a Gaussian process.
    """

    kernel: AbstractKernel
    z: Float[Array, "p ..."]
    inducing: Inducing
    scale: InverseGamma | None
    prior: InverseGamma | None

    def sample(
        self, x: Float[Array, "n ..."], draws: int, *, common: bool = False, key: PRNGKeyArray
    ) -> Float[Array, "draws n classes"]:
        """Draws of the latent functions, right at each x on its own, with one scale a draw. `common`: the same noise at
        all x, so that what is said of one does not depend on the others.
        """
        cholesky = safe_cholesky(self.kernel.gram(self.z)).factor
        prior = jax.vmap(lambda a: self.kernel.gram(a[None])[0, 0])(x)
        mean, due, rest = self.inducing.conditional(whiten(cholesky, self.kernel.gram(self.z, x)), prior)
        scale_key, normal = jr.split(key)
        deviation = jnp.sqrt((due + rest[:, None])[None] * self._scales(draws, scale_key, mean)[:, None, None])
        return mean[None] + deviation * jr.normal(normal, (draws, 1 if common else len(x), mean.shape[1]), mean.dtype)

    def kl(self) -> Float[Array, ""]:
        """KL(q(u, v) ‖ p(u, v)) in nats."""
        squares = 0.5 * jnp.sum(self.inducing.mean**2)
        spread = jnp.sum(self.inducing.root.kl())
        if self.scale is None or self.prior is None:
            return spread + squares
        return spread + self.scale.a / self.scale.b * squares + kl(self.scale, self.prior)

    def bound(
        self, x: Float[Array, "n ..."], codes: Int[Array, " n"], total: int, *, draws: int, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        """The evidence lower bound for each of `total` examples, from a batch of n."""
        logs = jax.nn.log_softmax(self.sample(x, draws, key=key))
        right = jnp.take_along_axis(logs, codes[None, :, None], axis=2)
        return jnp.mean(right) - self.kl() / total

    def log_probabilities(
        self, x: Float[Array, "n ..."], *, draws: int, key: PRNGKeyArray
    ) -> Float[Array, "n classes"]:
        """log of the mean of softmax over draws, the same for all x."""
        logs = jax.nn.log_softmax(self.sample(x, draws, common=True, key=key))
        return jax.nn.logsumexp(logs, axis=0) - jnp.log(jnp.asarray(draws, logs.dtype))

    def _scales(self, draws: int, key: PRNGKeyArray, like: Array) -> Float[Array, " draws"]:
        if self.scale is None:
            return jnp.ones(draws, like.dtype)
        return jax.vmap(self.scale.sample)(jr.split(key, draws)).astype(like.dtype)


def sparse_scale_mixture(
    kernel: AbstractKernel, z: Float[Array, "p ..."], classes: int, prior: InverseGamma | None
) -> SparseScaleMixture:
    """The mixture whose q is the prior."""
    p = len(z)
    inducing = Inducing(jnp.zeros((classes, p), z.dtype), Triangle(jnp.zeros((classes, p, p), z.dtype)))
    return SparseScaleMixture(kernel, z, inducing, prior, prior)
