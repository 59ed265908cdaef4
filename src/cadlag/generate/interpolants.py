"""Transport between two data sets by a stochastic interpolant, or from a Gaussian to one.

Join the two laws by x_t = α(t) x_0 + β(t) x_1 + γ(t) z; learn b = E[dx_t/dt | x_t] and η = E[z | x_t] by regression,
without simulation; then, with s = -η/γ and any ε chosen after training,

    dX = (b + εs) dt + sqrt(2ε) dW carries ρ_0 to ρ_1;   dX = b dt does too, and gives densities.

Albergo, Boffi and Vanden-Eijnden, JMLR 26(209), 2025.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from cadlag.data import Batches, FromFunction, Source
from cadlag.diffusion._coupling import AbstractCoupling, CoupledBatches, Independent
from cadlag.diffusion._field_pairs import AbstractFieldPair, VelocityNoise, VelocityOnly
from cadlag.diffusion._gamma import NoGamma
from cadlag.diffusion._interpolant import AbstractInterpolant, Linear
from cadlag.diffusion._interpolant_loss import InterpolantLoss
from cadlag.diffusion._interpolant_model import InterpolantModel, check_parts
from cadlag.diffusion._interpolant_sampling import interpolant_log_prob, sample_interpolant
from cadlag.generate._networks import mlp
from cadlag.generate._train import check_positive, make_update, network_dtype
from cadlag.train import Estimator, fit

CHUNK = 4096


class Transport(Estimator):
    """Carry samples of one law to another; `fit(X0, X1)`, or `fit(X)` from a standard normal law.

    **Arguments:**

    - `interpolant`: default `Linear(BrownianGamma(1.0))`. `pair`: the fields that are learnt; default
      `VelocityNoise()`, or `VelocityOnly()` where the interpolant has no latent noise.
    - `coupling`: of a batch's two ends; `Independent()` (default), `MinibatchOT()`, `EntropicOT(epsilon)`. With
      `paired` row i of X0 belongs to row i of X1 and there is nothing to couple.
    - `network`: constructor `(shape, *, key)` of one field's network; `mlp` (default), `unet` for images;
      `functools.partial(mlp, width=128)` sets options.
    - `steps`, `batch_size`, `learning_rate`: Adam with warm-up and cosine decay, gradients clipped at norm
      one; `ema`: decay of the average of the weights that is kept.
    - `epsilon`: noise of the SDE when carrying, in units of standardised data; 0 is the ODE. `sampling_steps`.
    - `standardise`: one affine map for both ends, fitted on the pooled data; results are in the data's units.
    - `seed`: of weights, batches and draws. `run`: folder for checkpoints and metrics; fitting again with the same
      settings resumes. `progress`: a display.

    The data are arrays (n, *shape) without gaps; X0 and X1 may have different lengths unless they are paired.
    """

    def __init__(
        self,
        interpolant: AbstractInterpolant | None = None,
        *,
        pair: AbstractFieldPair | None = None,
        coupling: AbstractCoupling | None = None,
        paired: bool = False,
        network: Callable = mlp,
        steps: int = 5000,
        batch_size: int = 256,
        learning_rate: float = 2e-3,
        ema: float = 0.999,
        epsilon: Any = 1.0,
        sampling_steps: int = 100,
        standardise: bool = True,
        seed: int = 0,
        run: Any = None,
        progress: Any = None,
    ):
        self.interpolant, self.pair, self.coupling, self.paired = interpolant, pair, coupling, paired
        self.network, self.steps, self.batch_size, self.learning_rate = network, steps, batch_size, learning_rate
        self.ema, self.epsilon, self.sampling_steps, self.standardise = ema, epsilon, sampling_steps, standardise
        self.seed, self.run, self.progress = seed, run, progress

    def fit(self, X0: Any, X1: Any = None) -> "Transport":
        """Learn the two fields; sets `model_` (in standardised units), `mean_`, `scale_` and `history_`.

        **Arguments:** `X0` and `X1`, (n, *shape) and (m, *shape); a single array is the END, and the start is normal.

        **Raises:** `ValueError` for values that are not finite, fewer than two samples, constant columns, other shapes.
        """
        self._check_settings()
        gaussian = X1 is None
        ends = [_as_samples("X", X0)] if gaussian else [_as_samples("X0", X0), _as_samples("X1", X1)]
        self._check_ends(ends)
        self._standardise(ends)
        inside = [self._in(x) for x in ends]
        self.start_ = None if gaussian else inside[0]
        self.shape_ = ends[0].shape[1:]
        model = self._model(1.0 if gaussian else float(inside[0].std()), float(inside[-1].std()))
        update = make_update(InterpolantLoss(), self.learning_rate, self.steps, self.ema)
        result = fit(
            update, model, self._source(inside), steps=self.steps, key=jr.key(self.seed), block=min(self.steps, 200),
            run=self.run, progress=self.progress,
        )  # fmt: skip
        self.model_, self.history_ = result.state.averaged, result.history
        return self

    def transport(self, X0: Any, *, epsilon: Any = None, backward: bool = False, seed: int | None = None) -> np.ndarray:
        """Carry samples to the other end, (n, *shape).

        **Arguments:** `epsilon`, None for the setting, 0 for the ODE; `backward`: `X0` are samples of the END and are
        carried to the start; `seed`, None for the setting: the same call, the same answer.
        """
        given = self._prepared(X0)
        # A normal start has no other units than standardised ones: it is taken and returned as it is.
        inside = given.astype(self.dtype_) if self.start_ is None and not backward else self._in(given)
        carried = self._carry(inside, self.epsilon if epsilon is None else epsilon, backward, self._key(seed))
        return carried if self.start_ is None and backward else self._out(carried)

    def sample(self, n: int, *, epsilon: Any = None, seed: int | None = None) -> np.ndarray:
        """n samples of the end: from normal draws, or from rows of X0 drawn with replacement."""
        self.check_is_fitted()
        if n < 1:
            raise ValueError(f"Transport.sample: n={n} must be at least 1.")
        first, second = jr.split(self._key(seed))
        if self.start_ is None:
            start = np.asarray(jr.normal(first, (n, *self.shape_), self.dtype_))
        else:
            start = self.start_[np.asarray(jr.randint(first, (n,), 0, len(self.start_)))]
        return self._out(self._carry(start, self.epsilon if epsilon is None else epsilon, False, second))

    def log_prob(self, X: Any) -> np.ndarray:
        """Log-densities of the ODE at points of the end, (n,), in nats and in the data's units.

        **Raises:** `ValueError` where the start is a data set, whose density is unknown.
        """
        points = self._prepared(X)
        if self.start_ is not None:
            raise ValueError(
                "Transport.log_prob: the start X0 is a data set, so the density at the end is unknown. Fit from a "
                "normal law, fit(X1), or use cadlag.diffusion's interpolant_log_prob with the log-density of the start."
            )
        jacobian = np.sum(np.log(np.broadcast_to(self.scale_, self.shape_)))
        read = lambda x, key: interpolant_log_prob(self.model_, x, standard_normal)  # noqa: E731
        return _in_chunks(read, self._in(points), self._key(None)) - jacobian

    def score(self, X: Any) -> float:
        """Mean log-density."""
        return float(np.mean(self.log_prob(X)))

    def _check_settings(self) -> None:
        check_positive(self, "steps", "batch_size", "learning_rate", "sampling_steps")
        if not 0 < self.ema < 1:
            raise ValueError(f"ema={self.ema} of Transport must lie between 0 and 1.")
        if not callable(self.network):
            raise TypeError(
                f"network={self.network!r} of Transport; expected a constructor such as mlp or "
                "functools.partial(mlp, width=128)."
            )

    def _check_ends(self, ends: list[np.ndarray]) -> None:
        if self.paired and (len(ends) == 1 or len(ends[0]) != len(ends[1])):
            raise ValueError("Transport: paired data need X0 and X1 of equal length, row by row.")
        if len(ends) == 2 and ends[0].shape[1:] != ends[1].shape[1:]:
            raise ValueError(
                f"Transport: X0 has samples of shape {ends[0].shape[1:]}, X1 of {ends[1].shape[1:]}; they must agree."
            )

    def _standardise(self, ends: list[np.ndarray]) -> None:
        self.dtype_ = str(network_dtype())
        pooled = np.concatenate(ends)
        self.mean_, self.scale_ = np.zeros(()), np.ones(())
        if self.standardise:
            self.mean_, self.scale_ = pooled.mean(axis=0), pooled.std(axis=0)
            constant = np.flatnonzero(self.scale_.ravel() <= 1e-12 * np.maximum(np.abs(self.mean_).ravel(), 1e-300))
            if constant.size:
                raise ValueError(
                    f"Transport: {constant.size} columns of the data are constant, the first is number {constant[0]}; "
                    "they have no density and no scale. Leave them out, or set standardise=False."
                )

    def _model(self, std0: float, std1: float) -> InterpolantModel:
        path = Linear() if self.interpolant is None else self.interpolant
        without = isinstance(getattr(path, "latent", None), NoGamma)
        pair = self.pair or (VelocityOnly() if without else VelocityNoise())
        check_parts(path, pair)
        keys = jr.split(jr.fold_in(jr.key(self.seed), 2), len(pair.names))
        networks = tuple(self.network(self.shape_, key=key) for key in keys)
        return InterpolantModel(path, networks, pair, std0=std0, std1=std1)

    def _source(self, inside: list[np.ndarray]) -> Source:
        size = min(self.batch_size, *(len(x) for x in inside))
        if self.paired:
            return Batches((inside[0], inside[1]), size)
        like = jax.ShapeDtypeStruct((size, *self.shape_), self.dtype_)
        first = FromFunction(NormalDraws(like)) if len(inside) == 1 else Batches(inside[0], size)
        return CoupledBatches(first, Batches(inside[-1], size), self.coupling or Independent())

    def _prepared(self, X: Any) -> np.ndarray:
        self.check_is_fitted()
        samples = _as_samples("X", X, least=1)
        if samples.shape[1:] != self.shape_:
            raise ValueError(f"Transport: samples of shape {samples.shape[1:]}; it was fitted on {self.shape_}.")
        return samples

    def _in(self, x: np.ndarray) -> np.ndarray:
        return ((x - self.mean_) / self.scale_).astype(self.dtype_)

    def _out(self, x: np.ndarray) -> np.ndarray:
        return x.astype(np.float64) * self.scale_ + self.mean_

    def _key(self, seed: int | None) -> PRNGKeyArray:
        return jr.fold_in(jr.key(self.seed if seed is None else seed), 1)

    def _carry(self, start: np.ndarray, epsilon: Any, backward: bool, key: PRNGKeyArray) -> np.ndarray:
        if isinstance(self.model_.pair, VelocityOnly):
            epsilon = 0.0
        read = lambda x, k: sample_interpolant(  # noqa: E731
            self.model_, x, key=k, epsilon=epsilon, steps=self.sampling_steps, backward=backward
        )
        return _in_chunks(read, start, key)


class NormalDraws:
    """Batches of standard normal draws, for `FromFunction`. **Arguments:** `like`, their shape and dtype."""

    def __init__(self, like: jax.ShapeDtypeStruct):
        self.like = like

    def __call__(self, key: PRNGKeyArray) -> Array:
        """One batch."""
        return jr.normal(key, self.like.shape, self.like.dtype)


def standard_normal(x: Array) -> Array:
    """Log-density of N(0, I) at one array."""
    return jnp.sum(jax.scipy.stats.norm.logpdf(x))


def _as_samples(name: str, X: Any, least: int = 2) -> np.ndarray:
    samples = np.asarray(X)
    if samples.ndim < 2 or len(samples) < least or samples.size == 0:
        raise ValueError(
            f"Transport: {name} has shape {samples.shape}; expected (n, *shape) with n >= {least}. A single column is "
            "X[:, None]."
        )
    if samples.dtype.kind not in "fiub":
        raise TypeError(f"Transport: {name} holds {samples.dtype}; expected numbers.")
    samples = samples.astype(np.float64)
    if not np.all(np.isfinite(samples)):
        raise ValueError(f"Transport: {name} has {int(np.sum(~np.isfinite(samples)))} values that are not finite.")
    return samples


def _in_chunks(read: Callable, x: np.ndarray, key: PRNGKeyArray) -> np.ndarray:
    """`read(part, key)` over parts of one size, so that all share what was compiled."""
    size = min(CHUNK, len(x))
    parts = []
    for i, first in enumerate(range(0, len(x), size)):
        index = np.minimum(np.arange(first, first + size), len(x) - 1)
        parts.append(np.asarray(read(jnp.asarray(x[index]), jr.fold_in(key, i)))[: len(x) - first])
    return np.concatenate(parts)
