"""The loss of an equation, Σ_j λ_j mean r_j² over residual, conditions and data, and the update that minimises it."""

import dataclasses
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from cadlag.physics._chunks import squares, squares_in_chunks, weighted_sum
from cadlag.physics._collocation import Collocation, Unknowns, sum_squares
from cadlag.physics._point_weights import AbstractPointWeights
from cadlag.physics._sampling import Batch
from cadlag.physics._weights import AbstractTermWeights, Terms
from cadlag.train import AbstractUpdate

ROWS = 8
"""Points of each term whose gradients weights may ask for one by one."""


class WeightState(eqx.Module):
    """What weighs the loss: a weight for each term, and the state of the pointwise weights."""

    terms: Float[Array, " terms"]
    points: PyTree


class PhysicsLoss(eqx.Module):
    """`loss(unknowns, weights, batch, key) -> (value, (weights, infos))`, for `gradient(..., stateful=True)`.

    **Arguments:** `problem`; `kinds`, of the groups of conditions in the batch, in order; `parts`, how many equations
    the residual has; `point_weights`, or None; `chunk`, points inside that are evaluated at a time, None: all.
    """

    problem: Collocation
    kinds: tuple[str, ...] = eqx.field(static=True)
    parts: int = eqx.field(static=True)
    point_weights: AbstractPointWeights | None = None
    chunk: int | None = eqx.field(static=True, default=None)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the terms."""
        residuals = ("residual",) if self.parts == 1 else tuple(f"residual[{i}]" for i in range(self.parts))
        data = () if self.problem.observations is None else ("data",)
        return (*residuals, *dict.fromkeys(self.kinds), *data)

    def init(self, weights: AbstractTermWeights, count: int) -> WeightState:
        """The first weights, for `count` points inside."""
        points = None if self.point_weights is None else self.point_weights.init(self.problem, count)
        return WeightState(weights.init(self.names).astype(self.problem.dtype), points)

    def __call__(
        self, unknowns: Unknowns, weights: WeightState, batch: Batch, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, ""], tuple[WeightState, dict[str, Array]]]:
        """The weighted sum, weights after their own step, and the terms by name, unweighted between terms."""
        others = self._others(unknowns, batch)
        other_sum = jnp.sum(weights.terms[self.parts :] * others)
        inside, infos, points = self._inside(unknowns, weights, batch, other_sum)
        infos |= dict(zip(self.names[self.parts :], others, strict=True))
        return inside + other_sum, (WeightState(weights.terms, points), infos)

    def _others(self, unknowns: Unknowns, batch: Batch) -> Float[Array, " others"]:
        means = [jnp.mean(sum_squares(r)) for r in self._elsewhere(unknowns, batch)]
        return jnp.stack(means) if means else jnp.zeros(0, batch.interior.dtype)

    def _inside(
        self, unknowns: Unknowns, weights: WeightState, batch: Batch, others: Float[Array, ""]
    ) -> tuple[Float[Array, ""], dict[str, Array], PyTree]:
        """The residual's share of the loss, its infos, and the next state of the pointwise weights."""
        x, of_parts, count = batch.interior, weights.terms[: self.parts], len(batch.interior)
        if self.chunk is None or count <= self.chunk:
            squared = squares(self.problem, unknowns, x)
            w, points, infos = self._point_weights(weights, x, squared, others)
            sums = squared @ (w / count)
            value = jnp.sum(of_parts * sums)
        else:
            frozen = partial(squares_in_chunks, self.problem, jax.lax.stop_gradient(unknowns), x, self.chunk)
            squared = None if self.point_weights is None else frozen()
            w, points, infos = self._point_weights(weights, x, squared, others)
            value, sums = weighted_sum(self.problem, unknowns, x, w / count, of_parts, self.chunk)
        return value, infos | dict(zip(self.names, sums, strict=False)), points

    def rows(self, unknowns: Unknowns, batch: Batch) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Residuals at all points: of the equations, and of conditions (those of one kind together) and data."""
        return self.problem.residual(unknowns, batch.interior), self._elsewhere(unknowns, batch)

    def _elsewhere(self, unknowns: Unknowns, batch: Batch) -> tuple[Array, ...]:
        by_kind: dict[str, list[Array]] = {}
        for kind, r in zip(self.kinds, self.problem.on_faces(unknowns, batch.faces), strict=True):
            by_kind.setdefault(kind, []).append(r.reshape(r.shape[0], -1))
        data = [] if self.problem.observations is None else [self.problem.misfit(unknowns)]
        return (*(_stacked(group) for group in by_kind.values()), *data)

    def terms(self, weights: WeightState, batch: Batch) -> Terms:
        """The terms as functions of the unknowns."""
        plain = dataclasses.replace(self, chunk=None)  # every term needs a gradient of its own
        few = Batch(batch.interior[:ROWS], tuple(x[:ROWS] for x in batch.faces))

        def values(unknowns: Unknowns) -> Array:
            infos = plain(unknowns, weights, batch)[1][1]
            return jnp.stack([infos[name] for name in self.names])

        def rows(unknowns: Unknowns) -> tuple[Array, ...]:
            inside, others = self.rows(unknowns, few)
            return tuple(r.reshape(-1)[: ROWS * max(1, r[0].size)] for r in (*inside, *others))

        return Terms(self.names, values, rows)

    def vector(self, unknowns: Unknowns, weights: Float[Array, " terms"], batch: Batch) -> tuple[Array, ...]:
        """Residuals scaled so that the sum of their squares is the loss: what Gauss-Newton takes."""
        inside, others = self.rows(unknowns, batch)
        return tuple(jnp.sqrt(w / r.shape[0]) * r for w, r in zip(weights, (*inside, *others), strict=True))

    def _point_weights(
        self, weights: WeightState, x: Array, squared: Array | None, others: Array
    ) -> tuple[Array, PyTree, dict[str, Array]]:
        if self.point_weights is None or squared is None:
            return jnp.ones(len(x), x.dtype), None, {}
        constants = jax.lax.stop_gradient((x, jnp.sum(squared, axis=0), others))
        w, state = jax.lax.stop_gradient(self.point_weights.weigh(weights.points, *constants))
        return w, state, {"least_weight": jnp.min(w)}


def _stacked(group: list[Array]) -> Array:
    width = max(r.shape[1] for r in group)
    return jnp.concatenate([jnp.pad(r, ((0, 0), (0, width - r.shape[1]))) for r in group])


class WeightedUpdate(AbstractUpdate):
    """Another update, with the terms' weights brought up to date before each step.

    **Arguments:** `inner`, made by `gradient(loss, …, stateful=True)`; `loss`; `weights`.
    """

    inner: AbstractUpdate
    loss: PhysicsLoss
    weights: AbstractTermWeights

    def init(self, unknowns: PyTree, key: PRNGKeyArray, *, model_state: PyTree = None) -> Any:
        """The inner state; `model_state` is a `WeightState`."""
        return self.inner.init(unknowns, key, model_state=model_state)

    def step(self, state: Any, batch: Batch, key: PRNGKeyArray) -> tuple[Any, dict[str, Any]]:
        """One inner step with new weights."""
        now = state.model_state
        terms = self.weights.update(now.terms, state.step, self.loss.terms(now, batch), state.unknowns)
        weighed = dataclasses.replace(state, model_state=WeightState(terms, now.points))
        return self.inner.step(weighed, batch, key)
