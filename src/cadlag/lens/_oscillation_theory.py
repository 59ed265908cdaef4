"""One example, one neuron: why large steps that oscillate make a weak feature grow.

With a = <w, v>, b = <w, u>, f = a² + b², s = 1 - f, kappa = 2 eta |v|²/m and kappa_u = 2 eta |u|²/m, a step is

    a <- a (1 + kappa s),    b <- b (1 + kappa_u s).

For b = 0 the fixed point f = 1 has the multiplier 1 - 2 kappa: it oscillates for kappa > 1, and f stays below
1 + 1/kappa, where a would change its sign, while 4 (1 + kappa)² <= 27. A neuron with a squared ReLU dies there; the map
itself is bounded up to kappa = 2. On a bounded orbit log(1 + kappa s) averages to zero, so s averages to something
positive (Jensen), and b grows until kappa z_v + kappa_u z_u = 1 for z = (a², b²). Lu et al., ICLR 2024, section 3.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

LARGEST = 27**0.5 / 2 - 1
"""The largest kappa at which a keeps its sign, 1.598."""


class ToyPath(NamedTuple):
    """`strong` a², `weak` b² and `residual` 1 - a² - b² before each step, (steps,)."""

    strong: Float[Array, " steps"]
    weak: Float[Array, " steps"]
    residual: Float[Array, " steps"]


def toy_path(kappa: float, kappa_u: float, a: float, b: float, steps: int) -> ToyPath:
    """The path of the two-dimensional map from (a, b); arithmetic in the default precision.

    **Raises:** ValueError for steps or kappas that are not positive.
    """
    if not (kappa > 0 and kappa_u >= 0) or steps < 1:
        raise ValueError(f"kappa={kappa}, kappa_u={kappa_u}, steps={steps}: expected kappa > 0, kappa_u >= 0, a step.")

    def step(state: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], ToyPath]:
        a, b = state
        s = 1 - a * a - b * b
        return (a * (1 + kappa * s), b * (1 + kappa_u * s)), ToyPath(a * a, b * b, s)

    return jax.lax.scan(step, (jnp.asarray(a, float), jnp.asarray(b, float)), None, length=steps)[1]


def toy_end(kappa: float, kappa_u: float) -> float:
    """The weak feature's share b² at which oscillation stops: 0 for kappa <= 1, above (kappa - 1)/(kappa - kappa_u).

    **Raises:** ValueError for a kappa beyond the window, where a changes its sign, or kappa_u not below kappa.
    """
    if not 0 <= kappa_u < kappa <= LARGEST:
        raise ValueError(f"kappa={kappa}, kappa_u={kappa_u}: expected 0 <= kappa_u < kappa <= {LARGEST:.3f}.")
    return max(0.0, (kappa - 1) / (kappa - kappa_u))


def oscillation_window(strong: float, width: int) -> tuple[float, float]:
    """Between which learning rates training oscillates about the strong feature and lives, (m/2, 0.8 m)/|v|².

    **Arguments:** `strong` |v|; `width` m. For batches the mean over examples without the feature weakens the pull.
    """
    if not strong > 0 or width < 1:
        raise ValueError(f"strong={strong}, width={width}: expected a length and a number of neurons.")
    edge = width / (2 * strong**2)
    return edge, LARGEST * edge
