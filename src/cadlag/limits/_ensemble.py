"""Infinitely wide networks after training: what is kept of the data, and the law of the outputs elsewhere."""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.kernels import NTK, AbstractKernel, network_kernels
from cadlag.limits.tangent import TangentDynamics, ensemble_law, tangent_dynamics
from cadlag.linalg import Cholesky, safe_cholesky


class WideEnsemble(eqx.Module):
    """The law of f_t over initialisations f_0 ~ GP(0, K), for training with the tangent kernel Theta.

    With an `NTK` Theta is that kernel and K the NNGP of its architecture. Any other kernel is both, as where the last
    layer alone is trained. Made by `wide_ensemble`.

    **Arguments:**

    - `kernel`; training inputs `x` and targets `y`; `covariance`, K on the training inputs.
    - `trained`: a factor of Theta for the end of training, or the dynamics until `time`.
    """

    kernel: AbstractKernel
    x: Float[Array, "n ..."]
    y: Float[Array, "n outputs"]
    covariance: Float[Array, "n n"]
    trained: Cholesky | TangentDynamics
    time: float = eqx.field(static=True)

    @property
    def jitter(self) -> Float[Array, ""]:
        """What the factor of Theta needed on its diagonal."""
        factor = self.trained if isinstance(self.trained, Cholesky) else self.trained.cholesky
        return factor.jitter

    def mean(self, z: Float[Array, "m ..."]) -> Float[Array, "m outputs"]:
        """The mean at z."""
        theta, _ = kernel_pair(self.kernel, z, self.x)
        return jnp.matmul(theta, self._apply(self.y), precision="highest")

    def law(self, z: Float[Array, "m ..."]) -> tuple[Float[Array, "m outputs"], Float[Array, "m m"]]:
        """Mean and covariance at z, jointly; outputs are alike and independent."""
        theta, across = kernel_pair(self.kernel, z, self.x)
        _, both = kernel_pair(self.kernel, z, None)
        return ensemble_law(self._apply(theta.T).T, self.y, self.covariance, across, both)

    def _apply(self, residual: Array) -> Array:
        if isinstance(self.trained, Cholesky):
            return self.trained.solve(residual)
        return self.trained.apply(self.time, residual)


def wide_ensemble(
    kernel: AbstractKernel,
    x: Float[Array, "n ..."],
    y: Float[Array, "n outputs"],
    *,
    time: float | int = math.inf,
    learning_rate: float | int = 1.0,
    ridge: float | int = 0.0,
) -> WideEnsemble:
    """Train infinitely wide networks by gradient flow of |f - y|² / (2 n outputs) for a time, in steps of the rate.

    **Arguments:** `ridge`, added to Theta's diagonal as a share of its mean. The end of training takes one Cholesky
    factor, n³ / 3 operations; a finite time takes eigenvalues, some thirty times as much.
    """
    theta, covariance = kernel_pair(kernel, x, None)
    if math.isinf(time):
        added = ridge * jnp.mean(jnp.diagonal(theta)) * jnp.eye(len(theta), dtype=theta.dtype)
        trained: Cholesky | TangentDynamics = safe_cholesky(theta + added)
    else:
        trained = tangent_dynamics(theta, y, learning_rate=learning_rate, ridge=ridge)
    return WideEnsemble(kernel=kernel, x=x, y=y, covariance=covariance, trained=trained, time=float(time))


def kernel_pair(kernel: AbstractKernel, x: Array, z: Array | None) -> tuple[Array, Array]:
    """Theta and K between x and z; z None for x itself."""
    if isinstance(kernel, NTK):
        found = network_kernels(kernel.architecture, x, z, block=kernel.block)
        return found.ntk, found.nngp
    gram = kernel.gram(x, z)
    return gram, gram
