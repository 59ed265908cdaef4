"""What regressors with a process in closed form share: moments, joint draws and densities in the targets' own unit."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from cadlag.limits._mixture_process import ScaleMixtureProcess
from cadlag.limits._process import GaussianProcess
from cadlag.limits._tabular import KernelEstimator
from cadlag.metrics import r_squared
from cadlag.train import enable_x64

Process = GaussianProcess | ScaleMixtureProcess


class ProcessRegressor(KernelEstimator):
    """Regression by a process given the data: a subclass's `fit` sets `model_`."""

    _estimator_type, _multi_output = "regressor", True
    seed: int
    model_: Process

    def predict(self, X: Any, *, return_std: bool = False) -> Any:
        """Posterior mean (n,) or (n, outputs), with `return_std` also the deviation of f, without noise; infinite where
        the law has no variance (a t of 2 degrees of freedom or fewer).
        """
        with enable_x64():
            inputs = self._inputs(X)
            mean = self._unscaled(_mean(self.model_, inputs))
            return (mean, self._deviation(_variance(self.model_, inputs))) if return_std else mean

    def log_prob(self, X: Any, y: Any) -> np.ndarray:
        """Log-densities of new targets y, noise included, each on its own, in nats; shaped like y."""
        with enable_x64():
            inputs = self._inputs(X)
            targets = np.asarray(y, float)
            if targets.shape[:1] != (len(inputs),) or targets.reshape(len(inputs), -1).shape[1] != len(self.scale_):
                raise ValueError(f"y has shape {targets.shape} for {len(inputs)} rows of X; expected that of fitting.")
            scaled = (targets.reshape(len(inputs), -1) - self.center_) / self.scale_
            densities = np.asarray(_log_prob(self.model_, inputs, jnp.asarray(scaled))) - np.log(self.scale_)
        return densities.reshape(targets.shape)

    def sample(self, X: Any, n: int = 1) -> np.ndarray:
        """`n` joint draws of f at X, of a scale mixture each with one scale; (n, points) or (n, points, outputs)."""
        if n < 1:
            raise ValueError(f"n={n} of sample: expected at least one draw.")
        with enable_x64():
            inputs = self._inputs(X)
            draws = jax.vmap(lambda k: self.model_.sample(inputs, key=k))(jr.split(jr.key(self.seed), n))
            return self._unscaled(draws)

    def score(self, X: Any, y: Any) -> float:
        """Coefficient of determination R² (mean over outputs)."""
        return r_squared(y, self.predict(X))


@eqx.filter_jit
def _mean(model: Process, x: Array) -> Array:
    return model.mean(x)


@eqx.filter_jit
def _variance(model: Process, x: Array) -> Array:
    return model.variance(x)


@eqx.filter_jit
def _log_prob(model: Process, x: Array, y: Array) -> Array:
    return model.log_prob(x, y)
