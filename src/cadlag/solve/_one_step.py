"""One step and what it tells: the embedded error estimate and Shampine's stiffness estimate.

For a Runge-Kutta pair with two stages at the end of the step (Tsit5: the sixth and seventh), the stiffness is
|k_7 - k_6| / |g_7 - g_6|, about the size of the Jacobian's dominant eigenvalue (Shampine 1977; Pal et al. 2021).
"""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from cadlag.solve._process import AbstractProcess, NoiseKind
from cadlag.solve._runge_kutta import RungeKutta
from cadlag.solve._stepper import AbstractStepper, Field, Step


class Tolerance(eqx.Module):
    """What a local error is measured against: atol + rtol max(|y|, |y1|)."""

    rtol: float = 1e-3
    atol: float = 1e-6


class StepEstimate(eqx.Module):
    """The state after a step, the scaled error estimate and the stiffness estimate (1/time, or None)."""

    y1: PyTree[Array]
    error: Array
    stiffness: Array | None


def scaled_error(error: Any, y: PyTree[Array], y1: PyTree[Array], tolerance: Tolerance) -> Array | None:
    """Root mean square of error / (atol + rtol max(|y|, |y1|)) over all entries; None without an estimate."""
    if error is None:
        return None
    ratio = lambda e, a, b: e / (tolerance.atol + tolerance.rtol * jnp.maximum(jnp.abs(a), jnp.abs(b)))  # noqa: E731
    return _rms(jax.tree.map(ratio, error, y, y1))


def one_step(
    process: AbstractProcess,
    t: Any,
    y: PyTree[Array],
    h: Any,
    *,
    args: Any = None,
    stepper: AbstractStepper | None = None,
    dx: Any = None,
    area: Any = None,
    tolerance: Tolerance | None = None,
) -> StepEstimate:
    """Error and stiffness of a single step, differentiable in everything.

    **Arguments:**

    - `process`, `t`, `y`, `args`: where to step from; `h` is the step's width.
    - `stepper`: any with an error estimate; Tsit5 by default. Stiffness needs a Runge-Kutta pair with two stages
      at the end of the step, and is None otherwise.
    - `dx`, `area`: the driver's increment and Lévy area, for equations that have a driver.
    - `tolerance`: what the error is measured against.
    """
    stepper = RungeKutta(diffrax.Tsit5()) if stepper is None else stepper
    if not stepper.estimates_error:
        raise ValueError(f"{type(stepper).__name__} has no local error estimate; use e.g. Heun or a Runge-Kutta pair.")
    dtype = jax.tree.leaves(y)[0].dtype
    t0, h = jnp.asarray(t, dtype), jnp.asarray(h, dtype)
    field, step = Field(process, args), Step(t0, t0 + h, h, dx, area)
    state = stepper.init(field, t0, y)
    y1, _, error, stiff = step_with_stiffness(stepper, field, y, state, step)
    scaled = scaled_error(error, y, y1, Tolerance() if tolerance is None else tolerance)
    assert scaled is not None
    return StepEstimate(y1, scaled, stiff)


def step_with_stiffness(
    stepper: AbstractStepper, field: Field, y: PyTree[Array], state: Any, step: Step
) -> tuple[Any, Any, Any, Array | None]:
    """What `stepper.step` returns and Shampine's estimate, None where there are no two stages at the step's end."""
    if not isinstance(stepper, RungeKutta):
        return *stepper.step(field, y, state, step), None
    stages, coefficients, values = stepper.stages(field, y, state, step)
    made = stepper.finish(y, stages, coefficients)
    pair = end_stages(stepper.tableau)
    if pair is None or field.process.noise is not NoiseKind.none:
        return *made, None
    sub = lambda rows: jax.tree.map(lambda p, q: p - q, rows[pair[1]], rows[pair[0]])  # noqa: E731
    return *made, ratio_of_norms(sub(stages), sub(values), step.h)


def end_stages(tableau: Any) -> tuple[int, int] | None:
    """Numbers of the last two stages at the end of the step, or None."""
    at_end = [i + 1 for i, c in enumerate(tableau.c) if c == 1]
    return (at_end[-2], at_end[-1]) if len(at_end) > 1 else None


def ratio_of_norms(increments: PyTree[Array], values: PyTree[Array], h: Array) -> Array:
    """|Δ(k h)| / (|h| |Δg|) in root mean squares; 0, with gradient 0, where the values do not differ or h is 0."""
    top, bottom = _rms(increments), _rms(values)
    width = jnp.where(h == 0, jnp.ones_like(h), jnp.abs(h)).astype(top.dtype)
    safe = bottom > 0
    return jnp.where(safe, top / (width * jnp.where(safe, bottom, jnp.ones_like(bottom))), jnp.zeros_like(top))


def _rms(tree: PyTree[Array]) -> Array:
    leaves = jax.tree.leaves(tree)
    total = sum(jnp.sum(jnp.abs(x) ** 2) for x in leaves)
    mean = total / sum(x.size for x in leaves)
    # The root has no gradient at zero, which exact steps reach.
    return jnp.where(mean > 0, jnp.sqrt(jnp.where(mean > 0, mean, jnp.ones_like(mean))), jnp.zeros_like(mean))
