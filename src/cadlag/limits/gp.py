"""`GaussianProcessRegressor`: exact regression with any kernel, its parameters found by maximum likelihood.

log p(y | X) = -yᵀ(K + noise)⁻¹y / 2 - log det(K + noise) / 2 - n log(2 pi) / 2, one Cholesky factor of n³ / 3
operations (Rasmussen and Williams, 2006, algorithm 2.1).
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from cadlag.kernels import AbstractKernel
from cadlag.limits._hosted import LEAST_NOISE, maximise, starting_kernel
from cadlag.limits._process import condition, log_marginal_likelihood
from cadlag.limits._process_regressor import ProcessRegressor
from cadlag.train import enable_x64


class GaussianProcessRegressor(ProcessRegressor):
    """Gaussian-process regression on standardised targets, in double precision.

    **Arguments:**

    - `kernel`: any kernel, where fitting starts; by default a squared exponential with a length for each column, times
      a variance. Its floating-point arrays are learnt, plain numbers are kept.
    - `noise`: variance of the noise at the start, as a share of the targets' variance.
    - `learn`: whether kernel and noise are learnt; `steps`: of L-BFGS at most.
    - `standardise`: scale columns of X (or all pixels of images alike) to mean 0 and deviation 1.
    - `seed`: of `sample`.
    """

    def __init__(
        self,
        kernel: Any = None,
        *,
        noise: float = 1e-2,
        learn: bool = True,
        steps: int = 200,
        standardise: bool = True,
        seed: int = 0,
    ):
        self.kernel, self.noise, self.learn, self.steps = kernel, noise, learn, steps
        self.standardise, self.seed = standardise, seed

    def fit(self, X: Any, y: Any = None) -> "GaussianProcessRegressor":
        """Learn kernel and noise, condition on the data; sets `model_`, `log_marginal_likelihood_`, `jitter_`.

        **Raises:** ValueError for shapes that do not fit, values that are not finite, a noise that is not positive
        while it is learnt.
        """
        if self.learn and not self.noise > 0:
            raise ValueError(f"noise={self.noise} is to be learnt, so it must be positive; or pass learn=False.")
        with enable_x64():
            targets = self._fit_targets(y)
            inputs = self._fit_inputs(X, len(targets))
            kernel, noise = starting_kernel(self.kernel, inputs), jnp.asarray(self.noise, float)
            if self.learn:
                kernel, noise = maximise_likelihood(kernel, noise, inputs, targets, self.steps)
            self.model_ = condition(kernel, inputs, targets, noise=noise)
            value = log_marginal_likelihood(kernel, inputs, targets, noise=noise)
            # In the targets' own unit, as densities are.
            scale = len(targets) * np.sum(np.log(self.scale_))
            self.log_marginal_likelihood_ = float(value) - float(scale)
            self.jitter_ = float(self.model_.cholesky.jitter)
        self.noise_std_ = float(np.sqrt(noise)) * self.scale_
        return self


def maximise_likelihood(
    kernel: AbstractKernel, noise: Array, x: Array, y: Array, steps: int = 200
) -> tuple[AbstractKernel, Array]:
    """Kernel and noise of greatest marginal likelihood, by L-BFGS from where they are; one local maximum of several.

    The kernel's floating-point arrays are learnt, and the logarithm of the noise above a floor.
    """
    kernel, log_noise = maximise(_objective, (kernel, jnp.log(noise)), steps, x, y)
    return kernel, jnp.exp(log_noise) + LEAST_NOISE


def _objective(unknowns: Any, x: Array, y: Array) -> Array:
    """The log-likelihood for each value of y."""
    kernel, log_noise = unknowns
    return log_marginal_likelihood(kernel, x, y, noise=jnp.exp(log_noise) + LEAST_NOISE) / y.size
