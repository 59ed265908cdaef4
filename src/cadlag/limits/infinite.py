"""`InfiniteNetwork` and `InfiniteNetworkClassifier`: ensembles of infinitely wide networks, without training one."""

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.kernels import AbstractGramMap, Dense, ReLU, Serial, network_kernels
from cadlag.limits._tabular import KernelEstimator, r_squared
from cadlag.limits.tangent import TangentDynamics, tangent_dynamics
from cadlag.train import enable_x64

_DEEP = Serial(Dense(2**0.5, 0.1), ReLU(), Dense(2**0.5, 0.1), ReLU(), Dense(2**0.5, 0.1))


class WideEnsemble(eqx.Module):
    """Infinitely wide networks after training: the data, the dynamics, and the kernel at initialisation.

    **Arguments:** `architecture`; training inputs `x`; `dynamics` of Theta = the NTK, or the NNGP where only the last
    layer is trained (`last_layer`); `nngp` on the training inputs; `time` in steps; `block`, see `network_kernels`.
    """

    architecture: AbstractGramMap
    x: Float[Array, "n ..."]
    dynamics: TangentDynamics
    nngp: Float[Array, "n n"]
    time: float = eqx.field(static=True)
    last_layer: bool = eqx.field(static=True)
    block: int | None = eqx.field(static=True)

    def mean(self, z: Float[Array, "m ..."]) -> Float[Array, "m outputs"]:
        """The mean of the ensemble."""
        kernels = network_kernels(self.architecture, z, self.x, block=self.block)
        theta = kernels.nngp if self.last_layer else kernels.ntk
        return jnp.matmul(theta, self.dynamics.apply(self.time, self.dynamics.y), precision="highest")

    def predict(self, z: Float[Array, "m ..."]) -> tuple[Float[Array, "m outputs"], Float[Array, "m m"]]:
        """Mean and covariance of the ensemble at z."""
        across = network_kernels(self.architecture, z, self.x, block=self.block)
        both = network_kernels(self.architecture, z, block=self.block).nngp
        theta = across.nngp if self.last_layer else across.ntk
        return self.dynamics.ensemble(self.time, theta, self.nngp, across.nngp, both)


def _fit(self: Any, inputs: Array, targets: Array) -> WideEnsemble:
    kernels = network_kernels(self.architecture, inputs, block=self.block)
    theta = kernels.nngp if self.last_layer else kernels.ntk
    dynamics = tangent_dynamics(theta, targets, learning_rate=self.learning_rate, ridge=self.ridge)
    return WideEnsemble(
        self.architecture, inputs, dynamics, kernels.nngp, float(self.time), self.last_layer, self.block
    )


def _check(self: Any) -> None:
    if not isinstance(self.architecture, AbstractGramMap):
        raise TypeError(
            f"architecture is a {type(self.architecture).__name__}; expected a GramMap, such as "
            "Serial(Dense(), ReLU(), Dense())."
        )
    if not self.time >= 0:
        raise ValueError(f"time={self.time}: expected a number of steps, not negative, or math.inf.")


class InfiniteNetwork(KernelEstimator):
    """Regression by an ensemble of infinitely wide networks, trained by gradient flow on squared loss.

    **Arguments:**

    - `architecture`: a GramMap that ends with `Dense`; by default two hidden layers of ReLU.
    - `last_layer`: train the last layer alone, so that Theta is the NNGP; for time = inf and ridge = 0 this is the
      Bayesian posterior. By default all layers are trained (NTK).
    - `time`: how long, in steps of `learning_rate`, the flow of the loss |f - y|² / (2 n outputs); early stopping is a
      ridge. inf by default.
    - `ridge`: added to the diagonal of Theta as a share of its mean.
    - `standardise`: scale columns of X (all pixels of images alike) to mean 0 and deviation 1.
    - `block`: see `network_kernels`.
    """

    _estimator_type = "regressor"

    def __init__(
        self,
        architecture: AbstractGramMap = _DEEP,
        *,
        last_layer: bool = False,
        time: float | int = math.inf,
        learning_rate: float | int = 1.0,
        ridge: float | int = 1e-6,
        standardise: bool = True,
        block: int | None = None,
    ):
        self.architecture, self.last_layer, self.time = architecture, last_layer, time
        self.learning_rate, self.ridge, self.standardise, self.block = learning_rate, ridge, standardise, block

    def fit(self, X: Any, y: Any = None) -> "InfiniteNetwork":
        """Compute kernels and their factors; sets `model_` and `jitter_`.

        **Raises:** ValueError for shapes that do not fit or values that are not finite.
        """
        _check(self)
        with enable_x64():
            targets = self._fit_targets(y)
            self.model_ = _fit(self, self._fit_inputs(X, len(targets)), targets)
            self.jitter_ = float(self.model_.dynamics.cholesky.jitter)
        return self

    def predict(self, X: Any, *, return_std: bool = False) -> Any:
        """The ensemble's mean (n,) or (n, outputs), with `return_std` also its deviation over initialisations."""
        with enable_x64():
            inputs = self._inputs(X)
            if not return_std:
                return self._unscaled(self.model_.mean(inputs))
            mean, covariance = self.model_.predict(inputs)
            return self._unscaled(mean), self._deviation(jnp.maximum(jnp.diagonal(covariance), 0))

    def score(self, X: Any, y: Any) -> float:
        """Coefficient of determination R² (mean over outputs)."""
        return r_squared(y, self.predict(X))


class InfiniteNetworkClassifier(KernelEstimator):
    """Classification by regression on centred class indicators; arguments as for `InfiniteNetwork`."""

    _estimator_type = "classifier"

    def __init__(
        self,
        architecture: AbstractGramMap = _DEEP,
        *,
        last_layer: bool = False,
        time: float | int = math.inf,
        learning_rate: float | int = 1.0,
        ridge: float | int = 1e-6,
        standardise: bool = True,
        block: int | None = None,
    ):
        self.architecture, self.last_layer, self.time = architecture, last_layer, time
        self.learning_rate, self.ridge, self.standardise, self.block = learning_rate, ridge, standardise, block

    def fit(self, X: Any, y: Any = None) -> "InfiniteNetworkClassifier":
        """As `InfiniteNetwork.fit`; sets also `classes_`.

        **Raises:** ValueError for a single class.
        """
        _check(self)
        if y is None:
            raise ValueError("InfiniteNetworkClassifier.fit requires y to be passed, but the target y is None.")
        self.classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y holds one class only, {self.classes_.tolist()}; a classifier needs at least two.")
        indicators = np.eye(len(self.classes_))[codes] - 1 / len(self.classes_)
        with enable_x64():
            self.model_ = _fit(self, self._fit_inputs(X, len(indicators)), jnp.asarray(indicators))
            self.jitter_ = float(self.model_.dynamics.cholesky.jitter)
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

    def score(self, X: Any, y: Any) -> float:
        """The share of right classes."""
        return float(np.mean(self.predict(X) == np.asarray(y)))
