"""Denoisers: what is expected of data and noise, given x_t. Everything else about a diffusion model follows.

With x̂_0 = E[x_0 | x_t] and ε̂ = E[z | x_t] (one evaluation of the network gives both),

    score = -ε̂/σ,   probability flow: dx/dt = α' (x̂_0 - μ) + σ' ε̂,   reverse SDE: flow - ½ λ² g² score.
"""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from cadlag.diffusion._prediction import AbstractPrediction, Noise
from cadlag.diffusion._schedule import AbstractSchedule
from cadlag.distributions import GaussianMixture

D = TypeVar("D", bound="AbstractDenoiser")


class Reading(NamedTuple):
    """Expected noise ε̂ and data x̂_0, each like x."""

    noise: Array
    data: Array


class AbstractDenoiser(eqx.Module):
    """Expected noise and data given x_t, for one x of any shape. Samplers, losses and likelihoods see nothing else.

    To write your own: hold a `schedule` and give `read(t, x, cond=, key=) → Reading` with
    x = μ + α (data - μ) + σ noise. `t` is a scalar of the dtype of x.
    """

    schedule: eqx.AbstractVar[AbstractSchedule]

    @abc.abstractmethod
    def read(self, t: Array, x: Array, *, cond: Any = None, key: PRNGKeyArray | None = None) -> Reading:
        """Expected noise and data at (t, x), under the condition `cond`."""

    def noise(self, t: Array, x: Array, cond: Any = None) -> Array:
        """ε̂ = E[z | x_t]."""
        return self.read(t, x, cond=cond).noise

    def data(self, t: Array, x: Array, cond: Any = None) -> Array:
        """x̂_0 = E[x_0 | x_t]."""
        return self.read(t, x, cond=cond).data

    def score(self, t: Array, x: Array, cond: Any = None) -> Array:
        """∇ log p_t(x) = -ε̂/σ."""
        return -self.read(t, x, cond=cond).noise / self.schedule.sigma(t)

    def velocity(self, t: Array, x: Array, cond: Any = None) -> Array:
        """dx/dt of the probability flow."""
        noise, data = self.read(t, x, cond=cond)
        schedule = self.schedule
        return schedule.alpha_rate(t) * schedule.centre(data) + schedule.sigma_rate(t) * noise

    def shifted(self: D, shift: Array | None) -> D:
        """The same denoiser on a schedule that reverts to `shift`."""
        return eqx.tree_at(lambda d: d.schedule, self, self.schedule.shifted(shift))


class Denoiser(AbstractDenoiser):
    """A network, its schedule, and what it predicts.

    **Arguments:**

    - `network`: called `network(level, x, cond=cond, key=key)` with the scalar level = log(σ/α) and x centred and
      scaled to unit variance; returns an array like x (a scalar for `Potential`). `cadlag.nn.ScoreMLP` and
      `cadlag.nn.UNet` are such networks.
    - `schedule`: any `AbstractSchedule`.
    - `prediction`: `Noise()` (default), `Data()`, `V()`, `Velocity()`, `Score()` or `Potential()`.
    - `data_std`: deviation of the centred data, for the scale of the network's input, 1/sqrt(α² std² + σ²).
    """

    network: Callable
    schedule: AbstractSchedule
    prediction: AbstractPrediction = Noise()
    data_std: float = 1.0

    def __check_init__(self):
        check_parts(self.schedule, self.prediction)
        if not self.data_std > 0:
            raise ValueError(f"Denoiser: data_std={self.data_std} must be positive.")

    def output(self, t: Array, x: Array, *, cond: Any = None, key: PRNGKeyArray | None = None) -> Array:
        """The network's own output at centred x."""
        alpha, sigma = self.schedule.alpha(t), self.schedule.sigma(t)
        scale = 1 / jnp.sqrt(jnp.square(alpha * self.data_std) + jnp.square(sigma))
        return self.network(self.schedule.level(t), scale * x, cond=cond, key=key)

    def read(self, t: Array, x: Array, *, cond: Any = None, key: PRNGKeyArray | None = None) -> Reading:
        """One evaluation of the network, read as noise and data."""
        centred = self.schedule.centre(x)
        noise, data = self.prediction.read(lambda y: self.output(t, y, cond=cond, key=key), self.schedule, t, centred)
        return Reading(noise, self.schedule.uncentre(data))


def check_parts(schedule: Any, prediction: Any) -> None:
    """Refuse what is no schedule and no prediction."""
    if not isinstance(schedule, AbstractSchedule):
        raise TypeError(
            f"Denoiser: schedule is a {type(schedule).__name__}; expected a schedule such as VP() or Flow(). "
            "An Interpolant joins two arbitrary laws and has no log-SNR: use InterpolantModel."
        )
    if not isinstance(prediction, AbstractPrediction):
        raise TypeError(
            f"Denoiser: prediction is {prediction!r}; expected Noise(), Data(), V(), Velocity(), Score() or "
            "Potential()."
        )


class ExactDenoiser(AbstractDenoiser):
    """The denoiser of a Gaussian mixture in closed form: no network, no error. For tests, docs and benchmarks.

    **Arguments:** `law`, a mixture of vectors x of shape (D,); `schedule`.
    """

    law: GaussianMixture
    schedule: AbstractSchedule

    def read(self, t: Array, x: Array, *, cond: Any = None, key: PRNGKeyArray | None = None) -> Reading:
        """Posterior means."""
        schedule = self.schedule
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        data = self.law.posterior_mean(x, alpha, sigma, 0.0 if schedule.shift is None else schedule.shift)
        return Reading((schedule.centre(x) - alpha * schedule.centre(data)) / sigma, data)


class FunctionDenoiser(AbstractDenoiser):
    """A denoiser from a function (t, x, cond) → x̂_0, e.g. one that was not trained here."""

    function: Callable
    schedule: AbstractSchedule

    def read(self, t: Array, x: Array, *, cond: Any = None, key: PRNGKeyArray | None = None) -> Reading:
        """Data from the function, noise from data."""
        data, schedule = self.function(t, x, cond), self.schedule
        noise = (schedule.centre(x) - schedule.alpha(t) * schedule.centre(data)) / schedule.sigma(t)
        return Reading(noise, data)
