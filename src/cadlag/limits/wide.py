"""`WideNetworkRegressor` and `WideNetworkClassifier`: ensembles of infinitely wide networks, without training one.

With the NTK Theta and the NNGP K of an architecture, networks trained to the end by gradient flow are a Gaussian
process with mean Theta(x, X) Theta⁻¹ y (Jacot et al., NeurIPS 2018; Lee et al., NeurIPS 2019).
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from cadlag.kernels import NTK, AbstractGramMap, AbstractKernel, Dense, ReLU, Serial
from cadlag.limits._ensemble import WideEnsemble, wide_ensemble
from cadlag.limits._tabular import KernelEstimator
from cadlag.linalg import safe_cholesky
from cadlag.metrics import r_squared
from cadlag.train import enable_x64

_DEEP = NTK(Serial(Dense(2**0.5, 0.1), ReLU(), Dense(2**0.5, 0.1), ReLU(), Dense(2**0.5, 0.1)))
# Points at which a joint covariance is made at once where only its diagonal is wanted.
_ROWS = 1024


class _WideNetwork(KernelEstimator):
    """What regressor and classifier share: settings, training, draws."""

    def __init__(
        self,
        kernel: Any = _DEEP,
        *,
        time: float | int = math.inf,
        learning_rate: float | int = 1.0,
        ridge: float | int = 1e-6,
        standardise: bool = True,
        seed: int = 0,
    ):
        self.kernel, self.time, self.learning_rate = kernel, time, learning_rate
        self.ridge, self.standardise, self.seed = ridge, standardise, seed

    def _check(self) -> None:
        if isinstance(self.kernel, AbstractGramMap):
            raise TypeError("kernel is an architecture; say NTK(architecture), or NNGP(…) for its last layer.")
        if not isinstance(self.kernel, AbstractKernel):
            raise TypeError(
                f"kernel is a {type(self.kernel).__name__}; expected a kernel, such as NTK(Serial(Dense(), ReLU(), "
                "Dense()))."
            )
        if not (self.time >= 0 and self.ridge >= 0 and 0 < self.learning_rate < math.inf):
            raise ValueError(
                f"time={self.time}, ridge={self.ridge}, learning_rate={self.learning_rate}: expected a number of steps "
                "(math.inf for the end), no negative ridge, a positive rate."
            )

    def _train(self, inputs: Array, targets: Array) -> None:
        model = wide_ensemble(
            self.kernel, inputs, targets, time=self.time, learning_rate=self.learning_rate, ridge=self.ridge
        )
        self.model_, self.jitter_ = model, float(model.jitter)
        if not np.all(np.isfinite(np.asarray(model.mean(inputs[:1])))):
            raise ValueError(
                f"The kernel on {len(inputs)} inputs has no Cholesky factor, even with {self.jitter_:.1e} added to its "
                "diagonal: it is not positive definite or not finite. Raise ridge, or check the kernel."
            )

    def _draws(self, X: Any, n: int) -> Array:
        if n < 1:
            raise ValueError(f"n={n} of sample: expected at least one draw.")
        inputs = self._inputs(X)
        mean, covariance = self.model_.law(inputs)
        root = safe_cholesky((covariance + covariance.T) / 2).factor
        keys = jr.split(jr.key(self.seed), n)
        return jax.vmap(lambda k: mean + root @ jr.normal(k, mean.shape, mean.dtype))(keys)


class WideNetworkRegressor(_WideNetwork):
    """Regression by an ensemble of infinitely wide networks, trained by gradient flow on squared loss.

    **Arguments:**

    - `kernel`: `NTK(architecture)`, all layers trained, by default with two hidden layers of ReLU. `NNGP(architecture)`
      trains the last layer alone, and so does any other kernel, as if the layers below were its features.
    - `time`: how long, in steps of `learning_rate`, the flow of the loss |f - y|² / (2 n outputs); early stopping acts
      as a ridge. inf by default.
    - `ridge`: added to the diagonal of the kernel as a share of its mean.
    - `standardise`: scale columns of X (all pixels of images alike) to mean 0 and deviation 1.
    - `seed`: of `sample`.
    """

    _estimator_type, _multi_output = "regressor", True

    def fit(self, X: Any, y: Any = None) -> "WideNetworkRegressor":
        """Compute kernels and their factors; sets `model_` and `jitter_`, what the kernel needed on its diagonal.

        **Raises:** ValueError for shapes that do not fit, values that are not finite, a kernel without a factor.
        """
        self._check()
        with enable_x64():
            targets = self._fit_targets(y)
            self._train(self._fit_inputs(X, len(targets)), targets)
        return self

    def predict(self, X: Any, *, return_std: bool = False) -> Any:
        """The ensemble's mean (n,) or (n, outputs), with `return_std` also its deviation over initialisations."""
        with enable_x64():
            inputs = self._inputs(X)
            if not return_std:
                return self._unscaled(self.model_.mean(inputs))
            mean, variance = _marginals(self.model_, inputs)
            return self._unscaled(mean), self._deviation(variance)

    def sample(self, X: Any, n: int = 1) -> np.ndarray:
        """The outputs of `n` networks at X, (n, points) or (n, points, outputs)."""
        with enable_x64():
            return self._unscaled(self._draws(X, n))

    def score(self, X: Any, y: Any) -> float:
        """Coefficient of determination R² (mean over outputs)."""
        return r_squared(y, self.predict(X))


class WideNetworkClassifier(_WideNetwork):
    """Classification by regression on centred class indicators; arguments as for `WideNetworkRegressor`."""

    _estimator_type = "classifier"

    def fit(self, X: Any, y: Any = None) -> "WideNetworkClassifier":
        """As `WideNetworkRegressor.fit`; sets also `classes_`.

        **Raises:** ValueError for a single class.
        """
        self._check()
        indicators = self._fit_classes(y)
        with enable_x64():
            self._train(self._fit_inputs(X, len(indicators)), jnp.asarray(indicators))
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """The ensemble's mean for each class, (n, classes); for two classes that of the second less the first."""
        with enable_x64():
            inputs = self._inputs(X)
            scores = np.asarray(self.model_.mean(inputs))
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> np.ndarray:
        """The class of greatest mean."""
        scores = self.decision_function(X)
        return self.classes_[np.argmax(scores, axis=1) if scores.ndim == 2 else (scores > 0).astype(int)]

    def sample(self, X: Any, n: int = 1) -> np.ndarray:
        """The classes that `n` networks give to X, (n, points)."""
        with enable_x64():
            return self.classes_[np.argmax(np.asarray(self._draws(X, n)), axis=2)]

    def score(self, X: Any, y: Any) -> float:
        """The share of right classes."""
        return float(np.mean(self.predict(X) == np.asarray(y)))


def _marginals(model: WideEnsemble, inputs: Array) -> tuple[np.ndarray, np.ndarray]:
    """Means and variances, block by block."""
    laws = [model.law(inputs[i : i + _ROWS]) for i in range(0, len(inputs), _ROWS)]
    variances = [np.maximum(np.diagonal(np.asarray(c)), 0) for _, c in laws]
    return np.concatenate([np.asarray(m) for m, _ in laws]), np.concatenate(variances)
