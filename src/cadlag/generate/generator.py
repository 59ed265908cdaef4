"""`Generator`: fit a diffusion model to samples; sample, condition, and ask for densities."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from cadlag.diffusion import (
    VP,
    AbstractDenoiser,
    AbstractPrediction,
    AbstractSampler,
    AbstractSchedule,
    AbstractWeighting,
    Denoiser,
    DenoisingLoss,
    DPMSolver,
    Examples,
    Native,
    ProbabilityFlow,
    V,
    bits_per_dim,
    decode,
    encode,
    log_prob,
)
from cadlag.generate._conditioned import Conditioned
from cadlag.generate._networks import mlp
from cadlag.generate._samples import as_samples, check_spread, in_chunks, make_scaling
from cadlag.generate._train import Training, check_positive, network_dtype, train
from cadlag.linalg import rademacher_probes
from cadlag.train import Estimator

# Up to so many dimensions a density is computed with the exact divergence.
EXACT_DIVERGENCE = 32


class Generator(Estimator):
    """Learn to draw from the law of a data set: vectors (n, D), images (n, C, H, W), series (n, C, T).

    **Arguments:**

    - `schedule`: any noise schedule; for data of deviation one, as they are after scaling.
    - `network`: constructor `(shape, *, classes, key)`; `mlp` (default), `unet`, or `functools.partial` of either.
    - `prediction`, `weighting`: what the network predicts and how errors are weighted; by default v and its own
      error, which keep the expected sample within bounds at every noise level, as guidance needs.
    - `steps`, `batch_size`, `learning_rate`: Adam with warm-up and cosine decay. `average`: of the weights' moving
      average, which is used for everything after training.
    - `standardise`: scale each column of vectors, or all of an image or series by one number, to deviation one.
    - `drop`: share of labels hidden in training, for classifier-free guidance.
    - `sampler`: the default of `sample`, `DPMSolver(40, denoise=True)`; with known entries 100 steps of the SDE.
    - `levels`: number of evenly spaced values that integer data have; noise is then added within each cell, afresh in
      every sample drawn for training, and densities are those of the dequantised data. None for continuous data.
    - `seed`, `run` (folder for checkpoints; fitting again with the same settings resumes), `progress`.
    """

    def __init__(
        self,
        schedule: AbstractSchedule = VP(),
        network: Callable = mlp,
        *,
        prediction: AbstractPrediction = V(),
        weighting: AbstractWeighting = Native(),
        steps: int = 5000,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        average: float = 0.999,
        standardise: bool = True,
        drop: float = 0.1,
        sampler: AbstractSampler | None = None,
        levels: int | None = None,
        seed: int = 0,
        run: Any = None,
        progress: Any = None,
    ):
        self.schedule, self.network, self.prediction, self.weighting = schedule, network, prediction, weighting
        self.steps, self.batch_size, self.learning_rate, self.average = steps, batch_size, learning_rate, average
        self.standardise, self.drop, self.sampler, self.levels = standardise, drop, sampler, levels
        self.seed, self.run, self.progress = seed, run, progress

    def fit(self, X: Any, y: Any = None) -> "Generator":
        """Train on samples, with class labels `y` where given; sets `model_`, `scaling_`, `classes_`, `history_`.

        **Raises:** `ValueError` for infinite or missing values, fewer than two samples, columns without spread.
        """
        check_positive(self, "steps", "batch_size", "learning_rate")
        samples = as_samples(X, y, "Generator")
        check_spread(samples, self.standardise)
        self.shape_, self.dtype_ = tuple(samples.shape), str(network_dtype())
        self.classes_ = None if samples.classes is None else np.asarray(samples.classes)
        self.columns_ = tuple(samples.columns)
        values = np.asarray(samples.values, self.dtype_)
        self.cell_ = None if self.levels is None else cell_width(values, self.levels)
        self.scaling_ = make_scaling(values, self.standardise)
        classes = None if self.classes_ is None else len(self.classes_)
        network = self.network(self.shape_, classes=classes, key=jr.fold_in(jr.key(self.seed), 1))
        denoiser = Denoiser(network=network, schedule=self.schedule, prediction=self.prediction)
        scaled = self.scaling_.apply(values)
        labels = None if classes is None else jnp.asarray(np.asarray(samples.labels), jnp.int32)
        cell = None if self.cell_ is None else jnp.asarray(self.cell_ / np.asarray(self.scaling_.scale), self.dtype_)
        dropping = classes is not None and self.drop > 0
        loss = _Loss(DenoisingLoss(self.weighting, drop=self.drop, null=classes) if dropping
                     else DenoisingLoss(self.weighting), self.levels is not None)  # fmt: skip
        data = _Data(scaled, labels, None if cell is None else jnp.broadcast_to(cell, scaled.shape))
        self.model_, self.history_ = train(denoiser, data, loss, self._training())
        return self

    def sample(
        self, n: int = 1, *, condition: Any = None, guidance: float = 1.0, sampler: Any = None, seed: int = 0
    ) -> np.ndarray:
        """Draw `n` samples, shape (n, *shape), in the data's own unit; the same seed, the same samples.

        **Arguments:** `condition`, a class label, or one for each sample; `guidance`, the weight of classifier-free
        guidance (1: the conditional model itself); `sampler`, for this call.
        """
        return self.condition(label=condition, guidance=guidance).sample(n, sampler=sampler, seed=seed)

    def condition(
        self,
        *,
        label: Any = None,
        guidance: float = 1.0,
        known: Any = None,
        operator: Callable | None = None,
        measurement: Any = None,
        noise_std: float = 0.0,
        log_likelihood: Callable | None = None,
    ) -> Conditioned:
        """The model under a condition; its `sample(n)` draws. Conditions may be combined.

        **Arguments:**

        - `label`, `guidance`: a class, and the weight of classifier-free guidance.
        - `known`: an array like one sample with NaN where unknown, to be filled in; or many, (n, *shape).
        - `operator`, `measurement`, `noise_std`: a linear function of one sample, its measured value, and the
          deviation of the measurement's error.
        - `log_likelihood(x)`: any differentiable log-likelihood of a clean sample in the data's unit; its gradient is
          taken at the expected sample.
        """
        self.check_is_fitted()
        return Conditioned(
            self, label=label, guidance=guidance, known=known, operator=operator, measurement=measurement,
            noise_std=noise_std, log_likelihood=log_likelihood,
        )  # fmt: skip

    def log_prob(self, X: Any, *, condition: Any = None, probes: int | None = None, seed: int = 0) -> np.ndarray:
        """Log-density of each sample in nats, shape (n,), in the data's own unit, by the probability flow.

        The density is that of data noised to the schedule's `t_min`.

        **Arguments:** `condition`, a class label, or one for each; `probes`, random probes of the divergence, drawn
        once for each sample (None: the exact divergence up to 32 dimensions, otherwise 8 probes); `seed` of the probes.
        """
        x = self._scaled(X)
        cond = self._labels(condition, len(x))
        if probes is None and x[0].size > EXACT_DIVERGENCE:
            probes = 8
        keys = jr.split(jr.key(seed), len(x))
        found = in_chunks(lambda *rows: _densities(self.model_, probes, *rows), (x, cond, keys))
        return found + float(self.scaling_.log_det)

    def bits_per_dim(self, X: Any, *, condition: Any = None, seed: int = 0) -> np.ndarray:
        """Bits a dimension of integer data, shape (n,): -log2 of the dequantised density of one cell.

        One draw of the dequantising noise a sample, so an upper bound on average (Theis et al., ICLR 2016).
        """
        self.check_is_fitted()
        if self.cell_ is None:
            raise ValueError("bits_per_dim is for integer data: fit with levels=, the number of values they can have.")
        values = np.asarray(as_samples(X, None, "Generator").values, np.float64)
        spread = np.random.default_rng(seed).uniform(-0.5, 0.5, values.shape)
        found = jnp.asarray(self.log_prob(values + self.cell_ * spread, condition=condition, seed=seed))
        return np.asarray(bits_per_dim(found, values[0].size, width=self.cell_))

    def score_samples(self, X: Any) -> np.ndarray:
        """`log_prob`, by the name scikit-learn's density models use."""
        return self.log_prob(X)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log-density, in nats a sample."""
        return float(np.mean(self.log_prob(X, condition=y)))

    def encode(self, X: Any, *, condition: Any = None) -> np.ndarray:
        """Latents of samples, like X: the probability flow from data to noise."""
        x = self._scaled(X)
        return in_chunks(lambda a, c: _encode(self.model_, a, c), (x, self._labels(condition, len(x))))

    def decode(self, Z: Any, *, condition: Any = None) -> np.ndarray:
        """Samples of latents: the probability flow from noise to data."""
        self.check_is_fitted()
        z = jnp.asarray(np.asarray(Z), self.dtype_)
        if z.shape[1:] != self.shape_:
            raise ValueError(f"Z has shape {z.shape}; expected (samples, {', '.join(map(str, self.shape_))}).")
        x = in_chunks(lambda a, c: _decode(self.model_, a, c), (z, self._labels(condition, len(z))))
        return np.asarray(self.scaling_.invert(x))

    def _training(self) -> Training:
        return Training(*(getattr(self, name) for name in Training._fields))

    def _scaled(self, X: Any) -> Array:
        self.check_is_fitted()
        samples = as_samples(X, None, "Generator")
        if tuple(samples.shape) != self.shape_:
            raise ValueError(f"X holds samples of shape {samples.shape}, but the model was fitted on {self.shape_}.")
        return self.scaling_.apply(jnp.asarray(np.asarray(samples.values), self.dtype_))

    def _labels(self, condition: Any, n: int) -> Array | None:
        """Class codes, one for each sample; the null class where no condition is given."""
        if self.classes_ is None:
            if condition is not None:
                raise ValueError("The model was fitted without labels, so it takes no condition; fit it with y.")
            return None
        if condition is None:
            if self.drop == 0:
                raise ValueError("The model was fitted with drop=0: it only draws under a condition; pass one.")
            return jnp.full((n,), len(self.classes_), jnp.int32)
        return label_codes(condition, self.classes_, n)

    def default_sampler(self, *, constrained: bool = False) -> AbstractSampler:
        """The sampler of `sample`: the flow, or the SDE where parts are put back, which noise then blends in."""
        if self.sampler is not None:
            return self.sampler
        return DPMSolver(100, stochastic=True, denoise=True) if constrained else DPMSolver(40, denoise=True)


class _Data(eqx.Module):
    x: Array
    labels: Array | None
    cell: Array | None


class _Loss(eqx.Module):
    """The denoising loss on the estimator's batches; integer data are spread over their cells at every draw."""

    inner: DenoisingLoss
    dequantise: bool = eqx.field(static=True)

    def __call__(self, model: Denoiser, batch: _Data, key: Any) -> tuple[Array, dict]:
        x, (spread_key, loss_key) = batch.x, jr.split(key)
        if self.dequantise:
            assert batch.cell is not None
            x = x + batch.cell * (jr.uniform(spread_key, x.shape, x.dtype) - 0.5)
        return self.inner(model, Examples(x, batch.labels), loss_key)


@eqx.filter_jit
def _densities(model: AbstractDenoiser, probes: int | None, x: Array, cond: Array | None, keys: Array) -> Array:
    def one(x: Array, c: Array | None, k: Array) -> Array:
        drawn = None if probes is None else rademacher_probes(x, probes, key=k)
        return log_prob(model, x, cond=c, probes=drawn, flow=ProbabilityFlow())

    return jax.vmap(one)(x, cond, keys)


@eqx.filter_jit
def _encode(model: AbstractDenoiser, x: Array, cond: Array | None) -> Array:
    return jax.vmap(lambda a, c: encode(model, a, cond=c))(x, cond)


@eqx.filter_jit
def _decode(model: AbstractDenoiser, z: Array, cond: Array | None) -> Array:
    return jax.vmap(lambda a, c: decode(model, a, cond=c))(z, cond)


def cell_width(values: np.ndarray, levels: int) -> float:
    """Distance of two of the evenly spaced values that integer data have."""
    low, high = float(values.min()), float(values.max())
    width = (high - low) / (levels - 1) if levels > 1 else 0.0
    place = (values - low) / width if width else np.full(1, 0.5)
    if np.any(np.abs(place - np.round(place)) > 1e-2):
        raise ValueError(
            f"levels={levels}, but the values from {low:g} to {high:g} are not that many evenly spaced ones. Give the "
            "number of values the data can have, or None for continuous data."
        )
    return width


def label_codes(condition: Any, classes: np.ndarray, n: int) -> Array:
    """Codes of one label or of n labels."""
    labels = np.asarray(condition)
    if labels.ndim > 1 or (labels.ndim == 1 and len(labels) != n):
        raise ValueError(f"condition has shape {labels.shape}; expected one label, or {n}, one for each sample.")
    known = {str(c): i for i, c in enumerate(classes.tolist())}
    unseen = sorted({str(x) for x in np.atleast_1d(labels).tolist()} - set(known))
    if unseen:
        raise ValueError(f"The labels {unseen} did not occur in training; there are {list(known)}.")
    codes = np.array([known[str(x)] for x in np.atleast_1d(labels).tolist()], np.int32)
    return jnp.asarray(np.broadcast_to(codes, (n,)))
