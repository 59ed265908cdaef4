"""`StudentTRegressor`: infinitely wide networks whose last layer has a random scale (Lee et al., ICLR 2022).

p(y | X) = ∫ p(v) N(y; 0, v (K + noise I)) dv, one Cholesky factor as for a Gaussian process. For v inverse gamma this
is a multivariate t with 2 a degrees of freedom, and 2 a + n once n values are known: tails are heavy where n is small.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.distributions import AbstractDistribution, InverseGamma
from cadlag.kernels import AbstractKernel
from cadlag.limits._hosted import LEAST_NOISE, maximise, starting_kernel
from cadlag.limits._mixture_process import (
    condition_scale_mixture,
    scale_mixture_log_likelihood,
)
from cadlag.limits._process_regressor import ProcessRegressor
from cadlag.train import enable_x64

_LEAST_DEGREES, _MOST_DEGREES = 0.1, 1e6


class Degrees(eqx.Module):
    """Inverse gamma with a = b = degrees / 2, the kernel holding the variance, so that one number is learnt."""

    log_degrees: Float[Array, ""]

    def law(self) -> InverseGamma:
        """The law."""
        return InverseGamma.of_degrees(jnp.clip(jnp.exp(self.log_degrees), _LEAST_DEGREES, _MOST_DEGREES))


class StudentTRegressor(ProcessRegressor):
    """Regression by a scale mixture of Gaussian processes, Student's t by default, in double precision.

    **Arguments:**

    - `kernel`: any kernel, such as `NNGP(architecture)`, where fitting starts; by default a squared exponential with a
      length for each column, times a variance. Its floating-point arrays are learnt, plain numbers are kept.
    - `degrees`: of freedom of the prior. Inf is left to `GaussianProcessRegressor`.
    - `prior`: another law of the scale, such as `BurrXII(2.0, 1.0)`, by quadrature.
    - `noise`: variance of the noise at the start, as a share of the targets' variance. The scale multiplies it too.
    - `learn`: whether kernel and noise are learnt, by maximum likelihood; `steps`: of L-BFGS at most.
    - `learn_prior`: whether degrees or the prior's parameters are learnt too. One data set is one draw of the scale, so
      where the kernel has a variance of its own the likelihood tends to favour infinitely many degrees, the Gaussian.
    - `standardise`: scale columns of X (or all pixels of images alike) to mean 0 and deviation 1.
    - `seed`: of `sample`.
    """

    def __init__(
        self,
        kernel: AbstractKernel | None = None,
        *,
        degrees: float | int = 4.0,
        prior: AbstractDistribution | None = None,
        noise: float = 1e-2,
        learn: bool = True,
        learn_prior: bool = False,
        steps: int = 200,
        standardise: bool = True,
        seed: int = 0,
    ):
        self.kernel, self.degrees, self.prior, self.noise = kernel, degrees, prior, noise
        self.learn, self.learn_prior, self.steps = learn, learn_prior, steps
        self.standardise, self.seed = standardise, seed

    def fit(self, X: Any, y: Any = None) -> "StudentTRegressor":
        """Learn, condition on the data; sets `model_`, `log_marginal_likelihood_`, `degrees_` (of predictions; NaN for
        another prior), `jitter_`.

        **Raises:** ValueError for shapes that do not fit, values that are not finite, settings out of range; TypeError
        for a kernel or a prior that is none.
        """
        self._check()
        with enable_x64():
            targets = self._fit_targets(y)
            inputs = self._fit_inputs(X, len(targets))
            kernel = starting_kernel(self.kernel, inputs)
            prior = Degrees(jnp.log(jnp.asarray(self.degrees, float))) if self.prior is None else self.prior
            noise = jnp.asarray(self.noise, float)
            if self.learn:
                kernel, prior, noise = _learn(kernel, prior, noise, inputs, targets, self.steps, self.learn_prior)
            self.model_ = condition_scale_mixture(kernel, _law(prior), inputs, targets, noise=noise)
            value = scale_mixture_log_likelihood(kernel, _law(prior), inputs, targets, noise=noise)
            self.log_marginal_likelihood_ = float(value) - float(len(targets) * np.sum(np.log(self.scale_)))
            self.jitter_ = float(self.model_.process.cholesky.jitter)
            scale = self.model_.scale
            self.degrees_ = 2 * float(scale.a) if isinstance(scale, InverseGamma) else float("nan")
        return self

    def _check(self) -> None:
        if not 0 < self.degrees < np.inf:
            raise ValueError(
                f"degrees={self.degrees} of StudentTRegressor: expected a positive number; for infinitely many use "
                "GaussianProcessRegressor."
            )
        if not 0 <= self.noise < np.inf or (self.learn and self.noise == 0):
            raise ValueError(f"noise={self.noise}: expected a variance, positive where it is learnt, or learn=False.")
        if self.prior is not None and not isinstance(self.prior, AbstractDistribution):
            raise TypeError(
                f"prior is a {type(self.prior).__name__}; expected a law of the scale, such as BurrXII(2.0, 1.0)."
            )


def _law(prior: Any) -> AbstractDistribution:
    return prior.law() if isinstance(prior, Degrees) else prior


class _Objective(eqx.Module):
    """The log-likelihood for each value of y, of kernel, logarithm of the noise, and prior where it is learnt."""

    prior: Any

    def __call__(self, unknowns: Any, x: Array, y: Array) -> Array:
        kernel, log_noise, learnt = unknowns
        law, variance = _law(self.prior if learnt is None else learnt), jnp.exp(log_noise) + LEAST_NOISE
        return scale_mixture_log_likelihood(kernel, law, x, y, noise=variance) / y.size


def _learn(
    kernel: Any, prior: Any, noise: Array, x: Array, y: Array, steps: int, learn_prior: bool
) -> tuple[Any, Any, Array]:
    """Kernel, prior and noise of greatest likelihood, from where they are; one local maximum of several."""
    start = (kernel, jnp.log(noise), prior if learn_prior else None)
    kernel, log_noise, learnt = maximise(_Objective(prior), start, steps, x, y)
    return kernel, learnt if learn_prior else prior, jnp.exp(log_noise) + LEAST_NOISE
