"""Guidance: denoisers made from denoisers by adding a gradient to the score.

Bayes' rule in scores: ∇ log p_t(x | y) = ∇ log p_t(x) + ∇ log p_t(y | x). A guided denoiser is a denoiser, so every
sampler, corrector and the probability flow take it.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from cadlag.diffusion._denoiser import AbstractDenoiser, Reading
from cadlag.diffusion._schedule import AbstractSchedule


class Guided(AbstractDenoiser):
    """Adds `scale` ∇ log p_t(y | x): classifier guidance, or any differentiable surrogate.

    **Arguments:**

    - `denoiser`: an unconditional one (with `conditional`, it is given the condition too).
    - `log_likelihood(t, x, cond)`: a scalar, e.g. the log-probability of class `cond` by a classifier trained on noisy
      x.
    - `scale`: weight of the gradient; 1 is Bayes' rule.

    Song et al., ICLR 2021, eq. 14; Dhariwal & Nichol, NeurIPS 2021.
    """

    denoiser: AbstractDenoiser
    log_likelihood: Callable
    scale: float = 1.0
    conditional: bool = eqx.field(static=True, default=False)

    @property
    def schedule(self) -> AbstractSchedule:  # pyright: ignore[reportIncompatibleVariableOverride]
        """That of the denoiser."""
        return self.denoiser.schedule

    def read(self, t: Array, x: Array, *, cond: Any = None, key: PRNGKeyArray | None = None) -> Reading:
        """The reading with the gradient added to its score."""
        reading = self.denoiser.read(t, x, cond=cond if self.conditional else None, key=key)
        gradient = jax.grad(lambda y: self.log_likelihood(t, y, cond))(x)
        return _add_score(self.schedule, t, reading, self.scale * gradient)

    def shifted(self, shift: Array | None) -> "Guided":
        """The same on a schedule that reverts to `shift`."""
        return eqx.tree_at(lambda d: d.denoiser, self, self.denoiser.shifted(shift))


class ClassifierFree(AbstractDenoiser):
    """ε = ε_∅ + w (ε_cond - ε_∅): one denoiser trained with and without its condition (Ho & Salimans 2022).

    **Arguments:** `denoiser`; `null`, the condition that stands for 'none'; `weight` w: 0 is unconditional, 1 the
    conditional model, more exaggerates. Both readings are one batched evaluation.
    """

    denoiser: AbstractDenoiser
    null: Any
    weight: float = 1.0

    @property
    def schedule(self) -> AbstractSchedule:  # pyright: ignore[reportIncompatibleVariableOverride]
        """That of the denoiser."""
        return self.denoiser.schedule

    def read(self, t: Array, x: Array, *, cond: Any = None, key: PRNGKeyArray | None = None) -> Reading:
        """Both readings, mixed."""
        if cond is None:
            raise ValueError("ClassifierFree needs a condition: pass `cond` to `sample`.")
        both = jax.tree.map(
            lambda c, n: jnp.stack([jnp.asarray(c), jnp.asarray(n, jnp.asarray(c).dtype)]), cond, self.null
        )
        readings = jax.vmap(lambda c: self.denoiser.read(t, x, cond=c, key=key))(both)
        return jax.tree.map(lambda r: r[1] + self.weight * (r[0] - r[1]), readings)

    def shifted(self, shift: Array | None) -> "ClassifierFree":
        """The same on a schedule that reverts to `shift`."""
        return eqx.tree_at(lambda d: d.denoiser, self, self.denoiser.shifted(shift))


class LinearGuidance(AbstractDenoiser):
    """Conditions on a linear measurement y = A x_0 + noise: super-resolution, deblurring, masks with noise.

    The law of x_0 given x_t is taken as normal around x̂_0 with the variance r² = τ² σ²/(α² τ² + σ²) that data of
    deviation τ would have, so ∇ log p_t(y | x) = Jᵀ Aᵀ (r² A Aᵀ + ν² I)⁻¹ (y - A x̂_0), J the Jacobian of x̂_0. Exact
    for white Gaussian data. Song, Vahdat, Mardani & Kautz, ICLR 2023, eq. 8.

    **Arguments:**

    - `denoiser`; `operator`, a linear function of one x; `measurement` y, like its value.
    - `noise_std`: ν ≥ 0 of the measurement. `data_std`: τ.
    """

    denoiser: AbstractDenoiser
    operator: Callable
    measurement: Array
    noise_std: float
    data_std: float
    values: Array
    vectors: Array

    def __init__(
        self,
        denoiser: AbstractDenoiser,
        operator: Callable,
        measurement: Array,
        x: Array,
        *,
        noise_std: float = 0.0,
        data_std: float = 1.0,
    ):
        """`x`: any array like one sample, for its shape and dtype."""
        out = jax.eval_shape(operator, x)
        if out.shape != measurement.shape:
            raise ValueError(
                f"LinearGuidance: the operator maps {x.shape} to {out.shape}, but the measurement has shape "
                f"{measurement.shape}."
            )
        if noise_std < 0 or not data_std > 0:
            raise ValueError(f"LinearGuidance: noise_std={noise_std} must be at least 0, data_std={data_std} positive.")
        matrix = jax.jacfwd(operator)(x).reshape(measurement.size, x.size)
        self.values, self.vectors = jnp.linalg.eigh(matrix @ matrix.T)
        self.denoiser, self.operator, self.measurement = denoiser, operator, measurement
        self.noise_std, self.data_std = noise_std, data_std

    @property
    def schedule(self) -> AbstractSchedule:  # pyright: ignore[reportIncompatibleVariableOverride]
        """That of the denoiser."""
        return self.denoiser.schedule

    def read(self, t: Array, x: Array, *, cond: Any = None, key: PRNGKeyArray | None = None) -> Reading:
        """The reading with the measurement's gradient added to its score."""

        def expect(y: Array) -> tuple[Array, Reading]:
            reading = self.denoiser.read(t, y, cond=cond, key=key)
            return self.operator(reading.data), reading

        seen, pull_back, reading = jax.vjp(expect, x, has_aux=True)
        schedule = self.schedule
        s2 = jnp.square(schedule.sigma(t))
        spread = self.data_std**2 * s2 / (jnp.square(schedule.alpha(t) * self.data_std) + s2)
        residual = self.vectors.T @ (self.measurement - seen).ravel()
        # Directions that A does not see have the eigenvalue zero, up to rounding.
        scale = spread * jnp.maximum(self.values, 0) + self.noise_std**2
        tiny = jnp.finfo(x.dtype).eps * spread * jnp.max(self.values)
        solved = self.vectors @ jnp.where(scale > tiny, residual / jnp.maximum(scale, tiny), 0 * residual)
        (gradient,) = pull_back(solved.reshape(seen.shape))
        return _add_score(schedule, t, reading, gradient)

    def shifted(self, shift: Array | None) -> "LinearGuidance":
        """The same on a schedule that reverts to `shift`."""
        return eqx.tree_at(lambda d: d.denoiser, self, self.denoiser.shifted(shift))


def _add_score(schedule: AbstractSchedule, t: Array, reading: Reading, gradient: Array) -> Reading:
    sigma = schedule.sigma(t)
    noise = reading.noise - sigma * gradient
    return Reading(noise, reading.data + jnp.square(sigma) / schedule.alpha(t) * gradient)
