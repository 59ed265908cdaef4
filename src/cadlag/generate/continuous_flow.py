"""`ContinuousFlow`: a density estimator and sampler that is one ODE, trained by maximum likelihood."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from cadlag.distributions import AbstractDistribution, Normal
from cadlag.generate._flow_model import FlowLoss, FlowModel, concat_squash
from cadlag.generate._samples import as_samples, check_spread, in_chunks, make_scaling
from cadlag.generate._train import Training, check_positive, network_dtype, train
from cadlag.linalg import rademacher_probes
from cadlag.solve import AbstractAdjoint, AdaptiveSteps
from cadlag.train import Estimator

# Up to so many dimensions a density is reported with the exact divergence, and learnt with it up to fewer.
EXACT, EXACT_TRAINING = 32, 4
ACCURATE = AdaptiveSteps(rtol=1e-5, atol=1e-5)


class ContinuousFlow(Estimator):
    """Learn a density by a continuous normalising flow: vectors (n, D), or samples of any shape.

    **Arguments:**

    - `network`: constructor `(shape, *, key)` of a block's velocity; `concat_squash` (default), `mlp`, `unet`, or
      `functools.partial` of one. `blocks`: how many; `t1`: length of each in time.
    - `base`: the law at the end, of an array of the samples' shape; a standard normal one by default.
    - `steps`, `batch_size`, `learning_rate`, `average`: of training (Adam with warm-up and cosine decay, averaged
      weights); `solver_steps`: fixed steps a block in training, `stepper`: what takes them (Heun by default);
      `adjoint`: how they are differentiated, see `cadlag.solve`.
    - `probes`: Hutchinson probes in training; None: the exact divergence up to 4 dimensions, else one probe.
    - `kinetic`, `jacobian`: weights of ∫|f|² dt and ∫|J e|² dt (Finlay et al. 2020).
    - `evaluate`: steps of `sample` and `log_prob`, accurate adaptive ones by default.
    - `standardise`, `seed`, `run` (a folder: resumable), `progress`: as for `Generator`.

    **Example:** `ContinuousFlow(steps=1000).fit(X).log_prob(X)`
    """

    def __init__(
        self,
        network: Callable = concat_squash,
        *,
        blocks: int = 2,
        t1: float = 0.5,
        base: AbstractDistribution | None = None,
        steps: int = 2000,
        batch_size: int = 256,
        learning_rate: float = 3e-3,
        average: float = 0.99,
        solver_steps: int = 10,
        stepper: Any = None,
        adjoint: AbstractAdjoint | None = None,
        probes: int | None = None,
        kinetic: float = 0.0,
        jacobian: float = 0.0,
        evaluate: int | AdaptiveSteps = ACCURATE,
        standardise: bool = True,
        seed: int = 0,
        run: Any = None,
        progress: Any = None,
    ):
        self.network, self.blocks, self.t1, self.base = network, blocks, t1, base
        self.steps, self.batch_size, self.learning_rate, self.average = steps, batch_size, learning_rate, average
        self.solver_steps, self.stepper, self.adjoint, self.probes = solver_steps, stepper, adjoint, probes
        self.kinetic, self.jacobian, self.evaluate, self.standardise = kinetic, jacobian, evaluate, standardise
        self.seed, self.run, self.progress = seed, run, progress

    def fit(self, X: Any, y: None = None) -> "ContinuousFlow":
        """Maximum likelihood; sets `model_`, `scaling_` and `history_`.

        **Raises:** `ValueError` for infinite or missing values, fewer than two samples, columns without spread.
        """
        self._check_settings()
        samples = as_samples(X, None, "ContinuousFlow")
        check_spread(samples, self.standardise)
        self.shape_, self.dtype_ = tuple(samples.shape), str(network_dtype())
        values = np.asarray(samples.values, self.dtype_)
        self.scaling_ = make_scaling(values, self.standardise)
        keys = jr.split(jr.fold_in(jr.key(self.seed), 1), self.blocks)
        networks = tuple(self.network(self.shape_, key=k) for k in keys)
        base = Normal(jnp.zeros(self.shape_, self.dtype_)) if self.base is None else self.base
        model = FlowModel(networks, base, float(self.t1), self.solver_steps, self.stepper, self.adjoint)
        probes = self.probes if self.probes or values[0].size <= EXACT_TRAINING else 1
        loss = FlowLoss(probes, float(self.kinetic), float(self.jacobian))
        self.model_, self.history_ = train(model, self.scaling_.apply(values), loss, self._training())
        # What is saved and asked later is solved accurately; fixed steps of training and its adjoint are done with.
        self.model_ = FlowModel(self.model_.networks, self.model_.base, self.model_.t1, self.evaluate)
        return self

    def sample(self, n: int = 1, *, seed: int = 0) -> np.ndarray:
        """`n` draws, shape (n, *shape), in the data's own unit; the same seed, the same draws."""
        self.check_is_fitted()
        if n < 1:
            raise ValueError(f"ContinuousFlow.sample: n={n} must be at least 1.")
        drawn = in_chunks(lambda keys: _draw(self.model_, keys), (jr.split(jr.key(seed), n),))
        return np.asarray(self.scaling_.invert(drawn))

    def log_prob(self, X: Any, *, probes: int | None = None, seed: int = 0) -> np.ndarray:
        """Log-density of each sample in nats, shape (n,), in the data's own unit.

        **Arguments:** `probes` of the divergence, drawn once for each sample (None: exact up to 32 dimensions,
        otherwise 8); `seed` of the probes.
        """
        x = self._scaled(X)
        if probes is None and x[0].size > EXACT:
            probes = 8
        keys = jr.split(jr.key(seed), len(x))
        found = in_chunks(lambda *rows: _densities(self.model_, probes, *rows), (x, keys))
        return found + float(self.scaling_.log_det)

    def score_samples(self, X: Any) -> np.ndarray:
        """`log_prob`, by the name scikit-learn's density models use."""
        return self.log_prob(X)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log-density, in nats a sample."""
        return float(np.mean(self.log_prob(X)))

    def encode(self, X: Any) -> np.ndarray:
        """Points of the base law that samples are carried to, like X."""
        return in_chunks(lambda x: _encode(self.model_, x), (self._scaled(X),))

    def _check_settings(self) -> None:
        check_positive(self, "steps", "batch_size", "learning_rate", "blocks", "t1", "solver_steps")
        for name in ("kinetic", "jacobian"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)} of ContinuousFlow must not be negative.")
        if self.probes is not None and self.probes < 1:
            raise ValueError(f"probes={self.probes} of ContinuousFlow must be at least 1, or None.")
        if not callable(self.network):
            raise TypeError(f"network={self.network!r} of ContinuousFlow; expected a constructor such as mlp.")

    def _scaled(self, X: Any) -> Array:
        self.check_is_fitted()
        samples = as_samples(X, None, "ContinuousFlow")
        if tuple(samples.shape) != self.shape_:
            raise ValueError(f"X holds samples of shape {samples.shape}, but the model was fitted on {self.shape_}.")
        return self.scaling_.apply(jnp.asarray(np.asarray(samples.values), self.dtype_))

    def _training(self) -> Training:
        return Training(*(getattr(self, name) for name in Training._fields))


@eqx.filter_jit
def _draw(model: FlowModel, keys: Array) -> Array:
    return jax.vmap(model.sample)(keys)


@eqx.filter_jit
def _encode(model: FlowModel, x: Array) -> Array:
    return jax.vmap(model.encode)(x)


@eqx.filter_jit
def _densities(model: FlowModel, probes: int | None, x: Array, keys: Array) -> Array:
    def one(x: Array, k: Array) -> Array:
        return model.log_prob(x, probes=None if probes is None else rademacher_probes(x, probes, key=k))

    return jax.vmap(one)(x, keys)
