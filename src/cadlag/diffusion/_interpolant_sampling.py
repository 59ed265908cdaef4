"""Transport of a whole batch in one compiled call, and exact log-densities by the ODE."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.diffusion._interpolant_model import AbstractInterpolantModel
from cadlag.diffusion._interpolant_processes import (
    NoisyTransport,
    check_epsilon,
    check_model,
    interpolant_ode,
)
from cadlag.linalg import rademacher_probes
from cadlag.solve import ODE, AdaptiveSteps, FixedSteps, solve, with_density


def sample_interpolant(
    model: AbstractInterpolantModel,
    x: Float[Array, "n *shape"],
    *,
    key: PRNGKeyArray | None = None,
    epsilon: float | int | Array | Callable = 0.0,
    steps: int | FixedSteps | AdaptiveSteps = 100,
    stepper: Any = None,
    backward: bool = False,
    cond: Any = None,
) -> Float[Array, "n *shape"]:
    """Carry draws of ρ_0 to ρ_1, or backward.

    **Arguments:**

    - `x`: draws at the end one starts from, shape (n, *shape).
    - `epsilon`: noise of the SDE, a number ≥ 0 or a function of time; 0 (default) is the ODE, which takes no `key`.
    - `steps`: so many equal steps, `FixedSteps` of a grid from 0 to 1 (from 1 to 0 backward), or, for the ODE,
      `AdaptiveSteps`. Large ε needs steps in proportion: Euler-Maruyama is stable while ε |∇s| times the step is
      below two.
    - `stepper`: default Heun for the ODE, Euler-Maruyama for the SDE; `NoiseFirstHeun()` for the paper's.
    - `backward`: from ρ_1 to ρ_0, with drift b - εs.
    - `cond`: conditions with leading axis n.

    The last step of the SDE takes b alone and no noise: the score is singular at an end without noise of its own.
    """
    _check_batch("sample_interpolant", x)
    check_model("sample_interpolant", model)
    check_epsilon("sample_interpolant", epsilon)
    noisy = callable(epsilon) or isinstance(epsilon, Array) or epsilon != 0
    if not noisy:
        return _flow(model, x, jnp.asarray(_ends(backward), x.dtype), steps, stepper, cond)
    if key is None:
        raise ValueError("sample_interpolant: the SDE (epsilon > 0) draws noise; give key=.")
    if isinstance(steps, AdaptiveSteps):
        raise ValueError("sample_interpolant: AdaptiveSteps go with the ODE (epsilon=0); give a number of steps.")
    # An array, so that another number compiles nothing anew.
    level = epsilon if callable(epsilon) else jnp.asarray(epsilon, x.dtype)
    keys, grid = jr.split(key, x.shape[0]), _grid(steps, x.dtype, backward)
    return _diffuse(model, x, keys, level, grid, stepper, cond)


def interpolant_log_prob(
    model: AbstractInterpolantModel,
    x1: Float[Array, "n *shape"],
    base_log_prob: Callable,
    *,
    cond: Any = None,
    steps: int | FixedSteps | AdaptiveSteps = 100,
    stepper: Any = None,
    probes: int | None = None,
    key: PRNGKeyArray | None = None,
) -> Float[Array, " n"]:
    """log ρ̂_1 of the model's ODE in nats: log ρ_0(X_0) - ∫∇·b dt along the path that ends in x1.

    **Arguments:**

    - `x1`: points, shape (n, *shape). `base_log_prob`: log ρ_0 of one point.
    - `steps`, `stepper`: as for `solve`; 100 of Heun by default, which errs by about 1e-3 nats on smooth fields.
      `AdaptiveSteps(rtol=1e-5, atol=1e-5)` is slower and sure.
    - `probes`: None for the exact divergence, or so many Hutchinson probes (with `key`), unbiased.
    """
    _check_batch("interpolant_log_prob", x1)
    check_model("interpolant_log_prob", model)
    if probes is not None and key is None:
        raise ValueError(f"interpolant_log_prob: probes={probes} are random; give key=.")
    keys = None if probes is None else jr.split(key, x1.shape[0])  # pyright: ignore[reportArgumentType]
    return _log_prob(model, x1, base_log_prob, cond, steps, stepper, probes, keys)


@eqx.filter_jit
def _flow(model: Any, x: Array, ts: Array, steps: Any, stepper: Any, cond: Any) -> Array:
    process = interpolant_ode(model)
    return jax.vmap(lambda y, c: solve(process, y, ts, args=c, steps=steps, stepper=stepper).ys[-1])(x, cond)


@eqx.filter_jit
def _diffuse(model: Any, x: Array, keys: Any, epsilon: Any, grid: Array, stepper: Any, cond: Any) -> Array:
    # The direction is the grid's: both share what is compiled.
    process, noisy = NoisyTransport(model, epsilon, jnp.sign(grid[-1] - grid[0])), grid[:-1]
    ends = noisy[jnp.array([0, -1])]

    def one(y: Array, k: Any, c: Any) -> Array:
        y = solve(process, y, ends, args=c, key=k, steps=FixedSteps(noisy), stepper=stepper).ys[-1]
        return y + (grid[-1] - grid[-2]) * model.velocity(grid[-2], y, c)

    return jax.vmap(one)(x, keys, cond)


@eqx.filter_jit
def _log_prob(
    model: Any, x1: Array, base: Callable, cond: Any, steps: Any, stepper: Any, probes: int | None, keys: Any
) -> Array:
    ts = jnp.asarray([1.0, 0.0], x1.dtype)

    def one(x: Array, c: Any, k: Any) -> Array:
        drawn = None if probes is None else rademacher_probes(x, probes, key=k)
        velocity = lambda t, y, args: model.velocity(jnp.asarray(t, y.dtype), y, c)  # noqa: E731
        process = with_density(ODE(velocity), probes=drawn)
        end, change = solve(process, (x, jnp.zeros((), x.dtype)), ts, steps=steps, stepper=stepper).y1
        return base(end) - change

    return jax.vmap(one)(x1, cond, keys)


def _ends(backward: bool) -> tuple[float, float]:
    return (1.0, 0.0) if backward else (0.0, 1.0)


def _grid(steps: Any, dtype: Any, backward: bool) -> Array:
    if isinstance(steps, FixedSteps):
        return steps.grid.astype(dtype)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
        raise ValueError(
            f"sample_interpolant: steps={steps!r}; the SDE takes at least 2 (the last without noise), or FixedSteps."
        )
    return jnp.linspace(*_ends(backward), steps + 1, dtype=dtype)


def _check_batch(where: str, x: Array) -> None:
    if x.ndim < 2:
        raise ValueError(f"{where}: x has shape {x.shape}; expected a batch (n, *shape). One point is x[None].")
