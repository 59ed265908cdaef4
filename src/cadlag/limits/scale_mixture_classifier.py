"""`StudentTClassifier`: a sparse scale mixture of Gaussian processes under a softmax (Lee et al., ICLR 2022)."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from cadlag.data.sources import Batches
from cadlag.distributions import InverseGamma
from cadlag.kernels import NNGP, AbstractKernel, Dense, ReLU, Serial
from cadlag.limits._inducing import representatives
from cadlag.limits._sparse_mixture import SparseScaleMixture, sparse_scale_mixture
from cadlag.limits._sparse_training import adam, check_counts, padded_blocks
from cadlag.limits._tabular import KernelEstimator
from cadlag.train import enable_x64, fit, gradient

_DEEP = Serial(Dense(2**0.5, 0.1), ReLU(), Dense(2**0.5, 0.1), ReLU(), Dense(2**0.5, 0.1))
_PREDICTION_DRAWS = 500


class StudentTClassifier(KernelEstimator):
    """Classification with inducing points, in minibatches, in double precision.

    **Arguments:**

    - `kernel`: any kernel, where fitting starts; by default the NNGP of two hidden layers of ReLU times a variance. Its
      floating-point arrays are learnt, plain numbers are kept.
    - `degrees`: of freedom of the prior; inf is the sparse variational Gaussian process.
    - `inducing`: how many training inputs induce; they stay where they are.
    - `steps` of Adam at `learning_rate`, decaying to a hundredth along a cosine, on batches of `batch_size`; `draws` of
      the latent functions in each step.
    - `standardise`: scale columns of X (or all pixels of images alike) to mean 0 and deviation 1; a column that is
      constant in training is left as it is.
    - `seed`: of inducing points, batches and draws.
    """

    _estimator_type = "classifier"

    def __init__(
        self,
        kernel: AbstractKernel | None = None,
        *,
        degrees: float | int = 4.0,
        inducing: int = 100,
        steps: int = 2000,
        batch_size: int = 100,
        learning_rate: float = 1e-2,
        draws: int = 20,
        standardise: bool = True,
        seed: int = 0,
    ):
        self.kernel, self.degrees, self.inducing, self.steps = kernel, degrees, inducing, steps
        self.batch_size, self.learning_rate, self.draws = batch_size, learning_rate, draws
        self.standardise, self.seed = standardise, seed

    def fit(self, X: Any, y: Any = None) -> "StudentTClassifier":
        """Maximise the evidence lower bound; sets `model_`, `classes_` and `history_` (bounds in nats an example).

        **Raises:** ValueError for a single class, shapes that do not fit, values that are not finite, settings out of
        range; TypeError for a kernel that is none.
        """
        self._check()
        codes = np.argmax(self._fit_classes(y), axis=1)
        with enable_x64():
            inputs = self._fit_inputs(X, len(codes))
            kernel = 1.0 * NNGP(_DEEP) if self.kernel is None else self.kernel
            rows = representatives(codes, len(self.classes_), self.inducing, self.seed)
            prior = None if math.isinf(self.degrees) else InverseGamma.of_degrees(float(self.degrees))
            start = sparse_scale_mixture(kernel, inputs[jnp.asarray(rows)], len(self.classes_), prior)
            found = fit(
                gradient(_Loss(len(codes), self.draws), adam(self.learning_rate, self.steps), groups=_groups),
                start,
                Batches((inputs, jnp.asarray(codes)), self.batch_size),
                steps=self.steps,
                key=jr.key(self.seed),
            )
        self.model_, self.history_ = found.state.unknowns, {"bound": -found.history["loss"]}
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes, (n, classes)."""
        with enable_x64():
            inputs, key = self._inputs(X), jr.fold_in(jr.key(self.seed), 1)
            # The same draws of all examples, in blocks that bound memory; padding keeps one shape.
            logs = [_log_probabilities(self.model_, part, key)[:n] for part, n in padded_blocks(inputs)]
        return np.exp(np.concatenate(logs))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class."""
        self.check_is_fitted()
        return self.classes_[np.argmax(self.predict_proba(X), axis=1)]

    def score(self, X: Any, y: Any) -> float:
        """The share of right classes."""
        return float(np.mean(self.predict(X) == np.asarray(y)))

    def _check(self) -> None:
        if not self.degrees > 0:
            raise ValueError(f"degrees={self.degrees} of StudentTClassifier: expected a positive number, or inf.")
        check_counts(self, "inducing", "steps", "batch_size", "draws")
        if self.kernel is not None and not isinstance(self.kernel, AbstractKernel):
            raise TypeError(f"kernel is a {type(self.kernel).__name__}; expected a kernel, such as NNGP(...).")


class _Loss(eqx.Module):
    total: int = eqx.field(static=True)
    draws: int = eqx.field(static=True)

    def __call__(self, model: SparseScaleMixture, batch: tuple[Array, Array], key: PRNGKeyArray) -> tuple[Array, dict]:
        return -model.bound(*batch, self.total, draws=self.draws, key=key), {}


def _groups(model: SparseScaleMixture) -> Any:
    """Inducing inputs and the prior stay where they are."""
    labels = jax.tree.map(lambda _: "learnt", model)
    frozen = jax.tree.map(lambda _: "frozen", (model.z, model.prior))
    return eqx.tree_at(lambda m: (m.z, m.prior), labels, frozen, is_leaf=lambda x: x is None)


@eqx.filter_jit
def _log_probabilities(model: SparseScaleMixture, x: Array, key: PRNGKeyArray) -> Array:
    return model.log_probabilities(x, draws=_PREDICTION_DRAWS, key=key)
