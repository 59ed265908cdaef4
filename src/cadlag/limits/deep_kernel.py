"""`DeepKernelMachineRegressor` and `DeepKernelMachineClassifier`: kernels that learn their representation.

Yang et al., ICML 2023, with inducing points: each step costs p³ for p of them and is linear in the batch.
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from cadlag.data.sources import Batches
from cadlag.kernels import AbstractGramMap, Dense, ReLU, Serial
from cadlag.limits._deep_kernel_machine import DeepKernelMachine, deep_kernel_machine
from cadlag.limits._inducing import representatives
from cadlag.limits._likelihood import AbstractLikelihood, CategoricalLikelihood, GaussianLikelihood
from cadlag.limits._sparse_training import adam, check_counts, padded_blocks
from cadlag.limits._tabular import KernelEstimator
from cadlag.linalg import safe_cholesky
from cadlag.metrics import r_squared
from cadlag.train import enable_x64, fit, gradient

_PREDICTION_DRAWS = 500


def arc_cosine_kernels(layers: int) -> tuple[AbstractGramMap, ...]:
    """One kernel for each of `layers` Gram matrices and one for the outputs: weights, ReLU, weights for the first, then
    ReLU and weights, K <- 2 w E[relu relu] + b. All w (1 at the start) and b (0.1) are learnt; float64 where allowed.
    """

    def weights(variance: float, bias: float) -> Dense:
        return Dense(jnp.asarray(variance**0.5, float), jnp.asarray(bias**0.5, float))

    first = Serial(weights(1.0, 0.1), ReLU(), weights(2.0, 0.1))
    return (first, *(Serial(ReLU(), weights(2.0, 0.1)) for _ in range(layers)))


class _DeepKernelEstimator(KernelEstimator):
    """What both estimators do."""

    layers: int
    nu: float | int
    kernels: tuple[AbstractGramMap, ...] | None
    inducing: int
    steps: int
    batch_size: int
    learning_rate: float
    jitter: float
    seed: int

    def _train(self, inputs: Array, targets: Array, codes: np.ndarray, outputs: int, likelihood: Any) -> None:
        self._check()
        kernels = arc_cosine_kernels(self.layers) if self.kernels is None else tuple(self.kernels)
        rows = representatives(codes, int(codes.max()) + 1, self.inducing, self.seed)
        start = deep_kernel_machine(
            kernels, inputs[jnp.asarray(rows)], outputs, likelihood, nu=float(self.nu), jitter=self.jitter
        )
        found = fit(
            gradient(objective_loss(len(inputs)), adam(self.learning_rate, self.steps), groups=_groups),
            start,
            Batches((inputs, targets), self.batch_size),
            steps=self.steps,
            key=jr.key(self.seed),
        )
        self.model_, self.history_ = found.state.unknowns, {"objective": -found.history["loss"]}

    def _fit_columns(self, X: Any, count: int) -> Array:
        inputs = self._fit_inputs(X, count)
        if inputs.ndim != 2:
            raise ValueError(f"X of {type(self).__name__} has shape {inputs.shape}; expected (n, features).")
        return inputs

    def _latent(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        inputs = self._inputs(X)
        return _latent(self.model_, inputs)

    def _check(self) -> None:
        check_counts(self, "inducing", "steps", "batch_size")
        if not self.nu > 0 or not 0 <= self.jitter < 1:
            raise ValueError(f"nu={self.nu}, jitter={self.jitter}: expected nu > 0, or inf, and a share of a variance.")
        if not isinstance(self.layers, int) or self.layers < 0:
            raise ValueError(f"layers={self.layers!r}: expected a whole number of Gram layers, or 0.")
        if self.kernels is not None and (
            len(self.kernels) != self.layers + 1 or not all(isinstance(k, AbstractGramMap) for k in self.kernels)
        ):
            raise ValueError(
                f"kernels={self.kernels!r} for layers={self.layers}: expected GramMaps, one for each Gram layer and "
                "one for the outputs."
            )


class DeepKernelMachineRegressor(_DeepKernelEstimator):
    """Regression on standardised targets, in double precision.

    **Arguments:**

    - `layers`: Gram matrices that are learnt; 0 is the sparse variational Gaussian process.
    - `nu`: how firmly they are held to the NNGP; inf is the NNGP, small values follow the targets. Choose it on
      validation data; it compares only at one number of inducing points.
    - `kernels`: GramMaps, one more than `layers`, the first starting with `Dense`; by default `arc_cosine_kernels`.
      Their floating-point arrays are learnt, plain numbers are kept.
    - `inducing`: how many training inputs induce at the start; they are moved.
    - `steps` of Adam at `learning_rate`, decaying to a hundredth along a cosine, on batches of `batch_size`.
    - `noise`: variance of the noise at the start, as a share of the targets' variance.
    - `jitter`: share of a layer's variances that is white noise.
    - `standardise`: scale columns of X to mean 0 and deviation 1.
    - `seed`: of inducing points, batches and draws.
    """

    _estimator_type, _multi_output = "regressor", True

    def __init__(
        self,
        *,
        layers: int = 2,
        nu: float | int = 1.0,
        kernels: tuple[AbstractGramMap, ...] | None = None,
        inducing: int = 64,
        steps: int = 3000,
        batch_size: int = 128,
        learning_rate: float = 1e-2,
        noise: float = 0.1,
        jitter: float = 1e-4,
        standardise: bool = True,
        seed: int = 0,
    ):
        self.layers, self.nu, self.kernels, self.inducing, self.steps = layers, nu, kernels, inducing, steps
        self.batch_size, self.learning_rate, self.noise = batch_size, learning_rate, noise
        self.jitter, self.standardise, self.seed = jitter, standardise, seed

    def fit(self, X: Any, y: Any = None) -> "DeepKernelMachineRegressor":
        """Maximise the objective; sets `model_`, `history_` (the objective in nats an example), `noise_std_`.

        **Raises:** ValueError for shapes that do not fit, values that are not finite, settings out of range.
        """
        if not 0 < self.noise < math.inf:
            raise ValueError(f"noise={self.noise}: expected a positive variance.")
        with enable_x64():
            targets = self._fit_targets(y)
            inputs = self._fit_columns(X, len(targets))
            likelihood = GaussianLikelihood(jnp.log(jnp.asarray(self.noise, float)))
            self._train(inputs, targets, np.zeros(len(inputs), int), targets.shape[1], likelihood)
        self.noise_std_ = math.exp(float(self.model_.likelihood.log_noise) / 2) * self.scale_
        return self

    def predict(self, X: Any, *, return_std: bool = False) -> Any:
        """Means (n,) or (n, outputs), with `return_std` also deviations of f, without noise."""
        with enable_x64():
            mean, variance = self._latent(X)
        return (self._unscaled(mean), self._deviation(variance)) if return_std else self._unscaled(mean)

    def log_prob(self, X: Any, y: Any) -> np.ndarray:
        """Log-densities of new targets, noise included, each row on its own, (n,), in nats."""
        with enable_x64():
            mean, variance = self._latent(X)
            targets = (np.asarray(y, float).reshape(len(mean), -1) - self.center_) / self.scale_
            if targets.shape != mean.shape:
                raise ValueError(f"y has shape {np.shape(y)} for predictions {mean.shape}; expected the same rows.")
            logs = _log_prob(self.model_.likelihood, *map(jnp.asarray, (mean, variance, targets)), jr.key(0))
        return np.asarray(logs) - np.sum(np.log(self.scale_))

    def sample(self, X: Any, n: int = 1) -> np.ndarray:
        """`n` joint draws of f at X, (n, points) or (n, points, outputs)."""
        if n < 1:
            raise ValueError(f"n={n} of sample: expected at least one draw.")
        with enable_x64():
            inputs = self._inputs(X)
            root = safe_cholesky(self.model_.covariance(inputs)).factor
            mean = self.model_.latent(inputs)[0]
            z = jr.normal(jr.fold_in(jr.key(self.seed), 1), (n, *mean.shape), mean.dtype)
            return self._unscaled(mean[None] + jnp.matmul(root[None], z, precision="highest"))

    def score(self, X: Any, y: Any) -> float:
        """Coefficient of determination R² (mean over outputs)."""
        return r_squared(y, self.predict(X))


class DeepKernelMachineClassifier(_DeepKernelEstimator):
    """Classification by a softmax of latent functions; arguments as of `DeepKernelMachineRegressor`.

    **Arguments:** `draws` of the latent functions in each step of training.
    """

    _estimator_type = "classifier"

    def __init__(
        self,
        *,
        layers: int = 2,
        nu: float | int = 1.0,
        kernels: tuple[AbstractGramMap, ...] | None = None,
        inducing: int = 100,
        steps: int = 2000,
        batch_size: int = 128,
        learning_rate: float = 1e-2,
        draws: int = 16,
        jitter: float = 1e-4,
        standardise: bool = True,
        seed: int = 0,
    ):
        self.layers, self.nu, self.kernels, self.inducing, self.steps = layers, nu, kernels, inducing, steps
        self.batch_size, self.learning_rate, self.draws = batch_size, learning_rate, draws
        self.jitter, self.standardise, self.seed = jitter, standardise, seed

    def fit(self, X: Any, y: Any = None) -> "DeepKernelMachineClassifier":
        """Maximise the objective; sets `model_`, `classes_` and `history_` (the objective in nats an example).

        **Raises:** ValueError for a single class, shapes that do not fit, values that are not finite, settings out of
        range.
        """
        check_counts(self, "draws")
        codes = np.argmax(self._fit_classes(y), axis=1)
        with enable_x64():
            inputs = self._fit_columns(X, len(codes))
            likelihood = CategoricalLikelihood(self.draws)
            self._train(inputs, jnp.asarray(codes), codes, len(self.classes_), likelihood)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes, (n, classes), means of softmax over draws."""
        with enable_x64():
            mean, variance = self._latent(X)
            key = jr.fold_in(jr.key(self.seed), 1)
            blocks = padded_blocks(jnp.concatenate([jnp.asarray(mean), jnp.asarray(variance)[:, None]], axis=1))
            parts = [np.asarray(_probabilities(both[:, :-1], both[:, -1], key))[:n] for both, n in blocks]
        return np.concatenate(parts)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class."""
        self.check_is_fitted()
        return self.classes_[np.argmax(self.predict_proba(X), axis=1)]

    def score(self, X: Any, y: Any) -> float:
        """The share of right classes."""
        return float(np.mean(self.predict(X) == np.asarray(y)))


class _Loss(eqx.Module):
    total: int = eqx.field(static=True)

    def __call__(self, model: DeepKernelMachine, batch: tuple[Array, Array], key: PRNGKeyArray) -> tuple[Array, dict]:
        return -model.objective(*batch, self.total, key=key), {}


def objective_loss(total: int) -> _Loss:
    """Minus the objective for each of `total` examples, as `train.gradient` wants it."""
    return _Loss(total)


def _groups(model: DeepKernelMachine) -> Any:
    """All is learnt, but R where nu is infinite."""
    labels = jax.tree.map(lambda _: "learnt", model)
    if not math.isinf(model.nu):
        return labels
    frozen = jax.tree.map(lambda _: "frozen", model.roots)
    return eqx.tree_at(lambda m: m.roots, labels, frozen)


def _latent(model: DeepKernelMachine, x: Array) -> tuple[np.ndarray, np.ndarray]:
    """Means and variances in blocks, so that memory stays bounded."""
    pairs = [(_block(model, part), n) for part, n in padded_blocks(x)]
    mean, variance = (np.concatenate([np.asarray(pair[j])[:n] for pair, n in pairs]) for j in range(2))
    return mean, variance


@eqx.filter_jit
def _block(model: DeepKernelMachine, x: Array) -> tuple[Array, Array]:
    return model.latent(x)


@eqx.filter_jit
def _log_prob(likelihood: AbstractLikelihood, mean: Array, variance: Array, y: Array, key: PRNGKeyArray) -> Array:
    keys = jr.split(key, len(mean))
    return jax.vmap(lambda m, v, t, k: likelihood.log_prob(m, v, t, key=k))(mean, variance, y, keys)


@eqx.filter_jit
def _probabilities(mean: Array, variance: Array, key: PRNGKeyArray) -> Array:
    z = jr.normal(key, (_PREDICTION_DRAWS, 1, mean.shape[1]), mean.dtype)
    return jnp.mean(jax.nn.softmax(mean[None] + jnp.sqrt(variance)[None, :, None] * z), axis=0)
