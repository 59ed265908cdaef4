"""The probability flow through `solve`: adaptive or fixed steps, both ways, and exact likelihood."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, PRNGKeyArray

from cadlag.diffusion._constraint import AbstractConstraint
from cadlag.diffusion._denoiser import AbstractDenoiser
from cadlag.diffusion._grid import AbstractGrid, UniformLogSNR, known
from cadlag.diffusion._processes import reverse_sde
from cadlag.diffusion._sampler import AbstractSampler, Sampled, check_steps
from cadlag.diffusion._variable import AbstractVariable, Time
from cadlag.distributions import AbstractDistribution
from cadlag.solve import ODE, AbstractAdjoint, AdaptiveSteps, EulerMaruyama, FixedSteps, Solution, solve, with_density

BLACK_BOX = AdaptiveSteps(rtol=1e-5, atol=1e-5)


class ProbabilityFlow(AbstractSampler):
    """The deterministic sampler: the probability-flow ODE by any ODE solver (Song et al. 2021, section 4.3).

    **Arguments:**

    - `steps`: `AdaptiveSteps(rtol=1e-5, atol=1e-5)` (default), or how many fixed steps.
    - `stepper`: a stepper of `solve` or any Diffrax solver; by default Tsit5 on adaptive steps, Heun on fixed ones.
    - `grid`: where fixed steps are, `UniformLogSNR()`.
    - `adjoint`: how a loss on the sample is differentiated; see `solve`.
    - `variable`: what the flow is solved in, `Time()` (default) or `NoiseRatio()`. Tolerances are for its own state,
      which for `NoiseRatio()` is α(t_max) x near the data: `atol` smaller by as much.
    """

    steps: AdaptiveSteps | int = BLACK_BOX
    stepper: Any = None
    grid: AbstractGrid = UniformLogSNR()
    adjoint: AbstractAdjoint | None = None
    variable: AbstractVariable = Time()

    def __check_init__(self):
        if not isinstance(self.steps, AdaptiveSteps):
            check_steps("ProbabilityFlow", self.steps)

    def run(
        self,
        denoiser: AbstractDenoiser,
        x: Array,
        *,
        key: PRNGKeyArray,
        cond: Any = None,
        constraint: AbstractConstraint | None = None,
    ) -> Sampled:
        """One solve."""
        if constraint is not None:
            raise ValueError(
                "ProbabilityFlow takes no constraint, which would change the state between its steps. Use DPMSolver or "
                "PredictorCorrector, or guide the denoiser with LinearGuidance."
            )
        return self.carry(denoiser, x, cond, encode=False)

    def carry(self, denoiser: AbstractDenoiser, x: Array, cond: Any, *, encode: bool) -> Sampled:
        """x at the other end of the flow: at the noise (`encode`) or at the data."""
        schedule, variable = denoiser.schedule, self.variable
        first, last = (schedule.t_min, schedule.t_max) if encode else (schedule.t_max, schedule.t_min)
        y = variable.enter(schedule, first, x)
        solution = self.solve(variable.process(denoiser), denoiser, y, cond, encode=encode)
        assert solution.stats is not None
        return Sampled(variable.leave(schedule, last, solution.y1), solution.stats.evaluations)

    def solve(self, process: Any, denoiser: AbstractDenoiser, y: Any, cond: Any, *, encode: bool) -> Solution:
        """Solve a process along the schedule: towards the noise (`encode`) or towards the data."""
        schedule = denoiser.schedule
        dtype = jax.tree.leaves(y)[0].dtype
        fixed = not isinstance(self.steps, AdaptiveSteps)
        with known(schedule):
            times = self.grid(schedule, 1 if isinstance(self.steps, AdaptiveSteps) else self.steps, dtype)
            times = self.variable.points(schedule, times[::-1] if encode else times)
        return solve(
            process, y, _ends(times), args=cond, stepper=self._stepper(fixed), stats=True,
            steps=FixedSteps(times) if fixed else self.steps, adjoint=self.adjoint,
        )  # fmt: skip

    def _stepper(self, fixed: bool) -> Any:
        return diffrax.Heun() if fixed and self.stepper is None else self.stepper


class ReverseSDE(AbstractSampler):
    """The reverse SDE by any fixed-step stepper of `solve` that suits additive noise: `EulerMaruyama()`, `SRK()`.

    **Arguments:** `steps`; `noise_level` λ > 0 of `reverse_sde`; `stepper`; `grid`; `adjoint`.
    """

    steps: int = eqx.field(static=True, default=200)
    noise_level: float = eqx.field(static=True, default=1.0)
    stepper: Any = EulerMaruyama()
    grid: AbstractGrid = UniformLogSNR()
    adjoint: AbstractAdjoint | None = None

    def __check_init__(self):
        check_steps("ReverseSDE", self.steps)
        if not self.noise_level > 0:
            raise ValueError(f"ReverseSDE: noise_level={self.noise_level} must be positive; 0 is ProbabilityFlow().")

    def run(
        self,
        denoiser: AbstractDenoiser,
        x: Array,
        *,
        key: PRNGKeyArray,
        cond: Any = None,
        constraint: AbstractConstraint | None = None,
    ) -> Sampled:
        """One solve in s = t1 - t."""
        schedule = denoiser.schedule
        # Clocks differ: s rises while t falls.
        with known(schedule):
            grid = schedule.t1 - self.grid(schedule, self.steps, x.dtype)
        between = None
        if constraint is not None:
            between = lambda s, y, k: constraint.apply(schedule, schedule.t1 - s, y, k)  # noqa: E731
        process = reverse_sde(denoiser, noise_level=self.noise_level)
        solution = solve(
            process, x, _ends(grid), args=cond, key=key, steps=FixedSteps(grid), stepper=self.stepper,
            adjoint=self.adjoint, between=between,
        )  # fmt: skip
        y = solution.y1 if constraint is None else constraint.finish(solution.y1)
        return Sampled(y, self.steps * self.stepper.evaluations)


def _ends(grid: Array) -> Any:
    """First and last time, still known where the grid is."""
    return np.asarray(grid)[[0, -1]] if not isinstance(grid, Tracer) else grid[jnp.array([0, -1])]


def encode(denoiser: AbstractDenoiser, x: Array, *, cond: Any = None, flow: ProbabilityFlow | None = None) -> Array:
    """The latent of one x: the flow from `t_min` to `t_max`. It depends on the law of the data, not on the network."""
    flow = ProbabilityFlow() if flow is None else flow
    return flow.carry(denoiser, x, cond, encode=True).x


def decode(denoiser: AbstractDenoiser, z: Array, *, cond: Any = None, flow: ProbabilityFlow | None = None) -> Array:
    """The x of one latent: the flow from `t_max` to `t_min`."""
    flow = ProbabilityFlow() if flow is None else flow
    return flow.carry(denoiser, z, cond, encode=False).x


def interpolate(a: Array, b: Array, count: int) -> Array:
    """`count` latents on the great circle from a to b, ends included; shape (count, *shape). Decode each."""
    u = jnp.linspace(0, 1, count, dtype=a.dtype).reshape(count, *(1 for _ in a.shape))
    cosine = jnp.sum(a * b) / jnp.sqrt(jnp.sum(a * a) * jnp.sum(b * b))
    angle = jnp.arccos(jnp.clip(cosine, -1, 1))
    straight = angle < 1e-3
    safe = jnp.sin(jnp.where(straight, jnp.ones_like(angle), angle))
    first = jnp.where(straight, 1 - u, jnp.sin((1 - u) * angle) / safe)
    last = jnp.where(straight, u, jnp.sin(u * angle) / safe)
    return first * a[None] + last * b[None]


def log_prob(
    denoiser: AbstractDenoiser,
    x: Array,
    *,
    cond: Any = None,
    probes: Array | None = None,
    flow: ProbabilityFlow | None = None,
    prior: AbstractDistribution | None = None,
) -> Array:
    """Log-density of one x under the probability flow, in nats per example; shape ().

    It is the density of data noised to `t_min`. d log p/dt = -∇·velocity along the flow, plus the prior's log-density
    at its end (Song et al. 2021, eq. 39).

    **Arguments:**

    - `x`: one example. Discrete data are dequantised first (`cadlag.data.dequantise`).
    - `probes`: Hutchinson probes, shape (probes, *shape), drawn once for the whole solve
      (`cadlag.linalg.rademacher_probes`); None for the exact divergence, one forward-mode derivative a dimension.
    - `flow`: the solver, `ProbabilityFlow()`.
    - `prior`: the law at `t_max`, where it is known better than as the schedule's normal law, which neglects
      α(t_max) x_0 (0.007 x_0 for `VP`: some thousandths of a nat).
    """
    flow = ProbabilityFlow() if flow is None else flow
    if not isinstance(flow.variable, Time):
        raise ValueError(
            f"log_prob: the flow is solved in {type(flow.variable).__name__}, but densities are computed in time; "
            "leave `variable` out, or pass Time()."
        )
    process = with_density(ODE(_Velocity(denoiser)), probes=probes)
    y, change = flow.solve(process, denoiser, (x, jnp.zeros((), x.dtype)), cond, encode=True).y1
    at_end = denoiser.schedule.prior_log_prob(y) if prior is None else prior.log_prob(y)
    return at_end - change


class _Velocity(eqx.Module):
    denoiser: AbstractDenoiser

    def __call__(self, t: Any, y: Array, args: Any) -> Array:
        return self.denoiser.velocity(jnp.asarray(t, y.dtype), y, args)


def bits_per_dim(log_prob: Array, size: int, *, width: float) -> Array:
    """Bits a dimension of data that were dequantised from cells of `width` (1/128 for bytes scaled to [-1, 1]).

    -log p/(size log 2) - log2(width): uniform bytes under the uniform density read 8.
    """
    if not width > 0 or size < 1:
        raise ValueError(f"bits_per_dim: width={width} and size={size} must be positive.")
    return -log_prob / (size * jnp.log(jnp.asarray(2, log_prob.dtype))) - jnp.log2(jnp.asarray(width, log_prob.dtype))
