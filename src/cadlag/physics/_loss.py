"""The loss of an equation, Σ_j λ_j mean r_j² over residual, conditions and data, and the update that minimises it."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

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
    the residual has; `point_weights`, or None.
    """

    problem: Collocation
    kinds: tuple[str, ...] = eqx.field(static=True)
    parts: int = eqx.field(static=True)
    point_weights: AbstractPointWeights | None = None

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
        rows = self.rows(unknowns, batch)
        others = jnp.stack([jnp.zeros((), batch.interior.dtype), *(jnp.mean(sum_squares(r)) for r in rows[1])])[1:]
        other_sum = jnp.sum(weights.terms[self.parts :] * others)
        squares = [sum_squares(r) for r in rows[0]]
        w, points = self._point_weights(weights, batch, squares, other_sum)
        inside = jnp.stack([jnp.mean(s if w is None else w * s) for s in squares])
        value = jnp.sum(weights.terms[: self.parts] * inside) + other_sum
        infos = dict(zip(self.names, [*inside, *others], strict=True))
        if w is not None:
            infos["least_weight"] = jnp.min(w)
        return value, (WeightState(weights.terms, points), infos)

    def rows(self, unknowns: Unknowns, batch: Batch) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Residuals at all points: of the equations, and of conditions (those of one kind together) and data."""
        by_kind: dict[str, list[Array]] = {}
        for kind, r in zip(self.kinds, self.problem.on_faces(unknowns, batch.faces), strict=True):
            by_kind.setdefault(kind, []).append(r.reshape(r.shape[0], -1))
        walls = [_stacked(group) for group in by_kind.values()]
        data = [] if self.problem.observations is None else [self.problem.misfit(unknowns)]
        return self.problem.residual(unknowns, batch.interior), (*walls, *data)

    def terms(self, weights: WeightState, batch: Batch) -> Terms:
        """The terms as functions of the unknowns."""
        few = Batch(batch.interior[:ROWS], tuple(x[:ROWS] for x in batch.faces))

        def values(unknowns: Unknowns) -> Array:
            infos = self(unknowns, weights, batch)[1][1]
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
        self, weights: WeightState, batch: Batch, squares: list[Array], others: Array
    ) -> tuple[Array | None, PyTree]:
        if self.point_weights is None:
            return None, None
        squared = jnp.sum(jnp.stack(squares), axis=0)
        constants = jax.lax.stop_gradient((batch.interior, squared, others))
        w, state = self.point_weights.weigh(weights.points, *constants)
        return jax.lax.stop_gradient(w), jax.lax.stop_gradient(state)


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
