"""What a sampler is; the samplers that take one evaluation after another: predictors, and correctors between them.

Times fall from `t_max` to `t_min` of the schedule; a step goes from s to t < s. With a = α_s/α_t and
G² = σ_s² - a² σ_t², the forward chain is x_s = a x_t + G z (centred), for every schedule.
"""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, PRNGKeyArray

from cadlag.diffusion._constraint import AbstractConstraint
from cadlag.diffusion._denoiser import AbstractDenoiser
from cadlag.diffusion._grid import AbstractGrid, UniformTime
from cadlag.diffusion._schedule import AbstractSchedule
from cadlag.solve import AbstractAdjoint, Direct

# The axis over which `sample` maps: correctors average their norms along it.
BATCH = "batch"


class Sampled(NamedTuple):
    """A sample and how many evaluations of the denoiser it took."""

    x: Array
    evaluations: Any


class AbstractSampler(eqx.Module):
    """Draws x at `t_min` from x at `t_max`, for one x; `sample` makes batches.

    To write your own: give `run(denoiser, x, *, key, cond, constraint) → Sampled`.
    """

    @abc.abstractmethod
    def run(
        self,
        denoiser: AbstractDenoiser,
        x: Array,
        *,
        key: PRNGKeyArray,
        cond: Any = None,
        constraint: AbstractConstraint | None = None,
    ) -> Sampled:
        """One sample, under the condition `cond` and a constraint."""


class AbstractPredictor(eqx.Module):
    """One step of a sampler with one evaluation.

    To write your own: give `step(denoiser, x, s, t, cond, key) → (x_t, mean)`, `mean` being x_t without its noise.
    """

    @abc.abstractmethod
    def step(
        self, denoiser: AbstractDenoiser, x: Array, s: Array, t: Array, cond: Any, key: PRNGKeyArray
    ) -> tuple[Array, Array]:
        """From s to t < s."""


class EulerStep(AbstractPredictor):
    """Euler-Maruyama on the reverse SDE of noise level λ: 1 is Anderson's, 0 the probability flow."""

    noise_level: float = 1.0

    def step(
        self, denoiser: AbstractDenoiser, x: Array, s: Array, t: Array, cond: Any, key: PRNGKeyArray
    ) -> tuple[Array, Array]:
        """x - h (flow - ½ λ² g² score) + λ g sqrt(h) ξ, h = s - t."""
        noise, data = denoiser.read(s, x, cond=cond)
        schedule, h = denoiser.schedule, s - t
        g2 = self.noise_level**2 * schedule.squared_diffusion(s)
        flow = schedule.alpha_rate(s) * schedule.centre(data) + schedule.sigma_rate(s) * noise
        mean = x - h * (flow + 0.5 * g2 / schedule.sigma(s) * noise)
        return mean + jnp.sqrt(g2 * h) * jr.normal(key, x.shape, x.dtype), mean


class ReverseDiffusionStep(AbstractPredictor):
    """The reverse SDE discretised as the forward chain is (Song et al. 2021, appendix E): any schedule.

    mean = (2 - a) x + ½ (1 + λ²) G² score (centred), noise λ G; λ = 0 is the paper's probability-flow predictor.
    """

    noise_level: float = 1.0

    def step(
        self, denoiser: AbstractDenoiser, x: Array, s: Array, t: Array, cond: Any, key: PRNGKeyArray
    ) -> tuple[Array, Array]:
        """One step."""
        schedule = denoiser.schedule
        a, g2 = chain(schedule, s, t)
        score = -denoiser.read(s, x, cond=cond).noise / schedule.sigma(s)
        mean = schedule.uncentre((2 - a) * schedule.centre(x)) + 0.5 * (1 + self.noise_level**2) * g2 * score
        return mean + self.noise_level * jnp.sqrt(g2) * jr.normal(key, x.shape, x.dtype), mean


class AncestralStep(AbstractPredictor):
    """The chain's own reverse kernel: mean (x + G² score)/a (centred), Ho et al. 2020, eq. 7.

    **Arguments:** `posterior`: with the variance G² σ_t²/σ_s² of q(x_t | x_s, x_0) (default; the ancestral sampler of
    VE), or with G² (DDPM's larger choice, and that of Song et al. 2021 for VP).
    """

    posterior: bool = True

    def step(
        self, denoiser: AbstractDenoiser, x: Array, s: Array, t: Array, cond: Any, key: PRNGKeyArray
    ) -> tuple[Array, Array]:
        """One step."""
        schedule = denoiser.schedule
        a, g2 = chain(schedule, s, t)
        sigma = schedule.sigma(s)
        score = -denoiser.read(s, x, cond=cond).noise / sigma
        mean = schedule.uncentre((schedule.centre(x) + g2 * score) / a)
        variance = g2 * jnp.square(schedule.sigma(t) / sigma) if self.posterior else g2
        return mean + jnp.sqrt(variance) * jr.normal(key, x.shape, x.dtype), mean


class DDIMStep(AbstractPredictor):
    """x_t = α_t x̂_0 + sqrt(σ_t² - ν²) ε̂ + ν ξ, ν = η σ_t sqrt(1 - (α_s σ_t/(α_t σ_s))²) (Song, Meng & Ermon 2021).

    η = 0 is deterministic; η = 1 is `AncestralStep`. Written in x̂_0 and ε̂, it starts from infinite log-SNR and ends
    there without a special case.
    """

    eta: float = 0.0

    def __check_init__(self):
        if not 0 <= self.eta <= 1:
            raise ValueError(f"DDIMStep: eta={self.eta} must lie in [0, 1].")

    def step(
        self, denoiser: AbstractDenoiser, x: Array, s: Array, t: Array, cond: Any, key: PRNGKeyArray
    ) -> tuple[Array, Array]:
        """One step."""
        schedule = denoiser.schedule
        noise, data = denoiser.read(s, x, cond=cond)
        sigma = schedule.sigma(t)
        ratio = schedule.alpha(s) * sigma / (schedule.alpha(t) * schedule.sigma(s))
        fresh = self.eta * sigma * jnp.sqrt(1 - jnp.square(ratio))
        # sqrt(σ_t² - ν²) in a form that rounding cannot make the root of a negative number, as where α_s is almost 0.
        kept = sigma * jnp.sqrt(1 - self.eta**2 + jnp.square(self.eta * ratio))
        mean = schedule.uncentre(schedule.alpha(t) * schedule.centre(data) + kept * noise)
        return (mean, mean) if self.eta == 0 else (mean + fresh * jr.normal(key, x.shape, x.dtype), mean)


def chain(schedule: AbstractSchedule, s: Array, t: Array) -> tuple[Array, Array]:
    """a = α_s/α_t and G² = σ_s² (1 - SNR_s/SNR_t) of the forward chain from t to s."""
    gap = schedule.log_snr(s) - schedule.log_snr(t)
    return schedule.alpha(s) / schedule.alpha(t), -jnp.square(schedule.sigma(s)) * jnp.expm1(gap)


class Langevin(eqx.Module):
    """Langevin steps at one noise level: x + e s + sqrt(2e) z, e = 2a (r |z|/|s|)² (Song et al. 2021, algorithm 4, 5).

    **Arguments:** `snr`, the ratio r (useful: 0.05 to 0.2; 0: the identity); `steps` at each level. a = (α_s/α_t)², for
    every schedule. The two norms are averaged over the batch that `sample` maps over, as published: what is drawn
    depends on who else is in the batch.
    """

    snr: float = 0.16
    steps: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        if self.snr < 0 or self.steps < 1:
            raise ValueError(f"Langevin: snr={self.snr} must not be negative, and steps={self.steps} at least 1.")

    def step(self, denoiser: AbstractDenoiser, x: Array, s: Array, t: Array, cond: Any, key: PRNGKeyArray) -> Array:
        """One Langevin step at s."""
        schedule = denoiser.schedule
        score = -denoiser.read(s, x, cond=cond).noise / schedule.sigma(s)
        z = jr.normal(key, x.shape, x.dtype)
        ratio = _batch_norm(z) / _batch_norm(score)
        a = jnp.square(schedule.alpha(s) / schedule.alpha(t))
        size = 2 * a * jnp.square(self.snr * ratio)
        return x + size * score + jnp.sqrt(2 * size) * z


def _batch_norm(x: Array) -> Array:
    """Euclidean norm, averaged over the batch where there is one."""
    norm = jnp.sqrt(jnp.sum(jnp.square(x)))
    try:
        return jax.lax.pmean(norm, BATCH)
    except NameError:
        return norm


class PredictorCorrector(AbstractSampler):
    """Correct at each time, then predict the next (Song et al. 2021, algorithm 1); without a corrector, predict only.

    **Arguments:**

    - `steps`: number of predictor steps. Evaluations: steps (1 + corrector.steps).
    - `predictor`: `ReverseDiffusionStep()` (default), `AncestralStep()`, `EulerStep()` or `DDIMStep()`.
    - `corrector`: `Langevin()` or None.
    - `grid`: where to step, `UniformTime()`.
    - `denoise`: return the last step's mean, without its noise.
    - `adjoint`: how a loss on the sample is differentiated; see `solve`.
    """

    steps: int = eqx.field(static=True, default=100)
    predictor: AbstractPredictor = ReverseDiffusionStep()
    corrector: Langevin | None = None
    grid: AbstractGrid = UniformTime()
    denoise: bool = eqx.field(static=True, default=True)
    adjoint: AbstractAdjoint = Direct()

    def __check_init__(self):
        check_steps("PredictorCorrector", self.steps)

    def run(
        self,
        denoiser: AbstractDenoiser,
        x: Array,
        *,
        key: PRNGKeyArray,
        cond: Any = None,
        constraint: AbstractConstraint | None = None,
    ) -> Sampled:
        """The loop over the grid."""
        times = self.grid(denoiser.schedule, self.steps, x.dtype)

        def body(carry: tuple[Array, Array], row: tuple) -> tuple[tuple[Array, Array], None]:
            (y, _), (s, t, step_key) = carry, row
            correct_key, predict_key, constrain_key = jr.split(step_key, 3)
            y = self._correct(denoiser, y, s, t, cond, constraint, correct_key)
            y, mean = self.predictor.step(denoiser, y, s, t, cond, predict_key)
            if constraint is not None:
                y = constraint.apply(denoiser.schedule, t, y, constrain_key)
            return (y, mean), None

        rows = (times[:-1], times[1:], jr.split(key, self.steps))
        (y, mean), _ = self.adjoint.loop(body, (x, x), rows, self.steps)
        y = mean if self.denoise else y
        y = y if constraint is None else constraint.finish(y)
        per_step = 1 + (0 if self.corrector is None else self.corrector.steps)
        return Sampled(y, self.steps * per_step)

    def _correct(
        self,
        denoiser: AbstractDenoiser,
        x: Array,
        s: Array,
        t: Array,
        cond: Any,
        constraint: AbstractConstraint | None,
        key: PRNGKeyArray,
    ) -> Array:
        corrector = self.corrector
        if corrector is None:
            return x

        def body(y: Array, one: PRNGKeyArray) -> tuple[Array, None]:
            move, hold = jr.split(one)
            y = corrector.step(denoiser, y, s, t, cond, move)
            return (y if constraint is None else constraint.apply(denoiser.schedule, s, y, hold)), None

        # One step is the ordinary case: no loop within the loop.
        return body(x, key)[0] if corrector.steps == 1 else jax.lax.scan(body, x, jr.split(key, corrector.steps))[0]


def check_steps(name: str, steps: int) -> None:
    """Refuse a number of steps that is none."""
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"{name}: steps={steps!r}; expected a positive integer.")
