"""Causal training: a residual counts only once the residuals at all earlier times are small.

    L_i = mean of |residual|² in the i-th slice of time,    w_i = exp(-ε Σ_{k<i} L_k),    loss = mean_i w_i L_i + …

Wang, Sankaran, Perdikaris, Respecting causality is all you need for training physics-informed neural networks (2022,
arXiv 2203.07404), equations 3.4 to 3.8. min_i w_i near one says that all of time is solved, which ends a stage.

Nothing else imports this module. Its authors state that the algorithm is protected by a patent of the University of
Pennsylvania and not free for commercial use; what stands here was written from the equations, and using it says so.
"""

import warnings
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from cadlag.physics._collocation import Collocation
from cadlag.physics._point_weights import AbstractPointWeights
from cadlag.train import Stop

NOTICE = (
    "causal training: the authors of arXiv 2203.07404 state that it is protected by a patent of the University of "
    "Pennsylvania and may not be used commercially without a licence. Ask a lawyer before you ship a product with it."
)


class PatentNotice(UserWarning):
    """Shown at the first use; silence it with `warnings.simplefilter("ignore", PatentNotice)`."""


class CausalState(eqx.Module):
    """Which ε is in force, how many steps it has been, whether the last stage has passed its test; the axis of time."""

    stage: Int[Array, ""]
    steps: Int[Array, ""]
    done: Bool[Array, ""]
    axis: int = eqx.field(static=True)


class CausalWeights(AbstractPointWeights):
    """w_i = exp(-ε Σ_{k<i} L_k) over slices of time, ε rising through stages. Use it with `TimeSlices`.

    Points may come in any order: they are sorted by time and cut into `slices` parts of one size.

    **Arguments:**

    - `tolerances`: the values of ε, rising. ε is in units of 1 / residual²: too small is a plain network, too large
      starves late times, so start low.
    - `slices`: parts of time, which divide the number of points; those of `TimeSlices(times=…)`.
    - `delta`: a stage has passed when the least weight is above it.
    - `patience`: steps after which a stage ends unpassed; also the least number before the next test is taken.
    - `conditions_first`: put the weighted terms of conditions in front of the sum, so that nothing counts before the
      initial state is fitted (the form used for Kuramoto-Sivashinsky and Navier-Stokes).
    """

    tolerances: tuple[float, ...] = eqx.field(static=True, default=(1e-2, 1e-1, 1.0, 10.0, 100.0))
    slices: int = eqx.field(static=True, default=32)
    delta: float = eqx.field(static=True, default=0.99)
    patience: int = eqx.field(static=True, default=10_000)
    check_every: int = eqx.field(static=True, default=100)
    conditions_first: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        warnings.warn(NOTICE, PatentNotice, stacklevel=4)
        rising = all(a < b for a, b in zip(self.tolerances, self.tolerances[1:], strict=False))
        if not self.tolerances or self.tolerances[0] < 0 or not rising:
            raise ValueError(f"tolerances={self.tolerances} of CausalWeights: expected rising values >= 0.")
        if self.slices < 2 or not 0 < self.delta < 1 or self.patience < 1 or self.check_every < 1:
            raise ValueError(
                f"CausalWeights: slices={self.slices}, delta={self.delta}, patience={self.patience}, "
                f"check_every={self.check_every}; expected slices >= 2, 0 < delta < 1, and both others >= 1."
            )

    def init(self, problem: Collocation, count: int) -> CausalState:
        """The first ε. Raises `ValueError` without a time axis, or where the slices do not divide the points."""
        axis = problem.domain.axis("t")
        if count % self.slices:
            raise ValueError(
                f"CausalWeights: {count} points do not part into slices={self.slices}; take a multiple, such as "
                f"TimeSlices({self.slices}, {max(1, count // self.slices)})."
            )
        zero = jnp.zeros((), jnp.int32)
        return CausalState(zero, zero, jnp.zeros((), bool), axis)

    def weigh(
        self, state: CausalState, points: Float[Array, "n d"], squared: Float[Array, " n"], others: Float[Array, ""]
    ) -> tuple[Float[Array, " n"], CausalState]:
        """The weight of each point's slice."""
        order = jnp.argsort(points[:, state.axis], stable=True)
        losses = jnp.mean(squared[order].reshape(self.slices, -1), axis=1)
        epsilon = jnp.asarray(self.tolerances, squared.dtype)[state.stage]
        first = others if self.conditions_first else jnp.zeros_like(others)
        weights = causal_weights(losses, epsilon, first=first)
        each = jnp.repeat(weights, points.shape[0] // self.slices)
        return jnp.zeros_like(squared).at[order].set(each), self._advance(state, jnp.min(weights))

    def _advance(self, state: CausalState, least: Array) -> CausalState:
        """The next stage once the least weight is high enough, or patience is at an end."""
        steps, last = state.steps + 1, len(self.tolerances) - 1
        passed = (steps % self.check_every == 0) & (least > self.delta)
        over = (passed | (steps >= self.patience)) & (state.stage < last)
        done = state.done | (passed & (state.stage == last))
        return CausalState(state.stage + over.astype(jnp.int32), jnp.where(over, 0, steps), done, state.axis)


def causal_weights(
    losses: Float[Array, " slices"], epsilon: Float[Array, ""] | float, *, first: Float[Array, ""] | float = 0.0
) -> Float[Array, " slices"]:
    """exp(-ε (first + Σ_{k<i} L_k)) for the losses of slices in the order of time."""
    before = jnp.concatenate([jnp.zeros_like(losses[:1]), jnp.cumsum(losses)[:-1]])
    return jnp.exp(-epsilon * (first + before))


def stop_when_causal(state: Any, info: dict[str, Any]) -> Any:
    """A hook for `PINN(hooks=(stop_when_causal,))`: ends training once the last ε has passed its test."""
    del info
    settled: PyTree = getattr(state.model_state, "points", None)
    if isinstance(settled, CausalState) and bool(settled.done):
        return Stop("every causal weight is above delta at the last tolerance")
    return state
