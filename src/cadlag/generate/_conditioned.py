"""A fitted generator under a condition: a class, known entries, a linear measurement, or any log-likelihood."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from cadlag.data import Affine
from cadlag.diffusion import (
    AbstractDenoiser,
    AbstractSampler,
    ClassifierFree,
    Guided,
    Inpainting,
    LinearGuidance,
    repeat,
    sample,
)

if TYPE_CHECKING:
    from cadlag.generate.generator import Generator


class Conditioned:
    """What `Generator.condition` returns: draws by `sample`; it has no density, which raises `TypeError`."""

    def __init__(
        self,
        generator: "Generator",
        *,
        label: Any,
        guidance: float,
        known: Any,
        operator: Callable | None,
        measurement: Any,
        noise_std: float,
        log_likelihood: Callable | None,
    ):
        if (operator is None) != (measurement is None):
            raise ValueError("condition: `operator` and `measurement` go together.")
        self._generator, self._label, self._guidance = generator, label, guidance
        self._known = None if known is None else self._check_known(known)
        self._denoiser = self._guided(operator, measurement, noise_std, log_likelihood)

    def sample(self, n: int = 1, *, sampler: AbstractSampler | None = None, seed: int = 0) -> np.ndarray:
        """Draw `n` samples, shape (n, *shape), in the data's own unit."""
        owner = self._generator
        constraint = self._constraint(n)
        drawn = sample(
            self._denoiser, owner.shape_, n, key=jr.key(seed), cond=owner._labels(self._label, n),
            constraint=constraint, dtype=owner.dtype_,
            sampler=owner.default_sampler(constrained=constraint is not None) if sampler is None else sampler,
        )  # fmt: skip
        x = np.array(owner.scaling_.invert(drawn))
        if self._known is not None:
            # To the digit: scaling there and back rounds.
            x = np.where(np.isnan(self._known), x, self._known)
        return x

    def log_prob(self, X: Any) -> np.ndarray:
        """Refused: guidance and replacement give samples, not a density."""
        raise TypeError(
            "A conditioned generator draws samples but has no density: its condition acts during sampling. For classes "
            "ask Generator.log_prob(X, condition=label)."
        )

    def _guided(
        self, operator: Callable | None, measurement: Any, noise_std: float, log_likelihood: Callable | None
    ) -> AbstractDenoiser:
        owner, denoiser = self._generator, self._generator.model_
        if self._guidance != 1.0:
            if owner.classes_ is None or self._label is None:
                raise ValueError("guidance needs a model fitted with labels, and a label.")
            if owner.drop == 0:
                raise ValueError("guidance needs a model fitted with drop > 0: it never saw samples without a label.")
            denoiser = ClassifierFree(
                denoiser=denoiser, null=jnp.asarray(len(owner.classes_), jnp.int32), weight=self._guidance
            )
        if operator is not None:
            like = jnp.zeros(owner.shape_, owner.dtype_)
            acting = _InUnits(operator, owner.scaling_)
            value = jnp.asarray(np.asarray(measurement), owner.dtype_) - operator(owner.scaling_.invert(like))
            denoiser = LinearGuidance(
                denoiser=denoiser, operator=acting, measurement=value, x=like, noise_std=noise_std
            )
        if log_likelihood is not None:
            denoiser = Guided(denoiser, _AtExpected(denoiser, log_likelihood, owner.scaling_), conditional=True)
        return denoiser

    def _check_known(self, known: Any) -> np.ndarray:
        known = np.asarray(known, self._generator.dtype_)
        shape = self._generator.shape_
        if known.shape[known.ndim - len(shape) :] != shape or known.ndim > len(shape) + 1:
            raise ValueError(f"known has shape {known.shape}; expected {shape}, NaN where unknown, or many of them.")
        if np.any(np.isinf(known)):
            raise ValueError("known holds an infinite value; NaN marks what is unknown.")
        return known

    def _constraint(self, n: int) -> Inpainting | None:
        if self._known is None:
            return None
        many = self._known.ndim > len(self._generator.shape_)
        if many and len(self._known) != n:
            raise ValueError(f"known holds {len(self._known)} arrays, but {n} samples were asked for.")
        mask = ~np.isnan(self._known)
        values = self._generator.scaling_.apply(jnp.asarray(np.nan_to_num(self._known)))
        if many:
            return Inpainting(values, jnp.asarray(mask))
        return repeat(Inpainting(values, jnp.asarray(mask)), n)


class _InUnits(eqx.Module):
    """The linear part of an operator in the data's unit, on scaled samples."""

    operator: Callable
    scaling: Affine

    def __call__(self, z: Array) -> Array:
        return self.operator(self.scaling.invert(z)) - self.operator(self.scaling.invert(jnp.zeros_like(z)))


class _AtExpected(eqx.Module):
    """log p(y | x_t) ≈ log p(y | x̂_0(x_t)) (Chung et al., ICLR 2023)."""

    denoiser: AbstractDenoiser
    log_likelihood: Callable
    scaling: Affine

    def __call__(self, t: Array, x: Array, cond: Any) -> Array:
        return jnp.sum(self.log_likelihood(self.scaling.invert(self.denoiser.data(t, x, cond))))
