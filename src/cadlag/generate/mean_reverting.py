"""`Restorer`: from degraded to clean samples by mean-reverting diffusion (IR-SDE; samplers of Li et al., ICLR 2025).

The forward process takes a clean x_0 to its degraded version μ plus noise,

    x_t = μ + α(t) (x_0 - μ) + σ(t) z,

and the reverse one restores. With x - μ for x this is any diffusion, so every sampler of `cadlag.diffusion` takes it,
`DPMSolver` of order 1 and 2 being the published ODE and SDE samplers; order 1 of the SDE is the posterior sampler.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from cadlag.diffusion import (
    AbstractPrediction,
    AbstractSampler,
    AbstractSchedule,
    Denoiser,
    DenoisingLoss,
    DPMSolver,
    Examples,
    MeanReverting,
    Noise,
    sample,
)
from cadlag.generate._networks import mlp_beside
from cadlag.generate._samples import as_samples, check_spread, make_scaling
from cadlag.generate._train import Training, check_positive, network_dtype, train
from cadlag.train import Estimator


class Restorer(Estimator):
    """Learn to restore samples of any shape from pairs (clean, degraded).

    **Arguments:**

    - `schedule`: `MeanReverting(std=0.5)`; its deviation is in units of the clean data's (50/255 is published for
      images in [0, 1], whose deviation is about 0.3).
    - `network`: constructor `(shape, *, key)` of a network that is called with the degraded sample as `cond`:
      `mlp_beside` (default) or `unet_beside`.
    - `prediction`: what the network predicts.
    - `steps`, `batch_size`, `learning_rate`, `average`, `seed`, `run`, `progress`: as of `Generator`.
    - `standardise`: scale clean and degraded by the clean data's mean and deviation, one number for all entries.
    - `sampler`: the default of `restore`, `DPMSolver(10, stochastic=True, denoise=True)`.
    """

    def __init__(
        self,
        schedule: AbstractSchedule = MeanReverting(std=0.5),
        network: Callable = mlp_beside,
        *,
        prediction: AbstractPrediction = Noise(),
        steps: int = 3000,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        average: float = 0.999,
        standardise: bool = True,
        sampler: AbstractSampler | None = None,
        seed: int = 0,
        run: Any = None,
        progress: Any = None,
    ):
        self.schedule, self.network, self.prediction = schedule, network, prediction
        self.steps, self.batch_size, self.learning_rate, self.average = steps, batch_size, learning_rate, average
        self.standardise, self.sampler, self.seed, self.run, self.progress = standardise, sampler, seed, run, progress

    def fit(self, X: Any, y: Any) -> "Restorer":
        """Train on clean samples `y` and their degraded versions `X`; sets `model_`, `scaling_`, `history_`.

        **Raises:** `ValueError` for shapes that differ, missing or infinite values, fewer than two samples, and pairs
        that do not differ.
        """
        check_positive(self, "steps", "batch_size", "learning_rate")
        clean, degraded = as_samples(y, None, "Restorer"), as_samples(X, None, "Restorer")
        check_spread(clean, self.standardise and clean.values.ndim == 2)
        if clean.values.shape != degraded.values.shape:
            raise ValueError(
                f"The degraded samples have shape {degraded.values.shape} and the clean ones {clean.values.shape}; "
                "expected pairs of one shape, degraded first."
            )
        self.shape_, self.dtype_ = tuple(clean.shape), str(network_dtype())
        values = np.asarray(clean.values, self.dtype_)
        self.scaling_ = make_scaling(values, self.standardise)
        x, mu = self.scaling_.apply(values), self.scaling_.apply(np.asarray(degraded.values, self.dtype_))
        spread = float(jnp.std(x - mu))
        if spread == 0:
            raise ValueError("Clean and degraded samples are the same: there is nothing to restore.")
        network = self.network(self.shape_, key=jr.fold_in(jr.key(self.seed), 1))
        denoiser = Denoiser(network=network, schedule=self.schedule, prediction=self.prediction, data_std=spread)
        settings = Training(*(getattr(self, name) for name in Training._fields))
        self.model_, self.history_ = train(denoiser, _Pairs(x, mu), _Loss(), settings)
        return self

    def restore(self, X: Any, *, sampler: AbstractSampler | None = None, seed: int = 0) -> np.ndarray:
        """One draw of the clean sample for each degraded one, like X; the same seed, the same answer."""
        self.check_is_fitted()
        degraded = as_samples(X, None, "Restorer")
        if tuple(degraded.shape) != self.shape_:
            raise ValueError(f"X holds samples of shape {degraded.shape}, but the model was fitted on {self.shape_}.")
        mu = self.scaling_.apply(jnp.asarray(np.asarray(degraded.values), self.dtype_))
        sampler = self.sampler if sampler is None else sampler
        drawn = sample(
            self.model_, self.shape_, len(mu), key=jr.key(seed), cond=mu, shift=mu,
            sampler=DPMSolver(10, stochastic=True, denoise=True) if sampler is None else sampler,
        )  # fmt: skip
        return np.asarray(self.scaling_.invert(drawn))

    def predict(self, X: Any) -> np.ndarray:
        """`restore` with seed 0."""
        return self.restore(X)

    def log_prob(self, X: Any) -> np.ndarray:
        """Refused: a restorer draws from p(clean | degraded) and keeps no law of either."""
        raise TypeError("A Restorer has no density of samples; for one fit a Generator to the clean samples.")


class _Pairs(eqx.Module):
    x: Array
    mu: Array


class _Loss(eqx.Module):
    """Denoising around each sample's own μ, which the network sees too."""

    def __call__(self, model: Denoiser, batch: _Pairs, key: Any) -> tuple[Array, dict]:
        return DenoisingLoss()(model, Examples(batch.x, batch.mu, batch.mu), key)
