"""One exponential integrator in log-SNR: DDIM, DPM-Solver, DPM-Solver++, its SDE form, and the mean-reverting samplers.

In centred coordinates, with λ = log(α/σ), q the network's reading (data x̂_0 or noise ε̂) and h = λ_t - λ_s > 0,

    data, ODE:   x_t = (σ_t/σ_s) x_s + α_t ∫_0^h e^{-(h-u)} q(u) du
    data, SDE:   x_t = (σ_t/σ_s) e^{-h} x_s + α_t ∫_0^h 2 e^{-2(h-u)} q(u) du + σ_t sqrt(1 - e^{-2h}) ξ
    noise, ODE:  x_t = (α_t/α_s) x_s - σ_t ∫_0^h e^{h-u} q(u) du
    noise, SDE:  x_t = (α_t/α_s) x_s - 2 σ_t ∫_0^h e^{h-u} q(u) du + σ_t sqrt(e^{2h} - 1) ξ

and q is the polynomial through the last one, two or three readings (Adams-Bashforth). Lu et al., NeurIPS 2022 and
arXiv 2211.01095; Li et al., ICLR 2025 for mean reversion, which here is only the centring.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from cadlag.diffusion._constraint import AbstractConstraint
from cadlag.diffusion._denoiser import AbstractDenoiser
from cadlag.diffusion._grid import AbstractGrid, UniformLogSNR
from cadlag.diffusion._prediction import AbstractPrediction, Data, Noise
from cadlag.diffusion._sampler import AbstractSampler, Sampled, check_steps
from cadlag.diffusion._schedule import AbstractSchedule
from cadlag.solve import AbstractAdjoint, Direct


class DPMSolver(AbstractSampler):
    """Multistep exponential integrator of order 1 to 3, one evaluation a step; ODE or SDE; reads data or noise.

    **Arguments:**

    - `steps`: number of steps and evaluations (one more with `denoise`).
    - `order`: 1 (DDIM), 2 (default) or 3. The first steps have lower order.
    - `stochastic`: the reverse SDE instead of the probability flow. Order 1 with data is the posterior (ancestral)
      sampler.
    - `reads`: `Data()` (default, steadier with few steps) or `Noise()`; independent of what the network predicts.
    - `grid`: `UniformLogSNR()` (default), `UniformTime()`, `Karras()`.
    - `lower_final`: lower the order in the last steps, for very few steps.
    - `denoise`: end with x̂_0 at `t_min`, one evaluation more.
    - `adjoint`: how a loss on the sample is differentiated; see `solve`.
    """

    steps: int = eqx.field(static=True, default=20)
    order: int = eqx.field(static=True, default=2)
    stochastic: bool = eqx.field(static=True, default=False)
    reads: AbstractPrediction = Data()
    grid: AbstractGrid = UniformLogSNR()
    lower_final: bool = eqx.field(static=True, default=False)
    denoise: bool = eqx.field(static=True, default=False)
    adjoint: AbstractAdjoint = Direct()

    def __check_init__(self):
        check_steps("DPMSolver", self.steps)
        if self.order not in (1, 2, 3):
            raise ValueError(f"DPMSolver: order={self.order!r}; expected 1, 2 or 3.")
        if not isinstance(self.reads, Data | Noise):
            raise TypeError(
                f"DPMSolver: reads={self.reads!r}; expected Data() or Noise(). Any network will do: its output is "
                "converted."
            )

    def run(
        self,
        denoiser: AbstractDenoiser,
        x: Array,
        *,
        key: PRNGKeyArray,
        cond: Any = None,
        constraint: AbstractConstraint | None = None,
    ) -> Sampled:
        """A scan over precomputed coefficients."""
        schedule = denoiser.schedule
        times = self.grid(schedule, self.steps, x.dtype)
        keep, weights, noise = self.coefficients(schedule, times)

        def body(carry: tuple[Array, tuple], row: tuple) -> tuple[tuple[Array, tuple], None]:
            (y, past), (s, t, a, w, n, step_key) = carry, row
            readings = (self._read(denoiser, s, y, cond), *past)
            y = schedule.centre(y)
            y = a * y + sum(w[i] * q for i, q in enumerate(readings))
            noise_key, hold_key = jr.split(step_key)
            if self.stochastic:
                y = y + n * jr.normal(noise_key, x.shape, x.dtype)
            y = schedule.uncentre(y)
            if constraint is not None:
                y = constraint.apply(schedule, t, y, hold_key)
            return (y, readings[:-1]), None

        past = (jnp.zeros_like(x),) * (self.order - 1)
        rows = (times[:-1], times[1:], keep, weights, noise, jr.split(key, self.steps))
        (y, _), _ = self.adjoint.loop(body, (x, past), rows, self.steps)
        if self.denoise:
            y = denoiser.read(times[-1], y, cond=cond).data
        y = y if constraint is None else constraint.finish(y)
        return Sampled(y, self.steps + int(self.denoise))

    def _read(self, denoiser: AbstractDenoiser, t: Array, x: Array, cond: Any) -> Array:
        noise, data = denoiser.read(t, x, cond=cond)
        return denoiser.schedule.centre(data) if isinstance(self.reads, Data) else noise

    def coefficients(self, schedule: AbstractSchedule, times: Array) -> tuple[Array, Array, Array]:
        """Per step: the factor of x, shape (steps,), weights of the readings (steps, order), noise (steps,)."""
        half = 0.5 * schedule.log_snr(times)
        h = jnp.diff(half)
        alpha, sigma = schedule.alpha(times), schedule.sigma(times)
        if isinstance(self.reads, Data):
            keep, moments, noise = self._data_form(h, alpha, sigma)
        else:
            keep, moments, noise = self._noise_form(h, alpha, sigma)
        return keep, self._weights(h, moments), noise

    def _data_form(self, h: Array, alpha: Array, sigma: Array) -> tuple[Array, tuple, Array]:
        ratio, scale = sigma[1:] / sigma[:-1], alpha[1:]
        if not self.stochastic:
            decay = jnp.expm1(-h)
            return ratio, (-scale * decay, scale * (h + decay), scale * (h * h - 2 * (h + decay))), jnp.zeros_like(h)
        decay = 0.5 * jnp.expm1(-2 * h)
        moments = (-2 * scale * decay, scale * (h + decay), scale * (h * h - (h + decay)))
        return ratio * jnp.exp(-h), moments, sigma[1:] * jnp.sqrt(-jnp.expm1(-2 * h))

    def _noise_form(self, h: Array, alpha: Array, sigma: Array) -> tuple[Array, tuple, Array]:
        growth = jnp.expm1(h)
        scale = -sigma[1:] * (2 if self.stochastic else 1)
        moments = (scale * growth, scale * (growth - h), scale * (2 * (growth - h) - h * h))
        noise = sigma[1:] * jnp.sqrt(jnp.expm1(2 * h)) if self.stochastic else jnp.zeros_like(h)
        return alpha[1:] / alpha[:-1], moments, noise

    def _weights(self, h: Array, moments: tuple) -> Array:
        """Weights of the readings, shape (steps, order), from the moments ∫ kernel u^j du."""
        orders = np.minimum(self.order, np.arange(1, self.steps + 1))
        if self.lower_final:
            orders = np.minimum(orders, np.arange(self.steps, 0, -1))
        # Past steps; before the first there are none, and the orders do not ask for them.
        h1, h2 = jnp.roll(h, 1), jnp.roll(h, 2)
        weights = [jnp.stack(_by_differences(order, moments, h1, h2), axis=1) for order in range(1, self.order + 1)]
        chosen = [jnp.asarray(orders == order)[:, None] for order in range(1, self.order + 1)]
        return jnp.select(chosen, weights)[:, : self.order]


def _by_differences(order: int, moments: tuple, h1: Array, h2: Array) -> tuple[Array, Array, Array]:
    """Newton's form through the last readings, with f01 = (q_0 - q_1)/h1 and f012 = (f01 - f12)/(h1 + h2):

    q(u) = q_0 + u (f01 + h1 f012) + u² f012.
    """
    m0, m1, m2 = moments
    zero = jnp.zeros_like(m0)
    if order == 1:
        return m0, zero, zero
    if order == 2:
        return m0 + m1 / h1, -m1 / h1, zero
    curvature = (m2 + h1 * m1) / (h1 + h2)
    first, second = (m1 + curvature) / h1, curvature / h2
    return m0 + first, -first - second, second
