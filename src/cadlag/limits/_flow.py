"""Gradient flow of any loss with a fixed tangent kernel: df/dt = -eta Theta ∂L/∂f, solved as an ODE."""

from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def gradient_flow(
    theta: Float[Array, "n n"],
    loss: Callable[[Float[Array, "n outputs"]], Float[Array, ""]],
    f0: Float[Array, "n outputs"],
    ts: Float[Array, " times"],
    *,
    theta_test: Float[Array, "m n"] | None = None,
    f0_test: Float[Array, "m outputs"] | None = None,
    learning_rate: float | int = 1.0,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    max_steps: int = 100_000,
) -> tuple[Float[Array, "times n outputs"], Float[Array, "times m outputs"]]:
    """Outputs at the training inputs, and at test inputs where given, at times in steps of the learning rate.

    Lee et al., NeurIPS 2019, eqs. 4 and 5. An explicit method of order five with adaptive steps; the equation is stiff
    where Theta is ill-conditioned and the loss strongly curved, so long times cost steps.

    **Arguments:**

    - `loss`: of all outputs at the training inputs, such as the mean cross-entropy with the labels; means over n, not
      sums, keep times comparable.
    - `ts`: rising, from 0 or later; the flow starts at 0.

    **Raises:** ValueError for shapes that do not fit or times that do not rise.
    """
    if (theta_test is None) != (f0_test is None):
        raise ValueError("gradient_flow: theta_test and f0_test belong together; pass both or neither.")
    if theta.shape != (len(f0), len(f0)) or f0.ndim != 2:
        raise ValueError(f"gradient_flow: theta {theta.shape} and f0 {f0.shape}; expected (n, n) and (n, outputs).")
    if not isinstance(ts, jax.core.Tracer) and (ts[0] < 0 or not bool(jnp.all(jnp.diff(ts) > 0))):
        raise ValueError(f"gradient_flow: ts run from {ts[0]} to {ts[-1]}; expected rising times from 0 on.")
    if theta_test is None or f0_test is None:
        theta_test, f0_test = theta[:0], f0[:0]
    rows = jnp.concatenate([theta, theta_test])
    n = len(f0)

    def rate(t: Any, f: Array, args: Any) -> Array:
        return -learning_rate * jnp.matmul(rows, jax.grad(loss)(f[:n]), precision="highest")

    found = diffrax.diffeqsolve(
        diffrax.ODETerm(rate), diffrax.Tsit5(), jnp.zeros((), ts.dtype), ts[-1], None,
        jnp.concatenate([f0, f0_test]), saveat=diffrax.SaveAt(ts=ts),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol), max_steps=max_steps,
    )  # fmt: skip
    assert found.ys is not None
    return found.ys[:, :n], found.ys[:, n:]
