"""Problems with known answers, for tests, docs and benchmarks."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.scipy as jsp
from jaxtyping import Array, Float

from cadlag.solve import ODE, SDE, AbstractProcess, Calculus, NoiseKind


class Problem(eqx.Module):
    """A process from t = 0 with what is known of its solution.

    `solution(t, w)` is the state at t given the Brownian motion's value w there (ignored by ODEs), `mean(t)` and
    `variance(t)` are moments at t; None where there is no closed form.
    """

    process: AbstractProcess
    y0: Float[Array, "state"]
    solution: Callable | None = None
    mean: Callable | None = None
    variance: Callable | None = None


def geometric_brownian_motion(
    drift: float = 0.5,
    volatility: float = 0.5,
    *,
    calculus: Calculus = Calculus.ito,
    y0: Any = (1.0,),
) -> Problem:
    """dy = a y dt + b y dW, diagonal: y_t = y_0 exp((a - b²/2) t + b W_t) in Itô's sense, without b²/2 in
    Stratonovich's.
    """
    start = jnp.asarray(y0)
    a, b = drift, volatility
    ito_drift = a if calculus is Calculus.ito else a + 0.5 * b * b
    process = SDE(drift_field=lambda t, y, args: a * y, diffusion_field=lambda t, y, args: b * y, calculus=calculus)
    return Problem(
        process,
        start,
        lambda t, w: start * jnp.exp((ito_drift - 0.5 * b * b) * t + b * w),
        lambda t: start * jnp.exp(ito_drift * t),
        lambda t: start**2 * jnp.exp(2 * ito_drift * t) * jnp.expm1(b * b * t),
    )


def ornstein_uhlenbeck(rate: float = 1.0, level: float = 0.0, scale: float = 1.0, *, y0: Any = (1.0,)) -> Problem:
    """dy = rate (level - y) dt + scale dW, additive. The variance tends to scale² / (2 rate)."""
    start = jnp.asarray(y0)
    process = SDE(
        drift_field=lambda t, y, args: rate * (level - y),
        diffusion_field=lambda t, y, args: scale * jnp.ones_like(y),
        noise=NoiseKind.additive,
    )
    return Problem(
        process,
        start,
        None,
        lambda t: level + (start - level) * jnp.exp(-rate * t),
        lambda t: jnp.full_like(start, scale**2 / (2 * rate)) * -jnp.expm1(-2 * rate * t),
    )


def euler_stationary_variance(rate: float, scale: float, dt: float) -> float:
    """Stationary variance of Euler's method on the Ornstein-Uhlenbeck process: scale² / (2 rate - rate² dt)."""
    return scale**2 / (2 * rate - rate**2 * dt)


def linear_ode(matrix: Float[Array, "n n"], y0: Float[Array, "n"]) -> Problem:
    """y' = A y, y_t = expm(A t) y_0."""
    process = ODE(field=lambda t, y, args: matrix @ y)
    return Problem(process, y0, lambda t, w=None: jsp.linalg.expm(matrix * t) @ y0)


def sine_growth(y0: Any = (1.0,)) -> Problem:
    """y' = y sin t, y_t = y_0 exp(1 - cos t)."""
    start = jnp.asarray(y0)
    return Problem(
        ODE(field=lambda t, y, args: y * jnp.sin(t)), start, lambda t, w=None: start * jnp.exp(1 - jnp.cos(t))
    )
