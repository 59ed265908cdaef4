"""The density that an ODE carries along: d log p(y(t))/dt = -∇·f(t, y(t)) (Chen et al., NeurIPS 2018)."""

from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from cadlag.linalg import value_and_divergence
from cadlag.solve._process import AbstractProcess, Calculus, NoiseKind


class WithDensity(AbstractProcess):
    """An ODE and the change of log-density along it; made by `with_density`."""

    process: AbstractProcess
    probes: Array | None
    noise: NoiseKind = eqx.field(static=True, default=NoiseKind.none)
    calculus: Calculus = eqx.field(static=True, default=Calculus.ito)

    def drift(self, t: Any, y: tuple[Array, Array], args: Any) -> tuple[Array, Array]:
        """The vector field, and minus its divergence."""
        value, divergence = value_and_divergence(lambda x: self.process.drift(t, x, args), y[0], probes=self.probes)
        return value, -divergence

    def diffusion(self, t: Any, y: tuple[Array, Array], args: Any) -> None:
        """There is none."""
        return None


def with_density(process: AbstractProcess, *, probes: Float[Array, "..."] | None = None) -> AbstractProcess:
    """The ODE on (y, log p(t, y(t)) - log p(t0, y(t0))): solve it from (y0, 0).

    **Arguments:**

    - `process`: an ODE whose state is one array; differentiable in forward mode.
    - `probes`: None for the exact divergence, one forward-mode product a dimension; or Hutchinson's, shape
      (probes, *state), from `cadlag.linalg.rademacher_probes`, the same for the whole solve.

    **Raises:** ValueError for a process with noise.

    **Example:** `_, change = solve(with_density(flow), (x, jnp.zeros(())), (0.0, 1.0), steps=50).y1`; then
    log p_0(x) = log p_1(y1) - change.
    """
    if process.noise is not NoiseKind.none:
        raise ValueError(
            "with_density needs an ODE: along an SDE the density follows the Fokker-Planck equation. Take the "
            "probability flow, reverse(process, score, t1, noise_level=0)."
        )
    return WithDensity(process=process, probes=probes)
