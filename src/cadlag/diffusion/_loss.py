"""Losses that train a denoiser: denoising score matching, and score matching without noise for small dimensions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.diffusion._denoiser import Denoiser
from cadlag.diffusion._prediction import AbstractWeighting, Potential, Simple
from cadlag.linalg import value_and_divergence


class Examples(NamedTuple):
    """A batch: data (batch, *shape), conditions and shifts μ with the same leading axis, or None."""

    x: Array
    cond: Any = None
    shift: Array | None = None


class DenoisingLoss(eqx.Module):
    """Denoising score matching: the mean over examples, times and noises of w(t) |ε̂(x_t) - z|² per dimension.

    A loss for `cadlag.train.gradient`: call `loss(denoiser, batch, key) → (loss, info)`, with `batch` an array
    (batch, *shape) or `Examples`. Times are uniform in [t_min, t_max], stratified over the batch: one in each of as
    many equal cells as there are examples (Kingma et al. 2021, appendix I.1).

    **Arguments:**

    - `weighting`: `Simple()` (default), `Likelihood()`, `MinSNR()` or `Native()`.
    - `t_min`, `t_max`: None for the schedule's own cut-offs.
    - `antithetic`: each example is noised with z and with -z at the same time, which tames 1/σ near the data.
    - `drop`, `null`: the condition is replaced by `null` with probability `drop`, for classifier-free guidance.

    Vincent, Neural Computation 23 (2011); Song et al., ICLR 2021, eq. 7.
    """

    weighting: AbstractWeighting = Simple()
    t_min: float | None = None
    t_max: float | None = None
    antithetic: bool = False
    drop: float = 0.0
    null: Any = None

    def __check_init__(self):
        if not 0 <= self.drop < 1:
            raise ValueError(f"DenoisingLoss: drop={self.drop} must lie in [0, 1).")
        if self.drop > 0 and self.null is None:
            raise ValueError("DenoisingLoss: drop needs `null`, the condition that stands for 'none'.")

    def __call__(self, denoiser: Denoiser, batch: Any, key: PRNGKeyArray) -> tuple[Array, dict]:
        """Mean loss over a batch."""
        examples = batch if isinstance(batch, Examples) else Examples(batch)
        # A schedule may hold arrays (a table): they are not learnt here.
        fixed = jax.tree.map(lambda x: jax.lax.stop_gradient(x) if eqx.is_array(x) else x, denoiser.schedule)
        denoiser = eqx.tree_at(lambda d: d.schedule, denoiser, fixed)
        n, dtype = examples.x.shape[0], examples.x.dtype
        time_key, noise_key, drop_key, net_key = jr.split(key, 4)
        times = self._times(denoiser, n, dtype, time_key)
        noises = jr.normal(noise_key, examples.x.shape, dtype)
        cond = self._drop(examples.cond, n, drop_key)
        keys = jr.split(net_key, n)
        one = lambda x, c, m, t, z, k: self._example(denoiser.shifted(m) if m is not None else denoiser, x, c, t, z, k)  # noqa: E731
        losses = jax.vmap(one)(examples.x, cond, examples.shift, times, noises, keys)
        return jnp.mean(losses), {}

    def _times(self, denoiser: Denoiser, n: int, dtype: Any, key: PRNGKeyArray) -> Array:
        low = denoiser.schedule.t_min if self.t_min is None else self.t_min
        high = denoiser.schedule.t_max if self.t_max is None else self.t_max
        cells = (jnp.arange(n, dtype=dtype) + jr.uniform(key, (n,), dtype)) / n
        return low + (high - low) * cells

    def _drop(self, cond: Any, n: int, key: PRNGKeyArray) -> Any:
        if self.drop == 0 or cond is None:
            return cond
        dropped = jr.bernoulli(key, self.drop, (n,))

        def replace(c: Array, null: Any) -> Array:
            mask = dropped.reshape(n, *(1 for _ in c.shape[1:]))
            return jnp.where(mask, jnp.asarray(null, c.dtype), c)

        return jax.tree.map(replace, cond, self.null)

    def _example(self, denoiser: Denoiser, x: Array, cond: Any, t: Array, z: Array, key: PRNGKeyArray) -> Array:
        loss = self._error(denoiser, x, cond, t, z, key)
        if self.antithetic:
            loss = 0.5 * (loss + self._error(denoiser, x, cond, t, -z, key))
        return self.weighting.weight(denoiser.schedule, t) * loss

    def _error(self, denoiser: Denoiser, x: Array, cond: Any, t: Array, z: Array, key: PRNGKeyArray) -> Array:
        schedule = denoiser.schedule
        x0 = schedule.centre(x)
        noised = schedule.alpha(t) * x0 + schedule.sigma(t) * z
        if not self.weighting.native:
            reading = denoiser.read(t, schedule.uncentre(noised), cond=cond, key=key)
            return jnp.mean(jnp.square(reading.noise - z))
        network = lambda y: denoiser.output(t, y, cond=cond, key=key)  # noqa: E731
        output = jax.grad(network)(noised) if isinstance(denoiser.prediction, Potential) else network(noised)
        return jnp.mean(jnp.square(output - denoiser.prediction.target(schedule, t, x0, z)))


def exact_score_matching(score: Callable, x: Float[Array, "batch *shape"]) -> Float[Array, ""]:
    """Mean of ½ |s(x)|² + ∇·s(x): minimal at the score of the data's own law; for small dimensions.

    Hyvärinen, JMLR 6 (2005), eq. 4. `score` maps one x to an array like it; the cost is one forward-mode derivative a
    dimension.
    """

    def one(y: Array) -> Array:
        value, divergence = value_and_divergence(score, y)
        return 0.5 * jnp.sum(jnp.square(value)) + divergence

    return jnp.mean(jax.vmap(one)(x))


def sliced_score_matching(
    score: Callable, x: Float[Array, "batch *shape"], key: PRNGKeyArray, *, slices: int = 1
) -> Float[Array, ""]:
    """The same loss with the divergence from random projections, vᵀ∇s v with v standard normal.

    Song et al., UAI 2019, the variance-reduced form (½ |s|² in place of ½ (vᵀs)²).
    """
    probes = jr.normal(key, (x.shape[0], slices, *x.shape[1:]), x.dtype)

    def one(y: Array, v: Array) -> Array:
        value, divergence = value_and_divergence(score, y, probes=v)
        return 0.5 * jnp.sum(jnp.square(value)) + divergence

    return jnp.mean(jax.vmap(one)(x, probes))
